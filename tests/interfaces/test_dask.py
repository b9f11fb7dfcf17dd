"""`rain.dask_get`: collections of Dask on Rain."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from dask.callbacks import Callback

import rain
from rain import Client, RainException, RainWarning, TaskException
from rain.interfaces.dask_graph import Prepared
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def on_rain(client: Client) -> Iterator[None]:
    with dask.config.set(scheduler=rain.dask_get):
        yield


def add(a: Any, b: Any) -> Any:
    return a + b


def double(a: Any) -> Any:
    return a * 2


def process(*_: Any) -> int:
    return os.getpid()


def fail(path: str) -> None:
    until(lambda: os.path.exists(path), path)
    raise KeyError("mine")


def stay(path: str) -> None:
    Path(path).touch()
    threading.Event().wait()


# -- graphs ----------------------------------------------------------------------------------------


def test_chains_are_joined_and_what_was_asked_for_ends_one() -> None:
    legacy = {
        "a": 1,
        "b": (double, "a"),
        "c": (double, "b"),
        "d": (add, "c", 5),
        "e": (double, "d"),
        "unused": (add, 1, 2),
    }
    assert list(Prepared(legacy, ["d", "e"], True).chains) == ["d", "e"]
    both = Prepared({**legacy, "f": (add, "c", "d")}, ["f"], True)
    assert {key: [name for name, _ in chain.nodes] for key, chain in both.chains.items()} == {
        "c": ["b", "c"],
        "d": ["d"],
        "f": ["f"],
    }
    assert both.data == {"a": 1}
    assert list(Prepared(legacy, ["e"], False).chains) == ["b", "c", "d", "e"]
    with pytest.raises(KeyError, match="nothing"):
        Prepared(legacy, ["nothing"], True)


def test_graphs_of_all_shapes() -> None:
    graph = {
        "one": 1,
        "same": "one",
        "again": "same",
        ("x", 0): (double, "again"),
        "other": ("x", 0),
        "list": [("x", 0), "one"],
        "sum": (sum, ["other", "list-sum", 10]),
        "list-sum": (sum, "list"),
        "unhashable": [1, 2],
    }
    assert rain.dask_get(graph, ["sum", ["again", ["unhashable"]], ("x", 0)]) == (15, (1, ([1, 2],)), 2)
    assert rain.dask_get(graph, "other") == 2
    assert rain.dask_get({"f": (add, "f-", "-f"), "g": "f"}, "g") == "f--f"


# -- collections -----------------------------------------------------------------------------------


def test_the_collections(client: Client) -> None:
    x = da.arange(10_000, chunks=1_000)
    assert int((x * 2).sum().compute()) == 99_990_000
    square = da.from_array(np.arange(400.0).reshape(20, 20), chunks=7)
    np.testing.assert_allclose((square @ square.T).compute(), square.compute() @ square.compute().T)
    words = db.from_sequence(["to", "be", "or", "not", "to", "be"], npartitions=3)
    assert dict(words.frequencies().compute()) == {"to": 2, "be": 2, "or": 1, "not": 1}
    total = delayed(sum)([delayed(double)(n) for n in range(5)])
    assert dask.compute(total, x.max(), {"in": [total]}) == (20, 9_999, {"in": [20]})
    assert os.getpid() not in dask.compute(*[delayed(process)(n) for n in range(4)])
    assert [session.name for session in client.sessions()] == ["dask"]


def test_data_frames() -> None:
    import dask.dataframe as dd

    frame = pd.DataFrame({"key": list("abcab") * 20, "value": range(100)})
    lazy = dd.from_pandas(frame, npartitions=4)
    assert lazy.groupby("key").value.sum().compute().to_dict() == frame.groupby("key").value.sum().to_dict()
    assert lazy.set_index("value").loc[10:12].compute().key.tolist() == frame.key[10:13].tolist()


def test_only_outputs_are_kept_and_data_are_sent_once(client: Client) -> None:
    from rain.interfaces.dask import _GraphSession

    array = np.arange(100_000.0)
    shared = delayed(array)
    parts = [delayed(np.sum)(shared[n::4]) for n in range(4)]
    assert delayed(sum)(parts).compute() == array.sum()
    session = _GraphSession.of(client, {})._calls.session  # type: ignore[union-attr]
    kept = [obj for obj in session.objects if obj.is_kept()]
    assert len(kept) <= 1  # of the six results the last one, which is let go with the next message
    assert sum((obj.info.size or 0) > array.nbytes for obj in session.objects if obj.info is not None) <= 1


def test_what_would_be_written_to_memory_is_refused(tmp_path: Path) -> None:
    import zarr

    x = da.arange(100, chunks=50)
    for target in (np.zeros(100), zarr.zeros(100), np.memmap(tmp_path / "file", shape=100, mode="w+")):
        for source in (x, x + 1):
            with pytest.raises(RainException, match="in the memory of this process"):
                source.store(target)
    x.to_zarr(tmp_path / "x.zarr")
    assert da.from_zarr(tmp_path / "x.zarr").sum().compute() == 4950


def test_a_graph_for_workers_of_dasks_own_is_refused() -> None:
    with pytest.raises(RainException, match=r"dataframe\.shuffle\.method"):
        rain.dask_get(
            {
                ("shuffle-transfer-0123456789abcdef0123456789abcdef", 0): (double, 1),
                "x": ("shuffle-transfer-0123456789abcdef0123456789abcdef", 0),
            },
            "x",
        )


# -- failures --------------------------------------------------------------------------------------


def test_a_failure_is_the_nodes_own_and_ends_the_rest(tmp_path: Path) -> None:
    path = str(tmp_path / "stays")
    with pytest.raises(KeyError, match="mine") as caught:
        delayed(add)(delayed(fail)(path), delayed(stay)(path)).compute()
    cause = caught.value.__cause__
    assert isinstance(cause, TaskException)
    assert 'raise KeyError("mine")' in str(cause)
    assert cause.task is not None
    assert cause.task.name == "fail"
    assert delayed(double)(4).compute() == 8


def test_keywords(client: Client) -> None:
    assert delayed(double)(4).compute(num_workers=4, cpus=2, retries=1) == 8
    with pytest.warns(RainWarning, match="ignores the keywords bogus"):
        assert delayed(double)(4).compute(bogus=1) == 8
    assert rain.dask_get({"x": (double, 2)}, "x", client=client) == 4
    with pytest.raises(RainException, match=r"client= is a Client, not int \(3\)"):
        rain.dask_get({"x": (double, 2)}, "x", client=3)  # type: ignore[arg-type]


def test_callbacks_are_told() -> None:
    seen: list[Any] = []

    class Seen(Callback):
        def _start(self, dsk: Any) -> None:
            seen.append("start")

        def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
            seen.append(len(state["finished"]))

        def _finish(self, dsk: Any, state: Any, failed: bool) -> None:
            seen.append(failed)

    with Seen():
        assert delayed(sum)([delayed(double)(n) for n in range(2)]).compute() == 2
    assert seen == ["start", 1, 2, 3, False]


def test_inside_a_task_and_without_a_client() -> None:
    inner = delayed(lambda: rain.dask_get({"x": (process,)}, "x") == os.getpid())()
    assert inner.compute()
    script = """
import dask, rain
print(dask.delayed(sum)([1, 2]).compute(scheduler=rain.dask_get))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("3\n", "")
