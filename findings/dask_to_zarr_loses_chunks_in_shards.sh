#!/usr/bin/env bash
# dask.array.to_zarr with shards writes zeros in the place of values, without an error or a warning, by Dask's default
# scheduler.
#
# Versions: dask 2026.8.0, zarr 3.1.6, numpy 2.4.6, Python 3.11.
# Guess: an array whose chunks are smaller than the shards that were asked for is rechunked, or written under a lock, or
#        refused; what is read back is what was written.
# What happens: each chunk of Dask is a write of its own. A write of a part of a shard reads the shard, changes its part,
#        and writes it whole; two at a time lose one of them. Dask's threads, the default for arrays, write several at a
#        time; its synchronous scheduler does not.
# Seen:
#     synchronous: 0 of 3600 wrong, 0 warnings
#     threads: some of 3600 wrong, 0 warnings
# For users: rechunk(shards) before to_zarr(shards=shards), whatever the scheduler.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install 'dask[array]==2026.8.0' 'zarr==3.1.6' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - >"$folder/seen" <<'PY'
import tempfile
import warnings

import dask
import dask.array as da
import zarr

ones = da.ones((60, 60), chunks=(30, 30))


def wrong(**given):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with dask.config.set(**given):
            ones.to_zarr(folder, shards=(60, 60))
        return int((zarr.open_array(folder)[:] != 1).sum()), len(warned)


count, warned = wrong(scheduler="synchronous")
print(f"synchronous: {count} of 3600 wrong, {warned} warnings")
turns = [wrong() for _ in range(20)]
count, warned = max(turns)
print(f"threads: {'some' if count else 'none'} of 3600 wrong, {warned} warnings")
PY
cat "$folder/seen"
diff "$folder/seen" - <<'SEEN'
synchronous: 0 of 3600 wrong, 0 warnings
threads: some of 3600 wrong, 0 warnings
SEEN
