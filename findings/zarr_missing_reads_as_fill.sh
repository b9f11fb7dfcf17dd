#!/usr/bin/env bash
# A pickled zarr array is loaded and read without an error where its folder is not.
#
# Versions: zarr 3.1.6, xarray 2026.9.0, numpy 2.4.6, Python 3.11.
# Guess: the pickle names the folder (as pickles of lazily read files do), so that loading the array, or at least reading
#        it, raises FileNotFoundError where the folder is not.
# What happens: the pickle holds the path and the array's metadata. Chunks that are missing are the fill value by zarr's
#        format, and nothing looks for the folder: the array reads as zeros, a group as empty, and a data set that
#        xarray opened as NaN. A relative path is kept as it is, so that another current directory is enough.
# Seen:
#     array: 0.0 of 1500.0
#     group: [] of ['a']
#     xarray: nan of 1.5
#     relative path, other directory: 0.0 of 1500.0
# For users: a task that returns such an array from its own folder hands over zeros. Return the folder or the values.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'zarr==3.1.6' 'xarray==2026.9.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import os
import pickle
import shutil

import numpy as np
import xarray
import zarr


def array(path):
    made = zarr.create_array(store=path, shape=(1000,), chunks=(100,), dtype="f8")
    made[:] = 1.5
    return made


here = os.getcwd()
one = pickle.dumps(array(f"{here}/one.zarr"))
groups = zarr.open_group(f"{here}/two.zarr", mode="w")
groups.create_array("a", shape=(3,), dtype="f8")
two = pickle.dumps(groups)
xarray.Dataset({"a": ("x", np.full(1000, 1.5))}).to_zarr(f"{here}/three.zarr")
three = pickle.dumps(xarray.open_zarr(f"{here}/three.zarr", chunks=None))
four = pickle.dumps(array("four.zarr"))
for name in ("one.zarr", "two.zarr", "three.zarr"):
    shutil.rmtree(name)
os.mkdir("elsewhere")
os.chdir("elsewhere")
print("array:", pickle.loads(one)[:].sum(), "of 1500.0")
print("group:", list(pickle.loads(two).keys()), "of ['a']")
print("xarray:", float(pickle.loads(three).a[0]), "of 1.5")
print("relative path, other directory:", pickle.loads(four)[:].sum(), "of 1500.0")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
array: 0.0 of 1500.0
group: [] of ['a']
xarray: nan of 1.5
relative path, other directory: 0.0 of 1500.0
SEEN
