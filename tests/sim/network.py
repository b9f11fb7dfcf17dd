"""Virtual time and a network that delays, reorders, drops, doubles and partitions packets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any

from rain.common.protocol.channel import Channel

if TYPE_CHECKING:
    from tests.sim.server import SimServer

SERVER = "server:1"
REPEAT_S = 0.25
"""How often a side repeats what the other has not acknowledged."""
ACKNOWLEDGE_S = 0.15
"""When a side acknowledges what it had, if it has said nothing meanwhile."""


class Clock:
    """Virtual time: calls happen in the order of their times, ties in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heappush(self._calls, (self.now + delay, self._count, call, args))

    def run(self, count: int) -> int:
        """Make the next calls; how many there were."""
        calls = self._calls
        for number in range(count):
            if not calls:
                return number
            self.now, _, call, args = heappop(calls)
            call(*args)
        return count


class Network:
    """Links between hosts, and what is wrong with them.

    `digest`, if there is one, takes in every packet that is sent and when: two runs with equal digests did the same.
    """

    def __init__(
        self, clock: Clock, random: Random, *, drop: float, double: float, slow: float, digested: bool
    ) -> None:
        self.clock = clock
        self.digest = hashlib.blake2b(digest_size=16) if digested else None
        self._random = random
        self._drop = drop
        self._double = double
        self._slow = slow
        self._cut: dict[tuple[str, str], int] = {}

    def heal(self) -> None:
        self._drop = self._double = self._slow = 0.0
        self._cut.clear()

    def cut(self, a: str, b: str, seconds: float) -> None:
        """Let nothing pass between two hosts for a while; one direction only if asked for by the order."""
        key = (a, b)
        self._cut[key] = self._cut.get(key, 0) + 1
        self.clock.after(seconds, self._mend, key)

    def _mend(self, key: tuple[str, str]) -> None:
        count = self._cut.get(key, 0)
        if count > 1:
            self._cut[key] = count - 1
        else:
            self._cut.pop(key, None)

    def reachable(self, a: str, b: str) -> bool:
        return (a, b) not in self._cut and (b, a) not in self._cut

    def delay(self) -> float:
        random = self._random.random
        seconds = 0.0002 + 0.001 * random()
        if self._slow and random() < self._slow:
            seconds += 0.3 * random()
        return seconds

    def transmit(self, source: str, target: str, packet: bytes, deliver: Callable[[bytes], None]) -> None:
        if self.digest is not None:
            self.digest.update(f"{self.clock.now:.9f}{source}{target}".encode())
            self.digest.update(packet)
        random = self._random.random
        copies = 1 if random() >= self._double else 2
        for _ in range(copies):
            if (source, target) not in self._cut and random() >= self._drop:
                self.clock.after(self.delay(), deliver, packet)


class Side:
    """One side of a conversation: a real `Channel`, repeated by a timer because this network loses packets."""

    def __init__(self, conversation: Conversation, host: str, incoming: Any) -> None:
        self.conversation = conversation
        self.host = host
        self.channel: Channel[Any] = Channel(incoming)
        self.open = True
        self._timer = False

    def send(self, messages: list[Any]) -> None:
        if messages and self.open:
            self._put(self.channel.send(messages))
            self.set_timer()

    def _put(self, packet: bytes) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """This side is gone; the other one finds out by itself."""
        self.open = False

    def ping(self) -> None:
        """A sign of life."""
        self._put(self.channel.acknowledge())

    def set_timer(self, seconds: float = REPEAT_S) -> None:
        if not self._timer:
            self._timer = True
            self.conversation.network.clock.after(seconds, self._repeat)

    def _repeat(self) -> None:
        self._timer = False
        if not self.open:
            return
        packets = self.channel.unacknowledged()
        if packets:
            for packet in packets:
                self._put(packet)
            self.set_timer()
        elif self.channel.ack_wanted:
            self._put(self.channel.acknowledge())

    def resume(self, received: int) -> None:
        """Repeat on a new connection what the other side has not had."""
        for packet in self.channel.resume(received):
            self._put(packet)


class PeerSide(Side):
    """A client's or governor's."""

    def __init__(self, conversation: Conversation, host: str, incoming: Any) -> None:
        super().__init__(conversation, host, incoming)
        self.on_messages: Callable[[list[Any]], None]

    def _put(self, packet: bytes) -> None:
        conversation = self.conversation
        arrive = partial(conversation.server.arrived, conversation.server.process, conversation)
        conversation.network.transmit(self.host, SERVER, packet, arrive)

    def deliver(self, packet: bytes) -> None:
        if not self.open:
            return
        messages = self.channel.receive(packet)
        if self.channel.ack_wanted:
            self.set_timer(ACKNOWLEDGE_S)
        if messages:
            self.on_messages(messages)


class ServerSide(Side):
    """The server's; each of its processes has one of its own."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation, SERVER, conversation.incoming)
        self.heard_at = conversation.network.clock.now
        self.gathered: list[Any] = []
        self.packets: list[bytes] = []  # those that came since something new did

    def pack(self) -> None:
        """Put what was gathered into one packet, which nobody is sent yet."""
        if self.gathered:
            self.channel.send(self.gathered)
            self.gathered = []

    def flush(self) -> None:
        """Send what was gathered."""
        gathered, self.gathered = self.gathered, []
        self.send(gathered)

    def _put(self, packet: bytes) -> None:
        self.conversation.server.put(partial(self._transmit, packet))

    def _transmit(self, packet: bytes) -> None:
        conversation = self.conversation
        conversation.welcomed = True  # the first welcome may have gone with a process that died
        conversation.network.transmit(SERVER, conversation.peer.host, packet, conversation.peer.deliver)

    def _repeat(self) -> None:
        super()._repeat()
        self.conversation.server.commit()


class Conversation:
    """Two sides: `peer`, and in each process of the server another one.

    Attributes
    ----------
    client : str
        The client that opened it; empty: a governor did.
    welcomed : bool
        Whether the peer may have been told that the server knows the conversation.
    """

    def __init__(
        self, network: Network, server: SimServer, client: str, host: str, incoming: Any, incoming_peer: Any
    ) -> None:
        self.network = network
        self.server = server
        self.client = client
        self.incoming = incoming
        self.welcomed = False
        self.on_refused: Callable[[], None] | None = None
        self.peer = PeerSide(self, host, incoming_peer)
        self.number = len(server.conversations)
        server.conversations.append(self)

    def refused(self) -> None:
        """A packet came to a server that has given the peer up: the peer is told, if it is one that can be."""
        if self.on_refused is not None and self.network.reachable(SERVER, self.peer.host):
            refused, self.on_refused = self.on_refused, None
            self.network.clock.after(self.network.delay(), refused)
