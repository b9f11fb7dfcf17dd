"""What a task returned that was refused: the store has it, and nobody that waits for the object gets it."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import ObjectInfo, TaskError
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig


def refused() -> Rig:
    """Task 2 waits for what task 1 was to make."""
    rig = Rig()
    assert rig.assign(rig.task(1), rig.task(2, 10)) == ["start e1 py", "run e1: 1/1#1"]
    assert refuse(rig) == ["> failed 1/1 refused"]
    return rig


def refuse(rig: Rig) -> list[str]:
    result = rig.result(1, error=TaskError("refused", "not that"))
    result.outputs = [m.OutputResult(ID(1, 10), ObjectInfo(size=1), Inline(b"x"))]
    lines = rig.step(ev.ExecutorResults(1, [result], False))
    for said in rig.said(m.Finished):
        assert said.results[0].outputs == result.outputs
    return lines


def test_who_waits_waits_on_until_it_is_cancelled() -> None:
    rig = refused()
    assert rig.step() == []
    assert rig.cancel(2) == ["> stopped 1/2"]
    assert rig.drop(10) == ["delete 1/10", "> dropped 1/10"]


def test_it_is_dropped_before_the_task_runs_again() -> None:
    rig = refused()
    rig.cancel(2)
    assert rig.drop(10) == ["delete 1/10", "> dropped 1/10"]
    assert rig.assign(rig.task(1, attempt=2), rig.task(2, 10, attempt=2)) == ["run e1: 1/1#2"]
    assert rig.results(1, 1) == ["run e1: 1/2#3", "> finished 1/1@2"]


def test_it_moves_and_is_lost_like_any_object() -> None:
    rig = refused()
    rig.cancel(2)
    file = m.LocalFile("/disk/10", 1, 1, 1)
    assert rig.step(ev.ObjectMoved(ID(1, 10), file)) == ["> moved 1/10"]
    assert rig.step(ev.ObjectLost(ID(1, 10), "file is gone")) == ["> lost 1/10"]
    assert rig.drop(10) == ["> dropped 1/10"]


def test_it_goes_with_a_cancelled_task() -> None:
    rig = Rig()
    rig.assign(rig.task(1))
    rig.cancel(1)
    assert "delete 1/10" in refuse(rig)


def test_it_goes_with_the_session() -> None:
    rig = refused()
    lines = rig.server(m.EndSession(1))
    assert "delete session 1" in lines or "kill e1" in lines
