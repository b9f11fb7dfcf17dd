#!/bin/bash
# Opening a database for reading changes it: rocksdict 0.3.29 with AccessType.read_only() and AccessType.secondary().
#
# One would guess: a RocksDB that is opened read-only (or as a secondary, whose own files lie elsewhere) is as it was
# afterwards, and opens where it cannot be written.
# What happens: rocksdict truncates rocksdict-config.json in the database's folder and writes it anew at each open, in
# whatever mode. The text is the same, but inode times say that the data were changed; for a moment a reader beside it
# finds an empty file; and in a folder that cannot be written the database does not open at all.
#
# Seen with CPython 3.11.7, rocksdict 0.3.29:
#   read_only: value v, files that were written: rocksdict-config.json
#   secondary: value v, files that were written: rocksdict-config.json
#   read_only where it cannot be written: OSError
#
# Exits with 1 if that changes.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root, to mount" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rocksdict==0.3.29
cat > "$folder/use.py" <<'PY'
import os
import sys
import tempfile

from rocksdict import AccessType, Rdict

path, mode = sys.argv[1:]
if mode == "make":
    made = Rdict(path)
    made["k"] = "v"
    made.close()
    sys.exit()


def times():
    return {name: os.stat(os.path.join(path, name)).st_mtime_ns for name in os.listdir(path)}


before = times()
kinds = {"read_only": AccessType.read_only, "secondary": lambda: AccessType.secondary(tempfile.mkdtemp())}
if mode == "mounted":
    try:
        Rdict(path, access_type=AccessType.read_only())
        print("read_only where it cannot be written: opened")
    except OSError as error:
        print(f"read_only where it cannot be written: {type(error).__name__}")
else:
    database = Rdict(path, access_type=kinds[mode]())
    value = database["k"]
    database.close()
    changed = [name for name, time in times().items() if before.get(name) not in (None, time)]
    print(f"{mode}: value {value}, files that were written: {' '.join(sorted(changed))}")
PY
run() { TMPDIR=$folder "$folder/venv/bin/python" "$folder/use.py" "$folder/data" "$1"; }
run make
{
    run read_only
    run secondary
    export folder
    export -f run
    unshare --mount bash -eu <<'SH'
mount --bind "$folder/data" "$folder/data"
mount -o remount,bind,ro "$folder/data"
run mounted
SH
} | tee "$folder/seen"
diff "$folder/seen" - <<EXPECTED
read_only: value v, files that were written: rocksdict-config.json
secondary: value v, files that were written: rocksdict-config.json
read_only where it cannot be written: OSError
EXPECTED
