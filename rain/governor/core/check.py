"""All invariants of a governor's core, in one place.

The simulator calls `check` after each step, hundreds of thousands of times, so this is written for speed: members of
enums are bound once (Python 3.11 looks them up in Python code), and each state is read once.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_TRANSFERS_MAX, PREFETCH_TASKS_MAX
from rain.governor.core.families.leaving import ranges_of
from rain.governor.core.families.ranges import Piece, Range
from rain.governor.core.records import BUILTIN, BUILTINS_MAX, Executor, Group, Object, Session, State, Task
from rain.governor.states import IN_EXECUTOR, End, ExecutorState, Fate, FetchState, Phase, Presence, SessionState

_CANCEL = End.CANCEL
_KILLED, _IDLE = ExecutorState.KILLED, ExecutorState.IDLE
_BUSY, _INTERRUPTED = ExecutorState.BUSY, ExecutorState.INTERRUPTED
_STAY, _GIVE_BACK, _FORGET, _STOP = Fate.STAY, Fate.GIVE_BACK, Fate.FORGET, Fate.STOP
_RUNNING = FetchState.RUNNING
_WAITING, _READY, _GONE = Phase.WAITING, Phase.READY, Phase.GONE
_QUEUED = Phase.QUEUED
_RECALLED, _BY_GOVERNOR, _HELD = Phase.RECALLED, Phase.BUILTIN, Phase.HELD
_UNKNOWN, _KNOWN, _WANTED = Presence.UNKNOWN, Presence.KNOWN, Presence.WANTED
_FETCHING, _PRESENT = Presence.FETCHING, Presence.PRESENT
_ENDING = SessionState.ENDING


def check(state: State) -> None:
    """Assert what has to hold after every step.

    Raises
    ------
    AssertionError
        If something does not.
    """
    allocations = [executor.allocation for executor in state.executors.values() if executor.allocation is not None]
    allocations += [builtin.allocation for builtin in state.builtins.values()]
    state.resources.check(allocations)
    assert len(state.fetching) <= GOVERNOR_TRANSFERS_MAX
    assert len(state.builtins) <= BUILTINS_MAX
    assert all(task.phase is _HELD for task in state.held)
    assert not state.runs, "tasks for executors are sent in the step that chose them"
    assert all(state.executors.get(executor.id) is executor for executor in state.previews_due)
    for executor in state.executors.values():
        _check_executor(state, executor)
    for session_id, session in state.sessions.items():
        assert session.id == session_id
        _check_session(state, session)
    for id, fetching in state.fetching.items():
        if fetching.state is _RUNNING:
            obj = fetching.object
            assert obj.id == id
            assert obj.presence is _FETCHING
            assert obj.session.objects.get(id) is obj
            assert obj.uses or obj.copy, f"{id} is fetched and no task uses it"
    for group in state.hungry:
        assert state.sessions.get(group.session.id) is group.session


def _check_executor(state: State, executor: Executor) -> None:
    session, group, queue, where = executor.session, executor.group, executor.queue, executor.state
    number = executor.id
    assert session.executors.get(number) is executor
    assert executor.preview is None or executor in state.previews_due
    killed, idle, busy = where is _KILLED, where is _IDLE, where is _BUSY
    assert (number in state.idle) == idle
    assert (executor.end is None) == (idle or busy)
    if session.state is _ENDING:
        assert killed
        assert not queue
        return
    assert len(queue) <= PREFETCH_TASKS_MAX
    assert (number in group.idle) == idle
    assert (number in group.busy) == busy
    assert killed or bool(queue) != idle, "an executor that is to end and has nothing to do is killed"
    assert not (executor.stops and (idle or busy))
    if where is _INTERRUPTED:
        assert executor.target in queue
    allocation = executor.allocation
    if not killed:
        assert (allocation is not None) == bool(queue)
    if allocation is not None:
        assert allocation.request is group.request
        assert allocation.devices == executor.devices
    if queue:
        _check_queue(state, executor, killed)


def _check_queue(state: State, executor: Executor, killed: bool) -> None:
    session, queue = executor.session, executor.queue
    assert list(queue) == sorted(queue)
    recalled = {number for numbers in executor.recalls for number in numbers}
    recalled.update(state.recalls.get(executor, ()))
    for number, task in queue.items():
        if isinstance(task, Piece):
            assert task.key == number
            assert task.executor is executor
            assert task.range.session is session
            assert task in task.range.pieces
            assert not task.recalled or killed or recalled.intersection(task.numbers), f"{task} was not asked for"
            continue
        phase, fate = task.phase, task.fate
        assert phase in IN_EXECUTOR
        assert task.executor is executor
        assert task.number == number
        assert task.session is session
        assert (task.take_back is not None) == (fate is _GIVE_BACK)
        unwanted = fate is not _STAY and fate is not _GIVE_BACK
        leaves = fate is _GIVE_BACK or (unwanted and executor.end is not _CANCEL)
        if leaves or phase is _RECALLED:
            assert number in recalled or killed, f"{task} is to leave, and its executor was not asked for it"
        # One that is stopped may have a successor here: of a task on several governors that lost one of them.
        assert fate is _FORGET or fate is _STOP or session.tasks.get(task.id) is task
    _check_chain(state, executor)


def _check_chain(state: State, executor: Executor) -> None:
    chain, queue = executor.chain, executor.queue
    assert not chain.nexts or executor in state.following
    for id, task in chain.makers.items():
        assert queue.get(task.number) is task
        assert any(spec.id == id for spec in task.assignment.outputs)
    for task, makers in chain.before.items():
        assert queue.get(task.number) is task
        assert all(maker.number < task.number or maker.executor is not executor for maker in makers)
    for maker, tasks in chain.behind.items():
        assert queue.get(maker.number) is maker
        assert all(maker in chain.before[task] for task in tasks)


def _check_session(state: State, session: Session) -> None:
    if session.state is _ENDING:
        assert not session.tasks
        assert not session.ranges
        assert not session.objects
        assert not session.groups
        holders = [executor.session.id for executor in state.executors.values()]
        holders += [builtin.task.session.id for builtin in state.builtins.values()]
        assert session.id in holders, "an ended session is still here"
        return
    uses: dict[Object, int] = {}
    ready: dict[Group, int] = {}
    for task in _tasks(state, session):
        missing = set()
        for obj in task.inputs:
            uses[obj] = uses.get(obj, 0) + 1
            if obj.presence is not _PRESENT:
                missing.add(obj)
        phase = task.phase
        assert phase is not _GONE
        if phase is _WAITING:
            assert len(missing) == task.missing > 0
            for obj in missing:
                assert obj.waiters is not None
                assert task in obj.waiters
        elif phase is _READY:
            assert not missing
            ready[task.group] = ready.get(task.group, 0) + 1
            assert sum([entry[2] is task for entry in task.group.heap]) == 1
            assert task.group in state.hungry
        elif phase in IN_EXECUTOR:
            assert task.executor is not None
            assert task.executor.queue.get(task.number) is task
            assert task.missing == sum([obj.waiters is not None and task in obj.waiters for obj in missing])
            assert not task.missing or task in task.executor.chain.before
        elif phase is _HELD:
            assert task in state.held
            assert task.executor is None
        else:
            assert phase is _BY_GOVERNOR
            assert task.group.kind == BUILTIN
            assert state.builtins[task.number].task is task
    for owner in ranges_of(session):
        _check_range(owner)
        for obj in owner.inputs:
            uses[obj] = uses.get(obj, 0) + 1
        if owner.phase is _READY:
            ready[owner.group] = ready.get(owner.group, 0) + owner.ready_count
            assert any(entry[2] is owner for entry in owner.group.heap)
            assert owner.group in state.hungry
    for group in session.groups.values():
        assert group.ready == ready.get(group, 0)
    for id, obj in session.objects.items():
        assert obj.id == id
        assert obj.session is session
        count = uses.get(obj, 0)
        assert obj.uses == count, f"{id} is used {count} times and says {obj.uses}"
        _check_presence(state, id, obj)
    for obj in uses:
        assert session.objects.get(obj.id) is obj


def _check_range(owner: Range) -> None:
    parts = [*owner.rest, *((piece.start, piece.stop) for piece in owner.pieces)]
    parts.sort()
    end = 0
    for start, stop in parts:
        assert end <= start < stop <= owner.count, f"members of {owner} are in two places"
        end = stop
    assert owner.left == sum([stop - start for start, stop in parts]) > 0
    for bucket in owner.buckets():
        assert owner in owner.session.ranges[bucket]
    missing = {obj for obj in owner.inputs if obj.presence is not _PRESENT}
    if owner.phase is _WAITING:
        assert len(missing) == owner.missing > 0
        assert not owner.pieces
        for obj in missing:
            assert obj.waiters is not None
            assert owner in obj.waiters
    elif owner.phase is _READY:
        assert owner.rest
        assert owner.rank == owner.rank_of(owner.rest[0][0])
        assert not missing
    else:
        assert owner.phase is _QUEUED
        assert not owner.rest
    for piece in owner.pieces:
        assert piece.executor.queue.get(piece.key) is piece


def _tasks(state: State, session: Session) -> list[Task]:
    """Those of a session, also those that an executor or the governor still runs and that count no more."""
    current = session.tasks
    tasks = list(current.values())
    for executor in session.executors.values():
        for task in executor.queue.values():
            if isinstance(task, Task) and current.get(task.id) is not task:
                tasks.append(task)
    for builtin in session.builtins.values():
        assert state.builtins.get(builtin.number) is builtin
        if current.get(builtin.task.id) is not builtin.task:
            assert builtin.task.fate is _FORGET
            tasks.append(builtin.task)
    return tasks


def _check_presence(state: State, id: ID, obj: Object) -> None:
    presence, waiters = obj.presence, obj.waiters
    for task in waiters or ():
        assert task.phase is _WAITING or task.phase in IN_EXECUTOR
        assert obj in task.inputs
    assert not (obj.drop and not obj.uses)
    assert not obj.unread or presence in (_KNOWN, _WANTED, _FETCHING), f"{id} was read, and is not present"
    assert not obj.copy or presence in (_WANTED, _FETCHING), f"{id} is to be copied and is not"
    if presence is _PRESENT:
        assert not waiters
        assert obj.known is not None
    elif presence is _KNOWN:
        assert not waiters, f"{id} could be fetched and is not"
    elif presence is _UNKNOWN:
        assert obj.uses
    elif presence is _WANTED:
        assert waiters or obj.copy
        assert id in state.fetching or any(entry[2] is obj for entry in state.wanted)
    elif presence is _FETCHING:
        assert state.fetching[id].object is obj
