#!/usr/bin/env bash
# A polars column of Python objects goes to Arrow as the objects' addresses in memory, without an error.
#
# Versions: polars 2.1.0, pyarrow 25.0.0, Python 3.11.
# Guess: Arrow has no type for Python objects, so handing such a frame to Arrow (`to_arrow()`, or the PyCapsule stream that
#        `pyarrow.table(frame)` reads) is refused.
# What happens: the column becomes `fixed_size_binary[8]`, each value the address of the object in this process. Written to
#        a file or sent elsewhere it means nothing, and reading it back gives a column of bytes.
# Seen:
#     to_arrow(): fixed_size_binary[8]
#     pyarrow.table(): fixed_size_binary[8]
#     the value is the object's address: True
#     back in polars: Binary
# For users: encode such columns, or use pickle. Rain's content type "arrow" compares what would come back, and refuses them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'polars==2.1.0' 'pyarrow==25.0.0'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import polars
import pyarrow

thing = object()
frame = polars.DataFrame({"o": polars.Series([thing], dtype=polars.Object)})
print("to_arrow():", frame.to_arrow().schema.field("o").type)
table = pyarrow.table(frame)
print("pyarrow.table():", table.schema.field("o").type)
print("the value is the object's address:", int.from_bytes(table["o"][0].as_py(), "little") == id(thing))
print("back in polars:", polars.from_arrow(table).schema["o"])
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
to_arrow(): fixed_size_binary[8]
pyarrow.table(): fixed_size_binary[8]
the value is the object's address: True
back in polars: Binary
SEEN
