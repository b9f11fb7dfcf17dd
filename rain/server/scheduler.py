"""Which ready task goes to which governor.

Theory of operation
-------------------
The scheduler reads the graph and yields assignments; the core books each before the next is asked for, so that the
books the scheduler reads are always current. It owns only its queues.

**Order.** Ready tasks stand in a heap per session and shape (what they ask for), most urgent first: priority, then
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

**Taking back.** When a governor is idle and nothing is ready for it, half of the surplus of the one with most work
ahead is asked back.

**No starvation.** A task that found no room for `RESERVE_AFTER_S` while others did reserves the governor that is
nearest to holding it: less urgent tasks that compete for the same resources are not put there until it has started.

A pass costs the number of tasks that it places, times a logarithm, plus a bounded amount per governor and per shape.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from rain.common.limits import AHEAD_S
from rain.server.graph import Graph
from rain.server.records import (
    DEMAND,
    OBJ_FINISHED,
    OBJ_UNFINISHED,
    QUEUED,
    READY,
    WAITING,
    Governor,
    Object,
    ReplicaState,
    ResourceRequest,
    Task,
)

AHEAD_US = int(AHEAD_S * 1e6)
TRANSFER_BYTES_PER_US = 500
"""What a transfer between hosts is assumed to bring."""
SHAPES_PER_PASS = 64
"""Shapes looked at in one pass; with more of them, each has its turn."""
FOLLOWERS_PER_TASK = 64
FOLLOWER_INPUTS_MAX = 16
HOLDERS_MAX = 8
"""Holders of an input that are considered; with more, nearly any place is as good."""
PARKED_LOOK = 8
TAKE_BACK_US = 20_000
"""Surplus per cpu under which nothing is asked back: it would be done before the answer came."""
RESERVE_AFTER_S = 1.0
_RANK_MAX = (1 << 40) - 1
_NO_ROOM, _AHEAD, _NOW = 0, 1, 2

Head = tuple[int, int, ResourceRequest]
Pool = list[tuple[bool, float, int, Governor]]


def urgency(task: Task) -> int:
    """The key of the heaps: smaller is more urgent, and no two tasks have the same."""
    options = task.spec.options
    priority = 0 if options is None else options.priority
    return (((-priority << 40) + _RANK_MAX - task.rank) << 40) + task.order


def room(governor: Governor, shape: ResourceRequest, us: int) -> int:
    """Whether a task that takes `us` microseconds fits beside what is assigned (2), ahead of time (1), or not (0)."""
    total, demand = governor.total, governor.demand
    over = 1.0
    for name, units in shape.needs:
        have = total.get(name, -1)
        if units > have:
            return _NO_ROOM
        wanted = demand[name] + units
        if wanted > have and wanted > over * have:
            over = wanted / have
    if len(governor.assigned) >= governor.tasks_max:
        return _NO_ROOM
    if over == 1.0:
        return _NOW
    work = governor.work + governor.load_of(shape, us)
    return _AHEAD if work - work / over <= AHEAD_US * governor.cpus else _NO_ROOM


def wait_us(governor: Governor, shape: ResourceRequest, us: int) -> float:
    """Estimated microseconds until a task could start: 0 if it fits beside what is assigned."""
    total, demand = governor.total, governor.demand
    over = 1.0
    for name, units in shape.needs:
        wanted = demand[name] + units
        if wanted > over * total[name]:
            over = wanted / total[name]
    work = governor.work + governor.load_of(shape, us)
    return (work - work / over) / governor.cpus


def backlog(governor: Governor) -> float:
    """Estimated microseconds of the work that cannot run at once, per cpu."""
    total = governor.total
    over = 1.0
    for name, wanted in governor.demand.items():
        have = total[name]
        if wanted > over * have and have:
            over = wanted / have
    return (governor.work - governor.work / over) / governor.cpus


class Scheduler:
    """The queues of ready tasks, and the decisions.

    Parameters
    ----------
    graph : Graph
        Only read.
    """

    __slots__ = ("_active", "_graph", "_pools", "_reserved")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._active: dict[ResourceRequest, None] = {}
        self._pools: dict[ResourceRequest, Pool] = {}
        self._reserved: dict[Governor, tuple[int, ResourceRequest]] = {}

    # -- queues ---------------------------------------------------------------------------------

    def push(self, task: Task) -> None:
        """Queue a ready task. Entries of tasks that leave the queue otherwise are skipped later."""
        shape = task.shape
        if not shape.heap:
            self._active[shape] = None
        heapq.heappush(shape.heap, (urgency(task), task))

    def forget_shape(self, shape: ResourceRequest) -> None:
        """Its session ended."""
        shape.heap.clear()
        self._active.pop(shape, None)

    def forget_governor(self, governor: Governor) -> None:
        """It is lost: what was parked there is queued again."""
        for _, task in governor.parked:
            if task.placement is QUEUED:
                self.push(task)
        governor.parked.clear()

    def hopeless(self) -> list[Task]:
        """The ready tasks that no governor here could ever hold; they leave the queues."""
        governors = self._graph.governors.values()
        version = self._graph.version
        found: list[Task] = []
        for shape in list(self._active):
            if shape.version != version:
                shape.version = version
                shape.placeable = any(governor.can_hold(shape) for governor in governors)
            if not shape.placeable:
                for _, task in sorted(shape.heap, key=_key):
                    if task.placement is QUEUED:
                        found.append(task)
                self.forget_shape(shape)
        return found

    # -- a pass ---------------------------------------------------------------------------------

    def assignments(self, now: float) -> Iterator[tuple[Task, Governor]]:
        """What to assign; each is to be booked before the next is asked for."""
        if not self._graph.governors:
            return
        self._pools.clear()
        for governor in self._graph.governors.values():
            if governor.parked:
                yield from self._from_parked(governor)
        yield from self._from_queues(now)
        for governor in self._graph.governors.values():
            if governor.frontier:
                yield from self._followers(governor)

    def _from_queues(self, now: float) -> Iterator[tuple[Task, Governor]]:
        heads = self._heads()
        blocked: list[tuple[int, ResourceRequest]] = []
        self._reserved.clear()
        while heads:
            key, index, shape = heads[0]
            heap = shape.heap
            task = heap[0][1]
            if task.placement is QUEUED:
                governor, has_room = self._place(task, key)
                if governor is None:
                    heapq.heappop(heads)
                    blocked.append((key, shape))
                    self._reserve(shape, key, now)
                    continue
                shape.blocked_since = None
                if has_room:
                    for other_key, other in blocked:
                        if other_key < key and other.blocked_since is None:
                            other.blocked_since = now
                    yield task, governor
                else:
                    heapq.heappush(governor.parked, (key, task))
            heapq.heappop(heap)
            if heap:
                heapq.heapreplace(heads, (heap[0][0], index, shape))
            else:
                heapq.heappop(heads)
                self._active.pop(shape, None)

    def _heads(self) -> list[Head]:
        active = self._active
        if len(active) > SHAPES_PER_PASS:
            chosen = [shape for shape, _ in zip(active, range(SHAPES_PER_PASS), strict=False)]
            for shape in chosen:
                del active[shape]
                active[shape] = None
        else:
            chosen = list(active)
        heads = [(shape.heap[0][0], index, shape) for index, shape in enumerate(chosen)]
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
        us = task.kind.us
        best_cost = transfer_us(best, heavy)
        if best_cost == 0.0:
            return best, True
        best_cost += wait_us(best, task.shape, us)
        has_room = True
        for governor in _holders(heavy):
            if not governor.can_hold(task.shape) or self._keeps_out(governor, key, task.shape):
                continue
            fits = room(governor, task.shape, us)
            cost = transfer_us(governor, heavy)
            if fits != _NOW:
                cost += wait_us(governor, task.shape, us) + len(governor.parked) * us / governor.cpus
            if cost < best_cost:
                best, best_cost = governor, cost
                has_room = fits == _NOW or (fits == _AHEAD and not task.runs_once)
        return best, has_room

    def _least_loaded(self, task: Task, key: int) -> Governor | None:
        shape, us = task.shape, task.kind.us
        pool = self._pools.get(shape)
        if pool is None:
            # Entries are lower bounds: work only grows during a pass.
            pool = [(False, 0.0, governor.order, governor) for governor in self._graph.governors.values()]
            self._pools[shape] = pool
        while pool:
            governor = pool[0][3]
            fits = room(governor, shape, us)
            if fits == _NO_ROOM or (fits == _AHEAD and task.runs_once) or self._keeps_out(governor, key, shape):
                heapq.heappop(pool)
                continue
            if len(pool) == 1:
                return governor
            heapq.heapreplace(pool, (fits != _NOW, governor.work / governor.cpus, governor.order, governor))
            if pool[0][3] is governor:
                return governor
        return None

    def _keeps_out(self, governor: Governor, key: int, shape: ResourceRequest) -> bool:
        """Whether the governor is reserved for a more urgent task that competes with this one."""
        held = self._reserved.get(governor)
        if held is None or key <= held[0]:
            return False
        names = {name for name, units in held[1].needs if units}
        return any(units and name in names for name, units in shape.needs)

    def _reserve(self, shape: ResourceRequest, key: int, now: float) -> None:
        since = shape.blocked_since
        if since is None or now - since < RESERVE_AFTER_S:
            return
        able = [
            governor
            for governor in self._graph.governors.values()
            if governor not in self._reserved and governor.can_hold(shape)
        ]
        if able:
            nearest = min(able, key=lambda governor: (_fullness(governor, shape), governor.order))
            self._reserved[nearest] = (key, shape)

    # -- parked, followers, taking back ---------------------------------------------------------

    def _from_parked(self, governor: Governor) -> Iterator[tuple[Task, Governor]]:
        parked = governor.parked
        aside: list[tuple[int, Task]] = []
        while parked and len(aside) < PARKED_LOOK:
            entry = heapq.heappop(parked)
            key, task = entry
            if task.placement is not QUEUED:
                continue
            chosen = self._unpark(task, key, governor)
            if chosen is None:
                aside.append(entry)
            else:
                yield task, chosen
        for entry in aside:
            heapq.heappush(parked, entry)

    def _unpark(self, task: Task, key: int, home: Governor) -> Governor | None:
        us = task.kind.us
        if not self._keeps_out(home, key, task.shape):
            fits = room(home, task.shape, us)
            if fits == _NOW or (fits == _AHEAD and not task.runs_once):
                return home
        other = self._least_loaded(task, key)
        if other is None:
            return None
        heavy = heavy_inputs(task)
        stays = transfer_us(home, heavy) + wait_us(home, task.shape, us) + len(home.parked) * us / home.cpus
        moves = transfer_us(other, heavy) + wait_us(other, task.shape, us)
        return other if moves < stays else None

    def _followers(self, governor: Governor) -> Iterator[tuple[Task, Governor]]:
        frontier = governor.frontier
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
                        if task.state is not WAITING or task.governor is not None or not _may_follow(task, governor):
                            continue
                        if governor.follow_work > limit or len(governor.assigned) >= governor.tasks_max:
                            return
                        if governor in self._reserved and self._keeps_out(governor, urgency(task), task.shape):
                            continue
                        yield task, governor
            frontier.popleft()

    def take_back(self) -> Iterator[tuple[Governor, list[Task]]]:
        """Which surplus to ask back, now that all that can be placed is placed."""
        governors = self._graph.governors
        if len(governors) < 2:
            return
        idle = [governor for governor in governors.values() if not governor.follow_work and _has_spare(governor)]
        if not idle:
            return
        surplus = [
            (wait, -governor.order, governor)
            for governor in governors.values()
            if not governor.recalling and (wait := backlog(governor)) > TAKE_BACK_US
        ]
        surplus.sort(reverse=True)
        for thief, (_, _, victim) in zip(idle, surplus, strict=False):
            tasks = _takeable(victim, thief)
            if tasks:
                yield victim, tasks


def _key(entry: tuple[int, Task]) -> int:
    return entry[0]


def heavy_inputs(task: Task) -> list[Object]:
    """The finished inputs whose place matters: those that are not sent along with the task."""
    return [obj for obj in task.inputs if obj.data is None and obj.size and obj.state is OBJ_FINISHED]


def transfer_us(governor: Governor, heavy: list[Object]) -> float:
    """Estimated microseconds to bring inputs to a governor; what lies on its host is linked at no cost."""
    missing = 0
    for obj in heavy:
        if governor.objects.get(obj, ReplicaState.STALE) is ReplicaState.STALE:
            near = len(obj.sites) <= HOLDERS_MAX and any(
                holder.host_id == governor.host_id
                and holder.objects[obj] not in (ReplicaState.TOLD, ReplicaState.STALE)
                for holder in obj.sites
            )
            if not near:
                missing += obj.size
    return missing / TRANSFER_BYTES_PER_US


def _holders(heavy: list[Object]) -> dict[Governor, None]:
    found: dict[Governor, None] = {}
    for obj in heavy[:FOLLOWER_INPUTS_MAX]:
        found.update(dict.fromkeys(obj.sites[:HOLDERS_MAX]))
    return found


def _fullness(governor: Governor, shape: ResourceRequest) -> float:
    total, demand = governor.total, governor.demand
    return max((demand[name] / total[name] for name, units in shape.needs if units), default=0.0)


def _may_follow(task: Task, governor: Governor) -> bool:
    if len(task.inputs) > FOLLOWER_INPUTS_MAX or task.runs_once or not governor.can_hold(task.shape):
        return False
    for obj in task.inputs:
        if obj.state is OBJ_UNFINISHED and (obj.producer is None or obj.producer.governor is not governor):
            return False
    return transfer_us(governor, heavy_inputs(task)) == 0.0


def _has_spare(governor: Governor) -> bool:
    return all(units < governor.total[name] for name, units in governor.demand.items() if governor.total[name])


def _takeable(victim: Governor, thief: Governor) -> list[Task]:
    """The tasks last given to `victim` that `thief` could start sooner, about half of what cannot run at once."""
    total = victim.total
    scarce = max((name for name in victim.demand if total[name]), key=lambda name: victim.demand[name] / total[name])
    demand, work = victim.demand[scarce], victim.work
    enough = demand - (demand - total[scarce]) / 2
    tasks: list[Task] = []
    for task, _ in zip(reversed(victim.assigned), range(victim.tasks_max), strict=False):
        if task.state is not READY or task.pending or task.placement is not DEMAND:
            continue
        units = next((units for name, units in task.shape.needs if name == scarce), 0)
        # What is left must keep the victim busy; and the task must not be drawn back there by its inputs.
        if not units or demand - units < total[scarce] or room(thief, task.shape, task.kind.us) != _NOW:
            continue
        if transfer_us(thief, heavy_inputs(task)) >= (work - work * total[scarce] / demand) / victim.cpus:
            continue
        tasks.append(task)
        demand -= units
        work -= task.load
        if demand <= enough:
            break
    return tasks
