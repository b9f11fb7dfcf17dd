"""Everything that can happen to a client: what `ClientCore.step` takes.

The shell turns IO and what users ask for into these. It steps one at a time, under one lock; the messages of a server
come in order, each once (`rain.common.protocol.channel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from rain.common.protocol.messages import ServerToClient

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror
    from rain.client.core.sessions import Opening


class Said(msgspec.Struct):
    """The next messages of the server."""

    messages: list[ServerToClient]


class Away(msgspec.Struct):
    """The connection to the server broke; it is dialled again."""


class Back(msgspec.Struct):
    """A new connection to the same server carries the conversation on."""


class Gone(msgspec.Struct):
    """The server is gone for good, or there is a new one that does not know this client."""

    reason: str


class Left(msgspec.Struct):
    """The client was closed by its user. `name` is its name in error texts."""

    name: str


class Unsendable(msgspec.Struct):
    """A message could not be encoded, and was not sent."""

    message: Any
    reason: str


class Tick(msgspec.Struct):
    """The link calls this now and then, for what depends on time.

    Attributes
    ----------
    absence : str
        What is known of a server that is away: ``"refused"`` (nothing listens there), ``"silent"`` (connections are
        accepted and not answered); empty: nothing.
    fate : str
        Why it will not be started again but by its user; empty: not known.
    """

    absence: str = ""
    fate: str = ""


class Released(msgspec.Struct):
    """Handles of kept objects of a session are gone (`SessionMirror.dropped`)."""

    mirror: SessionMirror


class GivenUp(msgspec.Struct):
    """The thread that asked for a new session does not want it any more."""

    opening: Opening


Event: TypeAlias = Said | Away | Back | Gone | Left | Unsendable | Tick | Released | GivenUp
