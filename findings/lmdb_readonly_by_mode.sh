#!/bin/bash
# A database opened for reading only wants to write: py-lmdb 3.0.0 with readonly=True, in a folder that cannot be written.
#
# One would guess: lmdb.open(folder, readonly=True) needs no more than to read the files; a folder that is read-only by
# its mode is as good as one on a read-only mount.
# What happens: the environment's lock.mdb is opened for writing all the same. On a read-only mount that is EROFS, which
# LMDB takes for a sign to go on without locks; where the mode forbids it, it is EACCES, and that ends the attempt. Only
# lock=False opens both. (Nothing else may write then, which is so where the data are immutable.)
#
# Seen with CPython 3.11.7, py-lmdb 3.0.0, as an ordinary user (run as root, the script becomes one; the mount needs root):
#   by mode, readonly: ReadonlyError Permission denied
#   by mode, readonly without lock: b'v'
#   by mount, readonly: b'v'
#   by mount, readonly without lock: b'v'
#
# Exits with 1 if that changes.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root, to mount and to become another user" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lmdb==3.0.0
cat > "$folder/make.py" <<'PY'
import sys

import lmdb

with lmdb.open(sys.argv[1]) as environment, environment.begin(write=True) as transaction:
    transaction.put(b"k", b"v")
PY
cat > "$folder/read.py" <<'PY'
import sys

import lmdb

for title, options in (("readonly", {}), ("readonly without lock", {"lock": False})):
    try:
        with lmdb.open(sys.argv[1], readonly=True, **options) as environment, environment.begin() as transaction:
            said = repr(transaction.get(b"k"))
    except lmdb.Error as error:
        said = f"{type(error).__name__} {str(error).rpartition(': ')[2].rstrip(chr(39))}"
    print(f"{sys.argv[2]}, {title}: {said}")
PY
"$folder/venv/bin/python" "$folder/make.py" "$folder/data"
chown -R nobody: "$folder/data"
read_as_user() {
    setpriv --reuid nobody --clear-groups "$folder/venv/bin/python" "$folder/read.py" "$folder/data" "$1"
}
chmod -R a-w "$folder/data"
read_as_user "by mode" > "$folder/seen"
chmod -R u+w "$folder/data"
export folder
export -f read_as_user
unshare --mount bash -eu >> "$folder/seen" <<'SH'
mount --bind "$folder/data" "$folder/data"
mount -o remount,bind,ro "$folder/data"
read_as_user "by mount"
SH
cat "$folder/seen"
diff "$folder/seen" - <<EXPECTED
by mode, readonly: ReadonlyError Permission denied
by mode, readonly without lock: b'v'
by mount, readonly: b'v'
by mount, readonly without lock: b'v'
EXPECTED
