#!/bin/sh
# fuzz.sh DURATION: runs every fuzz target of the tree for that long. What is
# found is minimized only a little: for large inputs, whole files and modules,
# the default spends the run on it.
set -eu
time=${1:-1m}
grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	dir=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r name; do
		echo "== $dir $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$dir"
	done
done
