"""How much room governors have, and what it costs to wait there or to bring inputs there: estimates from the books."""

from __future__ import annotations

import enum

from rain.common.limits import AHEAD_S
from rain.common.location import Inline
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.resources import ResourceRequest
from rain.server.records.task import Task
from rain.server.states import ANNOUNCED, OBJ_FINISHED, OBJ_UNFINISHED, STALE

AHEAD_US = int(AHEAD_S * 1e6)
TRANSFER_BYTES_PER_US = 500
"""What a transfer between hosts is assumed to bring."""
FOLLOWER_INPUTS_MAX = 16
HOLDERS_MAX = 8
"""Holders of an input that are considered; with more, nearly any place is as good."""


class Room(enum.Enum):
    """Whether a governor has room for a task."""

    NONE = "none"
    AHEAD = "ahead"  # it would wait there, while the work that waits is little
    NOW = "now"  # it fits beside all that is assigned


def room(governor: Governor, request: ResourceRequest, us: int) -> Room:
    """Whether a task that takes `us` microseconds fits beside what is assigned, ahead of time, or not."""
    total, demand = governor.total, governor.demand
    over = 1.0
    for name, units in request.needs:
        have = total.get(name, -1)
        if units > have:
            return Room.NONE
        wanted = demand[name] + units
        if wanted > have and wanted > over * have:
            over = wanted / have
    if len(governor.assigned) + governor.members >= governor.tasks_max:
        return Room.NONE
    if over == 1.0:
        return Room.NOW
    work = governor.work + governor.load_of(request, us)
    return Room.AHEAD if work - work / over <= AHEAD_US * governor.cpus else Room.NONE


def room_for_many(governor: Governor, request: ResourceRequest, us: int, count: int) -> int:
    """How many such tasks, `count` at most, can be put where there is room for one: those that fit beside what is
    assigned, or else those that fit ahead of time."""
    count = min(count, governor.tasks_max - len(governor.assigned) - governor.members)
    total, demand = governor.total, governor.demand
    now = count
    for name, units in request.needs:
        if units:
            now = min(now, (total[name] - demand[name]) // units)
    if now > 0:
        return now
    least, most = 0, count  # the first is known to fit, the second is the most that is asked for
    load = governor.load_of(request, us)
    while least < most:
        middle = (least + most + 1) // 2
        over = max((demand[name] + middle * units) / total[name] for name, units in request.needs if units)
        work = governor.work + middle * load
        if work - work / over <= AHEAD_US * governor.cpus:
            least = middle
        else:
            most = middle - 1
    return max(least, min(count, 1))


def wait_us(governor: Governor, request: ResourceRequest, us: int) -> float:
    """Estimated microseconds until a task could start: 0 if it fits beside what is assigned."""
    total, demand = governor.total, governor.demand
    over = 1.0
    for name, units in request.needs:
        wanted = demand[name] + units
        if wanted > over * total[name]:
            over = wanted / total[name]
    work = governor.work + governor.load_of(request, us)
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


def heavy_inputs(task: Task) -> list[Object]:
    """The finished inputs whose place matters: those that are not sent along with the task."""
    return [obj for obj in task.inputs if type(obj.location) is not Inline and obj.size and obj.state is OBJ_FINISHED]


def transfer_us(governor: Governor, heavy: list[Object]) -> float:
    """Estimated microseconds to bring inputs to a governor; what lies on its host is linked at no cost."""
    missing = 0
    for obj in heavy:
        if governor.objects.get(obj, STALE) is STALE:
            near = len(obj.governors) <= HOLDERS_MAX and any(
                holder.host_id == governor.host_id and holder.objects[obj] not in (ANNOUNCED, STALE)
                for holder in obj.governors
            )
            if not near:
                missing += obj.size
    return missing / TRANSFER_BYTES_PER_US


def holders_of(heavy: list[Object]) -> dict[Governor, None]:
    """Some governors that hold or know these inputs, each once."""
    found: dict[Governor, None] = {}
    for obj in heavy[:FOLLOWER_INPUTS_MAX]:
        found.update(dict.fromkeys(obj.governors[:HOLDERS_MAX]))
    return found


def fullness(governor: Governor, request: ResourceRequest, filled: dict[str, int] | None = None) -> float:
    """How much of what a task asks for is asked for already: the greatest share, but for `filled`."""
    total, demand, less = governor.total, governor.demand, filled or {}
    return max(
        ((demand[name] - less.get(name, 0)) / total[name] for name, units in request.needs if units), default=0.0
    )


def may_follow(task: Task, governor: Governor) -> bool:
    """Whether a waiting task can go to the governor where its missing inputs are made, ahead of these."""
    if len(task.inputs) > FOLLOWER_INPUTS_MAX or task.runs_once or task.nodes > 1 or not governor.holds(task.request):
        return False
    for obj in task.inputs:
        if obj.state is OBJ_UNFINISHED and (obj.producer is None or obj.producer.governor is not governor):
            return False
    return transfer_us(governor, heavy_inputs(task)) == 0.0


def has_spare(governor: Governor) -> bool:
    """Whether something of all that a governor has is left."""
    return all(units < governor.total[name] for name, units in governor.demand.items() if governor.total[name])
