"""Which ready task runs where: executors started, woken, filled, and relieved.

Theory of operation
-------------------
Once per turn ready tasks are gone through by urgency, across all groups. A task goes to an idle executor of its group,
else to a new one, if there are resources for it; else it is queued behind the running task of a busy one, if both are
known to be short. A task that finds no place is *blocked*, and from there on nothing less urgent that competes for what
it lacks is queued behind anything: those executors run dry and free their resources. Less urgent tasks may still start
on what is free meanwhile, but only if they will probably be done by the time the blocked task could start.

Queues are short by estimate, and estimates can be wrong: when the first task of a queue runs much longer than expected,
or an executor could be had that has nothing to do, what is queued is recalled.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice
from math import inf

from rain.common.limits import EXECUTOR_IDLE_S, PREFETCH_MEMBERS_MAX, PREFETCH_MEMBERS_S, PREFETCH_S, PREFETCH_TASKS_MAX
from rain.governor.core import previews
from rain.governor.core.chains.following import follows, makers_of, queued
from rain.governor.core.effects import (
    Awaited,
    ExecutorItem,
    Known,
    MemberItems,
    RecallFromExecutor,
    RunBuiltin,
    RunOnExecutor,
    StartExecutor,
)
from rain.governor.core.executor_lifecycle import end_idle, recall_others
from rain.governor.core.families.ranges import Piece, Range
from rain.governor.core.records import (
    BUILTIN,
    BUILTINS_MAX,
    PY,
    Builtin,
    Entry,
    Executor,
    Group,
    Object,
    State,
    Task,
)
from rain.governor.resources import Allocation, ResourceRequest
from rain.governor.states import ExecutorState, Phase, Presence, Stage

SHORT_S = 4 * PREFETCH_S
"""Tasks that are expected to take longer than this are neither queued nor queued behind."""
REBALANCE_S = PREFETCH_S / 2
"""Estimated work behind a running task that is worth being moved to an executor with nothing to do."""
PIECE_S = PREFETCH_S / 10
"""Members of families are given to executors at least as many at once as take so long together."""
GUESS_S = 0.1
"""How long a task is thought to take of which nothing is known."""


class _Blocked:
    """The most urgent task that finds no place, for some resources."""

    __slots__ = ("fits_at", "lacking", "request")

    def __init__(self, request: ResourceRequest, lacking: list[str]) -> None:
        self.request = request
        self.lacking = lacking
        self.fits_at: float | None = None


def dispatch(state: State, now: float) -> None:
    """Give ready tasks to executors, most urgent first."""
    if state.hungry and not state.server_behind:
        heads: list[tuple[list[float], int, Group]] = []
        for group in list(state.hungry):
            entry = _head_of(group)
            if entry is None:
                del state.hungry[group]
            else:
                heads.append((entry[0], entry[1], group))
        heapify(heads)
        blocked: list[_Blocked] = []
        while heads:
            group = heappop(heads)[2]
            limit = heads[0] if heads else None
            if _place(state, group, limit, blocked, now):
                entry = _head_of(group)
                if entry is not None:
                    heappush(heads, (entry[0], entry[1], group))
        if state.following:
            _follow(state, blocked, now)
    elif state.following and not state.server_behind:
        _follow(state, [], now)
    _relieve(state, now)
    send(state)


def _head_of(group: Group) -> Entry | None:
    """The entry of the most urgent ready task."""
    heap = group.heap
    while heap:
        if heap[0][2].phase is Phase.READY:
            return heap[0]
        heappop(heap)
    return None


def _place(
    state: State, group: Group, limit: tuple[list[float], int, Group] | None, blocked: list[_Blocked], now: float
) -> bool:
    """Place tasks of one group until another group is more urgent (True) or no more can be placed (False)."""
    rivals = [other for other in blocked if any(name in group.request.units for name in other.lacking)]
    while True:
        entry = _head_of(group)
        if entry is None:
            return False
        if limit is not None and (limit[0], limit[1]) < (entry[0], entry[1]):
            return True
        task = entry[2]
        if rivals and not _may_pass(state, task, rivals, now):
            return False
        placed = _run_builtin(state, task, now) if group.kind == BUILTIN else _widen(state, group, task, now)
        if not placed:
            break
        _took(group, task, placed)
    if group.prefetches and not rivals:
        _queue_up(state, group, limit, now)
        entry = _head_of(group)
        if entry is None:
            return False
        if limit is not None and (limit[0], limit[1]) < (entry[0], entry[1]):
            return True
    lacking = state.resources.lacking(group.request)
    if lacking:
        blocked.append(_Blocked(group.request, lacking))
    return False


def _took(group: Group, task: Task | Range, count: int) -> None:
    """The task at the head, or `count` members of the range there, have found their place."""
    group.ready -= count
    if isinstance(task, Range) and task.rest:
        heapreplace(group.heap, (task.rank, task.arrival, task))
    else:
        heappop(group.heap)


# -- one executor more ----------------------------------------------------------------------------


def _widen(state: State, group: Group, task: Task | Range, now: float) -> int:
    """Run the task, or the first members of the range, in an executor that has nothing to do, or in a new one. Gives
    how many were placed."""
    resources, request = state.resources, group.request
    for executor in _best_first(group):
        if not previews.may_run(executor, task, now):
            continue
        allocation = resources.acquire(request, executor.devices)
        if allocation is not None:
            del group.idle[executor.id]
            del state.idle[executor.id]
            executor.allocation = allocation
            executor.state = ExecutorState.BUSY
            _make_room(state, allocation)
            break
        if not executor.devices:
            return 0
    else:
        if not request.units and len(group.busy) >= state.executors_max // 2:
            return 0
        if len(state.executors) >= state.executors_max and not state.idle:
            return 0
        allocation = resources.acquire(request)
        if allocation is None:
            return 0
        executor = _start(state, group, allocation, now)
    group.busy[executor.id] = executor
    executor.head_at = now
    if isinstance(task, Range):
        # As much as could be queued behind it; one, if that may take long.
        seconds = task.estimate.seconds
        short = group.prefetches and 0 <= seconds <= SHORT_S and not task.solo
        return _enqueue_members(
            state, executor, task, 1 + _members_within(group, seconds, PREFETCH_MEMBERS_S) if short else 1
        )
    _enqueue(state, executor, task)
    return 1


def _best_first(group: Group) -> Iterable[Executor]:
    """The idle executors of a group, last used first; those that make a preview come last."""
    idle = reversed(group.idle.values())
    if len(group.idle) > 1 and any(executor.preview is not None for executor in group.idle.values()):
        return sorted(idle, key=lambda executor: executor.preview is not None)
    return idle


def _start(state: State, group: Group, allocation: Allocation, now: float) -> Executor:
    state.executor_ids += 1
    session = group.session
    executor = Executor(state.executor_ids, group, allocation, now)
    state.executors[executor.id] = session.executors[executor.id] = executor
    _make_room(state, allocation)
    surplus = max(len(state.idle) - state.idle_max, int(len(state.executors) > state.executors_max))
    for idle in list(islice(state.idle.values(), max(surplus, 0))):
        end_idle(state, idle)
    env = session.envs.get(group.environment)
    state.out.append(
        StartExecutor(
            executor.id, group.kind, session.id, group.request.amounts, allocation.devices, dict(group.env), env
        )
    )
    return executor


def _make_room(state: State, allocation: Allocation) -> None:
    """End idle executors that sit on the devices or the memory that an allocation was given."""
    if allocation.devices:
        for executor in list(state.idle.values()):
            if any(set(executor.devices.get(name, ())) & set(numbers) for name, numbers in allocation.devices.items()):
                end_idle(state, executor)
    if "mem" in allocation.request.units:
        holders = [executor for executor in state.idle.values() if "mem" in executor.group.request.units]
        free = state.resources.free_units()["mem"]
        surplus = sum(executor.group.request.units["mem"] for executor in holders) - free
        for executor in holders:
            if surplus <= 0:
                break
            surplus -= executor.group.request.units["mem"]
            end_idle(state, executor)


def _run_builtin(state: State, task: Task | Range, now: float) -> int:
    assert isinstance(task, Task), "families are of Python tasks and programs"
    if len(state.builtins) >= BUILTINS_MAX:
        return 0
    allocation = state.resources.acquire(task.group.request)
    if allocation is None:
        return 0
    state.builtin_numbers += 1
    number = state.builtin_numbers
    builtin = Builtin(number, task, allocation, now)
    state.builtins[number] = task.session.builtins[number] = builtin
    task.phase = Phase.BUILTIN
    task.number = number
    task.seen_at = now
    state.started.append(task)
    inputs = [_known(obj.known) for obj in task.inputs]
    state.out.append(RunBuiltin(number, task.assignment, inputs))
    return 1


# -- queues ---------------------------------------------------------------------------------------


def _queue_up(state: State, group: Group, limit: tuple[list[float], int, Group] | None, now: float) -> None:
    """Queue short tasks behind short tasks, in the executor with the least to do."""
    entry = _head_of(group)
    behind_s = PREFETCH_MEMBERS_S if entry is not None and isinstance(entry[2], Range) else PREFETCH_S
    rooms = [
        (executor.load, executor.id, executor) for executor in group.busy.values() if _has_room(executor, behind_s, now)
    ]
    heapify(rooms)
    while rooms:
        entry = _head_of(group)
        if entry is None or (limit is not None and (limit[0], limit[1]) < (entry[0], entry[1])):
            return
        task = entry[2]
        if not 0 <= task.estimate.seconds <= SHORT_S or task.solo:
            return
        executor = rooms[0][2]
        head = executor.head
        assert head is not None
        room = executor.load - head.cost
        if isinstance(task, Range):
            room = PREFETCH_MEMBERS_S - room
            count = _enqueue_members(state, executor, task, _members_within(group, task.estimate.seconds, room))
        elif room < PREFETCH_S:
            _enqueue(state, executor, task)
            count = 1
        else:
            return
        _took(group, task, count)
        if len(executor.queue) < PREFETCH_TASKS_MAX and executor.load - head.cost < behind_s:
            heapreplace(rooms, (executor.load, executor.id, executor))
        else:
            heappop(rooms)


def _has_room(executor: Executor, behind_s: float, now: float) -> bool:
    head = executor.head
    return (
        head is not None
        and 0 <= head.cost <= SHORT_S
        and len(executor.queue) < PREFETCH_TASKS_MAX
        and executor.load - head.cost < behind_s
        and not executor.recalls
        and not _overdue(executor, head, now)
    )


def _members_within(group: Group, seconds: float, room: float) -> int:
    """How many members of a family to queue at once, each of so many seconds, where there is room for `room` seconds;
    at least one. The more of the group's ready tasks there are left the more, so that all executors end together."""
    count = min(PREFETCH_MEMBERS_MAX, int(room / max(seconds, 1e-6)))
    share = max(group.ready // (2 * group.width), int(PIECE_S / max(seconds, 1e-6)))
    return max(1, min(count, share))


def _overdue(executor: Executor, head: Task | Piece, now: float) -> bool:
    """Whether the running task takes much longer than was expected."""
    return executor.started and _overdue_at(executor, head) <= now


def _overdue_at(executor: Executor, head: Task | Piece) -> float:
    return executor.head_at + SHORT_S + 3 * max(head.cost, 0.0)


def _follow(state: State, blocked: list[_Blocked], now: float) -> None:
    """Queue what waits for what tasks in the same queue make, as far as these are short and nothing more urgent wants
    the executor's resources."""
    for executor in list(state.following):
        group, nexts = executor.group, executor.chain.nexts
        if executor.state is ExecutorState.BUSY and executor.queue:
            if any(name in group.request.units for rival in blocked for name in rival.lacking):
                continue
            while nexts and _has_room(executor, PREFETCH_S, now):
                task = next(iter(nexts))
                del nexts[task]
                makers = makers_of(executor, task) if 0 <= task.estimate.seconds <= SHORT_S else []
                if makers:
                    follows(executor, task, makers)
                    _enqueue(state, executor, task)
        else:
            nexts.clear()
        if not nexts:
            del state.following[executor]


def _enqueue(state: State, executor: Executor, task: Task) -> None:
    executor.number += 1
    number = executor.number
    task.phase = Phase.QUEUED
    task.executor = executor
    task.number = number
    cost = task.estimate.seconds
    task.cost = cost
    executor.load += cost
    executor.queue[number] = task
    inputs = task.inputs
    function = task.function
    if function is None:
        item = ExecutorItem(number, task.assignment, [_given(obj) for obj in inputs])
    else:
        cached = function.id in executor.functions
        if not cached:
            executor.functions.add(function.id)
        item = ExecutorItem(number, task.assignment, [_given(obj) for obj in inputs[:-1]], function.known, cached)
    if task.group.kind == PY:
        queued(state, executor, task)
    items = state.runs.get(executor)
    if items is None:
        state.runs[executor] = [item]
    else:
        items.append(item)


def _enqueue_members(state: State, executor: Executor, owner: Range, count: int) -> int:
    """Give an executor the first of what is left of a range, at most `count` members; gives how many it were."""
    start, stop = owner.take(count)
    number = executor.number + 1
    executor.number += stop - start
    cost = owner.estimate.seconds
    piece = Piece(owner, start, stop, number, executor, cost)
    executor.load += cost * piece.count
    executor.queue[number] = piece
    owner.pieces.append(piece)
    if not owner.rest:
        owner.phase = Phase.QUEUED
    inputs = owner.inputs
    function = owner.function
    if function is None:
        item = MemberItems(number, owner.assignment, start, stop, [_known(obj.known) for obj in inputs])
    else:
        cached = function.id in executor.functions
        executor.functions.add(function.id)
        known = [_known(obj.known) for obj in inputs[:-1]]
        item = MemberItems(number, owner.assignment, start, stop, known, function.known, cached)
    state.runs.setdefault(executor, []).append(item)
    return stop - start


def _given(obj: Object) -> Known | Awaited:
    if obj.presence is Presence.PRESENT:
        return _known(obj.known)
    assert obj.waiters, "a task is queued that lacks an input and does not wait for it"
    return Awaited(obj.id)


def _known(known: Known | None) -> Known:
    assert known is not None
    return known


def send(state: State) -> None:
    """What executors are told this turn, one message each."""
    out = state.out
    if state.recalls:
        for executor, numbers in state.recalls.items():
            executor.recalls.append(numbers)
            out.append(RecallFromExecutor(executor.id, numbers))
        state.recalls = {}
    if state.runs:
        for executor, items in state.runs.items():
            out.append(RunOnExecutor(executor.id, items))
        state.runs = {}


# -- passing a blocked task -----------------------------------------------------------------------


def _may_pass(state: State, task: Task | Range, rivals: list[_Blocked], now: float) -> bool:
    """Whether a less urgent task can start without delaying the blocked ones, as far as can be told."""
    seconds = task.estimate.seconds
    end = now + (GUESS_S if seconds < 0 else seconds)
    for rival in rivals:
        if rival.fits_at is None:
            rival.fits_at = _fits_at(state, rival.request, now)
        if end > rival.fits_at:
            return False
    return True


def _fits_at(state: State, request: ResourceRequest, now: float) -> float:
    """When enough of what is held now will probably be free again."""
    ends = [
        (_ends_at(executor, now), executor.allocation) for executor in state.executors.values() if executor.allocation
    ]
    ends += [(_expected(b.since, b.task.estimate.seconds, now), b.allocation) for b in state.builtins.values()]
    ends.sort(key=lambda end: end[0])
    free = state.resources.free_units()
    for at, allocation in ends:
        for name, units in allocation.request.units.items():
            free[name] += units
        if all(units <= free.get(name, 0) for name, units in request.units.items()):
            return at
    return now


def _ends_at(executor: Executor, now: float) -> float:
    head = executor.head
    if head is None or executor.state is ExecutorState.KILLED:
        return now
    return _expected(executor.head_at, head.cost, now) + max(executor.load - head.cost, 0.0)


def _expected(since: float, seconds: float, now: float) -> float:
    """When something ends that began at `since`: what outlived its estimate will last as long again as it has."""
    elapsed = now - since
    return since + seconds if elapsed < seconds else now + elapsed


# -- moving work, ending what is idle -------------------------------------------------------------


def _relieve(state: State, now: float) -> None:
    """Recall what is queued behind a task that takes too long, or where another executor has nothing to do."""
    for executor in state.executors.values():
        head = _holding_up(executor)
        if head is None:
            continue
        if _overdue_at(executor, head) <= now:
            recall_others(state, executor)
        elif executor.load - head.cost > REBALANCE_S:
            group = executor.group
            if not group.ready and not state.resources.lacking(group.request):
                count = sum([item.count if isinstance(item, Piece) else 1 for item in executor.queue.values()])
                recall_others(state, executor, (count + 1) // 2, followers=False)


def _holding_up(executor: Executor) -> Task | Piece | None:
    """The running task, if something is queued behind it that can be recalled."""
    if executor.state is not ExecutorState.BUSY or executor.recalls or not executor.started:
        return None
    head = executor.head
    return head if len(executor.queue) > 1 or (isinstance(head, Piece) and head.count > 1) else None


def due_at(state: State) -> float:
    """When `dispatch` or `end_idle_executors` will act if nothing else happens; a time that has passed: perhaps at any
    time."""
    ends = [_idle_until(executor) for executor in islice(state.idle.values(), 1)]
    if state.departure.stage is Stage.STAYING:
        if sum([bool(group.ready) for group in state.hungry]) > 1 and not state.server_behind:
            return -inf  # whether one may pass another depends on how long others have run
        heads = [(executor, _holding_up(executor)) for executor in state.executors.values()]
        ends += [_overdue_at(executor, head) for executor, head in heads if head is not None]
    return min(ends, default=inf)


def _idle_until(executor: Executor) -> float:
    return executor.idle_since + EXECUTOR_IDLE_S


def end_idle_executors(state: State, now: float) -> None:
    """End executors that have been idle for long."""
    for executor in list(state.idle.values()):
        if _idle_until(executor) > now:
            break
        end_idle(state, executor)
