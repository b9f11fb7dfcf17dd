#!/bin/sh
# usage: sh tools/engines.sh PYTEST WORDS…
#
# Runs the tests on real engines in two processes beside each other: they wait far more than they compute.
set -u

output=$(mktemp)
env "$@" tests/engines/test_slurm.py >"$output" 2>&1 &
slurm=$!
trap 'kill "$slurm" 2>/dev/null; rm -f "$output"' EXIT
env "$@" tests/engines --ignore=tests/engines/test_slurm.py
others=$?
wait "$slurm"
status=$?
cat "$output"
[ "$others" = 0 ] && exit "$status"
exit "$others"
