//go:build !linux

package engine

func newPager() pager { return nil }
