"""How many threads libraries start in a task: as many as it has cpus."""

from __future__ import annotations

from collections.abc import Mapping

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",  # OpenMP: PyTorch, scikit-learn, XGBoost, LightGBM, pyarrow's cpu pool
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",  # joblib's count of cpus
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "GOMAXPROCS",
    "JULIA_NUM_THREADS",
)
"""Environment variables that say it, one list for executors of all kinds."""


def thread_environment(resources: Mapping[str, float]) -> dict[str, str]:
    """The variables for tasks with these resources.

    Examples
    --------
    >>> thread_environment({"cpus": 4})["NUMBA_NUM_THREADS"], thread_environment({"cpus": 0.5})["OMP_NUM_THREADS"]
    ('4', '1')
    """
    return dict.fromkeys(THREAD_VARIABLES, str(max(1, int(resources.get("cpus", 1)))))
