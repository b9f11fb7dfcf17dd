"""Tests of Dask's own, from its installed package, on Rain: whatever scheduler they name, it is Rain's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import dask
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SUITE = Path(dask.__file__).parent

IDENTITY = "test_traverse_false or test_repartition_partition_size_complex_dtypes or test_bag_with_single_callable"
"""What comes back from another process is equal, but not the same object."""
CLOSURES = "test_to_delayed_optimize_graph or test_reductions_are_lazy or test_take_npartitions_warn"
"""They count calls in a variable of the test, or catch warnings of nodes, which run in other processes."""
MEMORY = (
    "test_store or test_memmap or test_from_array_with_lock or test_from_array_getitem or "
    "test_zarr_existing_array or test_zarr_regions"
)
"""They store into arrays in memory, which `rain.dask_get` refuses, or have locks and counters of threads."""
SHARDS = "test_zarr_sharding_roundtrip or test_zarr_to_zarr_shards or test_zarr_risky_shards_warns"
"""Several chunks are written into one shard of zarr at a time: right only one after the other, or by Dask's warning."""

MOCKER = "test_binary_operator_delegation"
"""It needs pytest-mock."""

SELECTED = {
    "tests/test_delayed.py": IDENTITY,
    "bag/tests/test_bag.py": f"{IDENTITY} or {CLOSURES}",
    "array/tests/test_array_core.py": f"{MEMORY} or {SHARDS} or {MOCKER}",
    "array/tests/test_linalg.py": "",
    "dataframe/dask_expr/tests/test_groupby.py": "",
    "dataframe/dask_expr/tests/test_merge.py": "",
    "dataframe/dask_expr/tests/test_shuffle.py": "",
}
"""Files, and which of their tests are left out."""
AT_LEAST = {
    "tests/test_delayed.py": 60,
    "bag/tests/test_bag.py": 180,
    "array/tests/test_array_core.py": 500,
    "array/tests/test_linalg.py": 350,
    "dataframe/dask_expr/tests/test_groupby.py": 200,
    "dataframe/dask_expr/tests/test_merge.py": 130,
    "dataframe/dask_expr/tests/test_shuffle.py": 90,
}
"""So many tests of a file are run and pass, so that a selection that has become empty is seen."""


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("file", SELECTED)
def test_dasks_own_tests(file: str, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "pytest", "-p", "tests.interfaces.dask_on_rain", "-p", "no:cacheprovider", "-q",
        "--rootdir", str(SUITE), "-c", "/dev/null", "--import-mode=importlib", "--tb=short", "-W", "ignore",
        "--basetemp", str(tmp_path / "dask"), str(SUITE / file),
    ]  # fmt: skip
    if SELECTED[file]:
        command += ["-k", f"not ({SELECTED[file]})"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= AT_LEAST[file]
