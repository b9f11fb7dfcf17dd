"""Virtual time and a network that delays, reorders, drops, doubles and partitions packets."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from rain.common.protocol.channel import Channel

REPEAT_S = 0.25
"""How often a side repeats what the other has not acknowledged; also how often it acknowledges."""


class Clock:
    """Virtual time: calls happen in the order of their times, ties in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._calls, (self.now + delay, self._count, call, args))

    def run_next(self) -> bool:
        """Make the next call; False if there is none."""
        if not self._calls:
            return False
        self.now, _, call, args = heapq.heappop(self._calls)
        call(*args)
        return True


class Network:
    """Links between hosts, and what is wrong with them.

    `digest` takes in every packet that is sent and when: two runs with equal digests did the same.
    """

    def __init__(self, clock: Clock, random: Random, *, drop: float, double: float, slow: float) -> None:
        self.clock = clock
        self.digest = hashlib.blake2b(digest_size=16)
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
        self._conversation = conversation
        self.host = host
        self.channel: Channel[Any] = Channel(incoming)
        self.on_messages: Callable[[list[Any]], None] | None = None
        self.heard_at = conversation.network.clock.now
        self.peer: Side
        self._timer = False

    def send(self, messages: list[Any]) -> None:
        if messages and self.on_messages is not None:
            self._put(self.channel.send(messages))
            self._set_timer()

    def _put(self, packet: bytes) -> None:
        self._conversation.network.transmit(self.host, self.peer.host, packet, self.peer.deliver)

    def deliver(self, packet: bytes) -> None:
        if self.on_messages is None:
            self._conversation.refused(self)
            return
        self.heard_at = self._conversation.network.clock.now
        messages = self.channel.receive(packet)
        if self.channel.ack_wanted:
            self._set_timer()
        if messages:
            self.on_messages(messages)

    def close(self) -> None:
        """This side is gone; the other one finds out by itself."""
        self.on_messages = None

    def ping(self) -> None:
        """A sign of life."""
        self._put(self.channel.acknowledge())

    def _set_timer(self) -> None:
        if not self._timer:
            self._timer = True
            self._conversation.network.clock.after(REPEAT_S, self._repeat)

    def _repeat(self) -> None:
        self._timer = False
        if self.on_messages is None:
            return
        packets = self.channel.unacknowledged()
        if packets:
            for packet in packets:
                self._put(packet)
            self._set_timer()
        elif self.channel.ack_wanted:
            self._put(self.channel.acknowledge())


class Conversation:
    """Two sides."""

    def __init__(self, network: Network, here: str, there: str, incoming_here: Any, incoming_there: Any) -> None:
        self.network = network
        self.on_refused: Callable[[], None] | None = None
        self.here = Side(self, here, incoming_here)
        self.there = Side(self, there, incoming_there)
        self.here.peer, self.there.peer = self.there, self.here

    def refused(self, side: Side) -> None:
        """A packet came to a side that has given the peer up: the peer is told, if it is the one that can be."""
        if side is self.here and self.on_refused is not None and self.network.reachable(side.host, side.peer.host):
            refused, self.on_refused = self.on_refused, None
            self.network.clock.after(self.network.delay(), refused)
