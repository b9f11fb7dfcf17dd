#!/bin/bash
# Writing a cell of a column whose memory is read-only (what Arrow gives without a copy, what is mapped, what is frozen):
# pandas 3.1.1 with pyarrow 26.0.1 and NumPy 2.4.6.
#
# Guess:   numbers and times fail alike, with NumPy's "ValueError: assignment destination is read-only".
# Happens: numbers do. Times without a zone and durations raise OutOfBoundsDatetime ("Incompatible (high-resolution) value
#          for dtype='datetime64[us]'. Explicitly cast before operating."), though the value comes from the column itself;
#          times with a zone raise an AssertionError that asks to report a bug. Nothing says "read-only".
# Why:     the block's setitem takes the ValueError to mean "this value does not fit", and looks for a wider type.
#
# Output seen:
#   int          ValueError: assignment destination is read-only
#   float        ValueError: assignment destination is read-only
#   time         OutOfBoundsDatetime: Incompatible (high-resolution) value for dtype='datetime64[us]'. Explicitly cast …
#   duration     OutOfBoundsDatetime: Incompatible (high-resolution) value for dtype='timedelta64[us]'. Explicitly cast …
#   time in UTC  AssertionError: Something has gone wrong, please report a bug at https://github.com/pandas-dev/pandas/…
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import numpy as np
import pyarrow as pa

times = pa.array(np.array(["2020-01-01", "2020-01-02"], "M8[us]"))
columns = {
    "int": pa.array([1, 2]),
    "float": pa.array([1.0, 2.0]),
    "time": times,
    "duration": pa.array(np.array([1, 2], "m8[us]")),
    "time in UTC": times.cast(pa.timestamp("us", "UTC")),
}
seen = {}
for name, column in columns.items():
    frame = pa.table({"c": column}).to_pandas(split_blocks=True)  # a view of Arrow's memory, which is immutable
    try:
        frame.iloc[0, 0] = frame.iloc[1, 0]
        seen[name] = "written"
    except Exception as error:
        seen[name] = type(error).__name__
        print(f"{name:12} {type(error).__name__}: {str(error)[:90]}")
expected = {
    "int": "ValueError",
    "float": "ValueError",
    "time": "OutOfBoundsDatetime",
    "duration": "OutOfBoundsDatetime",
    "time in UTC": "AssertionError",
}
assert seen == expected, seen
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
