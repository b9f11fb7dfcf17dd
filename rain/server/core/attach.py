"""`Attach`: a session that outlived its client, or may, becomes another one's or is shown to it; it is told all."""

from __future__ import annotations

from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.protocol.messages import Attach, Attached, ObjectUpdate, SessionStopped, TaskUpdate
from rain.common.spec import ObjectSpec, TaskSpec
from rain.common.states import TaskState
from rain.server.core.modules import client_left
from rain.server.core.reporting.progress import tell_all
from rain.server.core.reporting.updates import release, update_bytes
from rain.server.core.sizes import ITEM_BYTES, info_bytes, rough_bytes, spec_bytes
from rain.server.core.state import State, task_update
from rain.server.records.client import Client
from rain.server.records.session import RELEASED_TASK, Session
from rain.server.states import DETACHED, EPHEMERAL, FINISHED, FUNCTION, OBJ_FINISHED, OPEN

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
    pieces = _Pieces(state, client, session, request, look)
    finished = list(session.families.finished())
    tasks = session.tasks.values()  # members that have not finished get records, and are not in their families any more
    for obj in session.objects.own.values():
        pieces.add_object(
            ObjectUpdate(obj.id, obj.state, obj.info), obj.spec, obj.kept, obj.role in (FUNCTION, EPHEMERAL)
        )
    for family, place in finished:
        pieces.add_task(family.member(place), TaskUpdate(family.member_id(place), FINISHED))
        for spec, info in family.held_outputs(place):
            pieces.add_object(ObjectUpdate(spec.id, OBJ_FINISHED, info), spec, True, False)
        pieces.unlisted -= 1
    for task in tasks:
        pieces.add_task(task.spec, task_update(task))
    pieces.end()
    tell_all(state, client, session)


class _Pieces:
    """The pieces of an answer to `Attach`.

    Attributes
    ----------
    unlisted : int
        How many finished tasks are not among what is told.
    """

    def __init__(self, state: State, client: Client, session: Session, request: int, look: bool) -> None:
        self._state, self._client, self._session = state, client, session
        self._request, self._look = request, look
        self.unlisted = session.released.count(RELEASED_TASK)
        self._begin()

    def _begin(self) -> None:
        session = self._session
        piece = self._piece = Attached(self._request, session.id, session.name, [], [], [], [], [], True, [], [], [])
        piece.on_failure, piece.last_number, piece.look = session.on_failure, session.last_number, self._look
        piece.persistent = session.persistent
        self._size = 0
        self._places: dict[tuple[str, str], int] = {}

    def add_object(self, update: ObjectUpdate, spec: ObjectSpec, kept: bool, hidden: bool) -> None:
        """Tell of an object; `hidden`: the client made it by itself."""
        piece = self._piece
        piece.objects.append(spec)
        piece.object_states.append(update)
        if kept:
            piece.keep.append(spec.id)
        if hidden:
            piece.hidden.append(spec.id)
        self._added(ITEM_BYTES + rough_bytes(spec.user) + info_bytes(update.info))

    def add_task(self, spec: TaskSpec, update: TaskUpdate) -> None:
        """Tell of a task."""
        piece, places = self._piece, self._places
        piece.tasks.append(spec)
        piece.states.append(update)
        site = self._session.made.get(spec.id[1], NO_CALL_SITE)
        place = places.setdefault(site, len(places))
        size = 0
        if place == len(piece.sites):
            piece.sites.append(site)
            size = len(site[0]) + len(site[1])
        piece.made.append(place)
        self._added(size + spec_bytes(spec) + update_bytes(update))

    def _added(self, size: int) -> None:
        self._size += size
        if self._size > BATCH_BYTES_TARGET:
            self._state.to_client(self._client.id, self._piece)
            self._begin()

    def end(self) -> None:
        """Send the last piece."""
        self._piece.more = False
        self._piece.released = self.unlisted
        self._state.to_client(self._client.id, self._piece)
