"""Sessions in which nothing can run: their clients are notified of the reason after a while, and when it is over."""

from __future__ import annotations

from rain.common.limits import STALLED_S
from rain.common.protocol.messages import SessionUpdate
from rain.server.core.reporting.explain import all_leave, asked, no_governor, waits_for_gang, waits_for_place
from rain.server.core.state import State
from rain.server.records.family import FREE, TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.resources import ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import QUEUED, READY, RUNNING, WAITING

_LEFT = (WAITING, READY, RUNNING)


def look(state: State) -> None:
    """Look at each session; now and then."""
    for session in state.graph.sessions.values():
        if session.over or session.client is None:
            continue
        text = _why_stuck(state, session)
        if not text:
            session.stuck_since = None
            if session.stalled:
                _notify(state, session, "")
        elif session.stuck_since is None:
            session.stuck_since = state.now
        elif not session.stalled and state.now - session.stuck_since >= STALLED_S:
            _notify(state, session, text)


def _notify(state: State, session: Session, text: str) -> None:
    session.stalled = text
    client_id = state.client_of(session)
    if client_id is not None:
        state.to_client(client_id, SessionUpdate(session.id, [], [], text))


def _why_stuck(state: State, session: Session) -> str:
    """Why nothing of a session can go on; empty if something can, or nothing is left to do."""
    left = sum(session.counts[id(word)] for word in _LEFT)
    if not left:
        return ""
    tasks = f"{left} task{'s' * (left != 1)} of session {session.id} {session.name!r} cannot go on: "
    waits = _for_places(state, session) if state.offers or state.graph.waiting_gangs else ""
    if waits:
        return tasks + waits
    if not state.graph.governors:
        return tasks + no_governor(state)
    if not state.graph.staying() and not session.counts[id(RUNNING)]:
        return tasks + all_leave(state.graph.governors.values(), state.address)
    reason = _none_fits(state, session)
    return tasks + reason if reason else ""


def _for_places(state: State, session: Session) -> str:
    """No task of a session is with a governor, and those that are ready wait for places that pools may bring."""
    requests = [request for request in session.requests.values() if request.estimates]
    if any(estimate.assigned for request in requests for estimate in request.estimates.values()):
        return ""
    waiting = [request for request in requests if any(estimate.queued for estimate in request.estimates.values())]
    if any(governor.can_hold(request) for request in waiting for governor in state.graph.staying()):
        gang = next((task for task in state.graph.waiting_gangs if task.session is session), None)
        return "" if gang is None else f"task {gang.title} {waits_for_gang(state, gang)}"
    for request in waiting:
        place = waits_for_place(state, request)
        if place:
            return f"what is ready asks for {asked(request)}, which no governor here has, and waits for {place}"
    return ""


def _none_fits(state: State, session: Session) -> str:
    """No task of a session is with a governor, and none fits on one; where more are expected such tasks wait."""
    graph = state.graph
    here = graph.governors.values()
    if session.counts[id(RUNNING)] or any(_has_some(governor, session) for governor in here):
        return ""
    if len(here) >= graph.expected:
        return _policy_idles(state, session)
    if not any(request.session is session for request in state.unchecked):
        return ""
    queued: dict[ResourceRequest, Task | TaskFamily] = {}
    for task in session.tasks.own.values():
        if task.placement is QUEUED:
            queued.setdefault(task.request, task)
    for family in session.families.records:
        if FREE in family.states:
            queued.setdefault(family.request, family)
    if not queued or any(governor.can_hold(request) for request in queued for governor in here):
        return ""
    example = next(iter(queued.values()))
    return (
        f"task {example.title}, for one, asks for {asked(example.request)}, which none of the {len(here)} governors "
        f"here has. {graph.expected} governors are expected (wait_for_governors), so it waits for another one: start "
        f"it with `rain governor {state.address}`, or cancel the task"
    )


def _has_some(governor: Governor, session: Session) -> bool:
    """Whether tasks of a session are assigned to a governor."""
    return any(task.session is session for task in governor.assigned) or any(
        family.session is session for family in governor.shares
    )


def _policy_idles(state: State, session: Session) -> str:
    """All governors are idle and a task is ready that one of them could hold: the policy does not give it."""
    here = state.graph.governors.values()
    if state.schedule_due or any(governor.count or governor.stopping for governor in here):
        return ""
    for task in session.tasks.own.values():  # a policy that lets families stand together is Rain's own
        if task.placement is QUEUED and task.nodes == 1:
            able = next((governor for governor in state.graph.staying() if governor.can_hold(task.request)), None)
            if able is not None:
                return (
                    f'the server\'s scheduling policy "{state.policy_name}" gives the {len(here)} governors nothing to '
                    f"do, although task {task.title} is ready and would fit on {able.id}"
                )
    return ""
