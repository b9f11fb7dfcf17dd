#!/usr/bin/env bash
# A pickled RDKit molecule comes back with its coordinates in single precision, also with all properties asked for.
#
# Versions: rdkit 2026.9.1, numpy 2.4.6, Python 3.11.
# Guess: coordinates are doubles in the molecule and stay doubles in its pickle; properties are left out by default (that
#        is documented) and "AllProps" keeps everything.
# What happens: coordinates are written as 32-bit floats unless CoordsAsDouble is asked for, which AllProps does not
#        include. The conformer's distances move by about 1e-7 Angstrom, so that a task's result is not the value it made.
# Seen:
#     default: coordinates equal False, equal as float32 True, properties {}
#     AllProps: coordinates equal False, equal as float32 True, properties {'energy': 3.5}
#     AllProps | CoordsAsDouble: coordinates equal True, equal as float32 True, properties {'energy': 3.5}
# For users: Chem.SetDefaultPickleProperties in the process that pickles, that is in the task.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'rdkit==2026.9.1' 'numpy==2.4.6'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import pickle

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

molecule = Chem.AddHs(Chem.MolFromSmiles("CCO"))
AllChem.EmbedMolecule(molecule, randomSeed=7)
molecule.SetDoubleProp("energy", 3.5)
options = Chem.PropertyPickleOptions
for name, chosen in (
    ("default", None),
    ("AllProps", options.AllProps),
    ("AllProps | CoordsAsDouble", options.AllProps | options.CoordsAsDouble),
):
    if chosen is not None:
        Chem.SetDefaultPickleProperties(chosen)
    back = pickle.loads(pickle.dumps(molecule))
    before, after = (one.GetConformer().GetPositions() for one in (molecule, back))
    single = np.array_equal(before.astype("f4"), after.astype("f4"))
    properties = {key: value for key, value in back.GetPropsAsDict().items() if key == "energy"}
    print(f"{name}: coordinates equal {np.array_equal(before, after)}, equal as float32 {single}, properties {properties}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
default: coordinates equal False, equal as float32 True, properties {}
AllProps: coordinates equal False, equal as float32 True, properties {'energy': 3.5}
AllProps | CoordsAsDouble: coordinates equal True, equal as float32 True, properties {'energy': 3.5}
SEEN
