"""Scheduling policies that are wrong: what becomes of the tasks and sessions concerned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from rain.common.limits import POLICY_FAILURES_MAX, STALLED_S
from rain.common.protocol import messages as m
from rain.server.core import events as ev
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.scheduling.policy import SchedulingPolicy
from rain.server.scheduling.view import ClusterView
from tests.unit.server.rig import Rig

Assignments = Callable[[list[Task], list[Governor]], Iterable[Any]]


def policy(assignments: Assignments) -> type[SchedulingPolicy]:
    """A policy that remembers what is ready, and whose every pass is a call of `assignments`."""

    class Policy(SchedulingPolicy):
        def __init__(self) -> None:
            self.tasks: list[Task] = []

        def task_ready(self, task: Task) -> None:
            self.tasks.append(task)

        def assignments(self, view: ClusterView, now: float) -> Iterable[Any]:
            yield from assignments(self.tasks, list(view.governors()))

    return Policy


def rig_with(assignments: Assignments) -> Rig:
    rig = Rig(policy=policy(assignments))
    rig.governor("g1")
    return rig


def all_to(tasks: list[Task], governor: Governor) -> Iterable[tuple[Task, Governor]]:
    for task in tasks:
        yield task, governor
    tasks.clear()


def tick(rig: Rig) -> None:
    rig.now += 1.0
    rig.step(ev.Tick())
    rig.turn()


def test_a_governor_that_is_gone() -> None:
    seen: list[Governor] = []
    rig = rig_with(lambda tasks, governors: all_to(tasks, seen[0]))
    seen += rig.core.state.graph.governors.values()
    rig.gone("g1")
    rig.governor("g2")
    task, after = rig.graph("task -> after")
    rig.turn()
    text = f'The scheduling policy "own" gave task py/ ({task.id}) to governor g1, which is not here'
    assert rig.error(task).message == text
    assert rig.state(after) == "failed"


def test_more_than_a_governor_may_have() -> None:
    rig = rig_with(lambda tasks, governors: all_to(tasks, governors[0]) if governors else ())
    tasks = [rig.task(resources={}) for _ in range(1030)]
    rig.submit(*tasks)
    rig.turn()
    assert len(rig.core.state.graph.governors["g1"].assigned) == 1024
    assert "which has 1024 tasks already, all that it may have (AHEAD_TASKS_MAX per" in rig.error(tasks[-1]).message


def test_a_task_given_before_its_inputs_to_where_they_are_not_made() -> None:
    waiting: list[Task] = []

    def assignments(tasks: list[Task], governors: list[Governor]) -> Iterable[tuple[Task, Governor]]:
        for task in tasks[:]:
            waiting.extend(task.outputs[0].waiting())
            yield task, governors[0]
        tasks.clear()
        yield from [(task, governors[1]) for task in waiting]
        waiting.clear()

    rig = rig_with(assignments)
    rig.governor("g2")
    first, second = rig.graph("first -> second")
    rig.turn()
    assert rig.state(first) == "ready"
    assert "is not there yet, and is not made there" in rig.error(second).message


@pytest.mark.parametrize(
    "answer",
    [lambda task, governor: (task, "g1"), lambda task, governor: task, lambda task, governor: ("1/2", governor)],
    ids=["governor", "pair", "task"],
)
def test_what_is_no_assignment_ends_the_sessions_that_wait(answer: Callable[[Any, Any], Any]) -> None:
    rig = rig_with(lambda tasks, governors: [answer(task, governors[0]) for task in tasks])
    idle = rig.ask(m.NewSession, "idle", "continue", False, None).session_id
    task = rig.task()
    rig.submit(task)
    rig.turn()
    for _ in range(POLICY_FAILURES_MAX - 1):
        assert rig.state(task) == "ready"
        tick(rig)
    (stopped,) = [said for said in rig.to_client if isinstance(said, m.SessionStopped)]
    assert stopped.session_id == rig.session != idle
    assert (
        'the scheduling policy "own" of the server does not work, so that nothing of it would run: ' in stopped.reason
    )
    assert len(rig.broke) == POLICY_FAILURES_MAX


def test_a_policy_that_raises_once_goes_on_with_what_was_queued() -> None:
    raised: list[bool] = []

    def assignments(tasks: list[Task], governors: list[Governor]) -> Iterable[tuple[Task, Governor]]:
        yield tasks.pop(), governors[0]
        if not raised:
            raised.append(True)
            raise RuntimeError("once")
        yield from all_to(tasks, governors[0])

    rig = rig_with(assignments)
    tasks = [rig.task() for _ in range(3)]
    rig.submit(*tasks)
    rig.turn()
    assert len(rig.assigned()["g1"]) == 1, "what was given before the error is given"
    tick(rig)
    rig.finish(*tasks)
    assert [rig.state(task) for task in tasks] == ["finished"] * 3
    assert [str(error.error) for error in rig.broke] == ["once"]


def test_every_method_may_raise() -> None:
    class Raising(policy(lambda tasks, governors: all_to(tasks, governors[0]))):  # type: ignore[misc]
        def _raise(self, *_: object) -> Any:
            raise RuntimeError("never")

        task_ready = task_withdrawn = steals = governor_lost = session_ended = _raise

    rig = Rig(policy=Raising)
    rig.governor("g1")
    rig.submit(rig.task())
    rig.turn()
    for _ in range(POLICY_FAILURES_MAX):
        tick(rig)
    (stopped,) = [said for said in rig.to_client if isinstance(said, m.SessionStopped)]
    assert stopped.reason.endswith("RuntimeError: never")


def test_a_policy_that_does_nothing_is_named_by_the_warning() -> None:
    rig = rig_with(lambda tasks, governors: ())
    task = rig.task()
    rig.submit(task)
    for _ in range(int(STALLED_S) + 3):
        tick(rig)
    (text,) = {said.stalled for said in rig.to_client if isinstance(said, m.SessionUpdate) and said.stalled}
    assert text.endswith(
        f'policy "own" gives the 1 governors nothing to do, although task py/ ({task.id}) is ready and would fit on g1'
    )
