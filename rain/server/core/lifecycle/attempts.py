"""Attempts: assigned, started, ended; results become objects."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.location import Inline, LocalFile, Replica, Replicas, SameAs
from rain.common.protocol.messages import Finished, GaveBack, ObjectData, OutputResult, Started, Stopped, TaskResult
from rain.common.spec import ObjectInfo, TaskError, TaskInfo
from rain.server.core.effects import TasksFinished, TasksStarted
from rain.server.core.effects import started as started_event
from rain.server.core.events import AssignmentFailed
from rain.server.core.lifecycle import earlier, families
from rain.server.core.lifecycle.gang_losses import member_ended
from rain.server.core.lifecycle.recovery import crashed
from rain.server.core.lifecycle.settle import back, fail
from rain.server.core.objects import drop_at, drop_replicas, release_inputs, retain_or_release, wake
from rain.server.core.reporting.output import attempt_ended, keep_output
from rain.server.core.reporting.output import stopped as output_of_stopped
from rain.server.core.state import State
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.leaving import Leaving
from rain.server.records.task import Task
from rain.server.states import (
    ANNOUNCED,
    FINISHED,
    HELD,
    OBJ_FAILED,
    OBJ_FINISHED,
    OBJ_REMOVED,
    OBJ_UNFINISHED,
    READY,
    RUNNING,
    STALE,
    WAITING,
    GovernorState,
    ReplicaState,
)

PLACES_MAX = 8
RETRIED = ("exception", "exit")
"""Kinds of errors that `retries` is meant for."""


def object_data(state: State, obj: Object, with_data: bool = True) -> ObjectData:
    """All that a reader needs to have a finished object."""
    info = obj.info or ObjectInfo()
    location = obj.location
    return ObjectData(obj.spec, info, location if with_data and type(location) is Inline else replicas(state, obj))


def is_refused(obj: Object) -> bool:
    """Whether there is what its task returned in its place."""
    return obj.state is OBJ_FAILED and (obj.location is not None or bool(obj.holders()))


def replicas(state: State, obj: Object) -> Replicas:
    """Where a finished object can be had."""
    found = []
    own = obj.location
    if own is not None:
        found.append(Replica(state.address, state.host_id, own if isinstance(own, LocalFile) else None))
    for governor in obj.governors:
        replica = governor.objects[obj]
        if replica is ANNOUNCED or replica is STALE:
            continue
        found.append(Replica(governor.id, governor.host_id, None if isinstance(replica, ReplicaState) else replica))
        if len(found) == PLACES_MAX:
            break
    return Replicas(found, obj.checksum)


# -- what governors say ---------------------------------------------------------------------------


def started(state: State, governor: Governor, message: Started) -> None:
    """Attempts were seen running."""
    graph = state.graph
    seen = TasksStarted(governor.id, [])
    for id, attempt in message.tasks:
        task = graph.task(id)
        if task is None or task.governor is not governor or task.attempt != attempt or task.session.over:
            continue
        if task.state is READY or task.state is WAITING:
            task.info = TaskInfo(governor=governor.id, attempts=attempt, earlier=earlier.of(task))
            task.began_at = state.now
            state.set_task(task, RUNNING)
            seen.tasks.append((id[0], id[1], attempt))
    if seen.tasks:
        state.out.append(seen)


def assignment_failed(state: State, event: AssignmentFailed) -> None:
    """A governor could not be sent a task: it would be the same with any other."""
    graph = state.graph
    governor, task = graph.governors.get(event.governor_id), graph.task(event.task)
    if task is None or task.governor is not governor or task.attempt != event.attempt or task.session.over:
        return
    graph.unassign(task)
    state.schedule_due = True
    fail(state, task, TaskError("rain", event.reason))


def stopped(state: State, governor: Governor, message: Stopped) -> None:
    """Attempts that were cancelled are gone; unasked, those that a governor ended because it leaves."""
    _ended_without_result(state, governor, message.tasks, False)
    output_of_stopped(state, governor, message)


def gave_back(state: State, governor: Governor, message: GaveBack) -> None:
    """The answer to `TakeBack`; unasked, of what has not begun on a governor that leaves."""
    if governor.state is GovernorState.RETURNING:
        governor.state = GovernorState.REGISTERED
    _ended_without_result(state, governor, families.given_back(state, governor, message.tasks), True)


def _ended_without_result(
    state: State, governor: Governor, attempts: list[tuple[ID, int]], never_started: bool
) -> None:
    graph = state.graph
    state.schedule_due = True
    for id, attempt in attempts:
        if graph.stopped(governor, id, attempt):
            if never_started:
                attempt_ended(state, governor.id, id, attempt)
            continue
        if governor.hosting and member_ended(state, governor, id, attempt, None):
            continue
        task = graph.task(id)
        if task is None or task.governor is not governor or task.attempt != attempt or task.session.over:
            continue
        graph.unassign(task)
        if never_started and task.nodes == 1:
            # The number may be used again: nothing of this attempt is anywhere.
            task.attempt -= 1
        elif task.runs_once and not never_started:
            text = (
                f"Governor {governor.id} has ended task {task.title}, because it leaves, and the task may not run a "
                'second time (rerun="never")'
            )
            fail(state, task, TaskError("lost", text))
            continue
        if not never_started:
            earlier.note(task, TaskError(earlier.LEFT, "its governor ended it, because it leaves"), governor.host)
        back(state, task, governor)


def finished(state: State, governor: Governor, message: Finished) -> None:
    """Attempts ended by themselves."""
    graph = state.graph
    sessions = graph.sessions
    state.schedule_due = True
    told = len(message.results)
    ended = message.results
    if message.families:
        ended = [*ended, *families.ended(state, governor, message.families)]
    good = TasksFinished(governor.id, [])
    for place, result in enumerate(ended):
        session_id, number = result.id
        session = sessions.get(session_id)
        if session is None or session.over:
            continue
        tasks = session.families.tasks
        task = tasks.own.get(number) or tasks.get(number)
        if task is None or task.governor is not governor or task.attempt != result.attempt:
            if governor.hosting and member_ended(
                state, governor, result.id, result.attempt, result.error or TaskError("crash", "its companion ended")
            ):
                continue
            _stale(state, governor, result, place < told)
            continue
        graph.unassign(task)
        info = result.info
        info.governor = governor.id
        info.attempts = result.attempt
        if session.earlier:
            info.earlier = earlier.of(task)
        if info.duration is not None:
            task.estimate.add(info.duration, info.transfer)
        if result.stdout or result.stderr or number in session.outputs:
            keep_output(session, number, result)
        starts = task.state is not RUNNING
        error = result.error
        if error is None and len(result.outputs) != len(task.outputs):
            text = (
                f"Governor {governor.id} returned {len(result.outputs)} outputs of task {task.title}, "
                f"which has {len(task.outputs)}"
            )
            error = TaskError("rain", text)
        task.info = info
        if error is None:
            made: list[tuple[int, int | None]] = []
            good.tasks.append((session_id, number, result.attempt, starts, info.start_time, info.duration, made))
            _commit(state, task, governor, result, place < told, made)
        else:
            if starts:
                state.out.append(started_event(governor.id, session_id, number, result.attempt))
            _failed(state, task, governor, error, result.outputs)
    if good.tasks:
        state.out.append(good)
    if governor.leaving is not None:
        _note_made(state, governor.leaving, message)


def _note_made(state: State, leaving: Leaving, message: Finished) -> None:
    """What was made on a governor that leaves, and is held there, may have to be copied."""
    for result in message.results:
        for output in result.outputs:
            obj = state.graph.object(output.id)
            if obj is not None and obj not in leaving.under_way:
                leaving.left[obj] = None


def _commit(
    state: State,
    task: Task,
    governor: Governor,
    result: TaskResult,
    held: bool,
    made: list[tuple[int, int | None]],
) -> None:
    task.error = None
    state.set_task(task, FINISHED)
    for obj, output in zip(task.outputs, result.outputs, strict=True):
        _made(state, obj, output, governor, held, made)
    retain_or_release(state, task)
    release_inputs(state, task)


def _made(
    state: State,
    obj: Object,
    output: OutputResult,
    governor: Governor,
    held: bool,
    made: list[tuple[int, int | None]],
) -> None:
    """An output is there: it becomes the object, unless the object is there already or is not wanted.

    `held`: the governor has it too, and not only this server. `made` takes its number and size, for the event log.
    """
    if obj.state is not OBJ_UNFINISHED:
        if held:
            _made_twice(state, obj, output, governor)
        return
    info = output.info
    location, size = output.location, info.size
    if size is None and not isinstance(location, SameAs):
        info.size = size = location.size
    obj.info = info
    obj.size = size or 0
    state.set_object(obj, OBJ_FINISHED)
    if state.absences:
        state.made_again(obj)
    made.append((obj.id[1], size))
    if obj.kept or obj.needs:
        _locate(state, obj, location, governor, held)
        if obj.consumers is not None:
            wake(state, obj)
    else:
        # Freed at once: the governor learns it with the next batch.
        if obj.governors:
            if held:
                state.graph.add_replica(governor, obj, HELD)
            drop_replicas(state, obj)
        elif held:
            drop_at(governor, obj.id)
        state.set_object(obj, OBJ_REMOVED)


def _locate(state: State, obj: Object, location: Inline | LocalFile | SameAs, governor: Governor, held: bool) -> None:
    """An object's bytes are at `governor`, if it holds them; few of them are here too."""
    obj.location = location if type(location) is Inline else None
    if not isinstance(location, SameAs):  # which governors replace by what they hold
        obj.checksum = location.checksum
    if held:
        state.graph.add_replica(governor, obj, location if type(location) is LocalFile else HELD)


def _made_twice(state: State, obj: Object, output: OutputResult, governor: Governor) -> None:
    """A task ran again for the sake of another output."""
    present = governor.objects.get(obj)
    file = output.location
    missed = obj.state is OBJ_FINISHED and obj.location is None
    if missed and isinstance(file, LocalFile) and file.checksum == obj.checksum:
        state.graph.add_replica(governor, obj, file)
    elif present is None:
        drop_at(governor, obj.id)


def _stale(state: State, governor: Governor, result: TaskResult, held: bool) -> None:
    """A result that is not expected: what it left on the governor is dropped, unless it is the present replica."""
    graph = state.graph
    task = graph.task(result.id)
    if graph.stopped(governor, result.id, result.attempt):
        if (
            task is not None and task.attempt == result.attempt and not task.session.over
        ):  # it ended before its governor got the cancellation
            keep_output(task.session, result.id.id, result)
        attempt_ended(state, governor.id, result.id, result.attempt)
    else:
        state.stale_results += 1
    if not held or (task is not None and task.governor is governor):
        return  # nothing was left, or a newer attempt makes the same outputs there
    for output in result.outputs:
        obj = graph.object(output.id)
        if obj is None or obj not in governor.objects:
            drop_at(governor, output.id)


def _failed(state: State, task: Task, governor: Governor, error: TaskError, outputs: list[OutputResult]) -> None:
    """An attempt failed: another one, or the task fails."""
    task.error = error
    if task.info is not None:
        task.info.host = governor.host
    if error.kind == "crash":
        if not crashed(state, task, error):
            earlier.note(task, error, governor.host)
            back(state, task, governor)
        return
    options = task.spec.options
    if options is not None and options.retries and error.kind in RETRIED and not task.runs_once:
        failures = task.session.failures
        number = task.id[1]
        count = failures[number] = failures.get(number, 0) + 1
        if count <= options.retries and (not options.retry_on or _matches(options.retry_on, error.classes)):
            earlier.note(task, error, governor.host)
            back(state, task, governor)
            return
    fail(state, task, error)
    if outputs:
        _keep_refused(state, task, governor, error, outputs)


def _keep_refused(state: State, task: Task, governor: Governor, error: TaskError, outputs: list[OutputResult]) -> None:
    """What a task returned in place of its outputs stays with these until it runs again or is forgotten."""
    own = {obj.id: obj for obj in task.outputs}
    for output in outputs:
        obj = own.get(output.id)
        if obj is None or obj.state is not OBJ_FAILED or obj in governor.objects or output.id in governor.dropping:
            if obj is None or obj not in governor.objects:
                drop_at(governor, output.id)
            continue
        obj.info = output.info
        obj.info.error = error.message
        obj.size = output.info.size or 0
        _locate(state, obj, output.location, governor, True)


def _matches(names: tuple[str, ...], classes: list[str]) -> bool:
    """Whether a class is named by its qualified name or, as users write it, without its module."""
    short = {name.rpartition(".")[2] for name in classes}
    return any(name in classes or name in short or f"builtins.{name}" in classes for name in names)
