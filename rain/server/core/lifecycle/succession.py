"""Succession: the objects of a governor that died come back with the governor that is started in its place; those of
a governor that was given up while it lived come back with itself, and so does what it runs.

A governor that dies leaves an `Absence`. Its objects are lost; but where its host starts a successor, the tasks that
would make them again wait for that. A governor that took over the store says so (`Register.before`), and then which
objects it has (`TookOver`): an object that is still wanted is finished again, and a task that was to make it again is
withdrawn. The successor gets no work until it has told all. Only objects that the dead governor held, and that were not
made again since, are taken back: so a server never takes the objects of another server's governor for its own.

An attempt that a governor was given up with, and comes back with, goes on under its number, also if it has ended
meanwhile, unless the task was given to another governor, has settled, or is another one by now (`retry`). Tasks that
may run once (`rerun="never"`) are given to no other governor, and are lost when theirs cannot come back any more.
"""

from __future__ import annotations

from rain.common.limits import STORE_KEPT_S
from rain.common.protocol.messages import KeptObject, Register, TookOver
from rain.common.spec import TaskError, TaskInfo
from rain.server.core.effects import TasksStarted
from rain.server.core.lifecycle import earlier
from rain.server.core.lifecycle.settle import fail, withdraw
from rain.server.core.objects import abandon, drop_at, leave_queue, make_ready, wake, wanted
from rain.server.core.reporting.updates import open_session_on
from rain.server.core.state import State
from rain.server.records.absence import Absence
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.states import (
    ANNOUNCED,
    DELAYED,
    FINISHED,
    HELD,
    OBJ_FINISHED,
    OBJ_REMOVED,
    OBJ_UNFINISHED,
    READY,
    RECOMPUTING,
    RUNNING,
    STALE,
    WAITING,
)


def remember(state: State, governor: Governor) -> Absence | None:
    """Note the objects of a governor that died, while they are still known; None if it named no store."""
    if not governor.store:
        return None
    wait_s = governor.returns_s if governor.leaving is None else 0.0
    absence = Absence(governor.id, state.now + wait_s, state.now + 2 * STORE_KEPT_S)
    absence.heard_until = state.now + STORE_KEPT_S
    for obj, replica in governor.objects.items():
        if replica is not ANNOUNCED and replica is not STALE and not obj.inline_bytes and not obj.session.over:
            absence.objects[obj] = None
            if obj.producer is not None and obj.producer.state is FINISHED:
                absence.infos[obj.producer] = obj.producer.info
    state.absences[governor.store] = absence
    return absence


def forget_old(state: State) -> None:
    """Drop absences whose time is over, and what they hold."""
    absences = state.absences
    for absence in absences.values():
        if absence.held and absence.heard_until <= state.now:
            _lose_held(state, absence)
    for name in [name for name, absence in absences.items() if absence.forgotten_at <= state.now]:
        del absences[name]


def predecessors(state: State, register: Register) -> list[str]:
    """Ids of registered governors that must be dead, because the one that registers has taken over their stores."""
    if not register.before:
        return []
    return [governor.id for governor in state.graph.governors.values() if governor.store in register.before]


def joined(state: State, governor: Governor) -> None:
    """A governor registers again that was taken for dead: it has dropped its objects, so its absence is dropped."""
    absence = state.absences.pop(governor.store, None)
    if absence is not None:
        _lose_held(state, absence)
        _wait_no_more(state, governor)


# -- objects that are there again -----------------------------------------------------------------


def took_over(state: State, governor: Governor, message: TookOver) -> None:
    """Take a governor's message about the objects that it took over."""
    absences = [state.absences[name] for name in governor.before if name in state.absences]
    ended: set[int] = set()
    tasks: dict[Task, None] = {}
    for id, attempt in message.attempts:
        session = state.graph.sessions.get(id[0])
        if session is None or session.over:
            ended.add(id[0])
            continue
        open_session_on(state, session, governor)
        task = session.tasks.get(id[1])
        if task is not None and _may_go_on(governor, task, attempt, absences):
            _go_on(state, governor, task)
        else:
            governor.cancels.append((id, attempt))
    for kept in message.objects:
        session = state.graph.sessions.get(kept.id[0])
        if session is None or session.over:
            ended.add(kept.id[0])
            continue
        open_session_on(state, session, governor)
        obj = session.objects.get(kept.id[1])
        held = obj is not None and any(obj in absence.objects for absence in absences)
        if obj is not None and held and _take_back(state, governor, obj, kept, tasks):
            continue
        if not kept.follows:
            drop_at(governor, kept.id)
    governor.ends += sorted(ended)
    for task in tasks:
        _need_not_run(state, task, absences)
    if not message.more:
        _wait_no_more(state, governor)
    state.schedule_due = True


def _may_go_on(governor: Governor, task: Task, attempt: int, absences: list[Absence]) -> bool:
    was_there = any(absence.attempts.get(task) == attempt for absence in absences)
    free = task.unsettled and task.governor is None and task.attempt == attempt
    return was_there and free and governor.can_hold(task.request)


def _go_on(state: State, governor: Governor, task: Task) -> None:
    """A task runs on the governor that it was lost with, as the same attempt."""
    graph, number = state.graph, task.id[1]
    leave_queue(state, task)
    task.attempt -= 1
    graph.assign(task, governor)
    graph.promote(task)
    crashes = task.session.crashes
    if earlier.unsay(task) and crashes.get(number, 0) > 0:
        crashes[number] -= 1
        if not crashes[number]:
            del crashes[number]
    if task.info is None or task.info.attempts != task.attempt:
        task.began_at = state.now  # it had not been heard that it began
    task.info = TaskInfo(governor=governor.id, attempts=task.attempt, earlier=earlier.of(task))
    if task.state is WAITING:
        state.set_task(task, READY)
    state.set_task(task, RUNNING)
    state.out.append(TasksStarted(governor.id, [(task.id[0], number, task.attempt)]))


def _lose_held(state: State, absence: Absence) -> None:
    """A governor did not come back with what may run once."""
    held, absence.held = absence.held, {}
    for task, text in held.items():
        if task.unsettled and task.governor is None and not task.session.over:
            fail(state, task, TaskError("lost", text))


def _take_back(state: State, governor: Governor, obj: Object, kept: KeptObject, tasks: dict[Task, None]) -> bool:
    """Take back an object that is still wanted; returns whether it was. The tasks that were to make it again are added
    to `tasks`."""
    if not obj.needed or (obj.size, obj.checksum) != (kept.size, kept.checksum):
        return False
    if obj.state is OBJ_FINISHED:
        state.graph.add_replica(governor, obj, HELD)
    elif obj.state is OBJ_UNFINISHED:
        producer = obj.producer
        if producer is None or producer.retention is not RECOMPUTING:
            return False
        tasks[producer] = None
        state.graph.add_replica(governor, obj, HELD)
        state.set_object(obj, OBJ_FINISHED)
        wake(state, obj)
    elif obj.state is OBJ_REMOVED:  # failed tasks hold it, for which it was not made again
        state.set_object(obj, OBJ_UNFINISHED)
        state.graph.add_replica(governor, obj, HELD)
        state.set_object(obj, OBJ_FINISHED)
    else:
        return False
    return True


def _need_not_run(state: State, task: Task, absences: list[Absence]) -> None:
    """Withdraw a task: all objects that it was to make again are finished or not wanted."""
    if task.retention is not RECOMPUTING or any(obj.state is OBJ_UNFINISHED and wanted(obj) for obj in task.outputs):
        return
    if task.governor is not None:
        withdraw(state, task)
    for absence in absences:
        if task in absence.infos:
            task.info = absence.infos[task]
    abandon(state, task)


def _wait_no_more(state: State, governor: Governor) -> None:
    """Have objects that did not come back made again at once, unless a further governor is awaited that may have
    them."""
    governor.arriving = False
    state.graph.arriving.pop(governor, None)
    state.graph.version += 1
    for name in governor.before:
        absence = state.absences.pop(name, None)
        if absence is not None:
            _lose_held(state, absence)
    if any(absence.until > state.now for absence in state.absences.values()):
        return
    for _, _, task in sorted(state.delayed, key=lambda entry: entry[1]):
        if task.placement is DELAYED and task.retention is RECOMPUTING:
            leave_queue(state, task)
            make_ready(state, task)
