"""What a server's core wants done: everything that `ServerCore.step` returns.

The shell carries effects out in order. A message to a peer that has gone is dropped by it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rain.common.protocol.messages import ServerToClient, ServerToGovernor


class ToClient(msgspec.Struct):
    """Say this to a client."""

    client_id: str
    message: ServerToClient


class ToGovernor(msgspec.Struct):
    """Say this to a governor."""

    governor_id: str
    message: ServerToGovernor


class DropGovernor(msgspec.Struct):
    """End the conversation with a governor that cannot be sent what it should do. `GovernorGone` follows."""

    governor_id: str
    reason: str


class AllowPool(msgspec.Struct):
    """Let governors in that have the key which this salt makes, and say this number."""

    pool: int
    salt: bytes


class ForbidPool(msgspec.Struct):
    """Let no governor in any more that says this number."""

    pool: int


class InternalError(msgspec.Struct):
    """An error of this code was met, and what it was about has failed: for the log."""

    about: str
    error: Exception


class DiscardUpload(msgspec.Struct):
    """Delete the files of these uploads."""

    names: list[str]


class Happened(msgspec.Struct, gc=False):
    """For the event log. `session` and `id` are numbers where the event is about a session or one of its items."""

    type: str
    session: int | None
    id: int | None
    values: dict[str, Any]


Effect: TypeAlias = (
    ToClient | ToGovernor | DropGovernor | AllowPool | ForbidPool | InternalError | DiscardUpload | Happened
)
