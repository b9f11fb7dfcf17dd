"""Clients and sessions: how they come, and how they end."""

from __future__ import annotations

from rain.common.protocol.messages import (
    CloseSession,
    Done,
    GovernorCount,
    NewSession,
    SessionEnded,
    SessionOpened,
    SessionStopped,
)
from rain.server.core.demand import no_more
from rain.server.core.effects import DiscardUpload
from rain.server.core.lifecycle.submit import discard_uploads
from rain.server.core.modules import client_left
from rain.server.core.objects import leave_queue
from rain.server.core.pools import client_gone as pools_closed
from rain.server.core.reporting import libraries
from rain.server.core.reporting.output import attempt_ended
from rain.server.core.reporting.updates import flush_session, release
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.family import AT, DROPPED, FREE
from rain.server.records.governor import Governor
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import CANCELLED, DETACHED, READY, ClientState, SessionState

SESSION_NAME_CHARS_MAX = 1000


def client_joined(state: State, client_id: str, returns: bool) -> None:
    """A client is there."""
    client = state.graph.clients[client_id] = Client(client_id)
    client.returns = returns
    state.happened("ClientNew", values={"client": client_id})
    state.to_client(client_id, GovernorCount(len(state.graph.governors)))
    libraries.tell_all(state, client_id)


def client_gone(state: State, client: Client, waits_s: float = 0.0) -> None:
    """A client is gone: its sessions end, after so many seconds; persistent ones wait for another client."""
    release(state, client)
    leave_sessions(state, client, waits_s)
    client.state = ClientState.GONE
    del state.graph.clients[client.id]
    state.expect_no_more(client.id)
    no_more(state, client.id)
    pools_closed(state, client.id)
    for session_id in list(client.gathering):
        _forget_pieces(state, client, session_id)
    state.happened("ClientRemoved", values={"client": client.id})


def _forget_pieces(state: State, client: Client, session_id: int) -> None:
    """The rest of a submit that came in pieces will not come, or too late."""
    cut = client.gathering.pop(session_id, None)
    if cut is not None:
        discard_uploads(state, cut.constants)


def leave_sessions(state: State, client: Client, waits_s: float = 0.0) -> None:
    """End a client's sessions, or detach it from those that live on."""
    for session in list(client.sessions.values()):
        if (session.persistent or waits_s) and not session.over:
            if not session.persistent:
                session.waits_until = state.now + waits_s
                state.unclaimed[session] = None
            session.client = None
            session.state = DETACHED
            client_left(state, session)
            del client.sessions[session.id]
        else:
            end_session(state, session)


def end_unclaimed(state: State) -> None:
    """End the sessions for which no client has come in time."""
    for session in [session for session in state.unclaimed if (session.waits_until or 0.0) <= state.now]:
        del state.unclaimed[session]
        end_session(state, session)


def new_session(state: State, client: Client, message: NewSession) -> None:
    """Answer `NewSession`."""
    if message.on_failure not in ("continue", "stop"):
        text = f'on_failure is {message.on_failure!r}; it has to be "continue" or "stop"'
        state.refuse(client.id, message.request, text)
        return
    if len(message.name) > SESSION_NAME_CHARS_MAX:
        text = (
            f"the session's name has {len(message.name)} characters; SESSION_NAME_CHARS_MAX is {SESSION_NAME_CHARS_MAX}"
        )
        state.refuse(client.id, message.request, text)
        return
    state.sessions_made += 1
    session = Session(state.sessions_made, message.name, client, message.on_failure, message.persistent, message.env)
    session.returns = client.returns
    state.graph.sessions[session.id] = session
    client.sessions[session.id] = session
    state.happened("SessionNew", session.id, values={"name": session.name, "client": client.id})
    state.to_client(client.id, SessionOpened(message.request, session.id))


def close_session(state: State, client: Client, message: CloseSession) -> None:
    """Answer `CloseSession`, once nothing of the session is left; one that is gone is no error."""
    session = client.sessions.get(message.session_id)
    if session is not None:
        end_session(state, session, (client.id, message.request))
    elif message.session_id in state.graph.sessions:
        state.refuse(client.id, message.request, f"session {message.session_id} is another client's", "session")
    else:
        state.to_client(client.id, Done(message.request))


def end_session(state: State, session: Session, waiter: tuple[str, int] | None = None) -> None:
    """Kill what runs of a session and drop what it holds; the session is gone when all governors confirm that."""
    begun = session.over
    if session.state is not SessionState.CLOSING:
        session.state = SessionState.CLOSING
    if waiter is not None:
        session.close_requests.append(waiter)
    if not begun:
        _wind_up(state, session)
    if not session.governors:
        _gone(state, session)


def stop_sessions(state: State) -> None:
    """``on_failure="stop"``: end the sessions in which a task failed during this step."""
    while state.stops:
        session = next(iter(state.stops))
        task = state.stops.pop(session)
        if not session.over:
            _stop(state, session, task)


def _stop(state: State, session: Session, task: Task) -> None:
    error = task.error
    text = error.message if error is not None else ""
    reason = f"session {session.id} {session.name!r} was stopped by the failure of task {task.title}:\n{text}"
    flush_session(state, session)
    _end_by_itself(state, session, SessionStopped(session.id, reason, task.id, error))


def break_session(state: State, session: Session, reason: str) -> None:
    """End a session of which something was done by half."""
    reason = f"session {session.id} {session.name!r} was ended: {reason}"
    _end_by_itself(state, session, SessionStopped(session.id, reason))


def _end_by_itself(state: State, session: Session, message: SessionStopped) -> None:
    """A session's client is notified, and may then only close it; one that has no client closes by itself."""
    session.end_reason = message.reason
    client_id = state.client_of(session)
    if client_id is None:
        end_session(state, session)
        return
    session.state = SessionState.STOPPED
    state.to_client(client_id, message)
    _wind_up(state, session)


def _wind_up(state: State, session: Session) -> None:
    graph = state.graph
    for task in session.tasks.own.values():
        if task.unsettled:
            # Those that are assigned stay in their governor's books until it confirms the end of the session.
            graph.set_task_state(task, CANCELLED)
            leave_queue(state, task)
    for family in session.families.records:
        free = family.states.count(FREE)
        family.estimate.queued -= free
        family.states = family.states.replace(bytes((FREE,)), bytes((DROPPED,)))
        session.counts[id(READY)] -= family.waiting
        session.counts[id(CANCELLED)] += family.waiting
    state.tell_policy(state.policy.session_ended, session)
    for obj in session.objects.own.values():
        for governor in obj.governors:
            del governor.objects[obj]
        obj.governors = ()
    state.unclaimed.pop(session, None)
    if session.client is not None:
        _forget_pieces(state, session.client, session.id)
    if session.uploads:
        state.out.append(DiscardUpload(list(session.uploads.values())))
        session.uploads = {}
    for governor in session.governors.values():
        governor.ends.append(session.id)
    state.schedule_due = True


def session_ended(state: State, governor: Governor, message: SessionEnded) -> None:
    """A governor has nothing of a session any more."""
    session = governor.sessions.get(message.session_id)
    if session is None or not session.over:
        return
    left_governor(state, session, governor)


def left_governor(state: State, session: Session, governor: Governor) -> None:
    """Nothing of a session that ends is left on a governor."""
    graph = state.graph
    session_id = session.id
    for id, attempt in [key for key in governor.hosting if key[0][0] == session_id]:
        graph.unhost(governor, id, attempt)
    for task in [task for task in governor.assigned if task.session is session]:
        graph.unassign(task)
    for family, slot in [(family, slot) for family, slot in governor.shares.items() if family.session is session]:
        code = bytes((AT + slot,))
        graph.unassign_members(family, governor, family.states.count(code))
        family.states = family.states.replace(code, bytes((DROPPED,)))
    for id, attempt in [key for key in governor.stopping if key[0][0] == session_id]:
        graph.stopped(governor, id, attempt)
        attempt_ended(state, governor.id, id, attempt)
    for id in [id for id in governor.dropping if id[0] == session_id]:
        del governor.dropping[id]
    governor.sessions.pop(session_id, None)
    session.governors.pop(governor.id, None)
    state.schedule_due = True
    if not session.governors and session.state is SessionState.CLOSING:
        _gone(state, session)


def _gone(state: State, session: Session) -> None:
    session.state = SessionState.CLOSED
    for client_id, request in session.close_requests:
        state.to_client(client_id, Done(request))
    state.graph.sessions.pop(session.id, None)
    if session.client is not None:
        session.client.sessions.pop(session.id, None)
    state.happened("SessionClosed", session.id, values={"name": session.name})
    # Records refer to each other; without the circles they are freed at once.
    for task in session.tasks.own.values():
        task.inputs = task.outputs = ()
    for obj in session.objects.own.values():
        obj.producer = obj.consumers = None
    session.families.clear()
