"""What can happen to a server: everything that `ServerCore.step` takes.

The shell turns IO into these and nothing else reaches the core. Rules that the shell keeps:

* a peer is a conversation: its messages come in order, each once, between its `…Joined` and its `…Gone`;
* a governor's `Register` comes as `GovernorJoined`, and before another of the same id the first one's `GovernorGone`;
* after the events of one loop turn it steps `TurnEnded` once: that is when work is placed and batches leave;
* `Tick` comes at least once a second, followed by `TurnEnded`;
* a constant that names an upload comes with `Constant.file` set, or its message with `trouble`.

Those with a tag may be in a journal on their own (`rain.server.recovery.records.Followed`).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rain.common.ids import ID
from rain.common.protocol.messages import ClientToServer, GovernorToServer, Register


class ClientJoined(msgspec.Struct, gc=False):
    """A client opened a conversation. `returns`: should it go, another one may come for its sessions: it is a
    notebook's kernel."""

    client_id: str
    returns: bool = False


class ClientGone(msgspec.Struct, gc=False, tag=True):
    """A client's conversation is over: its sessions end, but for persistent ones. `waits_s`: for so many seconds the
    others wait for another client, which may be the same user's."""

    client_id: str
    waits_s: float = 0.0


class ClientPace(msgspec.Struct, gc=False, tag=True):
    """A client is so far behind that updates are gathered for it, or it has caught up. Nothing is sent for it."""

    client_id: str
    behind: bool


class ClientSaid(msgspec.Struct):
    """The next message of a client; `trouble`: what is wrong with the uploads that it names, so that it is refused."""

    client_id: str
    message: ClientToServer
    trouble: str = ""


class GovernorJoined(msgspec.Struct):
    """A governor registered; it has nothing and runs nothing. `pool`: the number of the one it belongs to, or 0."""

    governor_id: str
    register: Register
    pool: int = 0


class GovernorGone(msgspec.Struct, gc=False, tag=True):
    """A governor's conversation is over: nothing of it runs, nothing of it is left."""

    governor_id: str
    reason: str


class GovernorSaid(msgspec.Struct):
    """The next message of a governor."""

    governor_id: str
    message: GovernorToServer


class AssignmentFailed(msgspec.Struct, gc=False, tag=True):
    """A governor could not be sent a task that was assigned to it, and never will be."""

    governor_id: str
    task: ID
    attempt: int
    reason: str


class SessionBroken(msgspec.Struct, gc=False, tag=True):
    """What a client asked of a session raised an error: it may have been carried out by half."""

    client_id: str
    session_id: int
    reason: str


class Tick(msgspec.Struct, gc=False, tag=True):
    """Time went by."""


class TurnEnded(msgspec.Struct, gc=False, tag=True):
    """All events of this loop turn were stepped."""


Event: TypeAlias = (
    ClientJoined
    | ClientGone
    | ClientPace
    | ClientSaid
    | GovernorJoined
    | GovernorGone
    | GovernorSaid
    | AssignmentFailed
    | SessionBroken
    | Tick
    | TurnEnded
)
