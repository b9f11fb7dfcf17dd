"""Tasks on several hosts: all of a gang's governors at once, or none.

Theory of operation
-------------------
A task with ``nodes=N`` is a *gang* of N attempts of one number. The first governor gets the task itself; each other
one, a *member*, gets a companion (`COMPANION`): a task of the same id and attempt that holds the resources and starts
programs for the first. So all that governors do for tasks (resources, crashes, departures) holds for members too.

**All or none.** The scheduling policy never sees a gang. It is placed here, before the policy is asked, when N
governors have room for it beside all that is assigned to them; all N are booked in the same step. So a gang never holds
a part of what it needs while it waits for the rest, and two gangs cannot wait for each other. The task is sent to the
first when all companions have said that they are up (`NodeReady`): it starts with all of its hosts or not at all.

**No starvation.** A gang that has waited for `GANG_RESERVE_S` reserves the N governors that will probably be free
first: the policy gives them nothing until it is placed, but what has ended before the gang can start at the earliest
(`rain.server.scheduling.gaps`). Only the most urgent gang reserves, so that the rest of the cluster works on; gangs
behind it go where there is room beside that. What fills gaps does not make a governor less near to being free: else
another one would be reserved instead, over and over.

What becomes of an attempt that loses one of its governors is in `gang_losses`. `Graph` sets members free whenever the
task leaves its first governor, whatever the reason.
"""

from __future__ import annotations

from rain.common.protocol.messages import Assign, Node, NodeReady, TaskAssignment
from rain.common.spec import TaskOptions, TaskSpec
from rain.common.task_configs import COMPANION
from rain.server.core.demand import offered
from rain.server.core.reporting.updates import assign, open_session_on
from rain.server.core.state import State
from rain.server.records.gang import Gang
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.scheduling.estimates import Room, backlog, fullness, heavy_inputs, room, transfer_us
from rain.server.scheduling.gaps import earliest_start, filled_units

GANG_RESERVE_S = 1.0
GAP_LOOK_S = 0.1
"""How often it is found out until when gaps last."""
PLACED_LOOK = 64
"""Waiting gangs that are looked at in one turn."""


def place(state: State) -> None:
    """Place what can be placed of the waiting gangs, the most urgent first; the first that cannot reserves."""
    graph = state.graph
    graph.reserved.clear()
    before, graph.reserved_for = graph.reserved_for, None
    waiting = sorted(graph.waiting_gangs, key=_urgency)[:PLACED_LOOK]
    for task in waiting:
        chosen = _with_room(state, task)
        if chosen is not None:
            del graph.waiting_gangs[task]
            _assign(state, task, chosen)
        elif not graph.reserved and state.now - graph.waiting_gangs[task] >= GANG_RESERVE_S:
            _reserve(state, task, before)


def _urgency(task: Task) -> tuple[int, int]:
    options = task.spec.options
    return (0 if options is None else -options.priority, task.order)


def _with_room(state: State, task: Task) -> list[Governor] | None:
    reserved = state.graph.reserved
    request, us = task.request, task.estimate.us
    able = [
        governor
        for governor in state.graph.staying()
        if governor not in reserved and governor.holds(request) and room(governor, request, us) is Room.NOW
    ]
    if len(able) < task.nodes:
        return None
    heavy = heavy_inputs(task)
    able.sort(key=lambda governor: (transfer_us(governor, heavy), governor.work, governor.order))
    return able[: task.nodes]


def _reserve(state: State, task: Task, before: Task | None) -> None:
    graph, request = state.graph, task.request
    able = [governor for governor in graph.staying() if governor.holds(request)]
    if len(able) < task.nodes:
        return
    filled = filled_units(graph)
    able.sort(
        key=lambda governor: (backlog(governor), fullness(governor, request, filled.get(governor)), governor.order)
    )
    graph.reserved.update(dict.fromkeys(able[: task.nodes]))
    graph.reserved_for = task
    if task is not before or state.now - graph.reserved_looked_at >= GAP_LOOK_S:
        graph.reserved_looked_at = state.now
        graph.reserved_until = earliest_start(graph, task, able, state.now)


def _assign(state: State, task: Task, governors: list[Governor]) -> None:
    graph = state.graph
    first, *members = governors
    graph.assign(task, first)
    gang = graph.gangs[task] = Gang(task.id, task.attempt, members)
    open_session_on(state, task.session, first)
    options = task.spec.options
    env = {} if options is None else options.env
    spec = TaskSpec(
        task.id, COMPANION, resources=task.spec.resources, name=task.spec.name, options=TaskOptions(env=env)
    )
    rank = [0.0 if options is None else float(-options.priority), float(-task.rank), float(task.order)]
    for member in members:
        graph.host(member, gang, task.request, member.load_of(task.request, task.estimate.us))
        open_session_on(state, task.session, member)
        state.to_governor(member, Assign([TaskAssignment(spec, task.attempt, [], rank)], []))


def infeasible(state: State) -> list[Task]:
    """Waiting gangs for which there are not governors enough, nor places of a pool that could bring them."""
    found = []
    for task in list(state.graph.waiting_gangs)[:PLACED_LOOK]:
        able = sum(governor.can_hold(task.request) for governor in state.graph.governors.values())
        if able + sum(place.offer.places for place in offered(state, task.request)) < task.nodes:
            found.append(task)
    return found


# -- what governors say ---------------------------------------------------------------------------


def node_ready(state: State, governor: Governor, message: NodeReady) -> None:
    """`NodeReady`: when the last companion is up the first governor gets the task."""
    task = state.graph.task(message.id)
    gang = None if task is None else state.graph.gangs.get(task)
    if task is None or gang is None or gang.attempt != message.attempt or governor not in gang.members:
        return
    if gang.sent or task.session.over:
        return
    gang.ready[governor] = Node(
        governor.id, governor.host_id, _cpus(task), message.address, message.fingerprint, message.key
    )
    first = task.governor
    if len(gang.ready) == len(gang.members) and first is not None:
        gang.sent = True
        nodes = [Node(first.id, first.host_id, _cpus(task)), *(gang.ready[member] for member in gang.members)]
        assign(state, first, [task], nodes)


def _cpus(task: Task) -> float:
    return task.request.cpus
