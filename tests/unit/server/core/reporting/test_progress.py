"""What running tasks say of themselves: kept while they run, told to their clients."""

from __future__ import annotations

from rain.common.protocol import messages as m
from rain.common.protocol.messages import TaskProgress
from tests.unit.server.core.reporting.test_output import finish, running
from tests.unit.server.rig import Rig


def told(rig: Rig) -> list[TaskProgress]:
    return [one for said in rig.to_client if isinstance(said, m.Progressed) for one in said.tasks]


def kept(rig: Rig) -> list[TaskProgress]:
    return [one for session in rig.core.state.graph.sessions.values() for one in session.progress.values()]


def test_the_last_is_kept_while_the_task_runs() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    first, second = TaskProgress(task.id, 1, 1, 4), TaskProgress(task.id, 1, 2, 4)
    rig.says("g1", m.Progressed([first]))
    rig.turn()
    rig.says("g1", m.Progressed([second]))
    rig.turn()
    assert told(rig) == [first, second]
    assert kept(rig) == [second]
    finish(rig, task)
    assert kept(rig) == []
    rig.says("g1", m.Progressed([second]))
    rig.turn()
    assert told(rig) == [first, second]


def test_of_another_attempt_or_governor_nothing_is_taken() -> None:
    rig = Rig()
    rig.governor()
    task = running(rig)
    other = rig.governor()
    rig.says("g1", m.Progressed([TaskProgress(task.id, 2, 1)]))
    rig.says("g2" if other is None else getattr(other, "id", "g2"), m.Progressed([TaskProgress(task.id, 1, 1)]))
    rig.turn()
    assert told(rig) == []
    assert kept(rig) == []
