#!/usr/bin/env bash
# An ordered dictionary (an ordered pandas categorical) comes out of arro3 unordered, without a word.
#
# Versions: arro3-core 0.9.1, nanoarrow 0.9.0, pyarrow 25.0.0, pandas 3.1.1, Python 3.11.
# Guess: the C data interface has a flag for ordered dictionaries, and arro3 keeps all else of a schema (nullability,
#        field metadata, the pandas metadata, extension types), so it keeps this too.
# What happens: the flag is lost; nanoarrow, handed the same table in the same way, keeps it. A comparison with a category,
#        which works before, is then an error of pandas, and a sort uses another rule.
# Seen:
#     before   dictionary<values=string, indices=int8, ordered=1>
#     nanoarrow dictionary<values=string, indices=int8, ordered=1>
#     arro3    dictionary<values=string, indices=int8, ordered=0>
#     nullable False unit m
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'arro3-core==0.9.1' 'nanoarrow==0.9.0' 'pyarrow==25.0.0' 'pandas==3.1.1'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import arro3.core
import nanoarrow
import pyarrow as pa

grades = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["low", "high"]), ordered=True)
length = pa.field("length", pa.int64(), nullable=False, metadata={"unit": "m"})
table = pa.Table.from_arrays(
    [grades, pa.array([1, 2])], schema=pa.schema([pa.field("grade", grades.type), length])
)
print("before  ", table.schema.field("grade").type)
print("nanoarrow", pa.table(nanoarrow.ArrayStream(table)).schema.field("grade").type)
after = pa.table(arro3.core.Table.from_arrow(table))
print("arro3   ", after.schema.field("grade").type)
kept = after.schema.field("length")
print("nullable", kept.nullable, "unit", kept.metadata[b"unit"].decode())
assert list(table["grade"].to_pandas() > "low") == [False, True]
try:
    after["grade"].to_pandas() > "low"
except TypeError:
    pass
else:
    raise SystemExit("an unordered categorical was compared")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
before   dictionary<values=string, indices=int8, ordered=1>
nanoarrow dictionary<values=string, indices=int8, ordered=1>
arro3    dictionary<values=string, indices=int8, ordered=0>
nullable False unit m
SEEN
