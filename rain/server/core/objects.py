"""Which objects are needed, and what becomes of one that is not; lineage.

A finished task is *retained* while one of its outputs would have to be made again if it were lost (`required`): the
lineage of what is needed. Bytes up to `LINEAGE_BYTES_MAX` cut lineage: the server rather keeps them than the record of
the task that made them and all that is behind it.

Chains of tasks may be as long as memory allows, so nothing here recurses.
"""

from __future__ import annotations

import heapq

from rain.common.ids import ID
from rain.server.core.effects import DiscardUpload
from rain.server.core.sizes import spec_bytes
from rain.server.core.state import State
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.session import RELEASED_OBJECT, RELEASED_TASK, Session
from rain.server.records.task import Task
from rain.server.states import (
    DELAYED,
    EPHEMERAL,
    FINISHED,
    FUNCTION,
    OBJ_FAILED,
    OBJ_FINISHED,
    OBJ_REMOVED,
    OBJ_UNFINISHED,
    QUEUED,
    READY,
    RECOMPUTING,
    RELEASED,
    RETAINED,
    STALE,
    UNPLACED,
    WAITING,
)

LINEAGE_BYTES_MAX = 4096
LOOK_S = 1.0
"""When what may run once is looked at again, if its governor should have come back by now."""
RECORD_BYTES = 2048
"""About what the records of a task and its output take beside the spec's variable parts."""


def wake(state: State, obj: Object) -> None:
    """An object is finished: its consumers wait for one input less."""
    for task in obj.waiting():
        task.pending -= 1
        governor = task.governor
        if governor is not None and governor.objects.get(obj, STALE) is STALE:
            governor.resends.append(obj)
        if task.pending:
            continue
        if governor is not None:
            state.graph.promote(task)
            if task.state is WAITING:
                state.set_task(task, READY)
        else:
            make_ready(state, task)


def make_ready(state: State, task: Task, delay: float = 0.0) -> None:
    """All inputs of an unassigned task are finished: queue it, now or `delay` seconds later."""
    if state.absences and task.runs_once and (absence := state.held_by(task)) is not None:
        delay = max(delay, absence.heard_until - state.now, LOOK_S)
    if task.state is not READY:
        state.set_task(task, READY)
    if delay:
        task.placement = DELAYED
        heapq.heappush(state.delayed, (state.now + delay, task.order, task))
    else:
        state.offer(task)
    state.schedule_due = True


def leave_queue(state: State, task: Task) -> None:
    """An unassigned task cannot run now: if it was queued or delayed, it is so no more."""
    if task.placement is QUEUED:
        state.withdraw_offer(task)
    elif task.placement is DELAYED:
        task.placement = UNPLACED


def drop_replicas(state: State, obj: Object) -> None:
    """Governors that hold or know an object need it no more."""
    for governor in obj.governors:
        del governor.objects[obj]
        governor.drops.append(obj.id)
        governor.dropping[obj.id] = governor.dropping.get(obj.id, 0) + 1
    obj.governors = ()


def drop_at(governor: Governor, id: ID) -> None:
    """A governor need not have what it said that it has."""
    governor.drops.append(id)
    governor.dropping[id] = governor.dropping.get(id, 0) + 1


def fail_object(state: State, obj: Object) -> None:
    """No task makes an object any more."""
    drop_replicas(state, obj)
    state.set_object(obj, OBJ_FAILED)


def drop_refused(state: State, obj: Object) -> None:
    """Let go of what a task returned in place of a failed object."""
    if obj.info is not None:
        drop_replicas(state, obj)
        obj.info = obj.location = obj.checksum = None
        obj.size = 0


def used_at(governor: Governor, obj: Object) -> bool:
    """Whether a task that is assigned there has it as an input."""
    return any(obj in task.inputs for task in governor.assigned) or any(obj in one.inputs for one in governor.shares)


def wanted(obj: Object) -> bool:
    """Whether it has to be made again if it is lost: failed tasks only hold it while it is there."""
    return obj.kept or obj.consumers is not None


def not_needed(state: State, obj: Object) -> None:
    """An object is not needed any more (or only by failed tasks, and it is not finished)."""
    if obj.constant:
        if not obj.needed and obj.role is not FUNCTION:
            drop_replicas(state, obj)
            if obj.role is EPHEMERAL:
                release_ephemeral(state, obj)
    elif obj.state is OBJ_FINISHED:
        if not obj.needed:
            _remove(state, obj)
    elif obj.state is OBJ_UNFINISHED:
        producer = obj.producer
        if producer is not None and producer.retention is RECOMPUTING:
            abandon(state, producer)


def _remove(state: State, obj: Object) -> None:
    drop_replicas(state, obj)
    producer = obj.producer
    if obj.location is not None and not (obj.lineage and (producer is None or obj.inline_bytes <= LINEAGE_BYTES_MAX)):
        obj.location = None
    state.set_object(obj, OBJ_REMOVED)
    if producer is None:
        _purge(obj)
    else:
        review(state, producer)


def release_ephemeral(state: State, obj: Object) -> None:
    """Release a constant that is ephemeral, unless a task may still need it."""
    session = obj.session
    number = obj.id[1]
    if obj.needed or obj.lineage or number not in session.objects:
        return
    upload = session.uploads.pop(number, None)
    if upload is not None:
        state.out.append(DiscardUpload([upload]))
    del session.objects[number]
    session.release(number, RELEASED_OBJECT)


def _purge(obj: Object) -> None:
    """Release the record of a removed object, unless lineage wants it."""
    session = obj.session
    if obj.lineage == 0 and obj.needs == 0:
        number = obj.id[1]
        obj.location = None
        if not session.history_bytes_max or number in session.orphans:
            session.orphans.discard(number)
            del session.families.objects.own[number]
            session.release(number, RELEASED_OBJECT)


def release_inputs(state: State, task: Task) -> None:
    """A task settled for good: it needs its inputs no more."""
    for obj in task.inputs:
        obj.needs -= 1
        obj.remove_consumer(task)
        if not obj.kept and not (obj.needs if obj.state is not OBJ_UNFINISHED else wanted(obj)):
            not_needed(state, obj)


def let_go(state: State, task: Task) -> None:
    """A failed task will not be retried: it holds its inputs no more."""
    lost = [obj for obj in task.inputs if obj.state is OBJ_REMOVED]  # while it only held them
    release_inputs(state, task)
    for obj in lost:
        if obj.needs:
            continue
        if obj.producer is not None:
            review(state, obj.producer)
        elif obj.session.objects.get(obj.id[1]) is obj:
            _purge(obj)


def gone(obj: Object) -> bool:
    """Whether there is no way to have it again."""
    if obj.session.objects.get(obj.id[1]) is not obj:
        return True
    return obj.state is OBJ_REMOVED and obj.producer is None and obj.location is None


def required(obj: Object) -> bool:
    """Whether the finished producer of an object may have to run again."""
    if obj.location is not None:
        return (obj.lineage > 0 or obj.needs > 0) and obj.inline_bytes > LINEAGE_BYTES_MAX
    return obj.state is OBJ_FINISHED or obj.lineage > 0 or obj.needs > 0


def retain_or_release(state: State, task: Task) -> None:
    """Judge a task that just finished, before its inputs are released."""
    if any(map(required, task.outputs)):
        task.retention = RETAINED
        for obj in task.inputs:
            if not obj.stays:
                obj.lineage += 1
    else:
        task.retention = RELEASED
        _forget(task)


def review(state: State, task: Task) -> None:
    """Release a retained task, and those behind it, if nothing asks for them any more."""
    stack = [task]
    while stack:
        task = stack.pop()
        if task.retention is not RETAINED or any(map(required, task.outputs)):
            continue
        task.retention = RELEASED
        _forget(task)
        for obj in task.inputs:
            if obj.stays:
                continue
            obj.lineage -= 1
            if obj.lineage == 0:
                if obj.constant:
                    release_ephemeral(state, obj)
                elif obj.producer is not None:
                    if obj.state is OBJ_REMOVED:
                        obj.location = None
                    stack.append(obj.producer)
                elif obj.state is OBJ_REMOVED:
                    _purge(obj)


def _forget(task: Task) -> None:
    """Release the record of a finished task; its outputs stand for themselves now."""
    session = task.session
    for obj in task.outputs:
        obj.producer = None
        if obj.state is OBJ_REMOVED:
            _purge(obj)
    if session.history_bytes_max:
        size = RECORD_BYTES + spec_bytes(task.spec)
        session.history.append((task, size))
        session.history_bytes += size
        if session.history_bytes > session.history_bytes_max:
            _cut_history(session)
        return
    number = task.id[1]
    del session.families.tasks.own[number]
    session.release(number, RELEASED_TASK)
    for books in (session.crashes, session.failures, session.earlier):
        books.pop(number, None)


def _cut_history(session: Session) -> None:
    """Release the oldest finished tasks that a session has kept, and those of their outputs that are gone."""
    while session.history_bytes > session.history_bytes_max:
        task, size = session.history.popleft()
        session.history_bytes -= size
        number = task.id[1]
        del session.tasks[number]
        session.release(number, RELEASED_TASK)
        for books in (session.crashes, session.failures, session.earlier, session.made):
            books.pop(number, None)
        for obj in task.outputs:
            if obj.state is OBJ_REMOVED and not obj.lineage and not obj.needs:
                del session.objects[obj.id[1]]
                session.release(obj.id[1], RELEASED_OBJECT)
            else:
                session.orphans.add(obj.id[1])


def leave_unmade(state: State, task: Task) -> None:
    """Lost outputs of a finished task are not made again."""
    for obj in task.outputs:
        if obj.state is OBJ_UNFINISHED:
            drop_replicas(state, obj)
            state.set_object(obj, OBJ_FINISHED)
            state.set_object(obj, OBJ_REMOVED)


def abandon(state: State, task: Task) -> None:
    """Do not make lost outputs again that are not wanted any more, if that has not begun."""
    stack = [task]
    while stack:
        task = stack.pop()
        if task.retention is not RECOMPUTING or task.governor is not None:
            continue
        if any(obj.state is OBJ_UNFINISHED and wanted(obj) for obj in task.outputs):
            continue
        leave_queue(state, task)
        state.set_task(task, FINISHED)
        leave_unmade(state, task)
        retain_or_release(state, task)
        for obj in task.inputs:
            obj.needs -= 1
            obj.remove_consumer(task)
            if obj.state is OBJ_UNFINISHED:
                if obj.producer is not None and obj.producer.retention is RECOMPUTING:
                    stack.append(obj.producer)
            elif not obj.needed:
                not_needed(state, obj)
