"""`Client.executor`: what programs for `concurrent.futures` find, and what Rain adds."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import importlib.util
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain import Client, RainException, TaskException, remote, rng, task
from rain.interfaces.executor import ExecutorLost, RainExecutor
from tests.support.waiting import GUARD_S, until


def square(x: float) -> float:
    return x * x


def inverse(x: float) -> float:
    return 1 / x


def wait_for(path: str) -> str:
    until(lambda: os.path.exists(path), path)
    return path


def total(a: np.ndarray) -> float:
    return float(a.sum())


class Point:
    """An instance of a class of the test."""

    def __init__(self, x: float) -> None:
        self.x = x

    def moved(self, by: float) -> Point:
        return Point(self.x + by)


class Exits:
    """Cannot be unpickled."""

    def __reduce__(self) -> Any:
        return inverse, (0,)


@pytest.fixture(scope="module")
def executor(client: Client) -> Iterator[RainExecutor]:
    with client.executor() as executor:
        yield executor


# -- what every executor does -----------------------------------------------------------------------


def test_calls_of_all_kinds_of_functions(executor: RainExecutor) -> None:
    by = 3
    assert executor.submit(square, 4).result() == 16
    assert executor.submit(lambda x: x + by, 4).result() == 7
    assert executor.submit(functools.partial(pow, 2), 5).result() == 32
    assert executor.submit(task(square), 5).result() == 25
    assert executor.submit(Point(1).moved, by=2).result().x == 3
    assert executor.submit(lambda: b"bytes").result() == b"bytes"
    assert type(executor.submit(Point, 1).result()) is Point
    assert executor.submit(max, [3, 9, 5], key=lambda n: -n).result() == 3


LOADED = """
class Pair:
    def __init__(self, x):
        self.x = x

def half(x):
    return x / 2

def with_context(ctx, x):
    return half(x)

def paired(x):
    if x is None:
        raise LookupError("none")
    return Pair(half(x))
"""


def test_functions_of_modules_that_cannot_be_imported(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "from_a_file.py"
    path.write_text(LOADED)
    spec = importlib.util.spec_from_file_location("from_a_file", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["from_a_file"] = module
    spec.loader.exec_module(module)
    try:
        with client.new_session("loaded") as session, client.executor(session=session) as executor:
            assert task(module.half)(6).result() == 3
            assert session.call(module.half, 8).result() == 4
            assert session.run(remote(module.with_context, auto_encode="json")(10)) == 5
            made: list[Any] = [executor.submit(module.paired, 4), session.call(module.paired, 4)]
            assert [type(each.result()) for each in made] == [module.Pair, module.Pair]
            assert executor.submit(lambda pair: pair.x, module.Pair(5)).result() == 5
            assert executor.submit(lambda: module.paired(6).x).result() == 3
            with pytest.raises(LookupError) as caught:
                executor.submit(module.paired, None).result()
            assert 'raise LookupError("none")' in str(caught.value.__cause__)
    finally:
        del sys.modules["from_a_file"]


def test_random_numbers_are_those_of_the_sessions_seed(client: Client) -> None:
    def drawn() -> list[float]:
        with client.new_session("seeded") as session, client.executor(session=session) as executor:
            session.seed = 7
            return [future.result() for future in [executor.submit(lambda: float(rng().random())) for _ in range(2)]]

    once = drawn()
    assert once == drawn()
    assert once[0] != once[1]


def test_map_in_chunks_and_by_a_buffer(executor: RainExecutor) -> None:
    wanted = [n * n for n in range(20)]
    assert list(executor.map(square, range(20))) == wanted
    assert list(executor.map(square, range(20), chunksize=7)) == wanted
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    results = executor.map(square, numbers(), buffersize=3)
    assert len(taken) == 3
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) == 5
    assert list(results) == wanted[2:]
    for wrong in ({"chunksize": 0}, {"buffersize": 0}):
        with pytest.raises(ValueError, match=r"chunksize|buffersize"):
            executor.map(square, [1], **wrong)  # type: ignore[arg-type]


def test_an_exception_is_the_functions_own_and_tells_where(executor: RainExecutor) -> None:
    future = executor.submit(inverse, 0)
    with pytest.raises(ZeroDivisionError) as caught:
        future.result()
    cause = caught.value.__cause__
    assert isinstance(cause, TaskException)
    assert "return 1 / x" in str(cause)
    assert Path(__file__).name in str(cause).partition("made at")[2]
    assert "inverse(0)" in str(cause)
    assert cause.task is future.task


def test_exit_in_a_call_does_not_end_the_client(executor: RainExecutor) -> None:
    assert isinstance(executor.submit(sys.exit, 3).exception(), TaskException)


def test_what_cannot_be_pickled_fails_its_own_future(executor: RainExecutor) -> None:
    bad, good = executor.submit(square, threading.Lock()), executor.submit(square, 2)
    with pytest.raises(RainException, match=r"cannot be pickled: cannot pickle '_thread\.lock'"):
        bad.result()
    assert isinstance(executor.submit(threading.Lock).exception(), RainException)
    assert isinstance(executor.submit(Exits).exception(), Exception)
    assert good.result() == 4


def test_callbacks_and_the_order_of_ends(executor: RainExecutor, tmp_path: Path) -> None:
    late = executor.submit(wait_for, str(tmp_path / "go"))
    soon = executor.submit(square, 3)
    told: list[Any] = []
    soon.add_done_callback(told.append)
    ends = concurrent.futures.as_completed([late, soon], timeout=GUARD_S)
    assert next(ends) is soon
    assert told == [soon]
    until(late.running, "the call runs")
    assert not late.cancel()
    assert concurrent.futures.wait([late, soon], timeout=0).not_done == {late}
    (tmp_path / "go").touch()
    assert next(ends) is late


def test_asyncio_takes_it(executor: RainExecutor) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, square, n) for n in range(5)]
        failing = loop.run_in_executor(executor, inverse, 0)
        with pytest.raises(ZeroDivisionError):
            await failing
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [0, 1, 4, 9, 16]


# -- cancelling and ending --------------------------------------------------------------------------


def test_what_was_cancelled_never_runs(client: Client, tmp_path: Path) -> None:
    with client.executor(cpus=2) as executor:
        first = executor.submit(wait_for, str(tmp_path / "go"))
        until(first.running, "the call runs")
        rest = [executor.submit((tmp_path / f"ran {n}").touch) for n in range(20)]
        after = executor.submit(square, rest[0])
        assert all(future.cancel() and future.cancelled() for future in rest)
        concurrent.futures.wait(rest, timeout=GUARD_S)
        (tmp_path / "go").touch()
        assert first.result() == str(tmp_path / "go")
        assert isinstance(after.exception() if not after.cancelled() else RainException(), RainException)
        with pytest.raises(RainException, match="was cancelled"):
            executor.submit(square, rest[1]).result()
    assert [path.name for path in tmp_path.iterdir()] == ["go"]


def test_an_executor_that_was_shut_down(client: Client, tmp_path: Path) -> None:
    executor = client.executor(cpus=2)
    running = executor.submit(wait_for, str(tmp_path / "go"))
    until(running.running, "the call runs")
    pending = executor.submit(square, 2)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(square, 2)
    with pytest.raises(concurrent.futures.CancelledError):
        pending.result(GUARD_S)
    assert not running.done()
    (tmp_path / "go").touch()
    executor.shutdown()
    assert running.result() == str(tmp_path / "go")
    assert "closed" in repr(executor.session)


def test_an_executor_that_was_dropped_ends_after_its_calls(client: Client) -> None:
    executor = client.executor()
    future, session = executor.submit(square, 5), executor.session
    del executor
    gc.collect()
    assert future.result(GUARD_S) == 25
    until(lambda: not session.active or "closed" in repr(session), "the session is closed")


def test_a_client_that_is_closed_fails_what_is_left(tmp_path: Path) -> None:
    with Client.local(cpus=1) as client:
        executor = client.executor()
        future = executor.submit(wait_for, str(tmp_path / "never"))
        until(future.running, "the call runs")
    with pytest.raises(concurrent.futures.BrokenExecutor, match="closed"):
        future.result(GUARD_S)
    with pytest.raises((ExecutorLost, RuntimeError)):
        executor.submit(square, 1)
    executor.shutdown()


def test_the_end_of_the_process_waits_for_calls() -> None:
    script = """
from rain import Client
client = Client.local(cpus=1)
client.executor().submit(pow, 2, 5).add_done_callback(lambda future: print(future.result()))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=GUARD_S)
    assert (ran.stdout, ran.stderr) == ("32\n", "")


# -- what Rain adds ---------------------------------------------------------------------------------


def test_futures_among_arguments_are_dependencies(executor: RainExecutor, tmp_path: Path) -> None:
    first = executor.submit(wait_for, str(tmp_path / "go"))
    both = executor.submit(
        lambda given: [*given["of"], given["n"]], {"of": [first, executor.submit(square, 3)], "n": 1}
    )
    failing = executor.submit(square, executor.submit(inverse, 0))
    assert not both.done()
    (tmp_path / "go").touch()
    assert both.result() == [str(tmp_path / "go"), 9, 1]
    with pytest.raises(ZeroDivisionError):
        failing.result()


def test_tasks_of_its_session_are_dependencies(client: Client) -> None:
    @remote(auto_encode="pickle")
    def ten(ctx: Any) -> int:
        return 10

    with client.new_session("mine") as session, client.executor(session=session) as executor:
        made = ten()
        assert executor.submit(square, made).result() == 100
        assert executor.submit(square, made).result() == 100
    with client.executor() as other:
        with pytest.raises(RainException, match="belongs to session"):
            other.submit(square, made).result()
        with pytest.raises(RainException, match="makes a task already"):
            other.submit(ten).result()


def test_a_large_array_is_sent_once_and_again_when_it_has_changed(client: Client) -> None:
    with client.executor() as executor:
        constants = executor._dispatcher.calls.arrays._constants
        array = np.ones((500, 200))
        assert list(executor.map(total, [array] * 5)) == [100_000] * 5
        assert executor.submit(lambda given: total(given["a"]), {"a": array}).result() == 100_000
        assert len(constants) == 1
        array[0, 0] = 11
        assert executor.submit(total, array).result() == 100_010
        assert len(constants) == 2
        assert executor.submit(total, array[:400]).result() == 80_010  # a view
        assert executor.submit(total, array[:, ::2]).result() == 50_010  # written as any other argument
        seen = weakref.ref(array)
        del array
        assert seen() is None
        assert not constants


def test_what_is_no_session_is_said(client: Client) -> None:
    before = client.sessions()
    with pytest.raises(RainException, match="session= is a Session, not int"):
        client.executor(session=3)  # type: ignore[arg-type]
    assert len(client.sessions()) == len(before)


def test_options_are_those_of_tasks(client: Client) -> None:
    with client.executor(cpus=2, name="mine", retries=1) as executor:
        future = executor.submit(square, 2)
        assert future.result() == 4
        assert future.task is not None
        assert (future.task.name, future.task.spec.resources["cpus"]) == ("mine", 2)
    sessions = len(client.sessions())
    with pytest.raises(TypeError, match="did you mean 'retries'"):
        client.executor(retrys=1)
    assert len(client.sessions()) == sessions
