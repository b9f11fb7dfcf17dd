"""Recovery from the loss of a governor: its tasks run again, and objects that are needed are made again.

A lost object that is wanted becomes unfinished, and the finished task that made it waits to run again; where that
task's inputs are gone too, so do the tasks behind it. Consumers that are assigned to other governors stay there: they
may have their replica already. If they have not, the governor says so (`InputsMissing`) and they wait like all others.
"""

from __future__ import annotations

import heapq

from rain.common.limits import CRASHES_MAX
from rain.common.protocol.messages import Dropped, Fetched, InputsMissing, Moved, ObjectsLost
from rain.common.spec import TaskError
from rain.common.state_styles import NOT_RUN, shown_task
from rain.server.core.lifecycle import earlier
from rain.server.core.lifecycle.settle import (
    back,
    dependency_error,
    fail,
    settle_as,
    withdraw,
    withdraw_followers,
)
from rain.server.core.objects import (
    abandon,
    drop_refused,
    drop_replicas,
    fail_object,
    leave_queue,
    leave_unmade,
    make_ready,
    review,
    used_at,
    wanted,
)
from rain.server.core.reporting.output import attempt_ended
from rain.server.core.state import State
from rain.server.records.absence import Absence
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.states import (
    ANNOUNCED,
    CANCELLED,
    DELAYED,
    FAILED,
    FINISHED,
    HELD,
    OBJ_FAILED,
    OBJ_FINISHED,
    OBJ_REMOVED,
    OBJ_UNFINISHED,
    READY,
    RECOMPUTING,
    RUNNING,
    STALE,
    WAITING,
)

MISSES_BEFORE_REMAKE = 4
"""How many fetches of an object may fail before its replicas are given up and it is made again."""
MISSES_MAX = 10
"""How many fetches of an object may fail before the tasks that need it fail."""
MISS_DELAY_S = 0.1
MISS_DELAY_MAX_S = 5.0


def remake(state: State, task: Task, delay: float = 0.0) -> None:
    """Run a finished task again, not before `delay` seconds have passed, because an output of it is wanted and gone."""
    stack = [task]
    while stack:
        task = stack.pop()
        if task.state is not FINISHED:
            continue
        if not any(obj.state is OBJ_UNFINISHED and wanted(obj) for obj in task.outputs):
            leave_unmade(state, task)  # what needed them has failed meanwhile: another of its inputs cannot be made
            review(state, task)
            continue
        task.retention = RECOMPUTING
        missing = _take_inputs_again(state, task, True)
        state.set_task(task, WAITING)
        if task.runs_once:
            text = (
                f"An output of task {task.title} was lost with the governor that held it, and the task may not "
                'run a second time (rerun="never")'
            )
            fail(state, task, TaskError("lost", text))
        elif _goes_on(state, task, missing, delay):
            stack.extend(obj.producer for obj in missing if obj.producer is not None)


def revive(state: State, tasks: list[Task]) -> None:
    """Run failed and cancelled tasks again, as if they had never run, among them tasks that need each other's
    outputs."""
    held = {task for task in tasks if task.state is FAILED}
    for absence in state.absences.values():
        for task in tasks:  # what may still run of them somewhere is none of theirs any more
            absence.attempts.pop(task, None)
            absence.held.pop(task, None)
    for task in tasks:
        number = task.id[1]
        task.session.crashes.pop(number, None)
        task.session.failures.pop(number, None)
        if task.error is not None and task.error.cause is None and task.state is FAILED:
            earlier.note(task, task.error, "" if task.info is None else task.info.host)
        task.session.not_run -= shown_task(task.state, task.error) == NOT_RUN
        task.error = None
        task.info = None
        for obj in task.outputs:
            if obj.state is OBJ_FAILED:
                drop_refused(state, obj)
                state.set_object(obj, OBJ_UNFINISHED)
            else:
                task.retention = RECOMPUTING  # it had finished once, and failed when it was to make others again
        state.set_task(task, WAITING)
    for task in tasks:
        if task.state is not WAITING:
            continue  # an input of it could not be made after all
        for obj in task.inputs if task in held else ():
            obj.needs -= 1  # it held them while it was failed; now it is counted as a user
        missing = _take_inputs_again(state, task, False)
        if _goes_on(state, task, missing):
            for obj in missing:
                if obj.producer is not None:
                    remake(state, obj.producer)
    for task in tasks:
        abandon(state, task)  # one that had finished once, and of which nothing is wanted that is not there


def _goes_on(state: State, task: Task, missing: list[Object], delay: float = 0.0) -> bool:
    """Let a task that is to run again wait for its inputs; it fails if one of them cannot be made."""
    broken = next((obj.producer for obj in task.inputs if _cannot_be_made(obj)), None)
    if broken is not None:
        settle_as(state, task, *dependency_error(task, broken))
        return False
    for obj in missing:
        state.set_object(obj, OBJ_UNFINISHED)
    task.pending = sum(obj.state is OBJ_UNFINISHED for obj in task.inputs)
    if task.pending == 0:
        make_ready(state, task, delay)
    return True


def _cannot_be_made(obj: Object) -> bool:
    if obj.state is OBJ_FAILED:
        return True
    producer = obj.producer
    if producer is None or obj.state is not OBJ_REMOVED:
        return False
    return producer.state is FAILED or producer.state is CANCELLED


def _take_inputs_again(state: State, task: Task, was_retained: bool) -> list[Object]:
    """Count the task as a user of its inputs again; returns the inputs that have to be made again."""
    missing = []
    for obj in task.inputs:
        obj.needs += 1
        if was_retained and not obj.stays:
            obj.lineage -= 1
        if obj.constant:
            continue
        obj.add_consumer(task)
        if obj.state is OBJ_REMOVED:
            if obj.location is None:
                missing.append(obj)
            else:
                state.set_object(obj, OBJ_UNFINISHED)
                state.set_object(obj, OBJ_FINISHED)
    return missing


def lose(state: State, obj: Object, delay: float = 0.0) -> None:
    """Take note that a finished object is lost, and have it made again if it is needed, not before `delay` seconds have
    passed."""
    if not wanted(obj):
        drop_replicas(state, obj)
        state.set_object(obj, OBJ_REMOVED)
        return
    state.set_object(obj, OBJ_UNFINISHED)
    for governor in obj.governors:
        governor.objects[obj] = STALE
    for task in obj.waiting():
        task.pending += 1
        if task.governor is None:
            if task.state is READY:
                leave_queue(state, task)
                state.set_task(task, WAITING)
        elif task.nodes > 1 and task.state is not RUNNING:
            # What makes the input again may need the governors that it holds.
            withdraw_followers(state, task, task.governor)
            withdraw(state, task)
            state.set_task(task, WAITING)
            state.schedule_due = True
        elif task.state is not RUNNING:
            state.graph.demote(task)
            state.schedule_due = True
    producer = obj.producer
    assert producer is not None
    if producer.state is FAILED or producer.state is CANCELLED:
        # It failed when it was to make another lost output again.
        fail_object(state, obj)
        for task in obj.waiting():
            settle_as(state, task, *dependency_error(task, producer))
    else:
        remake(state, producer, delay)


def lose_replica(state: State, governor: Governor, obj: Object) -> None:
    """Take note that a governor no longer has a replica of an object."""
    held = governor.objects[obj] not in (ANNOUNCED, STALE)
    if used_at(governor, obj):
        governor.objects[obj] = STALE
        governor.resends.append(obj)
    else:
        state.graph.remove_replica(governor, obj)
    if held and obj.state is OBJ_FINISHED and not obj.safe and not obj.holders():
        lose(state, obj)


# -- governors ------------------------------------------------------------------------------------


def governor_lost(state: State, governor: Governor, reason: str, absence: Absence | None = None) -> None:
    """A governor is lost: its tasks run again, and so are its objects. The caller notifies sessions.

    If the governor had said that it leaves, no task is charged with a crash. Objects that may be back soon, as
    `absence` says, are not made again at once; and tasks that may run once are not taken for lost before the governor
    cannot come back with them any more.
    """
    graph = state.graph
    charged = governor.leaving is None
    graph.take_members(governor)
    tasks = list(governor.assigned)
    running = [task.state is RUNNING for task in tasks]
    if absence is not None:
        absence.attempts = {task: task.attempt for task in tasks if task.nodes == 1}
    for task in tasks:
        graph.unassign(task)
    gone = []
    for obj, replica in list(governor.objects.items()):
        graph.remove_replica(governor, obj)
        if replica is not ANNOUNCED and replica is not STALE:
            gone.append(obj)
    delay = 0.0 if absence is None else absence.until - state.now
    for obj in gone:
        if obj.state is OBJ_FINISHED and not obj.safe and not obj.session.over and not obj.holders():
            lose(state, obj, delay)
    for task, was_running in zip(tasks, running, strict=True):
        if task.session.over or not task.unsettled:
            continue
        if task.runs_once:
            text = (
                f"Governor {governor.id} was lost ({reason}) while task {task.title} was there, and the task may not "
                'run a second time (rerun="never")'
            )
            if absence is not None and charged and task.nodes == 1:
                absence.held[task] = text
                back(state, task, governor)
            else:
                fail(state, task, TaskError("lost", text))
        elif not was_running:
            back(state, task, governor)
        else:
            error = _died_with(task, governor, reason)
            if charged and crashed(state, task, error):
                continue
            if not charged:
                error.kind = earlier.LEFT
            earlier.note(task, error, governor.host)
            back(state, task, governor)


def _died_with(task: Task, governor: Governor, reason: str) -> TaskError:
    text = f"Task {task.title} was running on governor {governor.id}, which was lost ({reason})"
    return TaskError("crash", text)


def crashed(state: State, task: Task, error: TaskError) -> bool:
    """Charge a task with a crash; True if that was one too many, and it failed."""
    crashes = task.session.crashes
    number = task.id[1]
    count = crashes[number] = crashes.get(number, 0) + 1
    if count < CRASHES_MAX and not task.runs_once:
        return False
    if task.runs_once:
        note = 'The task may not run a second time (rerun="never").'
    else:
        note = f"This was its crash number {count}; after CRASHES_MAX ({CRASHES_MAX}) a task is not run again."
    fail(state, task, TaskError(error.kind, f"{error.message}\n{note}", error.exception, error.classes, end=error.end))
    return True


# -- messages of governors about objects ----------------------------------------------------------


def inputs_missing(state: State, governor: Governor, message: InputsMissing) -> None:
    """Take back attempts that could not start because their governor cannot get inputs."""
    graph = state.graph
    tasks = []
    for id, attempt in message.tasks:
        task = graph.task(id)
        if task is not None and task.governor is governor and task.attempt == attempt:
            if not task.session.over:
                graph.unassign(task)
                task.attempt -= task.nodes == 1  # another governor of a gang may still have the attempt
                tasks.append(task)
        elif graph.stopped(governor, id, attempt):
            attempt_ended(state, governor.id, id, attempt)
    misses = 0
    for id in message.objects:
        obj = graph.object(id)
        if obj is not None and not obj.session.over:
            misses = max(misses, _missed(state, governor, obj))
    delay = min(MISS_DELAY_S * 2**misses, MISS_DELAY_MAX_S) if misses > 1 else 0.0
    for task in tasks:
        if not task.unsettled:
            continue
        if misses >= MISSES_MAX:
            text = f"An input of task {task.title} cannot be had on governor {governor.id}: {message.reason}"
            fail(state, task, TaskError("input", text))
            continue
        back(state, task, governor, delay)


def _missed(state: State, governor: Governor, obj: Object) -> int:
    """Take note that a governor could not get an object; returns how often that has happened although it has
    replicas."""
    replica = governor.objects.get(obj)
    if replica is ANNOUNCED:
        governor.objects[obj] = STALE
        if used_at(governor, obj):
            # A task that was given to it meanwhile counts on the places that it had been sent.
            governor.resends.append(obj)
    elif replica is not None and replica is not STALE:
        lose_replica(state, governor, obj)
        return 0
    if obj.state is not OBJ_FINISHED:
        return 0
    session, number = obj.session, obj.id[1]
    count = session.misses[number] = session.misses.get(number, 0) + 1
    if count == MISSES_BEFORE_REMAKE and not obj.safe:
        drop_replicas(state, obj)
        lose(state, obj)
    return count


def wake_delayed(state: State) -> None:
    """Queue tasks whose delay is over."""
    delayed = state.delayed
    while delayed and delayed[0][0] <= state.now:
        _, order, task = heapq.heappop(delayed)
        absence = state.awaited(task)
        if absence is not None:  # it is here from an earlier delay
            heapq.heappush(delayed, (absence.until, order, task))
        elif task.placement is DELAYED:
            make_ready(state, task)


def objects_lost(state: State, governor: Governor, message: ObjectsLost) -> None:
    """Take note that replicas are gone (corrupt, file deleted)."""
    for id in message.objects:
        obj = state.graph.object(id)
        if obj is not None and obj in governor.objects:
            lose_replica(state, governor, obj)
            _give_up_if_often(state, governor, obj, message.reason)


def _give_up_if_often(state: State, governor: Governor, obj: Object, reason: str) -> None:
    """Fail the users of an object that was lost too often, so that it is not made again for ever."""
    producer = obj.producer
    if obj.state is not OBJ_UNFINISHED or producer is None or producer.retention is not RECOMPUTING:
        return
    session, number = obj.session, obj.id[1]
    count = session.misses[number] = session.misses.get(number, 0) + 1
    if count >= MISSES_MAX and producer.state in (WAITING, READY):
        text = (
            f"Object {obj.title} was lost {count} times on governors that held it, the last time on {governor.id}: "
            f"{reason}"
        )
        fail(state, producer, TaskError("lost", text))


def fetched(state: State, governor: Governor, message: Fetched) -> None:
    """Take note of new replicas on a governor. What it said before it got a drop does not count."""
    for id in message.objects:
        obj = state.graph.object(id)
        if obj is not None and id not in governor.dropping and governor.objects.get(obj) in (ANNOUNCED, STALE):
            governor.objects[obj] = HELD


def moved(state: State, governor: Governor, message: Moved) -> None:
    """Take note that replicas have moved to other files."""
    for id, file in message.objects:
        obj = state.graph.object(id)
        if obj is None or id in governor.dropping:
            continue
        if governor.objects.get(obj, ANNOUNCED) not in (ANNOUNCED, STALE):
            governor.objects[obj] = file


def dropped(state: State, governor: Governor, message: Dropped) -> None:
    """Take note that a governor has confirmed drops."""
    dropping = governor.dropping
    for id in message.objects:
        count = dropping.get(id, 0)
        if count > 1:
            dropping[id] = count - 1
        elif count:
            del dropping[id]
