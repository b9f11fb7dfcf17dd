"""Previews that executors make of their own results: what they show, and that no task notices them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rain import Client, Session, remote
from rain.common.limits import PREVIEW_BYTES_MAX, PREVIEW_LOADED_BYTES_MAX
from rain.common.protocol.messages import ExecutorInput, OwnPreview
from rain.common.protocol.previews import decode_preview
from rain.executor.python.inputs import reader_of_input
from rain.executor.views.preview import preview
from rain.objects.data_instance import DataInstance
from tests.integration.executors_rig import Rig, with_rig
from tests.support.waiting import GUARD_S, until


async def made(rig: Rig, function: Callable[..., Any], *args: Any) -> ExecutorInput:
    """The result of a task, as it was stored."""
    task = rig.task(function, *args, encode="cloudpickle")
    rig.executors.run(1, [task])
    result = await rig.result(task)
    assert result.error is None, result.error.message
    (output,) = result.outputs
    output.info.content_type = "cloudpickle"
    return ExecutorInput(task.outputs[0], output.info, None, output.location)  # type: ignore[arg-type]


async def own_of(rig: Rig, value: ExecutorInput) -> OwnPreview:
    """The preview that its executor makes, asked again if its time was over: on a busy machine that may be."""
    async with asyncio.timeout(GUARD_S):
        while (own := await rig.preview(value)).given_up:
            pass
    return own


def on_demand(value: ExecutorInput) -> bytes:
    """What is made when such a value is looked at: it is loaded, in another process, and shown."""
    return preview(DataInstance(reader_of_input(value), value.spec, value.info), b"")


@dataclass
class Point:
    x: int
    name: str


class Shown:
    """Its `repr` is a function's, called in the executor."""

    def __init__(self, shown: Callable[[], str]) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown()


def array(ctx):
    import numpy

    return numpy.arange(2_000_000, dtype="f8").reshape(1000, 2000)


def frame(ctx):
    import pandas

    return pandas.DataFrame({"a": range(5), "b": list("vwxyz")})


def point(ctx):
    return Point(3, "<b>")


def text(ctx):
    return "x" * 100_000


def figure(ctx):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(3, 2))
    axes.plot([1, 3, 2])
    return drawn


def open_figures(ctx):
    from matplotlib import pyplot

    return pyplot.get_fignums()


def nothing(ctx):
    return os.getpid()


@pytest.mark.parametrize("function", [array, frame, point, text])
def test_it_is_what_is_made_on_demand(tmp_path: Path, function: Callable[..., Any]) -> None:
    @with_rig
    async def scenario(rig):
        rig.start()
        value = await made(rig, function)
        own = await own_of(rig, value)
        assert not own.put_off
        assert own.data == on_demand(value)
        assert len(own.data) <= PREVIEW_BYTES_MAX

    scenario(tmp_path)


@with_rig
async def test_a_figure_is_drawn_and_not_left_open_a_second_time(rig):
    rig.start()
    value = await made(rig, figure)
    before = await rig.value(open_figures)
    own = await own_of(rig, value)
    assert decode_preview(own.data).picture is not None
    assert decode_preview(own.data) == decode_preview(on_demand(value))
    assert await rig.value(open_figures) == before == [1]


@with_rig
async def test_it_shows_what_was_stored(rig):
    """The task goes on changing what it returned, in a thread that it left."""

    def changing(ctx):
        shared = [0]

        def change() -> None:
            while True:
                shared[0] += 1
                time.sleep(0.0001)

        threading.Thread(target=change, daemon=True).start()
        ctx.cache["shared"] = shared
        return shared

    rig.start()
    value = await made(rig, changing)
    own = await own_of(rig, value)
    assert own.data == on_demand(value)


@with_rig
async def test_an_error_of_the_values_own_code_is_said(rig):
    def raises(ctx):
        def shown() -> str:
            raise SystemExit("no")

        return Shown(shown)

    rig.start()
    own = await own_of(rig, await made(rig, raises))
    assert "SystemExit: no" in decode_preview(own.data).text


@with_rig
async def test_a_repr_that_does_not_return_is_given_up_whatever_it_catches(rig):
    def stubborn(ctx):
        def shown() -> str:
            for _ in range(3):
                try:
                    while True:
                        time.sleep(0.001)
                except BaseException:
                    pass
            while True:
                pass

        return Shown(shown)

    rig.start()
    own = await rig.preview(await made(rig, stubborn))
    assert (own.given_up, own.data) == (True, b"")
    assert await rig.value(nothing) == rig.executors.pid(1)


@with_rig
async def test_it_is_given_up_at_once_for_a_task_that_comes(rig):
    """Without one it would go on: the file that ends it is never made, and its time is not over."""

    def waits(ctx, path):
        def shown() -> str:
            Path(path).touch()
            while True:
                time.sleep(0.0001)

        return Shown(shown)

    begun = rig.folder / "begun"
    rig.start()
    value = await made(rig, waits, str(begun))
    rig.executors.preview(1, value)
    task = rig.task(nothing)
    rig.executors.run(1, [task])
    await rig.result(task)
    own = await rig.until(lambda: rig.previews.get(value.spec.id))
    assert own.put_off or own.given_up  # put off if both came in one piece


@with_rig
async def test_what_it_prints_and_writes_is_no_tasks(rig):
    def prints(ctx):
        def shown() -> str:
            print("of the preview")
            os.write(2, b"of the preview")
            Path("written").touch()
            return "shown"

        return Shown(shown)

    def looks(ctx):
        return os.listdir(".")

    rig.start()
    own = await own_of(rig, await made(rig, prints))
    assert decode_preview(own.data).text == "shown"
    task = rig.task(looks, encode="json")
    rig.executors.run(1, [task])
    result = await rig.result(task)
    assert (result.stdout, result.stderr) == (b"", b"")
    assert result.outputs[0].location.data == b"[]"


@with_rig
async def test_a_tasks_timer_stays(rig):
    def sets(ctx):
        def rings(*_: Any) -> None:
            pass

        signal.signal(signal.SIGALRM, rings)
        signal.setitimer(signal.ITIMER_REAL, 1000.0, 7.0)

    def tells(ctx):
        return signal.getsignal(signal.SIGALRM).__name__, signal.getitimer(signal.ITIMER_REAL)

    rig.start()
    await rig.run(sets, outputs=0)
    await own_of(rig, await made(rig, point))
    name, (left, interval) = await rig.value(tells)
    assert (name, interval) == ("rings", 7.0)
    assert 900 < left <= 1000


@with_rig
async def test_what_is_dear_to_load_is_not_loaded(rig):
    def many(ctx, count):
        return ["text"] * count

    rig.start()
    value = await made(rig, many, PREVIEW_LOADED_BYTES_MAX)
    assert value.info.size > PREVIEW_LOADED_BYTES_MAX
    own = await rig.preview(value)
    assert (own.data, own.given_up) == (b"", False)


@with_rig
async def test_a_process_that_it_forks_does_not_stay(rig):
    def forks(ctx):
        def shown() -> str:
            os.fork()
            return "shown"

        return Shown(shown)

    rig.start()
    own = await rig.preview(await made(rig, forks))
    assert decode_preview(own.data).text == "shown"
    assert await rig.value(nothing) == rig.executors.pid(1)


# -- with a governor ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client() -> Any:
    with Client.local(cpus=1) as client:
        yield client


class Tells:
    """Notes where it is shown."""

    def __init__(self, path: str) -> None:
        self.path, self.made_by = path, os.getpid()

    def __repr__(self) -> str:
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")
        return f"made by {self.made_by}, shown by {os.getpid()}"


@remote(auto_encode="cloudpickle")
def tells(ctx, path):
    return Tells(path)


def test_the_executor_that_made_a_result_makes_its_preview(client: Client, session: Session, tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("earlier", "later")]
    tasks = [tells(path) for path in paths]
    for task in tasks:
        task.output.keep()
    session.submit()
    session.wait_all()
    first, last = sorted(zip(tasks, paths, strict=True), key=lambda pair: pair[0].info.start_time)
    until(lambda: os.path.exists(first[1]))  # the newest comes first, and has been taken by then
    pid = Path(first[1]).read_text().strip()
    assert session._preview(last[0].output).text == f"made by {pid}, shown by {pid}"
    assert Path(last[1]).read_text().split() == [pid]


def test_not_if_the_session_has_turned_them_off(client: Client, session: Session, tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("without", "with")]
    tasks = []  # what no handle points to is not kept
    for path, wanted in zip(paths, (False, True), strict=True):
        session.previews = wanted
        tasks.append(tells(path))
        tasks[-1].output.keep()
        session.submit()
    until(lambda: os.path.exists(paths[1]))
    assert not os.path.exists(paths[0])


def hangs() -> str:
    return str(sum(itertools.repeat(1)))  # in C, where no signal of Python's is heard


def dies() -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return ""


@pytest.mark.parametrize("shown", [hangs, dies])
def test_a_repr_that_takes_the_executor_with_it_costs_no_task_anything(
    client: Client, session: Session, tmp_path: Path, shown: Callable[[], str]
) -> None:
    begun = tmp_path / "begun"

    @remote(auto_encode="cloudpickle")
    def value(ctx, path):
        def noted() -> str:
            Path(path).touch()
            return shown()

        return Shown(noted)

    @remote(auto_encode="json")
    def after(ctx):
        return os.getpid()

    first = value(str(begun))
    first.output.keep()
    session.submit()
    first.wait()
    until(begun.exists)
    assert session.run(after())  # it may have been given to the executor that was lost
    assert first.info.attempts == 1
    assert first.output.fetch().load().shown is not None
