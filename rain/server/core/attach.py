"""`Attach`: a session that outlived its client, or may, becomes another one's or is shown to it; it is told all."""

from __future__ import annotations

from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.protocol.messages import Attach, Attached, ObjectUpdate, SessionStopped
from rain.common.states import TaskState
from rain.server.core.modules import client_left
from rain.server.core.reporting.progress import tell_all
from rain.server.core.reporting.updates import release, update_bytes
from rain.server.core.sizes import ITEM_BYTES, info_bytes, rough_bytes, spec_bytes
from rain.server.core.state import State, task_update
from rain.server.records.client import Client
from rain.server.records.session import RELEASED_TASK, Session
from rain.server.states import DETACHED, EPHEMERAL, FUNCTION, OPEN

NO_CALL_SITE = ("", "")
LISTED_MAX = 20
"""Sessions that an error names."""


def attach(state: State, client: Client, message: Attach) -> None:
    """Answer `Attach`: the session is this client's from now on, or is only shown to it."""
    wanted, look = message.session, message.look
    there = [
        session
        for session in state.graph.sessions.values()
        if (session.persistent or session.state is DETACHED) and not session.over
    ]
    if wanted is None:
        found = [session for session in there if session.client is None]
    else:
        found = [session for session in there if wanted in (session.id, session.name)]
    if len(found) != 1:
        state.refuse(client.id, message.request, _not_one(wanted, found), "session")
        return
    session = found[0]
    if look:
        client.looks.add(session.id)
        _send_all(state, client, session, message.request, True)
        return
    if session.client is not None and session.client is not client:
        release(state, session.client)
        del session.client.sessions[session.id]
        client_left(state, session)
        reason = f"session {session.id} {session.name!r} was attached by another client"
        state.to_client(session.client.id, SessionStopped(session.id, reason))
    session.client = client
    session.state = OPEN
    session.waits_until = None
    state.unclaimed.pop(session, None)
    session.stuck_since, session.stalled = None, ""
    client.sessions[session.id] = session
    state.family_updates = [told for told in state.family_updates if told[0] is not session]  # it is told all
    _send_all(state, client, session, message.request)


def _not_one(wanted: int | str | None, found: list[Session]) -> str:
    """Why it is not known which session is meant."""
    if not found:
        if wanted is None:
            return "no session waits for a client"
        return f"there is no persistent session {wanted!r}, and none that waits for its client"
    listed = ", ".join(f"{session.id} {session.name!r} ({_tasks(session)})" for session in found[:LISTED_MAX])
    more = f", … ({len(found)} in all)" if len(found) > LISTED_MAX else ""
    which = "wait for a client" if wanted is None else f"that can be attached are named {wanted!r}"
    return f"several sessions {which}; attach one by its number: {listed}{more}"


def _tasks(session: Session) -> str:
    counts = {state.value: session.counts[id(state)] for state in TaskState}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no tasks"


def _send_all(state: State, client: Client, session: Session, request: int, look: bool = False) -> None:
    """Send all that is known of a session, in pieces."""

    def piece() -> Attached:
        empty = Attached(request, session.id, session.name, [], [], [], [], [], True, [], [], [])
        empty.on_failure, empty.last_number, empty.look = session.on_failure, session.last_number, look
        empty.persistent = session.persistent
        return empty

    current, size = piece(), 0
    places: dict[tuple[str, str], int] = {}
    for obj in session.objects.values():
        current.objects.append(obj.spec)
        current.object_states.append(ObjectUpdate(obj.id, obj.state, obj.info))
        if obj.kept:
            current.keep.append(obj.id)
        if obj.role is FUNCTION or obj.role is EPHEMERAL:
            current.hidden.append(obj.id)
        size += ITEM_BYTES + rough_bytes(obj.spec.user) + info_bytes(obj.info)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client.id, current)
            current, size = piece(), 0
    for task in session.tasks.values():
        current.tasks.append(task.spec)
        current.states.append(task_update(task))
        site = session.made.get(task.id[1], NO_CALL_SITE)
        place = places.setdefault(site, len(places))
        if place == len(current.sites):
            current.sites.append(site)
            size += len(site[0]) + len(site[1])
        current.made.append(place)
        size += spec_bytes(task.spec) + update_bytes(task)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client.id, current)
            current, size, places = piece(), 0, {}
    current.more = False
    current.released = session.released.count(RELEASED_TASK)
    state.to_client(client.id, current)
    tell_all(state, client, session)
