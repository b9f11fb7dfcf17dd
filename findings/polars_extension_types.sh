#!/usr/bin/env bash
# polars keeps some of Arrow's canonical extension types on the way through it, and drops others.
#
# Versions: polars 2.1.0, arro3-core 0.9.1, nanoarrow 0.9.0, pyarrow 25.0.0, Python 3.11.
# Guess: polars treats `arrow.uuid`, `arrow.json`, `arrow.bool8` and `arrow.fixed_shape_tensor` alike: it keeps all of
#        them (version 2 knows extension types), or none.
# What happens: json, bool8 and tensors come back; a uuid column comes back as plain `large_binary`, its name, its width of
#        16 bytes and its meaning gone. arro3 and nanoarrow keep all four.
# Seen:
#     arrow.uuid: polars large_binary, arro3 kept, nanoarrow kept
#     arrow.json: polars kept, arro3 kept, nanoarrow kept
#     arrow.bool8: polars kept, arro3 kept, nanoarrow kept
#     arrow.fixed_shape_tensor: polars kept, arro3 kept, nanoarrow kept
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'polars==2.1.0' 'arro3-core==0.9.1' 'nanoarrow==0.9.0' 'pyarrow==25.0.0' 'numpy==2.4.6'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import arro3.core
import nanoarrow
import numpy
import polars
import pyarrow as pa

columns = [
    pa.array([b"0123456789abcdef"], pa.uuid()),
    pa.array(['{"a": 1}'], pa.json_(pa.string())),
    pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())),
    pa.FixedShapeTensorArray.from_numpy_ndarray(numpy.zeros((1, 2, 2))),
]
ways = {
    "polars": lambda table: polars.from_arrow(table).to_arrow(),
    "arro3": lambda table: pa.table(arro3.core.Table.from_arrow(table)),
    "nanoarrow": lambda table: pa.table(nanoarrow.ArrayStream(table)),
}
for column in columns:
    table = pa.table({"c": column})
    told = []
    for name, way in ways.items():
        kind = way(table).schema.field("c").type
        same = getattr(kind, "extension_name", None) == column.type.extension_name
        told.append(f"{name} {'kept' if same else kind}")
    print(f"{column.type.extension_name}: {', '.join(told)}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
arrow.uuid: polars large_binary, arro3 kept, nanoarrow kept
arrow.json: polars kept, arro3 kept, nanoarrow kept
arrow.bool8: polars kept, arro3 kept, nanoarrow kept
arrow.fixed_shape_tensor: polars kept, arro3 kept, nanoarrow kept
SEEN
