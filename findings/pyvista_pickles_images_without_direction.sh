#!/usr/bin/env bash
# A pickled image of PyVista comes back unturned: its direction matrix is lost, its spacing and origin have six digits.
#
# Versions: pyvista 0.49.1, vtk 9.7.2, numpy 2.4.6, Python 3.11.
# Guess: a pickle of an image has its geometry. Saving an image that has a direction to a .vtk file is a ValueError, so a
#        pickle that could not hold it would be an error too.
# What happens: the format of pickles that is the default, "vtk", has the header of VTK's legacy text files: the direction
#        is the unit matrix afterwards, spacing and origin are rounded to six significant digits, without an error or a
#        warning of Python. The voxels lie elsewhere, below by up to 4.2 units of an image of 1 x 2.8 x 4.5. The data are
#        intact, and so are the points of meshes and the coordinates of grids. pyvista.set_pickle_format("xml") is exact.
# Seen:
#     vtk: data equal True, direction equal False, spacing (0.333333, 0.9375, 1.5), origin (-123.457, 87.6543, 1042.86)
#     vtk: points moved by up to 4.2
#     legacy: data equal True, direction equal False, spacing (0.333333, 0.9375, 1.5), origin (-123.457, 87.6543, 1042.86)
#     legacy: points moved by up to 4.2
#     xml: data equal True, direction equal True, spacing (0.3333333333333333, 0.9375, 1.5), origin (-123.4567, 87.6543, 1042.857142857143)
#     xml: points moved by up to 0.0
# For users: pyvista.set_pickle_format("xml") in the process that pickles, that is in the notebook and in the task.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'pyvista==0.49.1' 'vtk==9.7.2' 'numpy==2.4.6'
"$folder/venv/bin/python" -W error - >"$folder/seen" <<'PY'
import pickle

import numpy as np
import pyvista

image = pyvista.ImageData(
    dimensions=(4, 4, 4), spacing=(1 / 3, 0.9375, 1.5), origin=(-123.4567, 87.6543, 7300 / 7)
)
image.direction_matrix = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
image["value"] = np.arange(64) / 7
for kind in ("vtk", "legacy", "xml"):
    pyvista.set_pickle_format(kind)
    back = pickle.loads(pickle.dumps(image))
    data = np.array_equal(back["value"], image["value"])
    direction = np.array_equal(back.direction_matrix, image.direction_matrix)
    print(f"{kind}: data equal {data}, direction equal {direction}, spacing {back.spacing}, origin {back.origin}")
    moved = np.linalg.norm(back.points - image.points, axis=1).max()
    print(f"{kind}: points moved by up to {moved:.1f}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
vtk: data equal True, direction equal False, spacing (0.333333, 0.9375, 1.5), origin (-123.457, 87.6543, 1042.86)
vtk: points moved by up to 4.2
legacy: data equal True, direction equal False, spacing (0.333333, 0.9375, 1.5), origin (-123.457, 87.6543, 1042.86)
legacy: points moved by up to 4.2
xml: data equal True, direction equal True, spacing (0.3333333333333333, 0.9375, 1.5), origin (-123.4567, 87.6543, 1042.857142857143)
xml: points moved by up to 0.0
SEEN
