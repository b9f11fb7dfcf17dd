#!/bin/bash
# A progress bar starts a process: tqdm 4.70.1 with a start method of multiprocessing that is not "fork".
#
# One would guess: a bar writes to stderr, and that is all it does to the system.
# What happens: the first bar makes a multiprocessing.RLock, so that bars of several processes do not write over each
# other. Under "spawn" and "forkserver" its semaphore has a name, and multiprocessing starts a process, the resource
# tracker, that removes the name at the end. "forkserver" is the default on Linux from Python 3.14 on, so that there
# every program that shows a bar has a child process, which code that counts or waits for its children will find.
#
# Seen with CPython 3.11.7, tqdm 4.70.1:
#   fork: 0 child processes after the bar
#   forkserver: 1 child process after the bar: from multiprocessing.resource_tracker import main
#   spawn: 1 child process after the bar: from multiprocessing.resource_tracker import main
# and with CPython 3.14.10 one child process without a start method being set.
#
# Exits with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tqdm==4.70.1
cat > "$folder/bar.py" <<'PY'
import glob
import io
import multiprocessing
import sys

from tqdm import tqdm

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    for _ in tqdm(range(3), file=io.StringIO()):
        pass
    children = open(glob.glob("/proc/self/task/*/children")[0]).read().split()
    words = [open(f"/proc/{child}/cmdline").read().split("\0") for child in children]
    what = "".join(": " + next(word for word in line if "import" in word).split(";")[0] for line in words)
    print(f"{sys.argv[1]}: {len(children)} child process{'es' * (len(children) != 1)} after the bar{what}")
PY
for method in fork forkserver spawn; do
    "$folder/venv/bin/python" "$folder/bar.py" $method
done | tee "$folder/seen"
tracker=': from multiprocessing.resource_tracker import main'
diff "$folder/seen" - <<EXPECTED
fork: 0 child processes after the bar
forkserver: 1 child process after the bar$tracker
spawn: 1 child process after the bar$tracker
EXPECTED
