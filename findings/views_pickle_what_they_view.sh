#!/usr/bin/env bash
# Ten rows of AnnData, three streamlines of nibabel and one number of unyt travel with all that they were taken from.
#
# Versions: anndata 0.12.19, nibabel 5.4.2, unyt 3.2.0, pandas 2.3.3, numpy 2.4.6, Python 3.11.
# Guess: a part is as small in a pickle as it is, as slices of NumPy's arrays and pandas' tables are; a number with a unit
#        takes some hundred bytes.
# What happens: a view of AnnData holds its parent and pickles it, and is a view again when it is loaded; a slice of
#        nibabel's ArraySequence pickles the points of all streamlines; each unyt quantity pickles the table of all units
#        that there are. A task for each of 100 parts sends the whole 100 times, and none of them says so.
# Seen:
#     NumPy: 10 of 2000 rows are 1% of the pickle of all
#     pandas: 10 of 2000 rows are 1% of the pickle of all
#     AnnData: 10 of 2000 rows are 100% of the pickle of all, a view: True
#     AnnData, copied: 10 of 2000 rows are 1% of the pickle of all, a view: False
#     nibabel: 3 of 1000 streamlines are 99% of the pickle of all
#     nibabel, copied: 3 of 1000 streamlines are 1% of the pickle of all
#     unyt: a number with a unit takes more than 40000 bytes: True
# For users: view.copy(), ArraySequence.copy(); numbers of unyt together in one unyt_array, or as value and unit's name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'anndata==0.12.19' 'nibabel==5.4.2' 'unyt==3.2.0' 'pandas==2.3.3' 'numpy==2.4.6'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import math
import pickle

import anndata
import numpy as np
import pandas as pd
import unyt
from nibabel.streamlines import ArraySequence


def share(part: object, whole: object) -> str:
    return f"{math.ceil(100 * len(pickle.dumps(part)) / len(pickle.dumps(whole)) - 0.5) or 1}% of the pickle of all"


array = np.random.default_rng(7).normal(size=(2000, 500))
print(f"NumPy: 10 of 2000 rows are {share(array[:10], array)}")
table = pd.DataFrame(array)
print(f"pandas: 10 of 2000 rows are {share(table.iloc[:10], table)}")
cells = anndata.AnnData(array)
for name, part in (("AnnData", cells[:10]), ("AnnData, copied", cells[:10].copy())):
    back = pickle.loads(pickle.dumps(part))
    print(f"{name}: 10 of 2000 rows are {share(part, cells)}, a view: {back.is_view}")
lines = ArraySequence([array[:100, :3].astype("f4")] * 1000)
for name, some in (("nibabel", lines[:3]), ("nibabel, copied", lines[:3].copy())):
    print(f"{name}: 3 of 1000 streamlines are {share(some, lines)}")
print(f"unyt: a number with a unit takes more than 40000 bytes: {len(pickle.dumps(unyt.unyt_quantity(1.5, 'km'))) > 40000}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
NumPy: 10 of 2000 rows are 1% of the pickle of all
pandas: 10 of 2000 rows are 1% of the pickle of all
AnnData: 10 of 2000 rows are 100% of the pickle of all, a view: True
AnnData, copied: 10 of 2000 rows are 1% of the pickle of all, a view: False
nibabel: 3 of 1000 streamlines are 99% of the pickle of all
nibabel, copied: 3 of 1000 streamlines are 1% of the pickle of all
unyt: a number with a unit takes more than 40000 bytes: True
SEEN
