"""Chains of short tasks inside one executor: each link keeps what a task has."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from rain import Client, Remote, Session, TaskException, remote
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.protocol.messages import ExecutorInput, ExecutorTask
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.objects.content_types.codecs import decode_value
from tests.integration.executors_rig import Obj, Rig, with_rig
from tests.support.waiting import until

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def value_of(result: Any) -> Any:
    assert result.error is None, result.error.message
    return decode_value(result.outputs[0].location.data, "pickle")


def add(ctx: Any, x: Any, more: int = 1, mark: str = "", end: int = 0) -> Any:
    """Leaves a mark for each run; of the first run it may be the end of the process."""
    if mark:
        with open(f"{mark}.{os.getpid()}.{time.monotonic_ns()}", "x"):
            pass
        if end and len(list(Path(mark).parent.glob(Path(mark).name + ".*"))) == 1:
            os.kill(os.getpid(), end)
    return x + more


def link(rig: Rig, before: ExecutorTask | int, function: Any = add, *args: Any) -> ExecutorTask:
    """A task that takes a number, or what a task before it in the executor makes."""
    if isinstance(before, int):
        return rig.task(function, before, *args, encode="pickle", load=True)
    id = before.outputs[0].id
    awaited = ExecutorInput(ObjectSpec(id), ObjectInfo(), None, None, awaited=True)
    return rig.task(function, Obj(id.id), *args, encode="pickle", load=True, inputs=(awaited,))


@with_rig
async def test_an_executor_hands_on_what_its_tasks_make(rig: Rig) -> None:
    rig.start()
    links = [link(rig, 0)]
    for _ in range(100):
        links.append(link(rig, links[-1]))
    rig.executors.run(1, links)
    assert [value_of(await rig.result(one)) for one in links] == list(range(1, 102))
    assert len(rig.batches) < 50
    late = link(rig, links[-1])  # the governor had not seen that end yet
    rig.executors.run(1, [late])
    assert value_of(await rig.result(late)) == 102
    assert rig.recalled == []


def fail(ctx: Any, x: int) -> int:
    raise ValueError(x)


def large(ctx: Any, x: int) -> bytes:
    return bytes(2 * INLINE_BYTES_MAX)


@pytest.mark.parametrize("function", [fail, large])
def test_what_an_executor_has_not_to_hand_on_goes_back(function: Any, tmp_path: Path) -> None:
    @with_rig
    async def run(rig: Rig) -> None:
        rig.start()
        first = link(rig, 0, function)
        second = link(rig, first)
        third = link(rig, second)
        other = link(rig, 7)
        rig.executors.run(1, [first, second, third, other])
        assert value_of(await rig.result(other)) == 8
        await rig.until(lambda: len(rig.recalled) == 2)
        assert rig.recalled == [(1, [second.number]), (1, [third.number])]
        assert (1, first.spec.id.id) in rig.results

    run(tmp_path)


@with_rig
async def test_ends_of_links_are_known_when_the_next_one_kills_the_executor(rig: Rig) -> None:
    rig.start()
    links = [link(rig, 0)]
    for number in range(20):
        links.append(
            link(rig, links[-1], add, 1, str(rig.folder / "mark"), signal.SIGKILL)
            if number == 11
            else link(rig, links[-1])
        )
    rig.executors.run(1, links)
    await rig.until(lambda: 1 in rig.exited)
    assert rig.exited[1][1] == links[12].number
    assert [value_of(rig.results[1, one.spec.id.id]) for one in links[:12]] == list(range(1, 13))
    assert not any((1, one.spec.id.id) in rig.results for one in links[12:])


# -- in a cluster ---------------------------------------------------------------------------------


@pytest.fixture
def inc(session: Session) -> Remote:
    """Known to be short."""
    inc = Remote(add, auto_load=True, auto_encode="pickle")
    for _ in range(3):
        session.run([inc(0), inc(0)])
    return inc


def chain(inc: Remote, count: int, folder: Path, **special: dict[str, Any]) -> list[Any]:
    """Tasks of which each leaves a mark; ``at_5={...}`` are further arguments of the sixth."""
    links: list[Any] = []
    for number in range(count):
        before = links[-1] if links else 0
        links.append(inc(before, mark=str(folder / f"{number}"), **special.get(f"at_{number}", {})))
    return links


def runs(folder: Path) -> list[int]:
    """How often each link ran."""
    counts: dict[int, int] = {}
    for name in os.listdir(folder):
        number = int(name.split(".")[0])
        counts[number] = counts.get(number, 0) + 1
    return [counts.get(number, 0) for number in range(max(counts, default=-1) + 1)]


def test_a_chain_runs_each_link_once(session: Session, inc: Remote, tmp_path: Path) -> None:
    links = chain(inc, 200, tmp_path)
    assert session.run(links[-1]) == 200
    assert runs(tmp_path) == [1] * 200
    assert len({name.split(".")[1] for name in os.listdir(tmp_path)}) <= 4  # executors


def test_a_crash_repeats_the_running_link_only(session: Session, inc: Remote, tmp_path: Path) -> None:
    links = chain(inc, 60, tmp_path, at_30={"end": signal.SIGKILL})
    assert session.run(links[-1]) == 60
    assert runs(tmp_path) == [1] * 30 + [2] + [1] * 29


def test_a_failing_link_fails_what_is_behind_it_only(session: Session, inc: Remote, tmp_path: Path) -> None:
    links = chain(inc, 40, tmp_path, at_20={"more": "x"})
    links[19].keep_outputs()
    session.submit()
    with pytest.raises(TaskException, match="TypeError"):
        session.wait_all()
    assert runs(tmp_path) == [1] * 21
    assert links[19].output.fetch().load() == 20
    assert [link.state.name for link in links] == ["FINISHED"] * 20 + ["FAILED"] * 20


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_what_ends_a_link_leaves_those_before_it(session: Session, tmp_path: Path, how: str) -> None:
    @remote(auto_load=True, auto_encode="pickle")
    def nap(ctx: Any, x: int, path: str = "", seconds: float = 0.0) -> int:
        if path:
            open(path, "w").close()
        time.sleep(seconds)
        return x + 1

    for _ in range(3):
        session.run([nap(0), nap(0)])
    links = [nap(0)]
    for number in range(1, 30):
        one = nap.options(timeout=0.5) if number == 14 and how == "timeout" else nap
        links.append(one(links[-1], str(tmp_path / "runs"), 600.0) if number == 14 else one(links[-1]))
    session.submit()
    until((tmp_path / "runs").exists)
    if how == "cancel":
        session.cancel(links[14])
    with pytest.raises(TaskException, match="cancelled" if how == "cancel" else "timeout"):
        session.wait_all()
    session.wait_all(raise_on_failure=False)
    assert [link.state.name for link in links[:14]] == ["FINISHED"] * 14
    assert {link.state.name for link in links[14:]} == {"CANCELLED" if how == "cancel" else "FAILED"}
    assert {link.info.attempts for link in links[:14]} == {1}


def test_links_print_and_have_folders_of_their_own(client: Client) -> None:
    @remote(auto_load=True, auto_encode="pickle")
    def talk(ctx: Any, x: int) -> int:
        assert os.listdir() == []
        open("left", "w").close()
        print("link", x)
        return x + 1

    with client.new_session("talk") as session:
        links = [talk(0)]
        for _ in range(40):
            links.append(talk(links[-1]))
        assert session.run(links[-1]) == 41
        assert [link.stdout() for link in links] == [f"link {number}\n" for number in range(41)]
