"""Rain's own policy: urgent tasks first, each near its inputs, chains kept on one governor.

Theory of operation
-------------------
**Order.** Ready tasks stand in a heap per session and resource request, most urgent first: priority, then
rank (the longest chain that waits behind a task: the critical path), then order of submission. A pass takes the most
urgent head of all heaps that still find room; a heap whose head finds none is left for this pass, since what stands
behind asks for the same.

**Room.** A governor has room for a task if it fits beside all that is assigned there, or as work ahead: as long as the
estimated time of the work that cannot run at once stays under `AHEAD_S` per cpu and the count under `AHEAD_TASKS_MAX`.
Estimates are averages of what the same function took before.

**Place.** Without large inputs, the governor with room that has the least work. With them, the one where the task is
estimated to start first: waiting time plus time to bring what is not on its host. If that is a governor without room,
the task is parked there; one that is idle takes from what is parked elsewhere when moving the data is faster.

**Followers.** A waiting task whose unfinished inputs are all made by tasks of one governor goes there ahead of time,
so that a chain does not cross the network at each link.

**Stealing.** When a governor is idle and nothing is ready for it, half of the surplus of the one with most work
ahead is asked back.

**No starvation.** A task that found no room for `RESERVE_AFTER_S` while others did reserves the governor that is
nearest to holding it: less urgent tasks that compete for the same resources are not put there until it has started.

**Gaps.** A governor that is kept free for a task on several gets what ends before that can start, most urgent first; of
each heap the first `GAP_LOOK` entries are looked at, as many behind the first may be shorter.

A pass costs the number of tasks that it places, times a logarithm, plus a bounded amount per governor and per request.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice
from typing import TypeAlias

from rain.server.records.family import Members, TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.resources import DurationEstimate, ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.scheduling.estimates import (
    AHEAD_US,
    Room,
    backlog,
    fullness,
    has_spare,
    heavy_inputs,
    holders_of,
    may_follow,
    room,
    room_for_many,
    transfer_us,
    wait_us,
)
from rain.server.scheduling.policy import SchedulingPolicy
from rain.server.scheduling.view import ClusterView
from rain.server.states import DEMAND, QUEUED, READY, WAITING, GovernorState

QUEUES_PER_PASS = 64
"""Queues looked at in one pass; with more of them, each has its turn."""
FOLLOWERS_PER_TASK = 64
PARKED_LOOK = 8
GAP_LOOK = 32
STEAL_US = 20_000
"""Surplus per cpu under which nothing is asked back: it would be done before the answer came."""
RESERVE_AFTER_S = 1.0
_RANK_MAX = (1 << 40) - 1

Assignment: TypeAlias = "tuple[Task | Members, Governor]"
Entry: TypeAlias = "tuple[int, Task | Members]"
Head: TypeAlias = "tuple[int, int, Queue]"
Pool: TypeAlias = list[tuple[bool, float, int, Governor]]


def urgency(task: Task) -> int:
    """The key of the heaps: smaller is more urgent, and no two tasks have the same."""
    options = task.spec.options
    priority = 0 if options is None else options.priority
    return (((-priority << 40) + _RANK_MAX - task.rank) << 40) + task.order


def urgency_of_member(family: TaskFamily, place: int) -> int:
    """As `urgency`: that of the member's task, if it had a record of its own."""
    return (((-family.priority << 40) + _RANK_MAX - 1) << 40) + family.order + place


class Queue:
    """The ready tasks that ask for the same.

    Attributes
    ----------
    heap : list of (int, Task or Members)
        Most urgent first. Entries of tasks that are not queued any more are skipped. An entry of members of a family
        has the urgency of the first of them.
    blocked_since : float or None
        When its most urgent task first found no room, while others did.
    """

    __slots__ = ("blocked_since", "heap", "request")

    def __init__(self, request: ResourceRequest) -> None:
        self.request = request
        self.heap: list[Entry] = []
        self.blocked_since: float | None = None


class LocalityPolicy(SchedulingPolicy):
    """Rain's own policy."""

    __slots__ = ("_active", "_frontier", "_parked", "_pools", "_queues", "_reserved", "_view")

    def __init__(self) -> None:
        self._queues: dict[ResourceRequest, Queue] = {}
        self._active: dict[Queue, None] = {}  # those that are not empty
        self._parked: dict[Governor, list[Entry]] = {}
        # Heaps of ready tasks that had better wait for a governor, because it holds their inputs.
        self._frontier: dict[Governor, deque[Task]] = {}  # tasks assigned there whose consumers could follow them
        self._pools: dict[ResourceRequest, Pool] = {}
        self._reserved: dict[Governor, tuple[int, ResourceRequest]] = {}

    # -- queues ---------------------------------------------------------------------------------

    def task_ready(self, task: Task) -> None:
        """Queue it."""
        heapq.heappush(self._queue(task.request).heap, (urgency(task), task))

    def members_ready(self, members: Members) -> None:
        """Queue them, in one entry."""
        entry = (urgency_of_member(members.family, members.start), members)
        heapq.heappush(self._queue(members.family.request).heap, entry)

    def _queue(self, request: ResourceRequest) -> Queue:
        """The queue of a request, to which something is added."""
        queue = self._queues.get(request)
        if queue is None:
            queue = self._queues[request] = Queue(request)
        if not queue.heap:
            self._active[queue] = None
        return queue

    def session_ended(self, session: Session) -> None:
        """Forget its queues."""
        for request in [request for request in self._queues if request.session is session]:
            self._active.pop(self._queues.pop(request), None)

    def governor_lost(self, governor: Governor) -> None:
        """Queue again what was parked there."""
        for _, task in self._parked.pop(governor, ()):
            if isinstance(task, Task) and task.placement is QUEUED:
                self.task_ready(task)
        self._frontier.pop(governor, None)

    # -- a pass ---------------------------------------------------------------------------------

    def assignments(self, view: ClusterView, now: float) -> Iterator[Assignment]:
        """Parked tasks first, then the queues, then tasks that follow those to where their inputs are made."""
        governors = view.governors()
        kept = view.kept_free()
        if not governors and not kept:
            return
        self._view = view
        self._pools.clear()
        if self._parked:
            for governor in governors:
                if governor in self._parked:
                    yield from self._from_parked(governor)
        yield from self._from_queues(now)
        if self._frontier:
            for governor in governors:
                if governor in self._frontier:
                    yield from self._followers(governor)
        if kept:
            yield from self._into_gaps(kept, now)

    def _into_gaps(self, kept: Collection[Governor], now: float) -> Iterator[Assignment]:
        heads = [entry for queue in islice(self._active, QUEUES_PER_PASS) for entry in queue.heap[:GAP_LOOK]]
        heads.sort(key=lambda entry: entry[0])
        for _, task in heads:
            if isinstance(task, Members):
                yield from self._members_into_gaps(task, kept, now)
            elif task.placement is QUEUED:
                for governor in kept:
                    if self._view.fits_gap(governor, task, now):
                        yield task, governor  # its entry is skipped when it comes to the top
                        break

    def _members_into_gaps(self, members: Members, kept: Collection[Governor], now: float) -> Iterator[Assignment]:
        family = members.family
        for governor in kept:
            while (head := members.head()) is not None and not isinstance(head, Task):
                if not self._view.fits_gap(governor, family, now):
                    break
                yield Members(family, head, head + 1), governor

    def _leads(self, task: Task, governor: Governor) -> None:
        """Note a task that was assigned if others could follow it."""
        for obj in task.outputs:
            if obj.consumers is not None:
                frontier = self._frontier.get(governor)
                if frontier is None:
                    frontier = self._frontier[governor] = deque()
                frontier.append(task)
                break

    def _from_queues(self, now: float) -> Iterator[Assignment]:
        heads = self._heads()
        blocked: list[tuple[int, Queue]] = []
        self._reserved.clear()
        while heads:
            key, index, queue = heads[0]
            heap = queue.heap
            task = heap[0][1]
            place = None
            if isinstance(task, Members):
                place = _first(heap, task, key)
                if place is None:  # another entry is the head now, or there is none
                    self._go_on(heads, index, queue)
                    continue
                governor, has_room = self._least_loaded(task.family, key), True
            elif task.placement is QUEUED:
                governor, has_room = self._place(task, key)
            else:
                heapq.heappop(heap)
                self._go_on(heads, index, queue)
                continue
            if governor is None:
                heapq.heappop(heads)
                blocked.append((key, queue))
                self._reserve(queue, key, now)
                continue
            queue.blocked_since = None
            if has_room:
                for other_key, other in blocked:
                    if other_key < key and other.blocked_since is None:
                        other.blocked_since = now
                if isinstance(task, Members):
                    assert place is not None
                    yield self._some(task, place, governor), governor
                    continue
                yield task, governor
                self._leads(task, governor)
            else:
                heapq.heappush(self._parked.setdefault(governor, []), (key, task))
            heapq.heappop(heap)
            self._go_on(heads, index, queue)

    def _go_on(self, heads: list[Head], index: int, queue: Queue) -> None:
        """The head of a queue, the most urgent of `heads`, is another one now."""
        if queue.heap:
            heapq.heapreplace(heads, (queue.heap[0][0], index, queue))
        else:
            heapq.heappop(heads)
            self._active.pop(queue, None)

    def _some(self, members: Members, place: int, governor: Governor) -> Members:
        """As many members as go to a governor at once: with several governors only a part, so that each gets some."""
        family = members.family
        end = family.run(place, min(members.stop, place + governor.tasks_max))
        pool = self._pools[family.request]
        count = end - place if len(pool) < 2 else -(-(end - place) // (2 * len(pool)))
        return Members(family, place, place + room_for_many(governor, family.request, family.estimate.us, count))

    def _heads(self) -> list[Head]:
        active = self._active
        if len(active) > QUEUES_PER_PASS:
            chosen = [queue for queue, _ in zip(active, range(QUEUES_PER_PASS), strict=False)]
            for queue in chosen:
                del active[queue]
                active[queue] = None
        else:
            chosen = list(active)
        heads = [(queue.heap[0][0], index, queue) for index, queue in enumerate(chosen)]
        heapq.heapify(heads)
        return heads

    # -- where ----------------------------------------------------------------------------------

    def _place(self, task: Task, key: int) -> tuple[Governor | None, bool]:
        """Where to put a ready task, and whether there is room; (None, False) if there is none anywhere."""
        best = self._least_loaded(task, key)
        if best is None:
            return None, False
        heavy = heavy_inputs(task)
        if not heavy:
            return best, True
        us = task.estimate.us
        best_cost = transfer_us(best, heavy)
        if best_cost == 0.0:
            return best, True
        best_cost += wait_us(best, task.request, us)
        has_room = True
        for governor in holders_of(heavy):
            if not governor.takes_work:
                continue
            if not governor.can_hold(task.request) or self._keeps_out(governor, key, task.request):
                continue
            fits = room(governor, task.request, us)
            cost = transfer_us(governor, heavy)
            if fits is not Room.NOW:
                cost += wait_us(governor, task.request, us) + len(self._parked.get(governor, ())) * us / governor.cpus
            if cost < best_cost:
                best, best_cost = governor, cost
                has_room = fits is Room.NOW or (fits is Room.AHEAD and not task.runs_once)
        return best, has_room

    def _least_loaded(self, task: Task | TaskFamily, key: int) -> Governor | None:
        request, us = task.request, task.estimate.us
        pool = self._pools.get(request)
        if pool is None:
            # Entries are lower bounds: work only grows during a pass.
            pool = [(False, 0.0, governor.order, governor) for governor in self._view.governors()]
            self._pools[request] = pool
        while pool:
            governor = pool[0][3]
            fits = room(governor, request, us)
            if fits is Room.NONE or (fits is Room.AHEAD and task.runs_once) or self._keeps_out(governor, key, request):
                heapq.heappop(pool)
                continue
            if len(pool) == 1:
                return governor
            heapq.heapreplace(pool, (fits is not Room.NOW, governor.work / governor.cpus, governor.order, governor))
            if pool[0][3] is governor:
                return governor
        return None

    def _keeps_out(self, governor: Governor, key: int, request: ResourceRequest) -> bool:
        """Whether the governor is reserved for a more urgent task that competes with this one."""
        held = self._reserved.get(governor)
        if held is None or key <= held[0]:
            return False
        names = {name for name, units in held[1].needs if units}
        return any(units and name in names for name, units in request.needs)

    def _reserve(self, queue: Queue, key: int, now: float) -> None:
        since, request = queue.blocked_since, queue.request
        if since is None or now - since < RESERVE_AFTER_S:
            return
        able = [
            governor
            for governor in self._view.governors()
            if governor not in self._reserved and governor.can_hold(request)
        ]
        if able:
            nearest = min(able, key=lambda governor: (fullness(governor, request), governor.order))
            self._reserved[nearest] = (key, request)

    # -- parked tasks, followers, stealing ---------------------------------------------------------

    def _from_parked(self, governor: Governor) -> Iterator[Assignment]:
        parked = self._parked[governor]
        aside: list[Entry] = []
        while parked and len(aside) < PARKED_LOOK:
            entry = heapq.heappop(parked)
            key, task = entry
            if isinstance(task, Members) or task.placement is not QUEUED:  # members are never parked
                continue
            chosen = self._unpark(task, key, governor)
            if chosen is None:
                aside.append(entry)
            else:
                yield task, chosen
                self._leads(task, chosen)
        for entry in aside:
            heapq.heappush(parked, entry)
        if not parked:
            del self._parked[governor]

    def _unpark(self, task: Task, key: int, home: Governor) -> Governor | None:
        us = task.estimate.us
        if not self._keeps_out(home, key, task.request):
            fits = room(home, task.request, us)
            if fits is Room.NOW or (fits is Room.AHEAD and not task.runs_once):
                return home
        other = self._least_loaded(task, key)
        if other is None:
            return None
        heavy = heavy_inputs(task)
        stays = (
            transfer_us(home, heavy)
            + wait_us(home, task.request, us)
            + len(self._parked.get(home, ())) * us / home.cpus
        )
        moves = transfer_us(other, heavy) + wait_us(other, task.request, us)
        return other if moves < stays else None

    def _followers(self, governor: Governor) -> Iterator[Assignment]:
        frontier = self._frontier[governor]
        limit = AHEAD_US * governor.cpus
        while frontier:
            source = frontier[0]
            if source.governor is governor:
                looked = 0
                for obj in source.outputs:
                    for task in obj.waiting():
                        looked += 1
                        if looked > FOLLOWERS_PER_TASK:
                            break
                        if task.state is not WAITING or task.governor is not None or not may_follow(task, governor):
                            continue
                        if governor.follow_work > limit or governor.count >= governor.tasks_max:
                            return
                        if governor in self._reserved and self._keeps_out(governor, urgency(task), task.request):
                            continue
                        yield task, governor
                        self._leads(task, governor)
            frontier.popleft()
        del self._frontier[governor]

    def steals(self, view: ClusterView) -> Iterator[tuple[Governor, list[Task | Members]]]:
        """Surplus of the governors with most work ahead, for those that are idle."""
        governors = view.governors()
        if len(governors) < 2:
            return
        idle = [governor for governor in governors if not governor.follow_work and has_spare(governor)]
        if not idle:
            return
        surplus = [
            (wait, -governor.order, governor)
            for governor in governors
            if governor.state is not GovernorState.RETURNING and (wait := backlog(governor)) > STEAL_US
        ]
        surplus.sort(reverse=True)
        for thief, (_, _, victim) in zip(idle, surplus, strict=False):
            tasks = _stealable(victim, thief)
            if tasks:
                yield victim, tasks


def _first(heap: list[Entry], members: Members, key: int) -> int | None:
    """The place of the first member that is ready, if it is as urgent as the entry says, the head of the heap; else the
    entry is put where it belongs, or taken away."""
    head, family = members.head(), members.family
    if head is None:
        heapq.heappop(heap)
        return None
    if isinstance(head, Task):
        members.start += 1
        heapq.heapreplace(heap, (urgency_of_member(family, members.start), members))
        heapq.heappush(heap, (urgency(head), head))
        return None
    urgent = urgency_of_member(family, head)
    if urgent != key:
        heapq.heapreplace(heap, (urgent, members))
        return None
    return head


def _stealable(victim: Governor, thief: Governor) -> list[Task | Members]:
    """What was last given to `victim` and `thief` could start sooner, about half of what cannot run at once."""
    total = victim.total
    scarce = max((name for name in victim.demand if total[name]), key=lambda name: victim.demand[name] / total[name])
    demand, work = victim.demand[scarce], victim.work
    enough = demand - (demand - total[scarce]) / 2
    found: list[Task | Members] = []
    for one, request, estimate, load in _last_given(victim):
        units = next((units for name, units in request.needs if name == scarce), 0)
        # What is left must keep the victim busy; and the task must not be drawn back there by its inputs.
        if not units or demand - units < total[scarce] or room(thief, request, estimate.us) is not Room.NOW:
            continue
        heavy = heavy_inputs(one) if isinstance(one, Task) else []
        if transfer_us(thief, heavy) >= (work - work * total[scarce] / demand) / victim.cpus:
            continue
        found.append(one)
        demand -= units
        work -= load
        if demand <= enough:
            break
    return found


def _last_given(victim: Governor) -> Iterator[tuple[Task | Members, ResourceRequest, DurationEstimate, int]]:
    """Tasks that may be asked back, what they ask for and add to the governor's work: the last ones first."""
    for task, _ in zip(reversed(victim.assigned), range(victim.tasks_max), strict=False):
        if task.state is READY and not task.pending and task.placement is DEMAND and task.nodes == 1:
            yield task, task.request, task.estimate, task.load
    for family, slot in reversed(victim.shares.items()):
        share = family.shares[slot]
        assert share is not None
        for place in reversed(family.assigned(victim)):
            yield Members(family, place, place + 1), family.request, family.estimate, share.load // share.count
