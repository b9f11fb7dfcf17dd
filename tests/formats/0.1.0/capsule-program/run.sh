#!/bin/sh
# Task (1/7, builtin/execute)
# Runs the program on the inputs in this folder.

here=$(cd "$(dirname "$0")" && pwd) || exit 1
rm -rf "$here/work" "$here/outputs"
mkdir -p "$here/work" "$here/outputs" && cd "$here/work" || exit 1


tr a-z A-Z < "$here"/inputs/00-stdin > "$here"/outputs/00-stdout
status=$?
echo "exit status $status" >&2

case "$status" in 0) exit 0;; 0) exit 1;; *) exit "$status";; esac
