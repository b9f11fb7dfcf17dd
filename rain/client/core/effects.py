"""What a client's core wants done: everything that `ClientCore.step` returns. The shell carries it out in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror
    from rain.client.core.waiting import Waiting


class Send(msgspec.Struct):
    """Send messages to the server, in order."""

    messages: list[Any]


class WaitOver(msgspec.Struct):
    """What an operation waits for is over: the operation is to be resumed by the thread that drives it."""

    waiting: Waiting


class FindModule(msgspec.Struct):
    """Answer with `ModuleFound`: an executor on another host imports the module `name`."""

    mirror: SessionMirror | None
    session_id: int
    name: str


class SessionOver(msgspec.Struct):
    """The session has just ended."""

    mirror: SessionMirror


Effect: TypeAlias = Send | WaitOver | FindModule | SessionOver
