"""Tasks: how they come to this governor and how they leave it."""

from __future__ import annotations

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import TERMINATED_HOLD_S
from rain.common.location import LocalFile
from rain.common.protocol.messages import TaskAssignment, TaskResult
from rain.common.spec import TaskError, TaskInfo, TaskSpec
from rain.common.task_configs import COMPANION, EXECUTE, IN_GOVERNOR, PYTHON
from rain.governor.core.chains.following import came
from rain.governor.core.effects import DropFromStore, Known, NoteObject
from rain.governor.core.events import FetchFailed, ObjectLost
from rain.governor.core.families.leaving import inputs_gone as members_gone
from rain.governor.core.families.ranges import Range
from rain.governor.core.objects import (
    COPY_RANK,
    discard,
    find,
    lose_unread,
    make_ready,
    produced,
    refused,
    release,
    want,
)
from rain.governor.core.records import (
    BUILTIN,
    PROGRAM,
    PY,
    Group,
    GroupKey,
    Object,
    Session,
    State,
    Task,
)
from rain.governor.core.reporting.answers import TakeBackRequest
from rain.governor.estimates import Estimate
from rain.governor.resources import describe
from rain.governor.states import IN_EXECUTOR, IN_STORE, NOT_STARTED, Fate, FetchState, Phase, Presence, Stage

ENDING_SIGNALS = (15, 10, 12)
"""SIGTERM, SIGUSR1 and SIGUSR2, which batch systems send to all processes of a job."""
ESTIMATES_MAX = 4096
"""Functions and program names per session whose durations are remembered."""


def add(state: State, session: Session, assignment: TaskAssignment) -> None:
    """Take a task; one that can never run here is answered as failed."""
    try:
        group = group_of(state, session, assignment.spec)
    except RainException as error:
        state.finished.append(impossible(state, assignment, error))
        return
    spec = assignment.spec
    state.arrivals += 1
    task = Task(assignment, session, group, estimate_of(session, spec), state.arrivals)
    session.tasks[spec.id] = task
    session.tasks_seen += 1
    for entry in spec.inputs:
        use(state, task, entry.id)
    if spec.function is not None:
        task.function = use(state, task, spec.function)
    if not task.missing:
        make_ready(state, task)
    elif group.kind == PY:
        came(state, task)


def use(state: State, task: Task | Range, id: ID) -> Object:
    """The object `id` is an input of the task, which waits for it if it is not here."""
    objects = task.session.objects
    obj = objects.get(id)
    if obj is None:
        obj = objects[id] = Object(id, task.session)
    obj.uses += 1
    task.inputs.append(obj)
    if obj.presence is not Presence.PRESENT:
        if obj.waiters is None:
            obj.waiters = {}
        if task not in obj.waiters:
            obj.waiters[task] = None
            task.missing += 1
        if obj.presence is Presence.KNOWN or obj.presence is Presence.WANTED:
            want(state, obj, task.rank)
    return obj


class _TooMuchError(RainException):
    """A task asks for more than this governor has in all."""


def group_of(state: State, session: Session, spec: TaskSpec) -> Group:
    """The group of a task. Neighbours in a batch mostly share one: that is tried first."""
    last = session.last_group
    if (
        last is not None
        and last[0] == spec.task_type
        and last[1] == spec.resources
        and last[2] == spec.options
        and last[3] == spec.environment
    ):
        return last[4]
    kind = _kind_of(state, spec)
    request = state.resources.request(spec.resources)
    if state.resources.beyond(request):
        raise _TooMuchError(
            f"task {spec.id} asks for {describe(request.amounts)}; "
            f"governor {state.governor_id} has {describe(state.resources.total())} in all"
        )
    options = spec.options
    key: GroupKey = (kind, request, (), False, spec.environment)
    if options is not None and kind != BUILTIN:
        key = (kind, request, tuple(sorted(options.env.items())), options.fresh, spec.environment)
    group = session.groups.get(key)
    if group is None:
        group = session.groups[key] = Group(session, *key)
        group.width = state.resources.times(request) or max(state.executors_max // 2, 1)
    session.last_group = (spec.task_type, spec.resources, options, spec.environment, group)
    return group


def _kind_of(state: State, spec: TaskSpec) -> str:
    task_type = spec.task_type
    if task_type.startswith(PYTHON):
        return PY
    if task_type in (EXECUTE, COMPANION):
        return PROGRAM
    if task_type in IN_GOVERNOR:
        return BUILTIN
    kind, slash, _ = task_type.partition("/")
    if slash and kind in state.kinds:
        return kind
    known = ", ".join(sorted({PY, BUILTIN} | state.kinds))
    raise RainException(
        f"governor {state.governor_id} has no executor for tasks of type {task_type!r}; it runs these types: {known}"
    )


def estimate_of(session: Session, spec: TaskSpec) -> Estimate:
    """What is known of the function of a task."""
    # Names that count something ("train/fold1", "train/fold2") are the same work.
    name = spec.name
    key = spec.function or (spec.task_type, name.rstrip("0123456789") if name else None)
    estimate = session.estimates.get(key)
    if estimate is None:
        if len(session.estimates) >= ESTIMATES_MAX:
            session.estimates.clear()
        estimate = session.estimates[key] = Estimate()
    return estimate


def impossible(state: State, assignment: TaskAssignment, error: RainException) -> TaskResult:
    """The result of a task that has no group here."""
    return failure(state, assignment, "resources" if isinstance(error, _TooMuchError) else "rain", str(error))


def failure(state: State, assignment: TaskAssignment, kind: str, text: str) -> TaskResult:
    """The result of an attempt that this governor gave up."""
    info = TaskInfo(error=text, governor=state.governor_id)
    return TaskResult(assignment.spec.id, assignment.attempt, info, error=TaskError(kind, text))


# -- leaving --------------------------------------------------------------------------------------


def finish(state: State, task: Task, result: TaskResult) -> None:
    """The attempt ended; its outputs, if any, are here now and release the tasks that waited for them."""
    assignment = task.assignment
    if task.transfers is not None:
        result.info.transfers = task.transfers
    if result.error is None:
        if len(result.outputs) != len(assignment.outputs):
            discard(state, result)
            text = f"the executor gave {len(result.outputs)} outputs instead of {len(assignment.outputs)}"
            result = failure(state, assignment, "rain", text)
        else:
            for spec, output in zip(assignment.outputs, result.outputs, strict=True):
                produced(state, task.session, spec, output.info)
                if type(output.location) is LocalFile:
                    task.estimate.makes_files = True
                    state.out.append(NoteObject(Known(spec, output.info)))
    elif result.outputs:
        returned = {output.id: output.info for output in result.outputs}
        for spec in assignment.outputs:
            if spec.id in returned:
                refused(state, task.session, spec, returned[spec.id])
    state.finished.append(result)
    forget(state, task)


def finish_unless_leaving(state: State, task: Task, result: TaskResult, signal: int, now: float) -> None:
    """The attempt failed. A batch system that ends a job sends its signal to governors and to all below them: what died
    of such a signal together with its governor is lost, and has not failed."""
    if signal not in ENDING_SIGNALS:
        finish(state, task, result)
    elif state.departure.stage is not Stage.STAYING:
        lose(state, task)
    else:
        task.executor = None
        task.phase = Phase.HELD
        state.held[task] = (result, now + TERMINATED_HOLD_S)


def lose(state: State, task: Task) -> None:
    """The attempt died with its governor: it goes back to the server, uncharged."""
    state.stopped.append((task.id, task.attempt))
    forget(state, task)


def forget(state: State, task: Task) -> None:
    """The attempt is no longer here, whatever its phase was (its executor's queue is the caller's business)."""
    if task.phase is Phase.READY:
        task.group.ready -= 1
    elif task.phase is Phase.HELD:
        del state.held[task]
    task.phase = Phase.GONE
    tasks = task.session.tasks
    if tasks.get(task.id) is task:
        del tasks[task.id]
    release(state, task)
    if task.take_back is not None:
        settle_back(state, task, given=False)


def settle_back(state: State, task: Task, *, given: bool) -> None:
    """Answer for one task that was asked back while it was in an executor."""
    request = task.take_back
    assert request is not None
    task.take_back = None
    task.fate = Fate.STAY
    if given:
        request.given.append((task.id, task.attempt))
    request.open -= 1
    answer_back(state, request)


def answer_back(state: State, request: TakeBackRequest) -> None:
    """Answer a `TakeBack` if nothing of it is open."""
    if not request.open:
        state.gave_back.append(request.given)


def come_back(state: State, task: Task) -> None:
    """A task left its executor without having ended: it goes where it is wanted, uncharged."""
    task.executor = None
    task.number = 0
    task.seen_at = None
    if task.unwanted:
        if task.fate is Fate.STOP:
            state.stopped.append((task.id, task.attempt))
        forget(state, task)
        return
    if task.fate is Fate.GIVE_BACK:
        settle_back(state, task, given=True)
        forget(state, task)
        return
    absent = [obj for obj in task.inputs if obj.presence is not Presence.PRESENT]
    gone = [obj.id for obj in absent if obj.waiters is None or task not in obj.waiters]
    if gone:
        reason = f"governor {state.governor_id} lost them while the task was queued"
        state.inputs_missing.append(([(task.id, task.attempt)], gone, reason))
        forget(state, task)
    elif task.missing:  # it was to follow those that make them
        task.phase = Phase.WAITING
    else:
        make_ready(state, task)


# -- inputs that cannot be had --------------------------------------------------------------------


def fetch_failed(state: State, event: FetchFailed, now: float) -> None:
    """`FetchFailed`: the tasks that wait for it go back to the server, unless it has told of other places since."""
    fetching = state.fetching.pop(event.id, None)
    if fetching is None:
        return
    if fetching.state is FetchState.CANCELLED:
        again = find(state, event.id)
        if again is not None and again.presence is Presence.WANTED:
            _want_again(state, again)
        return
    obj = fetching.object
    if obj.unread:
        lose_unread(state, obj, event.reason)
        state.out.append(DropFromStore([obj.id]))
    if obj.source is not fetching.source:
        _want_again(state, obj)
        return
    obj.presence = Presence.UNKNOWN
    obj.source = None
    if obj.copy:
        obj.copy = False
        state.not_copied[obj.id] = event.reason
    inputs_gone(state, obj, event.reason)
    if not obj.uses:
        obj.session.objects.pop(obj.id, None)


def _want_again(state: State, obj: Object) -> None:
    obj.presence = Presence.KNOWN
    if obj.copy:
        want(state, obj, COPY_RANK)
    elif obj.waiters:
        want(state, obj, min(task.rank for task in obj.waiters))


def object_lost(state: State, event: ObjectLost, now: float) -> None:
    """`ObjectLost`: what has not started and needs it goes back to the server."""
    obj = find(state, event.id)
    if obj is None or not (obj.unread or obj.presence in IN_STORE):
        return
    if obj.unread and not lose_unread(state, obj, event.reason):
        return
    obj.presence = Presence.UNKNOWN
    state.fetched.pop(obj.id, None)
    state.moved.pop(obj.id, None)
    state.lost[obj.id] = event.reason
    for executor in obj.session.executors.values():
        executor.functions.discard(obj.id)
    inputs_gone(state, obj, event.reason)
    if not obj.uses:
        obj.session.objects.pop(obj.id, None)


def inputs_gone(state: State, obj: Object, reason: str) -> None:
    """Tasks that have not begun and need the object go back to the server."""
    members_gone(state, obj, reason)
    waiters = obj.waiters or {}
    for queued in [task for task in waiters if task.phase in IN_EXECUTOR]:
        del waiters[queued]  # when it comes back it is seen to lack it
        queued.missing -= 1
    tasks = [task for task in obj.session.tasks.values() if task.phase in NOT_STARTED and obj in task.inputs]
    if tasks:
        state.inputs_missing.append(([(task.id, task.attempt) for task in tasks], [obj.id], reason))
    for task in tasks:
        forget(state, task)
