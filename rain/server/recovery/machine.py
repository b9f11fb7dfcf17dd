"""The machine: all between the conversations and the core; records in, messages and effects out.

`Machine.apply` is its only input, and its behaviour follows from the records alone, without IO and without a clock. So
a server that applies the records of a dead one again gets the same state. While a server runs its `Hands` do IO; while
records are applied again other ones leave out effects that must not happen twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rain.common.errors import ProtocolError
from rain.common.protocol.messages import Failed, Register
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.core.state import internal
from rain.server.recovery.records import (
    Acknowledged,
    Begun,
    Came,
    Followed,
    FollowUp,
    Gone,
    Opened,
    Paced,
    Record,
    Ticked,
    TurnEnded,
    Uploaded,
    names_of_uploads,
    put_claims,
)

FAILURES_MAX = 10
"""How many errors in a row of an event that cannot be given up end the server."""


class Hands(Protocol):
    """The IO of a machine."""

    def send(self, conversation: int, message: Any) -> None:
        """Send a message to a peer; nothing is sent to one that is gone."""

    def close(self, conversation: int, reason: str) -> None:
        """End a conversation that the machine has forgotten: no `Gone` is to follow."""

    def part(self, conversation: int, reason: str) -> None:
        """End a conversation soon; `Gone` is to follow."""

    def perform(self, effect: do.Effect) -> None:
        """Carry out an effect that is no message: `AllowPool`, `ForbidPool`, `InternalError`, `DiscardUpload`,
        `Logged`."""

    def later(self, event: FollowUp, tries: int) -> None:
        """Apply a `Followed` record with this event soon."""

    def failed(self, what: str, error: Exception) -> None:
        """Log an error that code of the server raised."""

    def fatal(self, error: Exception) -> None:
        """End the server, because the error does not go away."""


class Machine:
    """A server without IO: its core, and which conversation is whose.

    Parameters
    ----------
    core : ServerCore
    hands : Hands

    Attributes
    ----------
    now : float
        The time of the last record.
    opened : int
        Number of the last conversation.
    names : dict of int to str
        By conversation: the client's or governor's name; empty for a governor that has not registered.
    peers : dict of str to int
        By name: the conversation that is it at present.
    behind : dict of str to bool
        Clients, and whether they are to catch up before further updates.
    uploads : dict of int to dict of str to None
        By clients' conversations: what came over data connections and was not submitted yet.
    effects : dict of type to callable
        What carries out each kind of effect.
    """

    __slots__ = (
        "_client_count",
        "_handlers",
        "_pools",
        "behind",
        "core",
        "effects",
        "hands",
        "names",
        "now",
        "opened",
        "peers",
        "uploads",
    )

    def __init__(self, core: ServerCore, hands: Hands) -> None:
        self.core = core
        self.hands = hands
        self.now = 0.0
        self.opened = 0
        self.names: dict[int, str] = {}
        self.peers: dict[str, int] = {}
        self.behind: dict[str, bool] = {}
        self.uploads: dict[int, dict[str, None]] = {}
        self._pools: dict[int, int] = {}  # governors' conversations
        self._client_count = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            Begun: self._nothing,
            Opened: self._opened,
            Gone: self._gone,
            Paced: self._paced,
            Ticked: lambda record: self._step(ev.Tick()),
            TurnEnded: lambda record: self._carry_out(core.step(ev.TurnEnded(), record.now)),
            Followed: self._followed,
            Uploaded: self._uploaded,
            Acknowledged: self._nothing,
        }

        self.effects: dict[type, Callable[[Any], None]] = {
            do.ToClient: self._to_client,
            do.ToGovernor: self._to_governor,
            do.DropGovernor: self._drop_governor,
        }
        performed: tuple[type, ...] = (do.AllowPool, do.ForbidPool, do.InternalError, do.DiscardUpload, *do.LOGGED)
        for kind in performed:
            self.effects[kind] = self._perform

    def apply(self, record: Record, messages: Sequence[Any] = ()) -> None:
        """Apply a record.

        Parameters
        ----------
        record : Record
        messages : sequence of Message
            Of a `Came` record: the new messages in its packets.

        Raises
        ------
        ProtocolError
            If a peer sent a message that it may not send.
        """
        self.now = record.now
        if type(record) is Came:
            self._came(record, messages)
        else:
            self._handlers[type(record)](record)

    def is_client(self, conversation: int) -> bool:
        """Whether a conversation is one with a client."""
        return conversation in self.uploads

    def memory(self) -> dict[str, Any]:
        """The state of the machine beside that of the core, for `remember`."""
        return {
            "now": self.now,
            "opened": self.opened,
            "clients": self._client_count,
            "names": self.names,
            "peers": self.peers,
            "behind": self.behind,
            "uploads": self.uploads,
            "pools": self._pools,
        }

    def remember(self, memory: dict[str, Any]) -> None:
        """Take over the state of another machine, which its `memory` returned."""
        self.now = memory["now"]
        self.opened = memory["opened"]
        self._client_count = memory["clients"]
        self.names = memory["names"]
        self.peers = memory["peers"]
        self.behind = memory["behind"]
        self.uploads = memory["uploads"]
        self._pools = memory["pools"]

    # -- peers ----------------------------------------------------------------------------------

    def _nothing(self, record: Record) -> None:
        pass

    def _opened(self, record: Opened) -> None:
        conversation = self.opened = record.conversation
        if record.hello.role != "client":
            self.names[conversation] = ""
            self._pools[conversation] = record.pool
            return
        self._client_count += 1
        name = self.names[conversation] = f"client-{self._client_count}"
        self.peers[name] = conversation
        self.behind[name] = False
        self.uploads[conversation] = {}
        self._step(ev.ClientJoined(name, record.hello.kernel))

    def _came(self, record: Came, messages: Sequence[Any]) -> None:
        conversation = record.conversation
        name = self.names.get(conversation)
        if name is None:
            return
        if conversation not in self.uploads:
            self._governor_said(conversation, messages)
            return
        troubles = put_claims(messages, record.claims)
        for index, message in enumerate(messages):
            for upload in names_of_uploads(message):
                for uploads in self.uploads.values():
                    uploads.pop(upload, None)
            self._step(ev.ClientSaid(name, message, troubles.get(index, "")))

    def _governor_said(self, conversation: int, messages: Sequence[Any]) -> None:
        for message in messages:
            if type(message) is Register:
                governor_id = message.governor_id
                if self.names[conversation]:
                    raise ProtocolError("a governor registers once")
                if governor_id in self.peers:
                    self._replaced(governor_id, "another governor registered at its address")
                for before in self.core.predecessors(message):
                    self._replaced(before, "another governor was started in its place")
                self.names[conversation] = governor_id
                self.peers[governor_id] = conversation
                self._step(ev.GovernorJoined(governor_id, message, self._pools[conversation]))
                continue
            name = self.names.get(conversation)
            if not name or self.peers.get(name) != conversation:
                raise ProtocolError("a governor must register first")
            self._step(ev.GovernorSaid(name, message))

    def _replaced(self, governor_id: str, reason: str) -> None:
        conversation = self.peers[governor_id]
        self._governor_gone(conversation, reason)
        self.hands.close(conversation, reason)

    def _gone(self, record: Gone) -> None:
        if record.conversation in self.uploads:
            self._client_gone(record.conversation, record.waits_s)
        else:
            self._governor_gone(record.conversation, record.reason)

    def _client_gone(self, conversation: int, waits_s: float) -> None:
        uploads = self.uploads.pop(conversation)
        if uploads:
            self.hands.perform(do.DiscardUpload(list(uploads)))
        name = self.names.pop(conversation)
        del self.peers[name], self.behind[name]
        self._step(ev.ClientGone(name, waits_s))

    def _governor_gone(self, conversation: int, reason: str) -> None:
        name = self.names.pop(conversation, None)
        self._pools.pop(conversation, None)
        if name and self.peers.get(name) == conversation:
            del self.peers[name]
            self._step(ev.GovernorGone(name, reason))

    def _paced(self, record: Paced) -> None:
        name = self.names.get(record.conversation)
        if name is not None:
            self.behind[name] = record.behind
            self._carry_out(self.core.step(ev.ClientPace(name, record.behind), record.now))

    def _uploaded(self, record: Uploaded) -> None:
        self.uploads[record.conversation][record.name] = None

    # -- events in, effects out -----------------------------------------------------------------

    def _step(self, event: ev.Event) -> None:
        try:
            effects = self.core.step(event, self.now)
        except Exception as error:
            self._core_failed(event, error)
            return
        self._carry_out(effects)

    def _carry_out(self, effects: list[do.Effect]) -> None:
        handlers = self.effects
        for effect in effects:
            try:
                handlers[type(effect)](effect)
            except Exception as error:
                self._effect_failed(effect, error)

    def _perform(self, effect: do.Effect) -> None:
        self.hands.perform(effect)

    def _to_client(self, effect: do.ToClient) -> None:
        conversation = self.peers.get(effect.client_id)
        if conversation is not None:
            self.hands.send(conversation, effect.message)

    def _to_governor(self, effect: do.ToGovernor) -> None:
        conversation = self.peers.get(effect.governor_id)
        if conversation is not None:
            self.hands.send(conversation, effect.message)

    def _drop_governor(self, effect: do.DropGovernor) -> None:
        conversation = self.peers.get(effect.governor_id)
        if conversation is not None:
            self.hands.part(conversation, effect.reason)

    def _effect_failed(self, effect: do.Effect, error: Exception) -> None:
        self.hands.failed(type(effect).__name__, error)
        name = getattr(effect, "client_id", None) or getattr(effect, "governor_id", None)
        if name is not None and name in self.peers:
            self.hands.part(self.peers[name], internal(error))

    def _core_failed(self, event: ev.Event, error: Exception) -> None:
        """The core raised an error: the session or governor that the event was about may be half changed, and is given
        up."""
        hands = self.hands
        hands.failed(f"the core, at {type(event).__name__},", error)
        why = internal(error)
        if isinstance(event, ev.ClientSaid):
            request = getattr(event.message, "request", None)
            session_id = getattr(event.message, "session_id", None)
            if request is not None and event.client_id in self.peers:
                hands.send(self.peers[event.client_id], Failed(request, "rain", why))
            if session_id is not None:
                hands.later(ev.SessionBroken(event.client_id, session_id, why), 0)
        elif isinstance(event, ev.ClientJoined):
            if event.client_id in self.peers:
                hands.part(self.peers[event.client_id], why)
        elif isinstance(event, ev.GovernorSaid | ev.GovernorJoined):
            if event.governor_id in self.peers:
                hands.part(self.peers[event.governor_id], why)
        else:  # no peer can be blamed for it: the core has to take it
            hands.later(event, 1)

    def _followed(self, record: Followed) -> None:
        event, tries = record.event, record.tries
        if not tries:
            self._step(event)
            return
        try:
            self._carry_out(self.core.step(event, record.now))
        except Exception as error:
            self.hands.failed(f"the core, at {type(event).__name__} again,", error)
            if tries >= FAILURES_MAX:
                self.hands.fatal(error)
            else:
                self.hands.later(event, tries + 1)
