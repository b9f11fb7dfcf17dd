#!/usr/bin/env bash
# A pickled tensorstore array in memory:// is loaded as an array of zeros, in the same process too.
#
# Versions: tensorstore 0.1.86, numpy 2.4.6, Python 3.11.
# Guess: an array whose chunks are in the memory of the process either takes its chunks along or cannot be pickled, as
#        tensorstore's own "array" driver takes its data along.
# What happens: the pickle is the array's specification. Each context has a memory:// of its own, a loaded array gets a new
#        one, and loading does not look for the array there: it reads as the fill value. The same pickle of a file:// array whose folder was removed
#        loads and reads as the fill value as well (opening that folder by its specification is an error).
# Seen:
#     memory://, this process: [0.0, 0.0, 0.0]
#     memory://, another process: [0.0, 0.0, 0.0]
#     array driver, another process: [1.5, 1.5, 1.5]
#     file://, folder removed: [0.0, 0.0, 0.0]
#     file://, opened by its specification: ValueError
# For users: return the values, array[...].read().result(), or a folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'tensorstore==0.1.86' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import tensorstore

LOAD = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).read().result().tolist())"


def made(kvstore):
    spec = {"driver": "zarr", "kvstore": kvstore}
    array = tensorstore.open(spec, create=True, shape=[3], dtype=tensorstore.float64).result()
    array[...] = 1.5
    return array


def elsewhere(array):
    with open("pickled", "wb") as file:
        pickle.dump(array, file)
    return subprocess.run([sys.executable, "-c", LOAD, "pickled"], check=True, capture_output=True, text=True).stdout.strip()


memory = made("memory://a/")
print("memory://, this process:", pickle.loads(pickle.dumps(memory)).read().result().tolist())
print("memory://, another process:", elsewhere(memory))
print("array driver, another process:", elsewhere(tensorstore.array(np.full(3, 1.5))))
file = made({"driver": "file", "path": f"{os.getcwd()}/chunks"})
shutil.rmtree("chunks")
print("file://, folder removed:", elsewhere(file))
try:
    tensorstore.open(file.spec()).result()
except ValueError as error:
    print("file://, opened by its specification:", type(error).__name__)
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
memory://, this process: [0.0, 0.0, 0.0]
memory://, another process: [0.0, 0.0, 0.0]
array driver, another process: [1.5, 1.5, 1.5]
file://, folder removed: [0.0, 0.0, 0.0]
file://, opened by its specification: ValueError
SEEN
