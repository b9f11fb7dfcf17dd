"""Tasks on several hosts among others, in simulated time: what is used of a cluster with and without filling gaps.

    python benchmarks/gaps.py [--seed 1] [--hours 4] [--governors 16] [--nodes 8]

prints a JSON line each. The real `ServerCore` with paper governors of one cpu: tasks of three functions (about 3, 25
and 120 s, 60, 30 and 10 of a hundred) wait in such numbers that there is always one, and every five minutes one task
comes that wants half of the governors at once for a minute, before all that wait. Where gaps stay empty, governors that
are kept free for it stand idle until the last of them is.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
from collections import deque
from collections.abc import Iterator
from typing import Any

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec, TaskInfo, TaskOptions, TaskSpec
from rain.common.task_configs import COMPANION
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.scheduling.locality import LocalityPolicy

FUNCTIONS = ((60, 3.0), (30, 25.0), (10, 120.0))
GANGS_EVERY_S = 300.0
GANG_S = 60.0
CPU = {"cpus": 1.0}


class Empty(LocalityPolicy):
    """Gaps stay empty."""

    __slots__ = ()

    def _into_gaps(self, kept: Any, now: float) -> Iterator[Any]:
        return iter(())


class Play:
    """One server, its governors, and what they did."""

    def __init__(self, policy: type[LocalityPolicy], seed: int, governors: int, nodes: int) -> None:
        self.core = ServerCore("server:1", "here", policy=policy)
        self.rng = random.Random(seed)
        self.nodes = nodes
        self.now = 0.0
        self.due: list[tuple[float, int, str, Any]] = []
        self.count = self.requests = 0
        self.replies: dict[int, Any] = {}
        self.seconds: dict[ID, float] = {}
        self.functions: dict[str, ID] = {}
        self.gangs: dict[ID, float] = {}
        self.waits: list[float] = []
        self.held: list[float] = []
        self.held_since: float | None = None
        self.busy_s = 0.0
        self.queues: dict[str, deque[m.TaskAssignment]] = {}
        self.running: dict[str, m.TaskAssignment] = {}
        self.step(ev.ClientJoined("c"))
        env = m.SessionEnv("here", "python", "3.11", [], "/")
        self.session = self.ask(m.NewSession, "day", "continue", False, env).session_id
        for number in range(governors):
            self.queues[f"g{number}"] = deque()
            self.step(ev.GovernorJoined(f"g{number}", m.Register(f"g{number}", f"h{number}", CPU, [], "3.11")))

    def at(self, when: float, what: str, about: Any = None) -> None:
        self.count += 1
        heapq.heappush(self.due, (when, self.count, what, about))

    def ask(self, kind: Any, *fields: Any) -> Any:
        self.requests += 1
        self.step(ev.ClientSaid("c", kind(self.requests, *fields)))
        return self.replies.pop(self.requests, None)

    def turn(self, event: ev.Event) -> None:
        self.step(event)
        self.step(ev.TurnEnded())
        self.look()

    def look(self) -> None:
        """Whether a task on several waits for nothing but for what fills gaps."""
        graph = self.core.state.graph
        filling = {task.governor for task in graph.backfilled}
        free = sum(
            governor in filling or not (governor.assigned or governor.stopping or governor.hosting)
            for governor in graph.governors.values()
        )
        held_up = graph.reserved_for is not None and free >= self.nodes
        if self.held_since is not None and not held_up:
            self.held.append(self.now - self.held_since)
        self.held_since = (self.now if self.held_since is None else self.held_since) if held_up else None

    def step(self, event: ev.Event) -> None:
        for effect in self.core.step(event, self.now):
            if isinstance(effect, do.InternalError):
                raise effect.error
            if isinstance(effect, do.ToClient) and getattr(effect.message, "request", None):
                self.replies[effect.message.request] = effect.message
            elif isinstance(effect, do.ToGovernor):
                self.told(effect.governor_id, effect.message)

    def told(self, governor: str, message: Any) -> None:
        if isinstance(message, m.Assign):
            self.queues[governor].extend(message.tasks)
            self.at(self.now, "next", governor)
        elif isinstance(message, m.CancelTasks):
            self.running.pop(governor)  # a companion, whose task has ended
            self.at(self.now, "stopped", (governor, message.tasks))
        elif isinstance(message, m.TakeBack):
            asked, queue = set(message.tasks), self.queues[governor]
            given = [(task.spec.id, task.attempt) for task in queue if (task.spec.id, task.attempt) in asked]
            self.queues[governor] = deque(task for task in queue if (task.spec.id, task.attempt) not in asked)
            self.at(self.now, "gave back", (governor, given))

    def next(self, governor: str) -> None:
        if governor in self.running or not self.queues[governor]:
            return
        task = self.running[governor] = self.queues[governor].popleft()
        key = (task.spec.id, task.attempt)
        if task.spec.task_type == COMPANION:
            self.turn(ev.GovernorSaid(governor, m.NodeReady(*key, f"{governor}:9", b"print", b"key")))
            return
        seconds = self.seconds[task.spec.id]
        asked_at = self.gangs.get(task.spec.id)
        if asked_at is not None:
            self.waits.append(self.now - asked_at)
        self.busy_s += seconds * (1 if asked_at is None else self.nodes)
        self.at(self.now + seconds, "ended", (governor, task))
        self.turn(ev.GovernorSaid(governor, m.Started([key])))

    def submit(self, kind: str, seconds: list[float], **options: Any) -> list[TaskSpec]:
        tasks, objects, constants = [], [], []
        if kind not in self.functions:
            self.count += 1
            id = self.functions[kind] = ID(self.session, self.count)
            objects.append(ObjectSpec(id))
            constants.append(m.Constant(id, Inline(b"code", 1)))
        for each in seconds:
            self.count += 1
            spec = TaskSpec(
                ID(self.session, self.count),
                "py/",
                resources=CPU,
                function=self.functions[kind],
                options=TaskOptions(**options),
            )
            self.seconds[spec.id] = each
            tasks.append(spec)
        answer = self.ask(m.Submit, self.session, tasks, objects, constants, [])
        assert isinstance(answer, m.Done), answer
        self.step(ev.TurnEnded())
        return tasks

    def run(self, hours: float) -> dict[str, Any]:
        self.at(GANGS_EVERY_S, "gang")
        self.at(0.0, "fill")
        self.at(1.0, "tick")
        end = hours * 3600
        while self.due[0][0] < end:
            self.now, _, what, about = heapq.heappop(self.due)
            if what == "next":
                self.next(about)
            elif what == "ended":
                governor, task = about
                del self.running[governor]
                info = TaskInfo(duration=self.seconds[task.spec.id])
                self.turn(ev.GovernorSaid(governor, m.Finished([m.TaskResult(task.spec.id, task.attempt, info, [])])))
                self.next(governor)
            elif what == "stopped":
                self.turn(ev.GovernorSaid(about[0], m.Stopped(about[1])))
                self.next(about[0])
            elif what == "gave back":
                self.turn(ev.GovernorSaid(about[0], m.GaveBack(about[1])))
            elif what == "gang":
                (task,) = self.submit("gang", [GANG_S], nodes=self.nodes, priority=1)
                self.gangs[task.id] = self.now
                self.at(self.now + GANGS_EVERY_S, "gang")
            elif what == "fill":
                for index, (share, seconds) in enumerate(FUNCTIONS):
                    self.submit(f"f{index}", [seconds * self.rng.uniform(0.8, 1.2) for _ in range(share)])
                waiting = sum(task.placement.value == "queued" for task in self.core.state.graph.sessions[
                    self.session].tasks.values())  # fmt: skip
                self.at(self.now + (600.0 if waiting > 1000 else 1.0), "fill")
            elif what == "tick":
                self.turn(ev.Tick())
                self.at(self.now + 1.0, "tick")
        return {
            "used": round(self.busy_s / (end * len(self.queues)), 3),
            "on_several": len(self.waits),
            "waited_mean_s": round(statistics.fmean(self.waits), 1),
            "waited_most_s": round(max(self.waits), 1),
            "held_up_by_gaps_s": round(sum(self.held), 1),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--governors", type=int, default=16)
    parser.add_argument("--nodes", type=int, default=8)
    args = parser.parse_args()
    for name, policy in (("gaps filled", LocalityPolicy), ("gaps empty", Empty)):
        play = Play(policy, args.seed, args.governors, args.nodes)
        print(json.dumps({"policy": name, **play.run(args.hours)}))
