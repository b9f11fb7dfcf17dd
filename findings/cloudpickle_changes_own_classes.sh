#!/bin/bash
# A script's own class after an instance of it has come back, pickled by value, from another process: cloudpickle 3.1.1
# (as loky, joblib, Dask and Ray use it for what a script or notebook defines).
#
# Guess:   the instance is one of the class that the script defined, and the class is what it was.
# Happens: the first holds. But loading sets all attributes of the class again, as they were when it was pickled there:
#          a counter goes back, and methods are replaced by copies which see copies of the script's globals from then on,
#          so that what the script changes later is not seen by them, nor the other way round.
# Why:     the pickle names the class by an id; where that is known, no class is made, but it is filled all the same.
#
# Output seen:
#   the same class: True
#   counter of the class: 1, after the load: 0
#   told() before: new, after the load: old
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet cloudpickle==3.1.1
cat > "$folder/show.py" <<'PYTHON'
import pickle
import subprocess
import sys

import cloudpickle

THERE = """
import pickle, sys, cloudpickle
value = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(cloudpickle.dumps(value))
"""
word = "old"


class Point:
    count = 0

    def told(self):
        return word


sent = cloudpickle.dumps(Point())
came = subprocess.run([sys.executable, "-c", THERE], input=sent, stdout=subprocess.PIPE, check=True).stdout
Point.count = 1
word = "new"
before = (Point.count, Point().told())
value = pickle.loads(came)
after = (Point.count, Point().told())
print("the same class:", type(value) is Point)
print(f"counter of the class: {before[0]}, after the load: {after[0]}")
print(f"told() before: {before[1]}, after the load: {after[1]}")
assert type(value) is Point
assert before == (1, "new"), before
assert after == (0, "old"), after
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
