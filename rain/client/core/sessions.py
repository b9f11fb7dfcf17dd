"""Sessions of a client: asked for, opened, attached, stopped, closed, lost."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from rain.client.core import effects as do
from rain.client.core import stalls
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.core.requests import Request, ask, ask_in_pieces
from rain.client.core.restoring import restore
from rain.client.core.session_mirror import End, SessionMirror
from rain.client.core.waiting import Operation
from rain.common.errors import RainException, SessionException
from rain.common.location import Inline
from rain.common.protocol.messages import (
    Attach,
    Attached,
    CloseSession,
    NewSession,
    Progressed,
    SessionEnv,
    SessionOpened,
    SessionStopped,
    SessionUpdate,
    Updated,
)
from rain.common.states import DataObjectState, TaskState

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore


class Opening:
    """A new session that the server was asked for.

    Attributes
    ----------
    mirror : SessionMirror or None
        None until the server has opened it.
    given_up : bool
        Whether it is to be closed as soon as it is open.
    """

    __slots__ = ("given_up", "mirror")

    def __init__(self) -> None:
        self.mirror: SessionMirror | None = None
        self.given_up = False


def open_session(
    core: ClientCore, opening: Opening, name: str, on_failure: str, persistent: bool, env: SessionEnv
) -> Operation[SessionMirror]:
    """Have the server open a session. If this operation ends early, `give_up` must follow."""

    def opened(reply: SessionOpened | None, error: RainException | None) -> None:
        if reply is not None:
            opening.mirror = SessionMirror(reply.session_id, name, on_failure, persistent)
            core.sessions[reply.session_id] = opening.mirror
            if opening.given_up:
                give_up(core, opening)

    yield ask(core, NewSession(0, name, on_failure, persistent, env), opened)
    assert opening.mirror is not None
    return opening.mirror


def give_up(core: ClientCore, opening: Opening) -> None:
    """Close a session whose handle the user will not get, now or when it is open."""
    opening.given_up = True
    mirror = opening.mirror
    if mirror is None:
        return
    name = f"session {mirror.session_id} {mirror.name!r}"
    end(core, mirror, "closed", f"{name} is closed: making it was interrupted")
    core.sessions.pop(mirror.session_id, None)
    if core.connected:
        ask_in_pieces(core, [CloseSession(0, mirror.session_id)])


def attach(core: ClientCore, wanted: int | str | None) -> Operation[tuple[SessionMirror, int]]:
    """Attach a session; gives it, and how many finished tasks the server no longer knows."""
    for mirror in core.sessions.values():
        if mirror.ended is None and (mirror.persistent or mirror.attached) and wanted == mirror.session_id:
            return mirror, 0
    reply: Attached = yield ask(core, Attach(0, wanted))
    return core.sessions[reply.session_id], reply.released


def look(core: ClientCore, wanted: int | str) -> Operation[SessionMirror]:
    """What there is in a persistent session, which stays whose it is; nothing of it is brought up to date."""
    request = ask(core, Attach(0, wanted, look=True))
    reply: Attached = yield request
    return _mirrored([*request.pieces, reply])


def attached(core: ClientCore, pieces: list[Attached]) -> None:
    """Take in what the server told of a session, at once, because updates may follow."""
    first = pieces[0]
    present = core.sessions.get(first.session_id)
    if first.look or (present is not None and present.ended is None):
        return  # nothing is told of it later; or it is attached already, by its name
    core.sessions[first.session_id] = _mirrored(pieces)


def _mirrored(pieces: list[Attached]) -> SessionMirror:
    first = pieces[0]
    mirror = SessionMirror(first.session_id, first.name, first.on_failure, first.persistent)
    mirror.attached = True
    restore(mirror, pieces)
    return mirror


def take_updates(core: ClientCore, message: SessionUpdate) -> None:
    """Take in what changed in a session, and what stands in its way."""
    mirror = core.sessions.get(message.session_id)
    if mirror is None:
        return
    for family in message.families:
        for gate in mirror.fold_family(family):
            core.over(gate)
    for gate in mirror.fold(message.tasks, message.objects):
        core.over(gate)
    if message.stalled is not None:
        stalls.tell(core, mirror, server=message.stalled)


def progressed(core: ClientCore, message: Progressed) -> None:
    """What running tasks say of themselves."""
    for session_id, told in groupby(message.tasks, key=lambda one: one.id.session_id):
        mirror = core.sessions.get(session_id)
        if mirror is not None:
            mirror.progressed(told)


def updated(core: ClientCore, message: Updated) -> None:
    """Take in the present state of items that was asked for, in order with other updates."""
    changed: list[Any] = [*message.tasks, *message.objects]
    mirror = core.sessions.get(changed[0].id.session_id) if changed else None
    if mirror is not None:
        for gate in mirror.fold(message.tasks, message.objects):
            core.over(gate)


def stopped(core: ClientCore, message: SessionStopped) -> None:
    """A session ended by itself."""
    mirror = core.sessions.get(message.session_id)
    if mirror is None:
        return
    record = None if message.task is None else mirror.records.get(message.task[1])
    if isinstance(record, TaskRecord):
        if message.error is not None and record.error is None:
            record.error = message.error
        if not record.failed:
            record.state = TaskState.FAILED
        end(core, mirror, "stopped", message.reason, record)
    else:
        name = f"session {mirror.session_id} {mirror.name!r}"
        end(core, mirror, "lost", f"{name} has ended: {message.reason}")


def end(core: ClientCore, mirror: SessionMirror, word: str, text: str, task: TaskRecord | None = None) -> None:
    """End a session: all gates open, and the operations that wait at them see why."""
    if mirror.ended is not None and word != "closed":
        return
    mirror.ended = End(word, text, task)
    gates, mirror.gates = mirror.gates, set()
    for gate in gates:
        core.over(gate)
    mirror.poke()
    core.emit(do.SessionOver(mirror))


def end_all(core: ClientCore, word: str, how: str) -> None:
    """The server is lost, or the client was closed."""
    for mirror in list(core.sessions.values()):
        end(core, mirror, word, f"session {mirror.session_id} {mirror.name!r} is {how}")


def lost_with_server(core: ClientCore, reason: str) -> None:
    """The server is lost: each session says what is lost with it."""
    again = (
        ". Where a server is there again, attach() of a new Client takes up what it still has" if core.advice else ""
    )
    for mirror in list(core.sessions.values()):
        text = f"session {mirror.session_id} {mirror.name!r} is lost with its server: {reason}"
        end(core, mirror, "lost", f"{text}. {_what_is_lost(mirror)}{again}")


def _what_is_lost(mirror: SessionMirror) -> str:
    kept = [
        record
        for record in mirror.records.values()
        if isinstance(record, ObjectRecord) and record.kept and record.state is DataObjectState.FINISHED
    ]
    elsewhere = sum(not isinstance(record.location, Inline) for record in kept if record.value is None)
    parts = []
    if mirror.unfinished:
        parts.append(f"{mirror.unfinished} task{'s' if mirror.unfinished > 1 else ''} that had not finished")
    if elsewhere:
        parts.append(f"{elsewhere} kept result{'s' if elsewhere > 1 else ''} whose data are not here")
    return f"Lost with it: {' and '.join(parts)}" if parts else "Nothing else is lost with it"


def close(core: ClientCore, mirror: SessionMirror) -> Operation[None]:
    """Close a session; over when the server has freed what it held."""
    before = mirror.ended
    if before is not None and before.word == "closed":
        return
    end(
        core,
        mirror,
        "closed",
        f"session {mirror.session_id} {mirror.name!r} is closed (a `with session:` block closes it at its end; "
        "`with session.bind_only():` leaves it open)",
    )
    mirror.pending.clear()
    if not core.connected or (before is not None and before.word == "lost"):
        return
    request: Request = ask(core, CloseSession(0, mirror.session_id))
    try:
        yield request
    except SessionException:
        pass  # it had ended by itself
    core.sessions.pop(mirror.session_id, None)
