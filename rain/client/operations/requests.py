"""What a client asks of its server, as operations (see `operation`); what it asks of sessions: `session_operations`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core import events as ev
from rain.client.core import sessions
from rain.client.core.operations import governors, questions
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.sessions import Opening
from rain.client.functions.call_sites import warn
from rain.client.functions.modules import Surroundings
from rain.client.handles import inside, session_of
from rain.client.operations.connection import Connection
from rain.client.operations.operation import Operation, uninterrupted
from rain.client.operations.session_operations import Item, checked, update
from rain.common.errors import RainException
from rain.common.limits import HISTORY_BYTES_MAX, HISTORY_RETURN_BYTES_MAX
from rain.common.protocol.messages import ServerBrief, ServerInfo, SessionSummary

if TYPE_CHECKING:
    from rain.client.session import Session

Made = Callable[[SessionMirror, Surroundings], "Session"]
"""Makes the `Session` that the user gets."""


def new_session(
    connection: Connection, made: Made, name: str, default: bool, on_failure: str, persistent: bool
) -> Operation[Session]:
    """Open a session."""
    if not isinstance(name, str):
        raise RainException(f"a session's name is a str, not {type(name).__name__} ({name!r})")
    if on_failure not in ("continue", "stop"):
        raise RainException(f'on_failure is "continue" or "stop", not {on_failure!r}')
    surroundings = Surroundings()
    env = surroundings.environment()
    assert env is not None
    opening = Opening()
    operation = sessions.open_session(connection.core, opening, name, on_failure, bool(persistent), env)
    try:
        mirror = yield from connection.drive(operation, whole=True)
        with uninterrupted():
            session = made(mirror, surroundings)
            if default:
                session.set_as_default()
    except BaseException:
        connection.step(ev.GivenUp(opening))
        raise
    return session


def session_list(connection: Connection) -> Operation[list[SessionSummary]]:
    """One line about each session."""
    info: ServerInfo = yield from connection.drive(questions.server_info(connection.core))
    return info.sessions


def attach(connection: Connection, made: Made, wanted: int | str | None, advice: str = "") -> Operation[Session]:
    """Go on with a session that is persistent or waits for a client; `advice`: what to say if there is none."""
    if isinstance(wanted, bool) or not isinstance(wanted, int | str | None):
        raise RainException(f"attach() takes a session's number or name, not {wanted!r}")
    try:
        mirror, released = yield from connection.drive(sessions.attach(connection.core, wanted))
    except RainException as error:
        if advice and connection.core.connected and not str(error).startswith("several"):
            raise RainException(f"{error}. {advice}") from None
        raise
    session: Session = mirror.handle if mirror.handle is not None else made(mirror, Surroundings())
    if released:
        keeps = (
            f"the server keeps about HISTORY_BYTES_MAX ({HISTORY_BYTES_MAX}) bytes of tasks whose results nothing needs"
            if mirror.persistent
            else "of a session that is not persistent the server keeps the tasks whose results are held; of others of "
            f"a notebook about HISTORY_RETURN_BYTES_MAX ({HISTORY_RETURN_BYTES_MAX}) bytes, but none that ran in one "
            "batch with others that differ by their arguments only"
        )
        warn(f"{session!r} has {released} more finished tasks, which are not listed: {keeps}")
    return session


def look(connection: Connection, made: Made, wanted: int | str) -> Operation[Session]:
    """See what there is in a persistent session, as it is now; it stays whose it is."""
    mirror = yield from connection.drive(sessions.look(connection.core, wanted))
    return made(mirror, Surroundings())


def server_info(connection: Connection) -> Operation[dict[str, Any]]:
    """Everything about the server; see `Client.get_server_info`."""
    info: ServerInfo = yield from connection.drive(questions.server_info(connection.core))
    values = {"version": info.version, "address": info.address, "http": info.http}
    governors = [msgspec.structs.asdict(governor) for governor in info.governors]
    return {**values, "governors": governors, "sessions": [msgspec.structs.asdict(s) for s in info.sessions]}


def brief_info(connection: Connection) -> Operation[dict[str, Any]]:
    """The server in figures; see `Client._brief_info`."""
    info: ServerBrief = yield from connection.drive(questions.server_info(connection.core, brief=True))
    governors = [msgspec.structs.asdict(governor) for governor in info.governors]
    listed = [
        {"id": one.session_id, "name": one.name, "persistent": one.persistent, "client": one.client,
         "tasks": one.tasks}
        for one in info.sessions
    ]  # fmt: skip
    values = {"address": info.address, "version": info.version, "http": info.http}
    return {**values, "governors": governors, "sessions": listed}


def wait_for_governors(connection: Connection, count: Any) -> Operation[None]:
    """Wait until so many governors are connected to the server."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise RainException(f"the number of governors is an integer that is not negative, not {count!r}")
    yield from connection.drive(governors.wait_for_governors(connection.core, count))


def drain_governors(connection: Connection, chosen: Any, within_s: Any) -> Operation[None]:
    """Have governors leave."""
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    if not all(isinstance(name, str) for name in names):
        raise RainException(f"governors are given by their ids, as get_server_info lists them, not {chosen!r}")
    if isinstance(within_s, bool) or not isinstance(within_s, int | float) or not within_s >= 0:
        raise RainException(f"within is a number of seconds that is not negative, not {within_s!r}")
    yield from connection.drive(governors.drain(connection.core, names, float(within_s)))


def update_all(connection: Connection, items: Any) -> Operation[None]:
    """Ask for the present state of items of several sessions."""
    by_session: dict[Session, list[Item]] = {}
    for item in checked(items):
        by_session.setdefault(session_of(item), []).append(item)  # type: ignore[arg-type]
    for session, group in by_session.items():
        own = inside(session)
        own.connection.check(own.mirror)
        yield from update(session, group)
