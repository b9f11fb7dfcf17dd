"""joblib's backend ``"rain"``."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from rain import Client, RainException, RainWarning, TaskException
from rain.interfaces import home, shared_arrays
from tests.support.waiting import GUARD_S, until


def inverse(x: float) -> float:
    return 1 / x


def process(_: int) -> int:
    return os.getpid()


def thread_of_process(_: int) -> tuple[int, str]:
    return os.getpid(), threading.current_thread().name


def at_a_time(folder: str, number: int) -> int:
    """How many calls run, this one among them."""
    mine = Path(folder, str(number))
    mine.touch()
    found = len(os.listdir(folder))
    time.sleep(0.02)
    mine.unlink()
    return found


def nested(_: int) -> set[int]:
    return set(joblib.Parallel(n_jobs=2)(joblib.delayed(process)(n) for n in range(4)))


def first(array: np.ndarray) -> float:
    array[1] = 5  # a copy of its own
    return float(array[0])


def fails_or_stays(folder: str, number: int) -> None:
    if number:
        Path(folder, "stays").touch()
        until(lambda: False, "it is cancelled")
    until(lambda: Path(folder, "stays").exists(), "the other one runs")
    raise ValueError("the first one")


@pytest.fixture(autouse=True)
def rain(client: Client) -> Iterator[None]:
    with joblib.parallel_config("rain", client=client):
        yield


@pytest.mark.parametrize("names", ["joblib, rain", "rain, joblib"])
def test_either_order_of_imports(names: str) -> None:
    script = f"""
import sys
import {names}
loader = joblib.__spec__.loader
assert type(loader).__module__ == "_frozen_importlib_external", loader
assert joblib.__loader__ is loader
assert not [finder for finder in sys.meta_path if "rain" in repr(finder)]
assert not [name for name in sys.modules if name.startswith(("rain.interfaces", "rain.client"))]
with joblib.parallel_config("rain"):
    pass
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=GUARD_S)


def test_calls_run_in_tasks_and_share_one_session(client: Client) -> None:
    found = joblib.Parallel()(joblib.delayed(process)(n) for n in range(20))
    assert os.getpid() not in found
    assert joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(100)) == [n * n for n in range(100)]
    by_completion = joblib.Parallel(return_as="generator_unordered")(joblib.delayed(abs)(-n) for n in range(10))
    assert sorted(by_completion) == list(range(10))
    assert [session.name for session in client.sessions()] == ["joblib"]
    task = next(iter(home.dispatcher(client, "joblib", {}).session.tasks))
    assert task.name == "process"


def test_the_exception_of_a_call_ends_the_rest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the first one") as caught:
        joblib.Parallel(n_jobs=2)(joblib.delayed(fails_or_stays)(str(tmp_path), n) for n in range(2))
    error = caught.value.__cause__
    assert isinstance(error, TaskException)
    assert "error.task.stdout()" in str(error)
    assert "session" not in str(error).rpartition("To look closer")[2]
    assert joblib.Parallel()(joblib.delayed(inverse)(n) for n in (1, 2)) == [1, 0.5]


def test_shared_memory_is_had_by_threads() -> None:
    with pytest.warns(RainWarning, match="run in threads of it") as warned:
        found = joblib.Parallel(n_jobs=2, require="sharedmem")(joblib.delayed(process)(n) for n in range(4))
    assert set(found) == {os.getpid()}
    assert warned[0].filename == __file__


def test_calls_in_calls_run_in_the_executor() -> None:
    for inside in joblib.Parallel(n_jobs=2)(joblib.delayed(nested)(n) for n in range(2)):
        assert len(inside) == 1
        assert os.getpid() not in inside


def test_what_is_no_client_or_no_number_is_said(client: Client) -> None:
    def run(**options: Any) -> None:
        with joblib.parallel_config("rain", **options):
            joblib.Parallel()(joblib.delayed(abs)(n) for n in range(2))

    with pytest.raises(RainException, match=r"client= is a Client, not int \(3\)"):
        run(client=3)
    with pytest.raises(RainException, match="cpus is a number, not str"):
        run(client=client, cpus="a")


def test_fewer_jobs_than_cpus(tmp_path: Path) -> None:
    with Client.local(cpus=4) as client, joblib.parallel_config("rain", client=client):
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(at_a_time)(str(tmp_path), n) for n in range(12))
        assert 1 <= max(found) <= 2
        assert joblib.effective_n_jobs(-1) == 4
        assert joblib.effective_n_jobs(-2) == 3
        assert set(joblib.Parallel(n_jobs=1)(joblib.delayed(process)(n) for n in range(2))) == {os.getpid()}


def test_a_large_array_is_sent_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = home.dispatcher(client, "joblib", {}).calls.arrays
    sent: list[Any] = []
    real = shared_arrays.encoded
    monkeypatch.setattr(shared_arrays, "encoded", lambda array, *rest: sent.append(array.shape) or real(array, *rest))
    array = np.zeros(100_000)
    assert joblib.Parallel(batch_size=1)(joblib.delayed(first)(array) for _ in range(10)) == [0] * 10
    assert joblib.Parallel(batch_size=1)(joblib.delayed(first)(array) for _ in range(2)) == [0] * 2
    assert len(sent) == 1
    assert array[1] == 0

    seen = weakref.ref(array)
    del array
    gc.collect()
    assert seen() is None
    assert not arrays._constants


def test_an_array_that_is_changed_while_calls_have_it(client: Client) -> None:
    arrays = shared_arrays.SharedArrays(client.new_session("arrays"))
    array = np.zeros(100_000)
    arrays.trust()
    before = arrays._constant(array)
    array[:] = 1
    filled = arrays._constant(array)
    array[1] = 2  # unseen
    assert arrays._constant(array) is filled is not before
    assert arrays.distrust() == ["an array of float64 of the shape (100000,)"]
    assert arrays._constant(array) not in (before, filled)
    arrays.trust()
    arrays._constant(array)
    arrays._constant(array)
    assert arrays.distrust() == []


def test_scikit_learn() -> None:
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.svm import SVC

    x, y = load_iris(return_X_y=True)
    search = GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, cv=3, n_jobs=-1).fit(x, y)
    forest = RandomForestClassifier(20, n_jobs=-1, random_state=0)
    scores = cross_val_score(forest, x, y, cv=3, n_jobs=-1)
    with joblib.parallel_config("sequential"):
        assert search.best_params_ == GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, cv=3).fit(x, y).best_params_
        assert list(scores) == list(cross_val_score(forest, x, y, cv=3))
