#!/usr/bin/env bash
# A pickled WCS of astropy has other numbers: a time axis in seconds moves by tens of microseconds.
#
# Versions: astropy 8.0.2, numpy 2.4.6, Python 3.11.
# Guess: a pickle has the doubles of the WCS, as copy.deepcopy has, and as pickles of SkyCoord, Time and Quantity have.
# What happens: the pickle is a FITS header written by wcslib. Its numbers have so many decimals that the largest of the
#        keyword's values fits into about 14 digits: four for a time in Unix seconds or a frequency of GHz in Hz. The
#        loaded WCS is not equal to the one that was pickled; pickled once more it changes no further.
# Seen:
#     time: crval 1448000000.123456 -> 1448000000.1235, equal False, once more equal True
#     frequency: crval 1420405751.7682123 -> 1420405751.7682, equal False, once more equal True
#     right ascension: crval 83.63308333333333 -> 83.633083333333, equal False, once more equal True
#     copy.deepcopy of each equal: True
# For users: what must be exact (a digest of the WCS, times) travels as numbers beside it; set them on the loaded one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'astropy==8.0.2' 'numpy==2.4.6'
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import copy
import pickle

from astropy.wcs import WCS


def axis(kind: str, unit: str, value: float) -> WCS:
    made = WCS(naxis=1)
    made.wcs.ctype, made.wcs.cunit, made.wcs.cdelt, made.wcs.crval = [kind], [unit], [0.1], [value]
    return made


copies = []
for name, made in (
    ("time", axis("TIME", "s", 1448000000.123456)),
    ("frequency", axis("FREQ", "Hz", 1420405751.768212345)),
    ("right ascension", axis("RA", "deg", 83.63308333333333)),
):
    back = pickle.loads(pickle.dumps(made))
    again = pickle.loads(pickle.dumps(back))
    values = f"{float(made.wcs.crval[0])!r} -> {float(back.wcs.crval[0])!r}"
    print(f"{name}: crval {values}, equal {made.wcs == back.wcs}, once more equal {back.wcs == again.wcs}")
    copies.append(copy.deepcopy(made).wcs == made.wcs)
print(f"copy.deepcopy of each equal: {all(copies)}")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
time: crval 1448000000.123456 -> 1448000000.1235, equal False, once more equal True
frequency: crval 1420405751.7682123 -> 1420405751.7682, equal False, once more equal True
right ascension: crval 83.63308333333333 -> 83.633083333333, equal False, once more equal True
copy.deepcopy of each equal: True
SEEN
