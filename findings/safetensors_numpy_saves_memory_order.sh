#!/usr/bin/env bash
# safetensors.numpy saves an array in Fortran order with its values shuffled, from 0.8.0 on.
#
# Versions: safetensors 0.8.0 (0.7.0 beside it), numpy 2.4.6, Python 3.11.
# Guess: a format that has no strides writes values in C order (0.7.0 did, by numpy's tobytes), or refuses arrays that do
#        not lie so in memory, as safetensors.torch does.
# What happens: 0.8.0 hands the array's memory over as it lies. The shape is the array's, the values are in another order;
#        no error, neither at saving nor at loading. Transposed arrays lie so, and to_numpy() of a pandas table that was
#        made of columns. Reported as issue 825 of safetensors/safetensors in August 2026.
# Seen:
#     0.7.0: C order equal True, Fortran order equal True, transposed equal True
#     0.8.0: C order equal True, Fortran order equal False, transposed equal False
#     0.8.0: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] in Fortran order -> [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]
# For users: np.ascontiguousarray(array) before saving. A value that went through a task keeps its memory order, as with
#        any pickle, so a task that saves what another made meets it as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
for version in 0.7.0 0.8.0; do
    "$folder/venv/bin/pip" -q install "safetensors==$version" 'numpy==2.4.6'
    "$folder/venv/bin/python" - <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

array = np.arange(6.0).reshape(2, 3)
fortran = np.asfortranarray(array)
equal = [np.array_equal(load(save({"x": one}))["x"], one) for one in (array, fortran, array.T)]
print(f"{safetensors.__version__}: C order equal {equal[0]}, Fortran order equal {equal[1]}, transposed equal {equal[2]}")
if not equal[1]:
    print(f"{safetensors.__version__}: {array.tolist()} in Fortran order -> {load(save({'x': fortran}))['x'].tolist()}")
PY
done | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
0.7.0: C order equal True, Fortran order equal True, transposed equal True
0.8.0: C order equal True, Fortran order equal False, transposed equal False
0.8.0: [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] in Fortran order -> [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]
SEEN
