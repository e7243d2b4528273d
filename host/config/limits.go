package config

import (
	"time"

	"bespoke/modules/abi"
)

func (d *decoder) limits(n *node, l *Limits) {
	bytes := func(name string, v *int, least, most int64) field {
		return field{name, false, func(n *node) {
			if s, ok := d.size(n, name, least, most); ok {
				*v = int(s)
			}
		}}
	}
	wait := func(name string, v *time.Duration) field {
		return field{name, false, func(n *node) {
			if t, ok := d.duration(n, name, 24*time.Hour); ok {
				*v = t
			}
		}}
	}
	d.mapping(n, "limits", []field{
		bytes("header_bytes", &l.HeaderBytes, 1<<10, 1<<20),
		bytes("request_body_bytes", &l.RequestBodyBytes, 1, 1<<30),
		bytes("decoded_body_bytes", &l.DecodedBodyBytes, 1, 1<<30),
		wait("read_timeout", &l.ReadTimeout),
		wait("write_timeout", &l.WriteTimeout),
		wait("idle_timeout", &l.IdleTimeout),
		wait("origin_connect_timeout", &l.OriginConnectTimeout),
		wait("origin_timeout", &l.OriginTimeout),
		{"connections", false, func(n *node) {
			if v, ok := d.count(n, "connections", 1<<20); ok {
				l.Connections = v
			}
		}},
		{"origin_conns", false, func(n *node) {
			if v, ok := d.count(n, "origin_conns", 65536); ok {
				l.OriginConns = v
			}
		}},
		{"policy", false, func(n *node) { d.policyLimits(n, &l.Policy) }},
	})
}

const pageBytes = 64 << 10 // WebAssembly core 2.0, section 4.2.8

func (d *decoder) policyLimits(n *node, l *abi.Limits) {
	bytes := func(name string, v *int, most int64) field {
		return field{name, false, func(n *node) {
			if s, ok := d.size(n, name, 1, most); ok {
				*v = int(s)
			}
		}}
	}
	count := func(name string, v *int, most int) field {
		return field{name, false, func(n *node) {
			if c, ok := d.count(n, name, most); ok {
				*v = c
			}
		}}
	}
	wait := func(name string, v *int) field {
		return field{name, false, func(n *node) {
			if t, ok := d.duration(n, name, time.Minute); ok {
				*v = int(t / time.Millisecond)
			}
		}}
	}
	d.mapping(n, "limits.policy", []field{
		bytes("binary", &l.BinaryBytes, 256<<20),
		{"memory", false, func(n *node) {
			s, ok := d.size(n, "memory", pageBytes, 4<<30)
			if ok && s%pageBytes != 0 {
				d.errorf(n.pos, "memory: found %s, expected a multiple of %s", n.describe(), showSize(pageBytes))
			} else if ok {
				l.MemoryPages = int(s / pageBytes)
			}
		}},
		count("edits", &l.Edits, 1_000_000),
		bytes("edit_bytes", &l.EditBytes, 64<<20),
		bytes("log_bytes", &l.LogBytes, 16<<20),
		wait("time", &l.RunMillis),
		wait("init_time", &l.InitMillis),
		count("concurrent", &l.Concurrent, 65536),
	})
}
