"""A governor that was given up lives, and comes back with what it runs."""

from __future__ import annotations

import pytest

from rain.common.ids import ID
from rain.common.limits import CRASHES_MAX, STORE_KEPT_S
from rain.common.protocol import messages as m
from rain.common.spec import TaskInfo, TaskSpec
from rain.server.core import events as ev
from tests.unit.server.core.lifecycle.test_succession import register
from tests.unit.server.rig import LARGE, Rig


def one_that_runs(**options: object) -> tuple[Rig, TaskSpec]:
    """A governor runs a task, and is given up."""
    rig = Rig()
    register(rig, "g1", "s1")
    task = rig.task(**options)
    rig.submit(task, keep=task.outputs)
    rig.turn()
    rig.start(task)
    rig.gone("g1")
    return rig, task


def is_back(rig: Rig, task: TaskSpec, *kept: m.KeptObject, attempt: int = 1) -> None:
    register(rig, "g1", "s2", "s1")
    rig.says("g1", m.TookOver(list(kept), False, [(task.id, attempt)]))
    rig.turn()


def record(rig: Rig, task: TaskSpec):
    return rig.core.state.graph.task(task.id)


def test_what_it_runs_goes_on_under_its_number_and_uncharged() -> None:
    rig, task = one_that_runs()
    assert rig.state(task) == "ready"
    assert record(rig, task).session.crashes == {task.id.id: 1}
    is_back(rig, task)
    assert rig.state(task) == "running"
    assert (record(rig, task).attempt, record(rig, task).session.crashes) == (1, {})
    assert record(rig, task).info.earlier == []
    assert not rig.told("g1", m.CancelTasks)
    rig.finish(task)
    assert rig.state(task) == "finished"


def test_what_ended_meanwhile_is_taken() -> None:
    """Also a large result, of which the server hears first that it is there."""
    rig, task = one_that_runs()
    [output] = task.outputs
    is_back(rig, task, m.KeptObject(output, LARGE, 99, follows=True))
    rig.finish(task, large=True)
    rig.turn()
    assert not rig.told("g1", m.DropObjects)
    [place] = rig.core.object_data(output).location.replicas
    assert place.address == "g1"


def test_what_was_given_to_another_governor_is_to_end() -> None:
    rig, task = one_that_runs()
    rig.governor("other")
    rig.turn()
    assert rig.where(task) == ("other", 2)
    is_back(rig, task, m.KeptObject(task.outputs[0], LARGE, 99, follows=True))
    assert rig.told("g1", m.CancelTasks)[0].tasks == [(task.id, 1)]
    result = m.TaskResult(task.id, 1, TaskInfo(), [rig.output(task.outputs[0], "g1", True, b"")])
    rig.says("g1", m.Finished([result]))
    rig.says("g1", m.Stopped([(task.id, 1)]))
    rig.turn()
    assert rig.told("g1", m.DropObjects)[0].objects == task.outputs
    rig.finish(task)
    assert rig.state(task) == "finished"
    assert record(rig, task) is None or record(rig, task).attempt == 2


def test_what_may_run_once_is_given_to_no_other_and_goes_on() -> None:
    rig, task = one_that_runs(rerun="never")
    rig.governor("other")
    for _ in range(3):
        rig.now += STORE_KEPT_S / 4
        rig.step(ev.Tick())
        rig.turn()
    assert rig.assigned("other") == {"other": []}
    assert "was on governor g1" in rig.ask(m.Explain, task.id).values["text"]
    is_back(rig, task)
    assert rig.state(task) == "running"
    rig.finish(task)
    assert rig.state(task) == "finished"


def test_what_may_run_once_is_lost_when_its_governor_does_not_come_back() -> None:
    rig, task = one_that_runs(rerun="never")
    rig.governor("other")
    rig.now += STORE_KEPT_S
    rig.step(ev.Tick())
    rig.turn()
    assert rig.error(task).kind == "lost"
    assert "g1 was lost (silence)" in rig.error(task).message
    is_back(rig, task)
    assert rig.told("g1", m.CancelTasks)[0].tasks == [(task.id, 1)]


def test_what_may_run_once_is_lost_when_another_governor_comes_in_the_place_of_its_own() -> None:
    rig, task = one_that_runs(rerun="never")
    register(rig, "g2", "s2", "s1")
    rig.says("g2", m.TookOver([]))
    assert rig.error(task).kind == "lost"


def test_what_may_run_once_is_not_run_when_an_input_of_it_is_made_again() -> None:
    rig = Rig()
    register(rig, "g1", "s1", returns_s=0.0)
    made, once = rig.graph("made -> once[rerun='never']", keep="once")
    rig.turn()
    rig.finish(made, large=True)
    rig.turn()
    rig.start(once)
    rig.gone("g1")
    rig.governor("other")
    rig.turn()
    rig.finish(made)
    rig.turn()
    assert rig.assigned("other") == {"other": []}
    is_back(rig, once)
    assert rig.state(once) == "running"


def test_what_lacks_an_input_goes_on() -> None:
    rig = Rig()
    register(rig, "g1", "s1")
    made, user = rig.graph("made -> user", keep="user")
    rig.turn()
    rig.finish(made, large=True)
    rig.turn()
    rig.start(user)
    rig.gone("g1")
    assert rig.state(user) == "waiting"
    is_back(rig, user)
    assert rig.state(user) == "running"
    rig.finish(user)
    assert (rig.state(user), rig.state(user.outputs[0])) == ("finished", "finished")


@pytest.mark.parametrize("then", ["cancel", "retry"])
def test_what_was_cancelled_meanwhile_is_to_end(then: str) -> None:
    """Also if it is to run again by now: that may be another function."""
    rig, task = one_that_runs(rerun="never")
    rig.ask(m.Cancel, rig.session, [task.id])
    if then == "retry":
        rig.ask(m.Retry, rig.session, [task.id])
    is_back(rig, task)
    assert rig.told("g1", m.CancelTasks)[0].tasks == [(task.id, 1)]
    assert rig.state(task) == ("cancelled" if then == "cancel" else "ready")


def test_the_last_crash_that_a_task_may_have_counts() -> None:
    rig, task = one_that_runs()
    for attempt in range(2, CRASHES_MAX + 1):
        is_back(rig, task, attempt=0)
        rig.start(task)
        assert rig.where(task) == ("g1", attempt)
        rig.gone("g1")
        rig.core.state.absences["s1"] = rig.core.state.absences["s2"]
    assert rig.state(task) == "failed"
    is_back(rig, task, attempt=CRASHES_MAX)
    assert rig.told("g1", m.CancelTasks)[-1].tasks == [(task.id, CRASHES_MAX)]


def test_a_session_that_ended_ends_there() -> None:
    rig, task = one_that_runs()
    rig.ask(m.CloseSession, rig.session)
    is_back(rig, task)
    assert [message.session_id for message in rig.told("g1", m.EndSession)] == [rig.session]


def test_attempts_of_another_server_are_to_end() -> None:
    """Its numbers may be the same."""
    rig, task = one_that_runs()
    register(rig, "g2", "s9", "s8")
    rig.says("g2", m.TookOver([], False, [(task.id, 1), (ID(77, 1), 1)]))
    rig.turn()
    assert rig.told("g2", m.CancelTasks)[0].tasks == [(task.id, 1)]
    assert [message.session_id for message in rig.told("g2", m.EndSession)] == [77]
