#!/usr/bin/env bash
# Time zones that are fixed offsets do not travel from Arrow to polars as they are.
#
# Versions: polars 2.1.0, pyarrow 25.0.0, Python 3.11.
# Guess: Arrow's format allows "+HH:MM" as the zone of a timestamp, so polars keeps "+02:00" and "+05:30" alike, or
#        refuses both.
# What happens: whole hours come in under another name, "Etc/GMT-2" for "+02:00" (POSIX signs, so it reads as the
#        opposite offset), and go out again under that name; "+05:30", "-03:30" and "Z" are refused. "+00:00" becomes "UTC".
# Seen:
#     +02:00 -> Etc/GMT-2
#     +14:00 -> Etc/GMT-14
#     +00:00 -> UTC
#     +05:30 -> refused
#     -03:30 -> refused
#     Z -> refused
# For users: a pandas column with a fixed offset (which pandas writes to Arrow as "+05:30") cannot be handed to polars;
#        convert to a named zone first (`tz_convert("UTC")`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'polars==2.1.0' 'pyarrow==25.0.0'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import polars
import pyarrow

for zone in ("+02:00", "+14:00", "+00:00", "+05:30", "-03:30", "Z"):
    table = pyarrow.table({"t": pyarrow.array([0], pyarrow.timestamp("us", zone))})
    try:
        there = polars.from_arrow(table)
    except polars.exceptions.ComputeError:
        print(zone, "-> refused")
        continue
    assert there.to_arrow().schema.field("t").type.tz == there.schema["t"].time_zone
    print(zone, "->", there.schema["t"].time_zone)
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
+02:00 -> Etc/GMT-2
+14:00 -> Etc/GMT-14
+00:00 -> UTC
+05:30 -> refused
-03:30 -> refused
Z -> refused
SEEN
