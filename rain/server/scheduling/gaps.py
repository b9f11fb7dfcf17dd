"""Gaps of governors that are kept free for a task on several: when it can start at the earliest, and what ends before.

Theory of operation
-------------------
A task on N governors can start when N of those that are able to hold it have room. When a governor has room at the
earliest follows from what is assigned there: no task is taken to end sooner than the quickest that ran the same code,
and one that has never been measured may end at once. The N-th of these times is the beginning of the task at the
earliest. What was put into a gap itself does not count, or gaps would grow by what fills them.

A task fits into a gap if it has surely ended by then, because of its `timeout`, or probably, because the slowest of at
least `MEASURED_LEAST` that ran the same code would have. So the two sides are careful in opposite directions, and a
task on several waits for one in a gap only if something ended sooner than ever before, or a governor came.
"""

from __future__ import annotations

from collections.abc import Iterable

from rain.common.spec import timeout_of
from rain.server.graph import Graph
from rain.server.records.family import TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.states import DEMAND, RUNNING

MEASURED_LEAST = 2
MARGIN = 1.25
"""What the slowest that was measured is multiplied by."""
SLACK_S = 0.25
"""For starting, and for the news of it."""
TASKS_MAX = 256
"""Where more are assigned, nothing is said of when there will be room."""


def earliest_start(graph: Graph, task: Task, able: Iterable[Governor], now: float) -> float:
    """When a task on several of the governors that are able to hold it can start at the earliest; monotonic seconds."""
    times = sorted(_room_in_s(graph, governor, task, now) for governor in able)
    return now + times[task.nodes - 1] if len(times) >= task.nodes else now


def _room_in_s(graph: Graph, governor: Governor, wanted: Task, now: float) -> float:
    """In how many seconds there is room at the earliest."""
    if governor.count > TASKS_MAX:
        return 0.0
    missing = {}
    for name, units in wanted.request.needs:
        lack = governor.demand.get(name, 0) + units - governor.total.get(name, 0)
        if lack > 0:
            missing[name] = lack
    if not missing:
        return 0.0
    ends = [(0.0, request.needs) for request, _, _ in governor.stopping.values()]
    for task in governor.assigned:
        if task.placement is DEMAND:
            ends.append((0.0 if task in graph.backfilled else _left_s(task, now), task.request.needs))
    for family, slot in governor.shares.items():
        share = family.shares[slot]
        ends += [(family.estimate.least_us / 1e6, family.request.needs)] * (0 if share is None else share.count)
    for gang, request, _ in governor.hosting.values():
        leader = graph.task(gang.id)
        ends.append((0.0 if leader is None else _left_s(leader, now), request.needs))
    ends.sort(key=lambda end: end[0])
    last = 0.0
    for left_s, needs in ends:
        if not missing:
            break
        for name, units in needs:
            if name in missing:
                missing[name] -= units
                if missing[name] <= 0:
                    del missing[name]
        last = left_s
    return last


def _left_s(task: Task, now: float) -> float:
    """How long a task that is assigned still takes at least."""
    least_s = task.estimate.least_us / 1e6
    if task.state is RUNNING:
        return max(0.0, least_s - (now - task.began_at))
    return least_s


def filled_units(graph: Graph) -> dict[Governor, dict[str, int]]:
    """By governor what tasks that fill gaps use there."""
    found: dict[Governor, dict[str, int]] = {}
    for task in graph.backfilled:
        if task.governor is not None:
            used = found.setdefault(task.governor, {})
            for name, units in task.request.needs:
                used[name] = used.get(name, 0) + units
    return found


def longest_s(task: Task | TaskFamily) -> float | None:
    """After how long a task, or a member of a family, will have ended, once it is given to a governor; None if that is
    not known."""
    estimate, limit = task.estimate, timeout_of(task.spec)
    known = None
    if estimate.measured >= MEASURED_LEAST:
        known = (estimate.most_us * MARGIN + estimate.transfer_us) / 1e6
    if known is None or (limit is not None and limit < known):
        known = limit
    return None if known is None else known + SLACK_S
