"""What dies with the server's process in the simulator: the real core, its sides of the conversations, and tables. All
of it follows from the records, in life and when they are replayed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from rain.common.location import Upload
from rain.common.protocol import messages as m
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from tests.sim import records as rec
from tests.sim.network import SERVER, Conversation, ServerSide

if TYPE_CHECKING:
    from tests.sim.server import SimServer


class Machine:
    """One process of the server, as far as the journal tells of it.

    Attributes
    ----------
    living : bool
        Whether what it does leaves it; else it replays.
    returning : bool
        Whether it replays to take its predecessor's place, and not only to be looked at.
    """

    def __init__(self, server: SimServer) -> None:
        self.server = server
        self.core = ServerCore(SERVER, "server-machine", policy=server.policy.make, policy_name=server.policy.name)
        self.sides: dict[Conversation, ServerSide] = {}
        self.peers: dict[str, Conversation] = {}
        self.governor_of: dict[Conversation, str] = {}
        self.pools: dict[int, bytes] = {}
        self.living = False
        self.returning = False

    def replay(self, records: Iterable[rec.Record]) -> None:
        """Become what the process was that wrote these."""
        for record in records:
            self.apply(record)
        for side in self.sides.values():
            side.gather()

    def apply(self, record: rec.Record, messages: list[Any] | None = None) -> None:
        """Do what a record says; `messages` is what its packet brought, if it was looked into already."""
        kind = type(record)
        if kind is rec.TurnEnded:
            self._step(ev.TurnEnded(), record.now)
        elif kind is rec.Tick:
            self._step(ev.Tick(), record.now)
        elif type(record) is rec.Packet:
            conversation = self.server.conversations[record.conversation]
            if messages is None:
                side = self.sides[conversation]
                side.gather()  # the packet may acknowledge it
                messages = side.channel.receive(record.packet)
            said = self._client_said if conversation.client else self._governor_said
            said(conversation, messages, record)
        elif type(record) is rec.Opened:
            self._opened(self.server.conversations[record.conversation], record)
        elif type(record) is rec.Gone:
            self._gone(self.server.conversations[record.conversation], record)
        elif type(record) is rec.Pace:
            self._step(ev.ClientPace(record.client, record.behind), record.now)

    def _step(self, event: ev.Event, now: float) -> None:
        server = self.server
        step = server.step_core if self.living else ServerCore.step
        with server.world.armed:
            effects = step(self.core, event, now)
        if self.living:
            server.judge_step(event, effects)
        out: dict[str, list[Any]] = {}
        for effect in effects:
            if type(effect) is do.ToClient:
                out.setdefault(effect.client_id, []).append(effect.message)
            elif type(effect) is do.ToGovernor:
                out.setdefault(effect.governor_id, []).append(effect.message)
            elif type(effect) is do.DiscardUpload:
                server.discard(effect.names, self)
            elif type(effect) is do.DropGovernor:
                raise AssertionError(f"{effect.governor_id} was thrown out: {effect.reason}")
            elif type(effect) is do.AllowPool:
                assert effect.pool not in self.pools, f"pool {effect.pool} was there"
                self.pools[effect.pool] = effect.salt
            elif type(effect) is do.ForbidPool:
                del self.pools[effect.pool]
            elif type(effect) is do.InternalError:
                raise effect.error
        for name, messages in out.items():
            if name in self.peers:
                side = self.sides[self.peers[name]]
                if self.living:
                    side.send(messages)
                else:
                    side.gathered += messages
                    if server.random.random() < 0.5:
                        side.gather()

    # -- conversations --------------------------------------------------------------------------

    def _opened(self, conversation: Conversation, record: rec.Opened) -> None:
        self.sides[conversation] = ServerSide(conversation)
        if conversation.client:
            self.peers[conversation.client] = conversation
            self._step(ev.ClientJoined(conversation.client), record.now)

    def _client_said(self, conversation: Conversation, messages: list[Any], record: rec.Packet) -> None:
        claims = iter(record.claims)
        for message in messages:
            if isinstance(message, m.Submit | m.Retry):
                for constant in message.constants:
                    if isinstance(constant.location, Upload):
                        constant.location.file = msgspec.structs.replace(next(claims))
            self._step(ev.ClientSaid(conversation.client, message), record.now)

    def _governor_said(self, conversation: Conversation, messages: list[Any], record: rec.Packet) -> None:
        for message in messages:
            if isinstance(message, m.Register):
                for other, name in list(self.governor_of.items()):
                    if name == message.governor_id:
                        self._lose(other, name, "it registered anew", record.now)
                self.governor_of[conversation] = message.governor_id
                self.peers[message.governor_id] = conversation
                self._step(ev.GovernorJoined(message.governor_id, message), record.now)
            elif conversation in self.governor_of:
                self._step(ev.GovernorSaid(self.governor_of[conversation], message), record.now)

    def _gone(self, conversation: Conversation, record: rec.Gone) -> None:
        if conversation.client:
            self.sides.pop(conversation).close()
            del self.peers[conversation.client]
            self._step(ev.ClientGone(conversation.client), record.now)
        else:
            self._lose(conversation, self.governor_of[conversation], record.reason, record.now)

    def _lose(self, conversation: Conversation, name: str, reason: str, now: float) -> None:
        if self.living:
            self.server.judge_loss(name)
        self.sides.pop(conversation).close()
        del self.governor_of[conversation]
        del self.peers[name]
        self._step(ev.GovernorGone(name, reason), now)
