"""A bursty day in simulated time: Rain's elastic pool, and Dask's `adapt`, on the same work and the same queue.

    python benchmarks/scaling.py [--day 1] [--hours 24] [--idle 10] [--dask]
    python benchmarks/scaling.py --swf benchmarks/traces/hpc2n-excerpt.swf [--idle 10] [--dask]

prints one JSON line a system: how much of the time that was paid for places had work, how long tasks waited, how often
places were asked for. Nothing real waits: a day takes seconds to minutes.

Theory of operation
-------------------
**Work.** Bursts of tasks, one place each, as users of a cluster's GPUs make them: they arrive as a Poisson process
whose rate follows the hours of a working day; a burst has 1 to 128 tasks of one function (log-uniform), whose duration
is log-normal by function (median 30 s, sigma 1.2) and varies by a quarter among its tasks. Each function is used again,
so that its duration is known but for the first burst. The laws are those that studies of traces of the Parallel
Workloads Archive found (Lublin and Feitelson 2003: daily cycle, log-uniform sizes, run times with a long tail); the
numbers are chosen, the seed fixes the day. It is synthetic.

**The queue.** A place that is asked for waits as long as the engine's queue of then lets it: a time that wanders
(log-normal, median `QUEUE_MEDIAN_S`, sigma 0.9, correlated over an hour), longer at the hours of high load. All systems
have the same queue: the wait is a function of the time at which a place is asked for.

**A recorded trace** (`--swf`) gives both instead: each job of a log becomes a burst of as many tasks as it had
processors, which take as long as it ran, of one function for each user and requested time; a place waits as long as the
job waited that was submitted last. Jobs of many processors waited longer than places of one would have.

**Rain.** The real `ServerCore` with paper governors, and the real `Scaling`, looked at every second. A place is paid
for from the start of its job until its job has ended; a governor takes `START_S` until it is up, and `END_S` to leave.

**Dask.** The real `AdaptiveCore` of `distributed.deploy.adaptive_core` and the real `Scheduler.adaptive_target`, called
on records that hold what these read. `Scheduler.workers_to_close` is modelled for workers of one size without data (see
there), and so is what the scheduler does with a task: it goes to an idle worker. `plan`, `requested` and `observed` are
kept as `SpecCluster` and dask-jobqueue keep them. It runs with its defaults (`interval` 1 s, `wait_count` 3,
`target_duration` 5 s), and with as much patience as Rain (`wait_count` = idle seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import heapq
import json
import math
import random
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec, TaskInfo, TaskSpec
from rain.deploy.pools.scaling import Rules, Scaling, Seen
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev

START_S = 5.0
END_S = 2.0
QUEUE_MEDIAN_S = 60.0
MAXIMUM = 50
RESOURCES = {"cpus": 1.0, "gpus": 1.0}
FUNCTIONS = 40
MEDIAN_S = 30.0
BURSTS_EVERY_S = 300.0
TASKS_LOG2 = 7


@dataclass
class Burst:
    """Tasks of one function that are submitted together."""

    at: float
    function: int
    seconds: list[float]


@dataclass
class Day:
    """What happens, whatever system runs it."""

    bursts: list[Burst]
    queue: Callable[[float], float]
    maximum: int = MAXIMUM


@dataclass
class Account:
    """What one system did."""

    used_s: float = 0.0
    paid_s: float = 0.0
    asked: int = 0
    cancelled: int = 0
    places: int = 0
    waits: list[float] = field(default_factory=list)
    done: int = 0
    burst_left: dict[int, int] = field(default_factory=dict)
    responses: list[float] = field(default_factory=list)

    def told(self, name: str, took: float) -> dict[str, Any]:
        return {
            "system": name,
            "used_over_paid": round(self.used_s / self.paid_s, 3),
            "place_hours": round(self.paid_s / 3600, 1),
            "tasks": self.done,
            "wait_mean_s": round(statistics.fmean(self.waits), 1),
            "burst_mean_s": round(statistics.fmean(self.responses), 1),
            "burst_p90_s": round(sorted(self.responses)[int(0.9 * len(self.responses))], 1),
            "places": self.places,
            "asked": self.asked,
            "cancelled": self.cancelled,
            "took_s": round(took, 1),
        }


def make_day(seed: int, hours: float, from_hour: float = 0.0) -> Day:
    """The bursts and the queue of one day, or of some hours of it."""
    begin = from_hour * 3600
    rng = random.Random(seed)
    medians = [MEDIAN_S * math.exp(1.2 * rng.gauss(0, 1)) for _ in range(FUNCTIONS)]
    bursts = []
    now = 0.0
    while True:
        now += rng.expovariate(1 / BURSTS_EVERY_S)  # thinned by the hour
        if now >= hours * 3600:
            break
        if rng.random() > _busy(begin + now):
            continue
        function = min(int(rng.paretovariate(0.7)) - 1, FUNCTIONS - 1)
        count = int(2 ** rng.uniform(0, TASKS_LOG2))
        bursts.append(Burst(now, function, [medians[function] * rng.uniform(0.75, 1.25) for _ in range(count)]))
    steps = [0.0]
    for _ in range(int(hours * 60) + 600):
        steps.append(steps[-1] * math.exp(-1 / 60) + math.sqrt(1 - math.exp(-2 / 60)) * rng.gauss(0, 1))

    def queue(at: float) -> float:
        return QUEUE_MEDIAN_S * (0.5 + _busy(begin + at)) * math.exp(0.9 * steps[min(int(at / 60), len(steps) - 1)])

    return Day(bursts, queue)


def recorded_day(path: Path) -> Day:
    """What the jobs of a log in the Standard Workload Format did."""
    import swf  # beside this file

    jobs = swf.read(path)
    begin = jobs[0].submitted
    functions: dict[tuple[int, float], int] = {}
    bursts = [
        Burst(
            job.submitted - begin,
            functions.setdefault((job.user, job.asked_s), len(functions)),
            [job.ran_s] * job.processors,
        )
        for job in jobs
    ]
    times = [burst.at for burst in bursts]

    def queue(at: float) -> float:
        return jobs[max(bisect.bisect_right(times, at) - 1, 0)].waited_s

    return Day(bursts, queue, max(job.processors for job in jobs))


def _busy(now: float) -> float:
    """Share of the highest rate: 1 in the early afternoon, little at night."""
    hour = now / 3600 % 24
    return 0.05 + 0.95 * max(0.0, math.sin(math.pi * (hour - 7) / 14)) if 7 <= hour <= 21 else 0.05


class Clock:
    """Simulated time: what is due, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, call, args))

    def run(self, over: Callable[[], bool]) -> None:
        while self._due and not over():
            self.now, _, call, args = heapq.heappop(self._due)
            call(*args)


@dataclass(eq=False)
class Place:
    """One place: asked for, running, up, ended."""

    number: int
    asked_at: float
    started_at: float = -1.0
    up: bool = False
    leaving: bool = False
    ended: bool = False


class Engine:
    """The batch system: places start when the queue of the time lets them."""

    def __init__(self, day: Day, clock: Clock, account: Account, up: Callable[[Place], None]) -> None:
        self.day, self.clock, self.account, self._up = day, clock, account, up
        self.places: dict[int, Place] = {}

    def ask(self) -> Place:
        self.account.asked += 1
        place = Place(self.account.asked, self.clock.now)
        self.places[place.number] = place
        self.clock.at(self.clock.now + self.day.queue(self.clock.now), self._start, place)
        return place

    def _start(self, place: Place) -> None:
        if place.ended:
            return
        self.account.places += 1
        place.started_at = self.clock.now
        self.clock.at(self.clock.now + START_S, self._come, place)

    def _come(self, place: Place) -> None:
        if not place.ended and not place.leaving:
            place.up = True
            self._up(place)

    def end(self, place: Place) -> None:
        """Cancel it, or let it leave."""
        if place.started_at < 0:
            place.ended = True
            self.account.cancelled += 1
            del self.places[place.number]
            return
        place.leaving, place.up = True, False
        self.clock.at(self.clock.now + END_S, self._ended, place)

    def _ended(self, place: Place) -> None:
        place.ended = True
        self.account.paid_s += self.clock.now - place.started_at
        self.places.pop(place.number, None)


class RainSystem:
    """Rain's server and pool."""

    def __init__(self, day: Day, idle_s: float) -> None:
        self.day = day
        self.clock = Clock()
        self.account = Account()
        self.core = ServerCore("server:1", "here")
        self.scaling = Scaling(RESOURCES, Rules(0, day.maximum, idle_s))
        self.engine = Engine(day, self.clock, self.account, self._up)
        self.requests = 0
        self.replies: dict[int, Any] = {}
        self.seconds: dict[ID, tuple[int, float, float]] = {}
        self.functions: dict[int, ID] = {}
        self.queues: dict[str, deque[m.TaskAssignment]] = {}
        self.running: dict[str, m.TaskAssignment] = {}
        self.number = 0
        self._step(ev.ClientJoined("c"))
        env = m.SessionEnv("here", "python", "3.11", [], "/")
        self.session = self._ask(m.NewSession, "day", "continue", False, env).session_id
        offer = m.Offer("paper", RESOURCES, day.maximum)
        self._ask(m.OfferPlaces, [offer])

    def run(self) -> Account:
        for index, burst in enumerate(self.day.bursts):
            self.clock.at(burst.at, self._submit, index, burst)
        self.clock.at(1.0, self._look)
        total = sum(len(burst.seconds) for burst in self.day.bursts)
        self.clock.run(lambda: self.account.done == total and not self.engine.places)
        return self.account

    def _step(self, event: ev.Event) -> None:
        for effect in self.core.step(event, self.clock.now):
            if isinstance(effect, do.ToClient) and getattr(effect.message, "request", None):
                self.replies[effect.message.request] = effect.message
            elif isinstance(effect, do.ToGovernor) and isinstance(effect.message, m.Assign):
                self.queues[effect.governor_id].extend(effect.message.tasks)
                self._next(effect.governor_id)
            elif isinstance(effect, do.ToGovernor) and isinstance(effect.message, m.TakeBack):
                self._give_back(effect.governor_id, effect.message)
            elif isinstance(effect, do.InternalError):
                raise effect.error

    def _turn(self, event: ev.Event) -> None:
        self._step(event)
        self._step(ev.TurnEnded())

    # -- a governor of paper: one task at a time -------------------------------------------------

    def _next(self, governor: str) -> None:
        if governor in self.running or not self.queues[governor]:
            return
        task = self.running[governor] = self.queues[governor].popleft()
        _, submitted, seconds = self.seconds[task.spec.id]
        self.account.waits.append(self.clock.now - submitted)
        self.account.used_s += seconds
        self._say(governor, m.Started([(task.spec.id, task.attempt)]))
        self.clock.at(self.clock.now + seconds, self._finished, governor, task, seconds)

    def _finished(self, governor: str, task: m.TaskAssignment, seconds: float) -> None:
        del self.running[governor]
        self._done(self.seconds[task.spec.id][0])
        self._next(governor)
        self._turn(ev.GovernorSaid(governor, self._result(task, seconds)))

    def _give_back(self, governor: str, message: m.TakeBack) -> None:
        queue = self.queues[governor]
        asked = set(message.tasks)
        given = [task for task in queue if (task.spec.id, task.attempt) in asked]
        self.queues[governor] = deque(task for task in queue if task not in given)
        self._say(governor, m.GaveBack([(task.spec.id, task.attempt) for task in given]))

    def _say(self, governor: str, message: Any) -> None:
        self.clock.at(self.clock.now, lambda: self._turn(ev.GovernorSaid(governor, message)))

    def _result(self, task: m.TaskAssignment, seconds: float) -> m.Finished:
        info = TaskInfo(start_time=0.0, duration=seconds)
        return m.Finished([m.TaskResult(task.spec.id, task.attempt, info, [])])

    def _done(self, burst: int) -> None:
        _one_done(self.account, self.day, burst, self.clock.now)

    def _ask(self, kind: Any, *fields: Any) -> Any:
        self.requests += 1
        self._step(ev.ClientSaid("c", kind(self.requests, *fields)))
        return self.replies.pop(self.requests)

    def _id(self) -> ID:
        self.number += 1
        return ID(self.session, self.number)

    def _submit(self, index: int, burst: Burst) -> None:
        constants, objects = [], []
        if burst.function not in self.functions:
            id = self.functions[burst.function] = self._id()
            objects.append(ObjectSpec(id))
            constants.append(m.Constant(id, Inline(b"code", 1)))
        tasks = []
        for seconds in burst.seconds:
            spec = TaskSpec(self._id(), "py/", resources=RESOURCES, function=self.functions[burst.function])
            self.seconds[spec.id] = (index, self.clock.now, seconds)
            tasks.append(spec)
        answer = self._ask(m.Submit, self.session, tasks, objects, constants, [])
        assert isinstance(answer, m.Done), answer
        self._step(ev.TurnEnded())

    def _up(self, place: Place) -> None:
        register = m.Register(f"g{place.number}", "host", RESOURCES, [], "3.11")
        self.queues[register.governor_id] = deque()
        self._turn(ev.GovernorJoined(register.governor_id, register))

    def _look(self) -> None:
        demand = self._ask(m.GetDemand)
        places = self.engine.places
        seen = [
            Seen(place.number, f"g{place.number}" if place.up else "", place.started_at >= 0, place.asked_at)
            for place in places.values()
            if not place.leaving
        ]
        decision = self.scaling.look(self.clock.now, demand, seen, 0.0)
        for number in (*decision.cancel, *decision.leave):
            place = places[number]
            if place.up:
                governor = self.core.state.graph.governors[f"g{number}"]
                assert not governor.assigned, "a place with work was let go"
                self._turn(ev.GovernorGone(f"g{number}", "it leaves"))
            self.engine.end(place)
        for _ in range(decision.more):
            self.engine.ask()
        self.clock.at(self.clock.now + 1.0, self._look)


def _one_done(account: Account, day: Day, burst: int, now: float) -> None:
    account.done += 1
    left = account.burst_left.setdefault(burst, len(day.bursts[burst].seconds)) - 1
    account.burst_left[burst] = left
    if not left:
        account.responses.append(now - day.bursts[burst].at)


# -- Dask -----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Prefix:
    """What `Scheduler._get_prefix_duration` reads: an average that follows, as `TaskPrefix.add_duration` keeps it."""

    duration_average: float = -1.0

    def add_duration(self, seconds: float) -> None:
        old = self.duration_average
        self.duration_average = seconds if old < 0 else 0.5 * seconds + 0.5 * old


@dataclass(eq=False)
class DaskTask:
    prefix: Prefix
    burst: int
    submitted: float
    seconds: float


@dataclass(eq=False)
class DaskWorker:
    """What the scheduler's methods read of a worker."""

    place: Place
    name: int
    processing: dict[DaskTask, None] = field(default_factory=dict)
    nthreads: int = 1
    memory_limit: int = 1 << 34
    nbytes: int = 0
    has_what: dict[Any, None] = field(default_factory=dict)
    status: Any = None
    long_running: set[Any] = field(default_factory=set)


class DaskSystem:
    """Dask's own decisions on the same day."""

    def __init__(self, day: Day, wait_count: int) -> None:
        from distributed.deploy.adaptive_core import AdaptiveCore

        self.day = day
        self.clock = Clock()
        self.account = Account()
        self.engine = Engine(day, self.clock, self.account, self._up)
        self.prefixes: defaultdict[int, Prefix] = defaultdict(Prefix)
        # -- what `Scheduler.adaptive_target` reads
        self.queued: deque[DaskTask] = deque()
        self.unrunnable: dict[DaskTask, float] = {}
        self.workers: dict[str, DaskWorker] = {}
        system = self

        class Adapt(AdaptiveCore):
            plan = property(lambda self: {place.number for place in system.engine.places.values() if not place.leaving})
            requested = plan
            observed = property(lambda self: {worker.name for worker in system.workers.values()})

            async def target(self) -> int:
                return system.target()

            async def workers_to_close(self, target: int) -> list[int]:
                return system.workers_to_close(target)

            async def scale_up(self, n: int) -> None:
                for _ in range(n - len(self.plan)):
                    system.engine.ask()

            async def scale_down(self, workers: Any) -> None:
                for number in workers:
                    system.close(number)

        self.adapt = Adapt(minimum=0, maximum=day.maximum, wait_count=wait_count)
        self.loop = asyncio.new_event_loop()

    def run(self) -> Account:
        for index, burst in enumerate(self.day.bursts):
            self.clock.at(burst.at, self._submit, index, burst)
        self.clock.at(1.0, self._look)
        total = sum(len(burst.seconds) for burst in self.day.bursts)
        self.clock.run(lambda: self.account.done == total and not self.engine.places)
        self.loop.close()
        return self.account

    def _look(self) -> None:
        self.loop.run_until_complete(self.adapt.adapt())
        self.clock.at(self.clock.now + 1.0, self._look)

    # -- the scheduler's own methods, on what is here --------------------------------------------

    UNKNOWN_TASK_DURATION = 0.5  # distributed.scheduler.unknown-durations: 500 ms

    def _get_prefix_duration(self, prefix: Prefix) -> float:
        return prefix.duration_average if prefix.duration_average >= 0 else self.UNKNOWN_TASK_DURATION

    @property
    def total_occupancy(self) -> float:
        return sum(
            self._get_prefix_duration(task.prefix) for worker in self.workers.values() for task in worker.processing
        )

    def target(self) -> int:
        from distributed.scheduler import Scheduler

        return int(Scheduler.adaptive_target(self, target_duration=5.0))  # type: ignore[arg-type]

    def workers_to_close(self, target: int | None = None) -> list[int]:
        """As `Scheduler.workers_to_close`, whose part for workers of one size and no data in memory is this: idle ones,
        until `target` are left; without a target those that hold less than half of the memory used, which is all."""
        if target is None and len(self.queued) + len(self.unrunnable):
            return []
        idle = [worker.name for worker in self.workers.values() if not worker.processing]
        if target is None:
            return idle
        return idle[: max(0, len(self.workers) - target)]

    def close(self, number: int) -> None:
        worker = self.workers.pop(str(number), None)
        if worker is not None and worker.processing:
            raise AssertionError("a busy worker was closed")
        self.engine.end(self.engine.places[number])

    # -- tasks ------------------------------------------------------------------------------------

    def _submit(self, index: int, burst: Burst) -> None:
        for seconds in burst.seconds:
            task = DaskTask(self.prefixes[burst.function], index, self.clock.now, seconds)
            (self.queued.append(task) if self.workers else self.unrunnable.setdefault(task, self.clock.now))
        self._place()

    def _up(self, place: Place) -> None:
        self.workers[str(place.number)] = DaskWorker(place, place.number)
        self.queued.extend(self.unrunnable)
        self.unrunnable.clear()
        self._place()

    def _place(self) -> None:
        for worker in self.workers.values():
            if not self.queued:
                return
            if not worker.processing:
                task = self.queued.popleft()
                worker.processing[task] = None
                self.account.waits.append(self.clock.now - task.submitted)
                self.account.used_s += task.seconds
                self.clock.at(self.clock.now + task.seconds, self._finished, worker, task)

    def _finished(self, worker: DaskWorker, task: DaskTask) -> None:
        del worker.processing[task]
        task.prefix.add_duration(task.seconds)
        _one_done(self.account, self.day, task.burst, self.clock.now)
        self._place()


def main() -> Iterator[dict[str, Any]]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--day", type=int, default=1, help="the seed")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds")
    parser.add_argument("--swf", type=Path, help="a recorded log instead of a seeded day")
    parser.add_argument("--dask", action="store_true", help="also Dask's adapt (needs distributed)")
    args = parser.parse_args()
    day = recorded_day(args.swf) if args.swf else make_day(args.day, args.hours)
    systems: list[tuple[str, Callable[[], Any]]] = [("rain", lambda: RainSystem(day, args.idle))]
    if args.dask:
        systems.append(("dask, its defaults", lambda: DaskSystem(day, 3)))
        systems.append(("dask, as patient", lambda: DaskSystem(day, int(args.idle))))
    for name, make in systems:
        began = time.perf_counter()
        account = make().run()
        yield account.told(name, time.perf_counter() - began)


if __name__ == "__main__":
    for line in main():
        print(json.dumps(line))
