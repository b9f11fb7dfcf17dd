"""What the server writes into its journal in the simulator: one record for each thing that happens to it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rain.common.location import LocalFile


class Opened(msgspec.Struct):
    """A peer opened a conversation."""

    now: float
    conversation: int


class Packet(msgspec.Struct):
    """A packet came, and this is where the files lie that it brought constants in."""

    now: float
    conversation: int
    packet: bytes
    claims: list[LocalFile]


class Gone(msgspec.Struct):
    """A conversation was given up."""

    now: float
    conversation: int
    reason: str


class Pace(msgspec.Struct):
    """A client fell behind, or caught up."""

    now: float
    client: str
    behind: bool


class Tick(msgspec.Struct):
    """Time passed."""

    now: float


class TurnEnded(msgspec.Struct):
    """The turn of the loop ended."""

    now: float


Record: TypeAlias = Opened | Packet | Gone | Pace | Tick | TurnEnded
