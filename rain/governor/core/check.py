"""All invariants of a governor's core, in one place."""

from __future__ import annotations

from collections import Counter

from rain.common.limits import GOVERNOR_TRANSFERS_MAX, PREFETCH_TASKS_MAX
from rain.governor.core.records import BUILTIN, BUILTINS_MAX, Executor, Group, Object, Session, State
from rain.governor.states import IN_EXECUTOR, End, ExecutorState, Fate, FetchState, Phase, Presence


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
    assert not state.runs, "tasks for executors are sent in the step that chose them"
    for executor in state.executors.values():
        _check_executor(state, executor)
    for session_id, session in state.sessions.items():
        assert session.id == session_id
        _check_session(state, session)
    for id, fetching in state.fetching.items():
        if fetching.state is FetchState.RUNNING:
            obj = fetching.object
            assert obj.id == id
            assert obj.presence is Presence.FETCHING
            assert obj.session.objects.get(id) is obj
            assert obj.uses, f"{id} is fetched and no task uses it"
    for group in state.hungry:
        assert state.sessions.get(group.session.id) is group.session


def _check_executor(state: State, executor: Executor) -> None:
    session, group = executor.session, executor.group
    assert session.executors.get(executor.id) is executor
    where = executor.state
    killed, idle, busy = (where is one for one in (ExecutorState.KILLED, ExecutorState.IDLE, ExecutorState.BUSY))
    assert (executor.id in state.idle) == idle
    assert (executor.end is None) == (idle or busy)
    if session.ending:
        assert killed
        assert not executor.queue
        return
    assert len(executor.queue) <= PREFETCH_TASKS_MAX
    assert list(executor.queue) == sorted(executor.queue)
    assert (executor.id in group.idle) == idle
    assert (executor.id in group.busy) == busy
    assert killed or bool(executor.queue) != idle, "an executor that is to end and has nothing to do is killed"
    assert not (executor.stops and (idle or busy))
    if where is ExecutorState.INTERRUPTED:
        assert executor.target in executor.queue
    if not killed:
        assert (executor.allocation is not None) == bool(executor.queue)
    if executor.allocation is not None:
        assert executor.allocation.request is group.request
        assert executor.allocation.devices == executor.devices
    recalled = {number for numbers in executor.recalls for number in numbers} | set(state.recalls.get(executor, ()))
    for number, task in executor.queue.items():
        assert task.phase in IN_EXECUTOR
        assert task.executor is executor
        assert task.number == number
        assert task.session is session
        assert (task.take_back is not None) == (task.fate is Fate.GIVE_BACK)
        leaves = task.fate is Fate.GIVE_BACK or (task.unwanted and executor.end is not End.CANCEL)
        if leaves or task.phase is Phase.RECALLED:
            assert number in recalled or killed, f"{task} is to leave, and its executor was not asked for it"
        assert task.fate is Fate.FORGET or session.tasks.get(task.id) is task


def _check_session(state: State, session: Session) -> None:
    if session.ending:
        assert not session.tasks
        assert not session.objects
        assert not session.groups
        holders = [executor.session.id for executor in state.executors.values()]
        holders += [builtin.task.session.id for builtin in state.builtins.values()]
        assert session.id in holders, "an ended session is still here"
        return
    uses: Counter[Object] = Counter()
    ready: Counter[Group] = Counter()
    tasks = list(session.tasks.values())
    for executor in session.executors.values():
        tasks += [task for task in executor.queue.values() if session.tasks.get(task.id) is not task]
    for builtin in session.builtins.values():
        assert state.builtins.get(builtin.number) is builtin
        if session.tasks.get(builtin.task.id) is not builtin.task:
            assert builtin.task.fate is Fate.FORGET
            tasks.append(builtin.task)
    for task in tasks:
        uses.update(task.inputs)
        missing = {obj for obj in task.inputs if obj.presence is not Presence.PRESENT}
        assert task.phase is not Phase.GONE
        if task.phase is Phase.WAITING:
            assert len(missing) == task.missing > 0
            for obj in missing:
                assert obj.waiters is not None
                assert task in obj.waiters
        elif task.phase is Phase.READY:
            assert not missing
            ready[task.group] += 1
            assert sum(entry[2] is task for entry in task.group.heap) == 1
            assert task.group in state.hungry
        elif task.phase in IN_EXECUTOR:
            assert task.executor is not None
            assert task.executor.queue.get(task.number) is task
        else:
            assert task.phase is Phase.BUILTIN
            assert task.group.kind == BUILTIN
            assert state.builtins[task.number].task is task
    for group in session.groups.values():
        assert group.ready == ready[group]
    for id, obj in session.objects.items():
        assert obj.id == id
        assert obj.session is session
        assert obj.uses == uses[obj], f"{id} is used {uses[obj]} times and says {obj.uses}"
        for task in obj.waiters or ():
            assert task.phase is Phase.WAITING
            assert obj in task.inputs
        assert not (obj.waiters and obj.presence is Presence.PRESENT)
        assert obj.presence is not Presence.KNOWN or not obj.waiters, f"{id} could be fetched and is not"
        assert obj.presence is not Presence.UNKNOWN or obj.uses
        assert not (obj.drop and not obj.uses)
        if obj.presence is Presence.WANTED:
            assert obj.waiters
            assert id in state.fetching or any(entry[2] is obj for entry in state.wanted)
        if obj.presence is Presence.FETCHING:
            assert state.fetching[id].object is obj
        if obj.presence is Presence.PRESENT:
            assert obj.known is not None
    for obj in uses:
        assert session.objects.get(obj.id) is obj
