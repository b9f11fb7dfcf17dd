"""Executors and builtin tasks: what they report, how they are ended, what their ends mean for tasks.

Theory of operation
-------------------
The first task in an executor's queue is taken for the running one; the truth is the shared word, which arrives as
samples (`ExecutorSeen`), with the exit, and is compared once more before an interrupt is delivered. Ending a running
task ends its executor, because only that also ends what the task has started: interrupt, recall everything else, and
kill when the task's result has come or the grace is over. Tasks that were queued in an executor that ends go elsewhere
and are charged nothing; only the task in the shared word of an executor that died by itself is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from rain.common.ids import ID
from rain.common.limits import CANCEL_GRACE_S
from rain.common.protocol.messages import Damage, TaskOutput, TaskResult
from rain.common.spec import TaskError
from rain.governor.core import previews
from rain.governor.core.chains.following import left, unfounded
from rain.governor.core.effects import CancelBuiltin, InterruptExecutor, KillExecutor
from rain.governor.core.events import (
    BuiltinEnded,
    ExecutorExited,
    ExecutorRecalled,
    ExecutorResults,
    ExecutorSeen,
    OverMemory,
)
from rain.governor.core.families.members import come_back as members_back
from rain.governor.core.families.members import (
    cut,
    find_in,
    head_task,
    materialise,
    materialised,
    seen_until,
    timeout_at,
    up_until,
)
from rain.governor.core.families.members import recalled as members_recalled
from rain.governor.core.families.ranges import Piece
from rain.governor.core.families.results import OVERHEAD_S, hold
from rain.governor.core.families.results import of_member as from_ledger
from rain.governor.core.families.results import take as take_members
from rain.governor.core.objects import discard
from rain.governor.core.records import Builtin, Executor, Group, State, Task
from rain.governor.core.reporting import error_texts
from rain.governor.core.reporting.ended import killed, no_start
from rain.governor.core.sessions import close_if_done
from rain.governor.core.tasks import come_back, finish, finish_unless_leaving, forget, settle_back
from rain.governor.states import End, ExecutorState, Fate, Phase

REFUSALS_MAX = 5
"""How often an attempt may find inputs damaged of which the store knows nothing; then the task fails."""
FAILED_STARTS_MAX = 3
"""Executors in a row that may end before they ran anything; then the task that waits for them fails."""


# -- results --------------------------------------------------------------------------------------


def executor_results(state: State, event: ExecutorResults, now: float) -> None:
    """`ExecutorResults`."""
    executor = state.executors.get(event.executor_id)
    if executor is None or executor.session.ending:
        for result in event.results:
            discard(state, result)
        return
    families = event.families
    if event.members:
        families = [*families, *filter(None, [from_ledger(executor, member) for member in event.members])]
    for told in families:
        for task, result in take_members(state, executor, told):
            _remove(executor, task)
            task.estimate.add(_cost(result, None))
            _ended(state, executor, task, result, now, fresh=True)
    results = event.results
    needless: list[TaskResult] = []
    last = len(results) - 1
    for i, result in enumerate(results):
        found = _take(state, executor, result)
        if found is None:
            needless.append(result)
            continue
        found.estimate.add(_cost(result, results[i + 1] if i < last else None))
        if found.unwanted:
            needless.append(result)
        _ended(state, executor, found, result, now)
    for result in needless:  # when it is known what a newer attempt has made meanwhile
        discard(state, result)
    if results or families:
        executor.started = True
    executor.head_at = now
    executor.group.failed_starts = 0
    if event.stale:
        replace_executor(state, executor)
    settle(state, executor, now)


def _ended(state: State, executor: Executor, task: Task, result: TaskResult, now: float, fresh: bool = False) -> None:
    """An attempt has ended in its executor; `fresh`: the store has not taken its outputs yet."""
    made = False
    if executor.chain.behind.get(task):
        taken = result.error is None and result.damage is None and len(result.outputs) == len(task.assignment.outputs)
        made = taken and not task.unwanted and not unfounded(executor, task)
    _judge(state, executor, task, result, now, fresh)
    left(executor, task, made=made)


def _judge(state: State, executor: Executor, task: Task, result: TaskResult, now: float, fresh: bool) -> None:
    """What the end of an attempt in its executor means."""
    if task.unwanted:
        if task.fate is Fate.STOP:
            executor.stops.append((task.id, task.attempt))
            _note_output(state, task, result)
        forget(state, task)
    elif unfounded(executor, task):
        discard(state, result)
        come_back(state, task)
    elif executor.end is End.CANCEL and _interrupted(result):
        # The interrupt was meant for the task before this one.
        come_back(state, task)
    elif result.damage is not None:
        _damaged(state, task, result, result.damage)
    elif result.error is None:
        if fresh:
            hold(state, task, result)
        finish(state, task, result)
        if task.assignment.kept:
            previews.note(state, executor, task, result)
    else:
        finish_unless_leaving(state, task, result, result.error.signal, now)


def _damaged(state: State, task: Task, result: TaskResult, damage: Damage) -> None:
    """Inputs of an attempt were not what was stored; the core has heard of those that are lost.

    An attempt that cannot have done it goes again, uncharged. One that had them alone has done it, and fails. Else it
    was one of several, and all of them are charged with a crash when they notice.
    """
    result.damage = None
    if damage.suspect and damage.objects:
        others = _holders(state, task, damage.objects)
        if others:
            task.suspected = error_texts.changed_inputs(state.governor_id, damage.objects, [task, *others])
            for other in others:
                other.suspected = other.suspected or task.suspected
        if task.suspected:
            result.error = TaskError("crash", task.suspected)
            result.info.error = task.suspected
    elif not (damage.ran and task.solo) and task.refusals < REFUSALS_MAX:
        task.refusals += 1
        come_back(state, task)
        return
    finish(state, task, result)


def _holders(state: State, task: Task, ids: list[ID]) -> list[Task]:
    """The tasks that run in other executors with one of these objects as an input."""
    wanted = set(ids)
    found = []
    for executor in state.executors.values():
        if executor is task.executor or executor.session.ending:
            continue
        head = executor.head
        if isinstance(head, Piece) and any(obj.id in wanted for obj in head.range.inputs):
            head_task(state, executor)
        found += [
            other
            for other in executor.queue.values()
            if isinstance(other, Task)
            and (other is executor.head or other.seen_at is not None)
            and any(obj.id in wanted for obj in other.inputs)
        ]
    return found


def _note_output(state: State, task: Task, wrote: TaskResult | ExecutorExited) -> None:
    """What a cancelled attempt wrote until it ended goes with the answer."""
    if wrote.stdout or wrote.stderr:
        out, err = (
            max(0, size - len(tail)) for size, tail in zip(wrote.written, (wrote.stdout, wrote.stderr), strict=True)
        )
        state.stopped_outputs[task.id, task.attempt] = TaskOutput(
            task.id, task.attempt, wrote.stdout, wrote.stderr, out, err
        )


def _take(state: State, executor: Executor, result: TaskResult) -> Task | None:
    """Remove the task of a result from the queue; results come in the order of the queue."""
    for item in executor.queue.values():
        if isinstance(item, Piece):
            place = item.range.place_of(result.id[1]) if item.range.attempt == result.attempt else -1
            if item.start <= place < item.stop and item.range.session.id == result.id[0]:
                task = materialise(state, item.range, place)
                break
        elif item.id == result.id and item.attempt == result.attempt:
            task = item
            break
    else:
        return None
    _remove(executor, task)
    return task


def _remove(executor: Executor, task: Task) -> None:
    del executor.queue[task.number]
    executor.load -= task.cost


def _cost(result: TaskResult, following: TaskResult | None) -> float:
    """Seconds that an attempt cost its executor.

    Where the next one started right behind it, the distance of their starts holds everything, also what it took to
    load inputs and to write outputs.
    """
    duration = result.info.duration or 0.0
    start = result.info.start_time
    if following is not None and start is not None and following.info.start_time is not None:
        distance = following.info.start_time - start
        if duration <= distance < 10 * duration + 1.0:
            return distance
    return duration + OVERHEAD_S


def _interrupted(result: TaskResult) -> bool:
    error = result.error
    if error is None:
        return False
    return error.kind == "cancelled" or any(name.endswith("KeyboardInterrupt") for name in error.classes)


def settle(state: State, executor: Executor, now: float) -> None:
    """After tasks left its queue: an empty executor becomes idle, or is ended if that is due."""
    if executor.queue:
        if executor.state is ExecutorState.INTERRUPTED and executor.target not in executor.queue:
            # Others were too far along to be recalled: they may end in peace.
            executor.state = ExecutorState.DRAINING
            executor.kill_at = inf
            _answer_stops(state, executor)
        elif executor.state in (ExecutorState.BUSY, ExecutorState.DRAINING):
            _answer_stops(state, executor)
        return
    executor.load = 0.0
    if executor.state is ExecutorState.BUSY:
        _answer_stops(state, executor)
        _go_idle(state, executor, now)
    elif executor.state is not ExecutorState.IDLE:
        kill(state, executor)


def _answer_stops(state: State, executor: Executor) -> None:
    if executor.stops:
        state.stopped.extend(executor.stops)
        executor.stops = []


def _go_idle(state: State, executor: Executor, now: float) -> None:
    assert executor.allocation is not None
    executor.state = ExecutorState.IDLE
    state.resources.release(executor.allocation)
    executor.allocation = None
    group = executor.group
    group.busy.pop(executor.id, None)
    if group.fresh:
        # It is fresh no longer, but as good as any other.
        executor.group = group = _successor(group)
    group.idle[executor.id] = executor
    state.idle[executor.id] = executor
    executor.idle_since = now


def _successor(group: Group) -> Group:
    """For executors of a fresh group that have run their task: the group of those that are reused."""
    groups = group.session.groups
    key = (group.kind, group.request, group.env, False, group.environment)
    found = groups.get(key)
    if found is None:
        found = groups[key] = Group(group.session, *key)
        found.width = group.width
    return found


def executor_recalled(state: State, event: ExecutorRecalled, now: float) -> None:
    """`ExecutorRecalled`: what came back goes where it is wanted, the rest is running or done."""
    executor = state.executors.get(event.executor_id)
    if executor is None or executor.session.ending:
        return
    given = set(event.numbers)
    asked: list[int] = []
    if executor.recalls and not event.unasked and given.issubset(executor.recalls[0]):
        asked = executor.recalls.popleft()
    members_recalled(state, executor, asked, given)
    for number in dict.fromkeys([*asked, *event.numbers]):
        task = executor.queue.get(number)
        if not isinstance(task, Task):
            continue
        if number in given:
            _remove(executor, task)
            come_back(state, task)
            left(executor, task)
            continue
        if task.phase is Phase.RECALLED:
            task.phase = Phase.QUEUED
        if task.fate is Fate.GIVE_BACK:
            settle_back(state, task, given=False)
        if task.unwanted:
            interrupt(state, executor, task, now)
    settle(state, executor, now)


def executor_seen(state: State, event: ExecutorSeen, now: float) -> None:
    """`ExecutorSeen`."""
    executor = state.executors.get(event.executor_id)
    if executor is None or not event.number:
        return
    executor.started = True
    executor.seen = event.number
    task = find_in(executor, event.number)
    if isinstance(task, Piece):
        place = task.place_of(event.number)
        if task.seen_place != place:
            task.seen_place, task.seen_at = place, now
        elif event.again:
            # Told is only what takes long: a member that the server is told of becomes a record of its own there.
            state.started_members.append((task, place))
    elif task is not None and task.seen_at is None:
        task.seen_at = now
        state.started.append(task)


# -- ending ---------------------------------------------------------------------------------------


def recall(state: State, executor: Executor, tasks: Sequence[Task | Piece]) -> None:
    """Ask an executor, at the end of the turn, for tasks that it may not have started."""
    if executor.state is ExecutorState.KILLED:
        return  # they come back when it is gone
    numbers: list[int] = []
    for task in tasks:
        if isinstance(task, Piece):
            if not task.recalled:
                task.recalled = True
                numbers += task.numbers
            continue
        if task.phase is Phase.QUEUED:
            numbers.append(task.number)
        task.phase = Phase.RECALLED
    if numbers:
        state.recalls.setdefault(executor, []).extend(numbers)


def recall_others(state: State, executor: Executor, keep: int = 1, followers: bool = True) -> None:
    """Recall all but the first `keep` tasks of the queue, members of families each by itself. Without `followers`, none
    that could not run elsewhere yet."""
    others: list[Task | Piece] = []
    for item in list(executor.queue.values()):
        count = item.count if isinstance(item, Piece) else 1
        if keep >= count:
            keep -= count
            continue
        behind = cut(item, item.start + keep) if isinstance(item, Piece) and keep else item
        keep = 0
        if behind is not None and (followers or isinstance(behind, Piece) or not unfounded(executor, behind)):
            others.append(behind)
    recall(state, executor, others)


def _retire(state: State, executor: Executor, end: End, target: int = 0) -> None:
    """From now on it gets no tasks."""
    executor.group.busy.pop(executor.id, None)
    executor.group.idle.pop(executor.id, None)
    state.idle.pop(executor.id, None)
    executor.end = end
    executor.target = target


def kill(state: State, executor: Executor) -> None:
    """SIGKILL, once."""
    if executor.state is not ExecutorState.KILLED:
        executor.state = ExecutorState.KILLED
        state.recalls.pop(executor, None)
        state.out.append(KillExecutor(executor.id))


def end_idle(state: State, executor: Executor) -> None:
    """End an executor that has nothing to do."""
    _retire(state, executor, End.ROOM)
    kill(state, executor)


def replace_executor(state: State, executor: Executor) -> None:
    """End an executor that runs outdated code, as soon as its running task has ended."""
    if executor.state is ExecutorState.IDLE:
        _retire(state, executor, End.STALE)
        kill(state, executor)
    elif executor.state is ExecutorState.BUSY:
        _retire(state, executor, End.STALE)
        executor.state = ExecutorState.DRAINING
        recall(state, executor, list(executor.queue.values()))


def kill_for(state: State, executor: Executor, end: End, task: Task) -> None:
    """Kill a running task that went over a limit."""
    if executor.state is ExecutorState.KILLED or task.unwanted:
        return
    _retire(state, executor, end, task.number)
    kill(state, executor)


def interrupt(state: State, executor: Executor, task: Task, now: float) -> None:
    """Ask a running task to end; it is killed when the grace is over."""
    if executor.state is ExecutorState.KILLED:
        return
    _retire(state, executor, End.CANCEL, task.number)
    if not executor.started:
        # It has not come up yet, as far as is known: nothing would hear the interrupt.
        kill(state, executor)
        return
    executor.state = ExecutorState.INTERRUPTED
    executor.kill_at = now + CANCEL_GRACE_S
    state.out.append(InterruptExecutor(executor.id, task.number))
    recall(state, executor, [other for other in executor.queue.values() if other is not task])


def over_memory(state: State, event: OverMemory, now: float) -> None:
    """`OverMemory`: the task in the shared word is the one that goes."""
    executor = state.executors.get(event.executor_id)
    if executor is None or executor.session.ending:
        return
    task = materialised(state, executor, executor.seen) or head_task(state, executor)
    if task is not None:
        executor.over_bytes, executor.over_written_bytes = event.used_bytes, event.written_bytes
        kill_for(state, executor, End.MEMORY, task)
    elif executor.state is ExecutorState.IDLE:
        end_idle(state, executor)


# -- the end of an executor -----------------------------------------------------------------------


def executor_exited(state: State, event: ExecutorExited, now: float) -> None:
    """`ExecutorExited`: its resources are free, and each of its tasks goes somewhere."""
    executor = state.executors.pop(event.executor_id, None)
    if executor is None:
        return
    session, group = executor.session, executor.group
    by_us = executor.state is ExecutorState.KILLED
    executor.state = ExecutorState.GONE
    if executor.allocation is not None:
        state.resources.release(executor.allocation)
        executor.allocation = None
    group.busy.pop(executor.id, None)
    group.idle.pop(executor.id, None)
    state.idle.pop(executor.id, None)
    state.recalls.pop(executor, None)
    state.following.pop(executor, None)
    session.executors.pop(executor.id, None)
    previews.executor_gone(state, executor, wanted=by_us and executor.end is not End.PREVIEW)
    if session.ending:
        close_if_done(state, session.id)
        return
    state.stopped.extend(executor.stops)
    unlucky = _failed_start(executor, event, by_us)
    materialised(state, executor, event.number)
    if unlucky:
        head_task(state, executor)
    tasks = list(executor.queue.values())
    for task in tasks:
        if isinstance(task, Piece):
            members_back(state, task)
            continue
        del executor.queue[task.number]
        if task.fate is Fate.STOP and task.number == event.number:
            _note_output(state, task, event)
        result = None
        if not task.unwanted and not unfounded(executor, task):
            result = _ended_by(state, executor, event, task, now) if by_us else _crash(state, event, task, now)
        if result is None and unlucky and task.fate is Fate.STAY:
            result = no_start(state, executor, task, event)
            unlucky = False
        if result is not None:
            finish_unless_leaving(state, task, result, event.signal, now)
        else:
            come_back(state, task)


def _ended_by(state: State, executor: Executor, event: ExecutorExited, task: Task, now: float) -> TaskResult | None:
    """How the attempt ended for which its executor was killed; None: it was another one, this one may run elsewhere."""
    if task.number != executor.target:
        return None
    if executor.end is End.TIMEOUT:
        return killed(state, task, event, now, "timeout", error_texts.timeout(state.governor_id, task))
    if executor.end is End.MEMORY:
        text = error_texts.memory(state.governor_id, task, executor.over_bytes, executor.over_written_bytes)
        return killed(state, task, event, now, "memory", text)
    return None


def _crash(state: State, event: ExecutorExited, task: Task, now: float) -> TaskResult | None:
    """The end of the attempt that its executor was on when it died by itself; None: it was not on this one."""
    if task.number != event.number:
        return None
    text = error_texts.crash(state.governor_id, task, event.reason, event.stdout, event.stderr)
    return killed(state, task, event, now, "crash", text)


def _failed_start(executor: Executor, event: ExecutorExited, killed: bool) -> bool:
    """Count executors that die before they run anything; True when the waiting task should fail of it."""
    if executor.started or event.number or (killed and executor.end is not End.START):
        return False
    executor.group.failed_starts += 1
    return executor.group.failed_starts >= FAILED_STARTS_MAX


# -- builtin tasks --------------------------------------------------------------------------------


def end_builtin(state: State, builtin: Builtin, end: End) -> None:
    """Ask a builtin task to end, once."""
    if builtin.end is None:
        state.out.append(CancelBuiltin(builtin.number))
        builtin.end = end


def builtin_ended(state: State, event: BuiltinEnded, now: float) -> None:
    """`BuiltinEnded`."""
    builtin = state.builtins.pop(event.number, None)
    if builtin is None:
        discard(state, event.result)
        return
    state.resources.release(builtin.allocation)
    task, result = builtin.task, event.result
    session = task.session
    session.builtins.pop(builtin.number, None)
    if session.ending:
        discard(state, result)
        close_if_done(state, session.id)
        return
    task.estimate.add(now - builtin.since)
    if result.damage is not None and not task.unwanted and builtin.end is None:
        _damaged(state, task, result, result.damage)
        return
    if task.unwanted:
        discard(state, result)
        come_back(state, task)
        return
    if builtin.end is End.TIMEOUT and result.error is not None:
        text = error_texts.timeout(state.governor_id, task)
        result.error = TaskError("timeout", text)
        result.info.error = text
    finish(state, task, result)


# -- time -----------------------------------------------------------------------------------------


def check_deadlines(state: State, now: float) -> None:
    """Grace periods, timeouts and starts that took too long."""
    for executor in list(state.executors.values()):
        if _ends_at(executor) > now:
            continue
        if previews.late_at(executor) <= now:
            _retire(state, executor, End.PREVIEW)
            kill(state, executor)
        elif executor.kill_at <= now:
            kill(state, executor)
        elif up_until(executor) <= now:
            _retire(state, executor, End.START)
            kill(state, executor)
        else:
            task = materialised(state, executor, executor.seen)
            assert task is not None
            kill_for(state, executor, End.TIMEOUT, task)
    for builtin in list(state.builtins.values()):
        if _builtin_until(builtin) <= now:
            end_builtin(state, builtin, End.TIMEOUT)


def due_at(state: State) -> float:
    """When `check_deadlines` will act if nothing else happens."""
    ends = [_ends_at(executor) for executor in state.executors.values()]
    ends += [_builtin_until(builtin) for builtin in state.builtins.values()]
    return min(ends, default=inf)


def _ends_at(executor: Executor) -> float:
    if executor.state is ExecutorState.KILLED:
        return inf
    at = previews.late_at(executor)
    return min(at, executor.kill_at, up_until(executor), seen_until(executor)) if executor.queue else at


def _builtin_until(builtin: Builtin) -> float:
    return timeout_at(builtin.task) if builtin.task.phase is Phase.BUILTIN else inf
