"""joblib on Rain beside joblib on loky, in turn on one machine.

    python benchmarks/joblib_backend.py [tiny] [array] [startup] [--repeat 5] [--jobs 2]

prints one JSON line each, seconds and the ratio of the medians:

* ``tiny``: 10,000 calls that compute for 0.1 ms each, on workers that are warm (goal: 1.1 of loky's time at most);
* ``array``: 50 calls that have an array of 500 MB as an argument and read a fiftieth of it; each run gets one that was
  not sent before (goal: 0.7);
* ``startup``: a new Python process that fits a small grid, with imports and, on Rain, a private cluster (goal: 0.8).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import joblib
import numpy as np
from joblib import Parallel, delayed

from rain import Client

GRID = """
import joblib, rain
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
with joblib.parallel_config({backend!r}, n_jobs={jobs}):
    GridSearchCV(SVC(), {{"C": [0.1, 1, 10], "gamma": [0.1, 1]}}, cv=3).fit(*load_iris(return_X_y=True))
"""


def tiny(number: int) -> int:
    end = time.perf_counter() + 1e-4
    while time.perf_counter() < end:
        pass
    return number


def read(array: np.ndarray, part: int) -> float:
    size = len(array) // 50
    return float(array[part * size : (part + 1) * size].sum())


def run_tiny(backend: str, jobs: int) -> float:
    with joblib.parallel_config(backend, n_jobs=jobs):
        Parallel()(delayed(tiny)(n) for n in range(4 * jobs))
        begin = time.perf_counter()
        found = Parallel()(delayed(tiny)(n) for n in range(10_000))
        took = time.perf_counter() - begin
    assert found == list(range(10_000))
    return took


def run_array(backend: str, jobs: int) -> float:
    array = np.random.default_rng().random(62_500_000)
    wanted = array.sum()
    with joblib.parallel_config(backend, n_jobs=jobs):
        Parallel()(delayed(tiny)(n) for n in range(4 * jobs))
        begin = time.perf_counter()
        found = Parallel()(delayed(read)(array, part) for part in range(50))
        took = time.perf_counter() - begin
    assert abs(sum(found) / wanted - 1) < 1e-9
    return took


def run_startup(backend: str, jobs: int) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", GRID.format(backend=backend, jobs=jobs)], check=True)
    return time.perf_counter() - begin


PARTS: dict[str, Callable[[str, int], float]] = {"tiny": run_tiny, "array": run_array, "startup": run_startup}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="tiny, array, startup; all if none is given")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for part in options.parts or PARTS:
        took: dict[str, list[float]] = {"loky": [], "rain": []}
        with Client.local(cpus=options.jobs):
            for _ in range(options.repeat):
                for backend, seconds in took.items():
                    seconds.append(PARTS[part](backend, options.jobs))
        middle = {backend: statistics.median(seconds) for backend, seconds in took.items()}
        rounded = {backend: [round(one, 3) for one in sorted(seconds)] for backend, seconds in took.items()}
        print(json.dumps({"part": part, **rounded, "ratio": round(middle["rain"] / middle["loky"], 3)}), flush=True)


if __name__ == "__main__":
    main()
