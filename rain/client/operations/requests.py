"""What a client asks of its server, as operations (see `operation`); what it asks of sessions: `session_operations`."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.functions.call_sites import warn
from rain.client.functions.modules import Surroundings
from rain.client.operations.operation import Operation, shielded, uninterrupted
from rain.client.operations.session_operations import End
from rain.client.session import Session
from rain.common.errors import RainException
from rain.common.limits import HISTORY_BYTES_MAX
from rain.common.protocol.messages import (
    Attach,
    Attached,
    CloseSession,
    GetServerInfo,
    NewSession,
    ServerBrief,
    ServerInfo,
    SessionOpened,
    SessionSummary,
)

if TYPE_CHECKING:
    from rain.client.client import Client


def new_session(client: Client, name: str, default: bool, on_failure: str, persistent: bool) -> Operation[Session]:
    """Open a session."""
    if not isinstance(name, str):
        raise RainException(f"a session's name is a str, not {type(name).__name__} ({name!r})")
    if on_failure not in ("continue", "stop"):
        raise RainException(f'on_failure is "continue" or "stop", not {on_failure!r}')
    surroundings = Surroundings()
    env = surroundings.environment()
    assert env is not None
    with uninterrupted():  # what was asked for must be known here, to be given back
        asked = client._ask(lambda request: NewSession(request, name, on_failure, bool(persistent), env))
    try:
        opened = yield shielded(asked)
        with uninterrupted():
            session = Session(client, opened.session_id, name, on_failure=on_failure, persistent=bool(persistent))
            session._surroundings = surroundings
            client._sessions[opened.session_id] = session
            if default:
                session.set_as_default()
    except BaseException:
        # The server may open it none the less, and nobody would ever close it.
        asked.add_done_callback(lambda asked: _give_back(client, asked))
        raise
    return session


def _give_back(client: Client, asked: Future[SessionOpened]) -> None:
    """Close a session whose maker does not wait for it any more."""
    if asked.cancelled() or asked.exception() is not None:
        return
    number = asked.result().session_id
    session = client._sessions.pop(number, None)
    if session is not None:
        session._end(End("closed", f"session {number} {session.name!r} is closed: making it was interrupted"))
    if client._connected:
        client._post(lambda request: CloseSession(request, number))


def session_list(client: Client) -> Operation[list[SessionSummary]]:
    """One line about each session."""
    info: ServerInfo = yield client._ask(GetServerInfo)
    return info.sessions


def attach(client: Client, wanted: int | str) -> Operation[Session]:
    """Go on with a persistent session."""
    if isinstance(wanted, bool) or not isinstance(wanted, int | str):
        raise RainException(f"attach() takes a session's number or name, not {wanted!r}")
    for session in list(client._sessions.values()):
        if session.active and session.persistent and wanted == session.session_id:
            return session
    attached: Attached = yield client._ask(lambda request: Attach(request, wanted))
    session = client._sessions[attached.session_id]
    if attached.released:
        warn(
            f"{session!r} has {attached.released} more finished tasks, which are not listed: the server keeps "
            f"about HISTORY_BYTES_MAX ({HISTORY_BYTES_MAX}) bytes of tasks that nobody needs"
        )
    return session


def server_info(client: Client) -> Operation[dict[str, Any]]:
    """All about the server; see `Client.get_server_info`."""
    info: ServerInfo = yield client._ask(GetServerInfo)
    values = {"version": info.version, "address": info.address, "http": info.http}
    governors = [msgspec.structs.asdict(governor) for governor in info.governors]
    return {**values, "governors": governors, "sessions": [msgspec.structs.asdict(s) for s in info.sessions]}


def brief_info(client: Client) -> Operation[dict[str, Any]]:
    """The server in figures; see `Client._brief_info`."""
    info: ServerBrief = yield client._ask(lambda request: GetServerInfo(request, True))
    governors = [msgspec.structs.asdict(governor) for governor in info.governors]
    listed = [
        {"id": one.session_id, "name": one.name, "persistent": one.persistent, "client": one.client,
         "tasks": one.tasks}
        for one in info.sessions
    ]  # fmt: skip
    values = {"address": info.address, "version": info.version, "http": info.http}
    return {**values, "governors": governors, "sessions": listed}
