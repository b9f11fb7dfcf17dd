"""What running tasks say of themselves: the last of each goes to the server, and what is late is dropped."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import PREVIEW_BYTES_MAX, PROGRESS_NOTE_CHARS_MAX
from rain.common.protocol import messages as m
from rain.governor.core import effects as fx
from rain.governor.core import events as ev
from tests.unit.governor.core.rig import Rig


def told(rig: Rig) -> list[object]:
    kinds = m.Progressed | m.Started
    return [e.message for e in rig.last if isinstance(e, fx.ToServer) and isinstance(e.message, kinds)]


def test_the_last_of_a_turn_is_passed_on() -> None:
    rig = Rig(cpus=1)
    task = rig.task(1)
    rig.assign(task)
    id = task.spec.id
    last = m.TaskProgress(id, 1, 2, 4, "n" * 10_000, "t" * 10_000, b"x" * (PREVIEW_BYTES_MAX + 1))
    rig.step(ev.TasksProgressed(1, [m.TaskProgress(id, 1, 1, 4), last]))
    short = m.TaskProgress(id, 1, 2, 4, "n" * PROGRESS_NOTE_CHARS_MAX, "t" * PROGRESS_NOTE_CHARS_MAX)
    assert told(rig) == [m.Started([(id, 1)]), m.Progressed([short])]  # it speaks, so it runs
    rig.step(ev.TasksProgressed(1, [m.TaskProgress(id, 1, 3, 4)]))
    assert told(rig) == [m.Progressed([m.TaskProgress(id, 1, 3, 4)])]


def test_what_is_late_or_of_others_is_dropped() -> None:
    rig = Rig(cpus=1)
    task = rig.task(1)
    rig.assign(task)
    id = task.spec.id
    rig.step(ev.TasksProgressed(1, [m.TaskProgress(id, 2, 1), m.TaskProgress(ID(1, 99), 1, 1)]))
    assert told(rig) == []
    rig.step(ev.TasksProgressed(77, [m.TaskProgress(id, 1, 1)]))
    assert told(rig) == []
    rig.results(1, 1)
    rig.step(ev.TasksProgressed(1, [m.TaskProgress(id, 1, 1)]))
    assert told(rig) == []
