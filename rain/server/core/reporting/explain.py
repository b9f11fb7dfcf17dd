"""Why a task is where it is, in words."""

from __future__ import annotations

from collections.abc import Collection

from rain.server.core.demand import offered
from rain.server.core.state import State
from rain.server.records.governor import Governor
from rain.server.records.place import Place
from rain.server.records.resources import UNITS, ResourceRequest
from rain.server.records.task import Task
from rain.server.scheduling.estimates import Room, room
from rain.server.states import CANCELLED, DELAYED, FAILED, FINISHED, FUNCTION, OBJ_UNFINISHED, QUEUED, RUNNING

LISTED_MAX = 5


def asked(request: ResourceRequest) -> str:
    """What a request asks for, in words."""
    parts = [f"{amount:g} {name}" for name, amount in sorted(request.resources.items()) if amount > 0]
    if request.executor is not None:
        parts.append(f"an executor of type {request.executor!r}")
    return ", ".join(parts) or "nothing"


def cannot_hold(state: State, task: Task) -> str:
    """The text of a task that no governor can ever hold."""
    request = task.request
    governors = list(state.graph.governors.values())
    text = f"Task {task.title} asks for {asked(request)}, and no governor can ever hold it."
    if task.nodes > 1:
        text = (
            f"Task {task.title} asks for {task.nodes} governors at once with {asked(request)} each, "
            "and there are not so many."
        )
    if request.executor is not None and not any(
        f"executor {request.executor}" in governor.total for governor in governors
    ):
        types = sorted({name[9:] for governor in governors for name in governor.total if name.startswith("executor ")})
        offered = ", ".join(map(repr, types)) or "none beside the builtin ones"
        return f"{text} Executor types that governors offer: {offered}."
    largest = max(governors, key=lambda governor: (_fitting(governor, request), governor.cpus))
    places = [f"a place of {place.offer.engine} has {_listed(place.offer.resources)}" for place in _all_offered(state)]
    pools = f" Of what pools may bring, {'; '.join(places)}." if places else ""
    return f"{text} The largest of the {len(governors)} here, {largest.id}, has {_listed(largest.resources)}.{pools}"


def _all_offered(state: State) -> list[Place]:
    found = [place for places in state.offers.values() for place in places if place.offer.places > 0]
    return found[:LISTED_MAX]


def _listed(resources: dict[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in sorted(resources.items())) or "nothing"


def waits_for_gang(state: State, task: Task) -> str:
    """For what a ready task for several governors waits, in words."""
    able = [governor for governor in state.graph.staying() if governor.can_hold(task.request)]
    free = sum(room(governor, task.request, task.estimate.us) is Room.NOW for governor in able)
    text = (
        f"asks for {task.nodes} governors at once with {asked(task.request)} each: {len(able)} here have that, and "
        f"{free} of them have it free now"
    )
    kept = ", ".join(governor.id for governor in state.graph.reserved)
    return f"{text} ({kept} get no other work until the next such task has started)" if kept else text


def waits_for_place(state: State, request: ResourceRequest) -> str:
    """For which places of pools such a task waits, and what becomes of these; empty if none could hold it."""
    found = [
        f"a place of {place.offer.engine} with {_listed(place.offer.resources)}: {place.offer.told or 'none asked for'}"
        for place in offered(state, request)[:LISTED_MAX]
    ]
    return ", or for ".join(found)


def _fitting(governor: Governor, request: ResourceRequest) -> int:
    return sum(units <= governor.total.get(name, -1) for name, units in request.needs)


def explain_task(state: State, task: Task) -> str:
    """Why a task is where it is."""
    if task.state is FINISHED:
        return f"Task {task.title} finished{_where(task)}."
    if task.state is FAILED or task.state is CANCELLED:
        text = task.error.message if task.error is not None else ""
        return f"Task {task.title} {'failed' if task.state is FAILED else 'was cancelled'}:\n{text}"
    tries = f" This is attempt {task.attempt}." if task.attempt > 1 else ""
    if task.state is RUNNING:
        return f"Task {task.title} is running{_where(task)}.{tries}"
    if not state.graph.governors and not (task.placement is QUEUED and offered(state, task.request)):
        return f"Task {task.title} is {task.state.value}. Nothing can run: {no_governor(state)}.{tries}"
    if task.pending:
        return f"{_waits(task)}{tries}"
    gang = state.graph.gangs.get(task)
    if gang is not None and not gang.sent:
        return (
            f"Task {task.title} was given to {task.nodes} governors, {task.governor.id if task.governor else ''} the "
            f"first; {len(gang.ready)} of the {len(gang.members)} others are ready for it.{tries}"
        )
    if task.governor is not None:
        others = task.governor.count - 1
        return (
            f"Task {task.title} was given to governor {task.governor.id}, where {others} other tasks are; "
            f"it starts there when its inputs have arrived and {asked(task.request)} are free.{tries}"
        )
    absence = state.awaited(task)
    if absence is not None:
        return (
            f"Task {task.title} would make again what was lost with governor {absence.governor_id}, which died. It "
            f"waits up to {absence.until - state.now:.0f} s for the one that is started in its place and may have it "
            f"(GOVERNOR_RETURN_S).{tries}"
        )
    absence = state.held_by(task)
    if absence is not None:
        return (
            f"Task {task.title} was on governor {absence.governor_id} when that was not heard any more, may run there "
            'still, and may not run a second time (rerun="never"). It is waited for up to '
            f"{max(absence.heard_until - state.now, 0.0):.0f} s (STORE_KEPT_S) that the governor comes back.{tries}"
        )
    if task.placement is DELAYED:
        return f"Task {task.title} waits a moment, because an input of it could not be fetched.{tries}"
    return f"Task {task.title} is ready: all its inputs are there. {_room(state, task)}{tries}"


def no_governor(state: State) -> str:
    """That there is none, and what to do about it."""
    graph = state.graph
    last = ""
    if graph.lost_at is not None:
        how = "left on purpose" if graph.lost_on_purpose else "was lost"
        since = f"{state.now - graph.lost_at:.0f} s ago"
        last = f" (the last one, {graph.lost_name}, {how} {since}: {graph.lost_reason})"
    logs = f" (governor-*.log in {state.log_dir} on the server's host)" if state.log_dir else ""
    return (
        f"no governor is here{last}. One that `rain start` or Client.local started is started again by itself; if it "
        f"does not come back, its log says why{logs}. Another one is started with `rain governor {state.address}`"
    )


def all_leave(governors: Collection[Governor], address: str) -> str:
    """That all governors are leaving, and what to do about it."""
    first = next(iter(governors))
    why = "" if first.leaving is None else f" ({first.id}: {first.leaving.reason})"
    one = len(governors) == 1
    who = f"the governor here is leaving{why}" if one else f"all {len(governors)} governors here are leaving{why}"
    return f"{who}, and takes no more work. Another one is started with `rain governor {address}`"


def _where(task: Task) -> str:
    governor = task.governor.id if task.governor is not None else task.info.governor if task.info is not None else None
    return f" on governor {governor}" if governor else ""


def _waits(task: Task) -> str:
    inputs = [obj for obj in task.inputs if obj.role is not FUNCTION]  # which users do not see as an input
    missing = [obj for obj in inputs if obj.state is OBJ_UNFINISHED]
    lines = [f"Task {task.title} waits for {len(missing)} of its {len(inputs)} inputs:"]
    for obj in missing[:LISTED_MAX]:
        producer = obj.producer
        made = "" if producer is None else f", made by task {producer.title}, which is {producer.state.value}"
        lines.append(f"  object {obj.title}{made}")
    if len(missing) > LISTED_MAX:
        lines.append(f"  and {len(missing) - LISTED_MAX} more")
    if task.governor is not None:
        lines.append(f"It was given to governor {task.governor.id} ahead of time.")
    return "\n".join(lines)


def _room(state: State, task: Task) -> str:
    governors = state.graph.governors.values()
    able = [governor for governor in governors if governor.can_hold(task.request)]
    place = waits_for_place(state, task.request)
    if task.nodes > 1:
        return f"It {waits_for_gang(state, task)}{f', or waits for {place}' if place else ''}."
    if not able and place:
        return f"It asks for {asked(task.request)}, which no governor here has, and waits for {place}."
    if not able:
        return f"It asks for {asked(task.request)}, which no governor here has; more governors are expected."
    if all(governor.leaving is not None for governor in governors):
        leaves = f"It asks for {asked(task.request)}, and {all_leave(governors, state.address)}."
        return f"{leaves} It waits for {place}." if place else leaves
    lines = [f"It asks for {asked(task.request)}, and waits for room on a governor:"]
    for governor in able[:LISTED_MAX]:
        parts = [
            f"{governor.demand[name] / UNITS:g} of {governor.total[name] / UNITS:g} {name} asked for"
            for name, units in task.request.needs
            if units
        ]
        leaves = "" if governor.leaving is None else ", and it is leaving"
        tasks = f"{governor.count} tasks{leaves}"
        lines.append(f"  {governor.id}: {', '.join(parts) or 'nothing asked for'}, {tasks}")
    if place:
        lines.append(f"  or on {place}")
    return "\n".join(lines)
