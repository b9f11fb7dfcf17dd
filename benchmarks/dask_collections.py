"""Dask collections on Rain beside `distributed`, in turn on one machine.

    python benchmarks/dask_collections.py [array] [transpose] [bag] [frame] [delayed] [--repeat 5]

Each is computed on a cluster of two processes of one cpu, which is warm; prints one JSON line each, seconds and the
ratio of the medians:

* ``array``: mean of the rows of a random array of 8,000 × 8,000 in 64 chunks;
* ``transpose``: ``(x + x.T).sum()`` of 4,000 × 4,000 in 100 chunks;
* ``bag``: word counts of 200,000 words in 50 partitions;
* ``frame``: group-by, sum and join back of 2,000,000 rows in 20 partitions;
* ``delayed``: a tree of 2,047 additions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client as DaskClient
from distributed import LocalCluster

import rain


def array() -> Any:
    return da.random.default_rng(1).random((8_000, 8_000), chunks=1_000).mean(axis=1).sum()


def transpose() -> Any:
    x = da.random.default_rng(1).random((4_000, 4_000), chunks=400)
    return (x + x.T).sum()


def bag() -> Any:
    words = db.from_sequence(range(200_000), npartitions=50)
    return words.map(lambda n: f"word {n % 1000}").frequencies().topk(10, key=lambda pair: (pair[1], pair[0]))


def frame() -> Any:
    rows = pd.DataFrame({"key": np.arange(2_000_000) % 1_000, "value": np.arange(2_000_000.0)})
    lazy = dd.from_pandas(rows, npartitions=20)
    means = lazy.groupby("key").value.mean().to_frame("mean")
    joined = lazy.merge(means, left_on="key", right_index=True)
    return (joined.value - joined["mean"]).abs().sum()


def add(a: int, b: int) -> int:
    return a + b


def delayed() -> Any:
    layer: list[Any] = [dask.delayed(add)(n, 1) for n in range(1_024)]
    while len(layer) > 1:
        layer = [dask.delayed(add)(a, b) for a, b in zip(layer[::2], layer[1::2], strict=True)]
    return layer[0]


PARTS: dict[str, Callable[[], Any]] = {
    "array": array,
    "transpose": transpose,
    "bag": bag,
    "frame": frame,
    "delayed": delayed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="all if none is given")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    tasks = {"dataframe.shuffle.method": "tasks", "array.rechunk.method": "tasks"}  # else for Dask's own workers only
    with (
        dask.config.set(tasks),
        rain.Client.local(cpus=2),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        DaskClient(cluster) as client,
    ):
        schedulers: dict[str, Any] = {"rain": rain.dask_get, "distributed": client}
        for part in options.parts or PARTS:
            took: dict[str, list[float]] = {name: [] for name in schedulers}
            values = set()
            for turn in range(options.repeat + 1):
                for name, scheduler in schedulers.items():
                    collection = PARTS[part]()
                    begin = time.perf_counter()
                    values.add(str(collection.compute(scheduler=scheduler))[:12])
                    if turn:  # the first one is for warmth
                        took[name].append(time.perf_counter() - begin)
            assert len(values) == 1, values
            middle = {name: statistics.median(seconds) for name, seconds in took.items()}
            rounded = {name: [round(one, 3) for one in sorted(seconds)] for name, seconds in took.items()}
            ratio = round(middle["rain"] / middle["distributed"], 3)
            print(json.dumps({"part": part, **rounded, "ratio": ratio}), flush=True)


if __name__ == "__main__":
    main()
