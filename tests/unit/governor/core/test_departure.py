"""A governor that leaves on purpose: what it does with what it has, and when it goes."""

from __future__ import annotations

from typing import Any

import pytest

from rain.common.ids import ID
from rain.common.limits import LEAVE_MOVE_S, TERMINATED_HOLD_S
from rain.common.protocol import messages as m
from rain.common.spec import TaskError
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig, blob


def _leave(rig: Rig, within_s: float = 20.0) -> list[str]:
    return rig.step(ev.LeaveAsked("SIGTERM", within_s))


def test_what_runs_may_finish_and_the_rest_goes_back() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1), rig.task(2), rig.task(3, 50))
    rig.step(ev.ExecutorSeen(1, 1))
    assert _leave(rig) == ["> draining within 20 s: SIGTERM", "> gave back 1/2 1/3"]
    assert rig.results(1, 1) == ["> finished 1/1"]
    assert rig.assign(rig.task(4)) == ["> gave back 1/4"]
    assert rig.server(m.Dismiss("nothing is needed")) == ["leave: nothing is needed"]


def test_what_is_queued_behind_a_running_task_is_recalled_and_goes_back() -> None:
    rig = Rig(cpus=1)
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2), rig.task(3))
    assert _leave(rig) == ["> draining within 20 s: SIGTERM", "recall e1: #3 #4"]
    assert rig.step(ev.ExecutorRecalled(1, [3])) == ["> gave back 1/2"]
    rig.results(1, 1)
    assert rig.results(1, 3) == ["> finished 1/3"]


def test_when_the_time_of_tasks_is_over_they_are_ended_and_go_back() -> None:
    rig = Rig(cpus=2)
    rig.assign(rig.task(1), rig.task(2, kind="builtin/sleep"))
    rig.step(ev.ExecutorSeen(1, 1))
    _leave(rig)
    assert rig.later(9.0) == []
    assert sorted(rig.later(1.5)) == ["cancel b1", "interrupt e1 #1"]
    assert rig.later(1.1) == ["kill e1"]
    assert rig.step(ev.ExecutorExited(1, "was killed", 1)) == ["> stopped 1/1"]
    assert rig.step(ev.BuiltinEnded(1, rig.result(2))) == ["delete 1/20", "> stopped 1/2"]
    assert rig.later(8.5) == ["leave: SIGTERM"]
    assert rig.later(1.0) == []


def test_a_long_time_is_not_halved() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    rig.server(m.Drain("a user asked it to", 600.0))
    assert rig.later(600.0 - LEAVE_MOVE_S - 1) == []
    assert rig.later(1.5) == ["interrupt e1 #1"]


def test_a_more_urgent_wish_shortens_the_time_and_no_other_does() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))
    assert rig.server(m.Drain("a user", 600.0)) == ["> draining within 600 s, patiently: a user"]
    assert rig.server(m.Drain("a user asked it to", 700.0)) == []
    assert _leave(rig) == ["> draining within 20 s: SIGTERM"]
    assert rig.later(10.5) == ["interrupt e1 #1"]
    assert rig.later(10.0) == ["kill e1", "leave: SIGTERM"]


def test_without_a_server_there_is_nobody_to_hand_anything_to() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1))
    _leave(rig)
    assert rig.step(ev.ServerGone())[-1] == "leave: SIGTERM"


def test_a_server_that_is_stopped_dismisses_at_once() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1))
    assert rig.server(m.Dismiss("the server was stopped")) == ["leave: the server was stopped"]


# -- SIGTERM that Rain did not send ---------------------------------------------------------------


def _terminated(rig: Rig, how: str) -> list[str]:
    """Task 1, which runs, ends of SIGTERM: its executor, its program, or what its function ran."""
    if how == "executor":
        return rig.step(ev.ExecutorExited(1, "was killed by signal SIGTERM", 1, signal=15))
    error = TaskError("exit" if how == "program" else "exception", "killed", signal=15)
    return rig.step(ev.ExecutorResults(1, [rig.result(1, error=error)]))


HOW = pytest.mark.parametrize("how", ["executor", "program", "command of a function"])


def _running(rig: Rig) -> None:
    rig.assign(rig.task(1))
    rig.step(ev.ExecutorSeen(1, 1))


@HOW
def test_what_dies_of_sigterm_fails_a_second_later_if_its_governor_stays(how: str) -> None:
    rig = Rig(cpus=1)
    _running(rig)
    assert _terminated(rig, how) == []
    assert rig.later(TERMINATED_HOLD_S / 2) == []
    kinds = {"executor": "crash", "program": "exit"}
    assert rig.later(TERMINATED_HOLD_S) == [f"> failed 1/1 {kinds.get(how, 'exception')}"]


@HOW
def test_it_is_a_loss_if_the_governor_leaves_too(how: str) -> None:
    rig = Rig(cpus=1)
    _running(rig)
    _terminated(rig, how)
    assert _leave(rig) == ["> draining within 20 s: SIGTERM", "> stopped 1/1"]
    assert rig.later(2.0) == []


@HOW
def test_it_is_a_loss_if_the_governor_heard_of_it_before(how: str) -> None:
    rig = Rig(cpus=1)
    _running(rig)
    _leave(rig)
    assert "> stopped 1/1" in _terminated(rig, how)


def test_what_is_held_can_be_cancelled_taken_back_replaced_and_ended_with_its_session() -> None:
    for message, answer in (
        (m.CancelTasks([(ID(1, 1), 1)]), ["> stopped 1/1"]),
        (m.TakeBack([(ID(1, 1), 1)]), ["> gave back"]),
        (m.EndSession(1), ["delete session 1", "> session 1 ended"]),
    ):
        rig = Rig(cpus=1)
        _running(rig)
        _terminated(rig, "executor")
        assert rig.server(message) == answer
        failed = ["> failed 1/1 crash"] if isinstance(message, m.TakeBack) else []
        assert rig.later(2.0) == failed
    rig = Rig(cpus=1)
    _running(rig)
    _terminated(rig, "executor")
    assert rig.assign(rig.task(1, attempt=2)) == ["start e2 py", "run e2: 1/1#1"]
    assert rig.later(2.0) == []


def test_what_was_to_be_given_back_and_dies_of_sigterm_is_held_too() -> None:
    rig = Rig(cpus=1)
    rig.learn_short()
    rig.assign(rig.task(1), rig.task(2), rig.task(3))
    assert rig.take_back(2) == ["recall e1: #3"]
    rig.results(1, 1)
    error = TaskError("exit", "killed", signal=15)
    assert rig.step(ev.ExecutorResults(1, [rig.result(2, error=error)])) == []
    assert rig.step(ev.ExecutorRecalled(1, [])) == []
    assert rig.later(TERMINATED_HOLD_S + 0.1) == ["> failed 1/2 exit", "> gave back"]


def test_other_signals_are_crashes_at_once() -> None:
    rig = Rig(cpus=1)
    _running(rig)
    assert rig.step(ev.ExecutorExited(1, "was killed by signal SIGSEGV", 1, signal=11)) == ["> failed 1/1 crash"]


# -- copies for the server ------------------------------------------------------------------------


def _copy(rig: Rig, *objects: Any) -> list[str]:
    return rig.server(m.CopyObjects(list(objects)))


def test_a_copy_is_fetched_although_no_task_needs_it() -> None:
    rig = Rig(cpus=1)
    assert _copy(rig, blob(50, None)) == ["fetch 1/50"]
    assert rig.step(ev.FetchDone(ID(1, 50))) == ["> fetched 1/50"]
    assert _copy(rig, blob(50, None)) == ["> fetched 1/50"]
    assert rig.drop(50) == ["delete 1/50", "> dropped 1/50"]


def test_a_copy_that_cannot_be_had_is_told() -> None:
    rig = Rig(cpus=1)
    _copy(rig, blob(50, None))
    assert rig.step(ev.FetchFailed(ID(1, 50), "no route")) == ["> not copied 1/50: no route"]
    assert _copy(rig, blob(50, None)) == ["fetch 1/50"]


def test_a_copy_goes_on_when_the_task_that_wanted_the_object_too_is_cancelled() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1, 50), objects=[blob(50, None)])
    _copy(rig, blob(50, None))
    assert rig.cancel(1) == ["> stopped 1/1"]
    assert rig.step(ev.FetchDone(ID(1, 50))) == ["> fetched 1/50"]


def test_what_only_a_running_task_uses_is_not_wanted_any_more() -> None:
    rig = Rig(cpus=1)
    rig.assign(rig.task(1, 50), rig.task(2, 50), objects=[blob(50)])
    rig.step(ev.ExecutorSeen(1, 1))
    rig.step(ev.ObjectLost(ID(1, 50), "its checksum is wrong"))
    rig.step(ev.LeaveAsked("SIGTERM", 20.0))
    assert rig.assign(rig.task(2, 50, attempt=2), objects=[blob(50, None)]) == ["> gave back 1/2@2"]


def test_copies_come_before_what_tasks_wait_for() -> None:
    rig = Rig(cpus=1)
    inputs = list(range(50, 60))
    rig.assign(rig.task(1, *inputs), objects=[blob(n, None) for n in inputs])
    assert _copy(rig, blob(70, None)) == []
    assert rig.step(ev.FetchDone(ID(1, 50))) == ["fetch 1/70", "> fetched 1/50"]
