"""A conversation that outlives its connections.

Theory of operation
-------------------
Two peers hold one `Channel` each. `send` numbers the messages of a batch and keeps the encoded packet until the peer
acknowledges all of it; `receive` returns the messages that are next in order and drops what came twice. When a
connection breaks, both sides keep their channels; on the next one each tells how many messages it has had
(`received`) and the other repeats the rest (`resume`). So the cores see every message exactly once and in order, or
learn that the peer is gone; no core handles a lost, doubled or late message.

Messages have numbers, not packets: a side that was started anew says the same messages again, but may cut them into
other packets. So a packet may repeat some messages that were had and bring others; the receiver skips the former.

TCP does not lose packets while a connection lives, so nothing is repeated on a timer there; the simulator's network
does lose them, and calls `unacknowledged` to repeat.

A packet is ``[first, received, messages]``: `first` is the number of its first message, counted from 1 (0: a bare
acknowledgement), `received` the number of the last message that the sender of the packet has had in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from rain.common.errors import ProtocolError
from rain.common.limits import ACK_EVERY_FRAMES, UNACKED_BYTES_MAX
from rain.common.protocol.encoding import encode

M = TypeVar("M")


@cache
def _decoder_of(incoming: Any) -> msgspec.msgpack.Decoder[Any]:
    """What reads packets of such messages; to make one takes as long as to read a hundred packets."""
    return msgspec.msgpack.Decoder(tuple[int, int, list[incoming]])


class Channel(Generic[M]):
    """One side of a conversation.

    Parameters
    ----------
    incoming : type
        The union of message types that the peer may send.

    Attributes
    ----------
    received : int
        How many messages were had.
    acked : int
        How many messages the peer has had, as far as whole packets go.
    """

    __slots__ = ("_decoder", "_early", "_kept", "_kept_bytes", "_sent", "_since_ack", "acked", "received")
    # _sent: messages; acked: of these, those of packets that are not kept any more; _kept: packets, each with the
    # number of its last message; _early: packets that came before their turn, by the number of their first message.

    def __init__(self, incoming: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[tuple[int, int, list[M]]] = _decoder_of(incoming)
        self._sent = 0
        self.acked = 0
        self.received = 0
        self._since_ack = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._early: dict[int, list[M]] = {}

    def send(self, messages: Sequence[Any], bounded: bool = True) -> bytes:
        """The packet (a frame's header) that carries `messages`. Only while a side says again what it said before,
        when it knows of few acknowledgements, it is not `bounded`.

        Raises
        ------
        ProtocolError
            If more than `UNACKED_BYTES_MAX` bytes wait for the peer.
        """
        packet = encode((self._sent + 1, self.received, messages))
        if bounded and self._kept_bytes + len(packet) > UNACKED_BYTES_MAX and self._kept:
            raise ProtocolError(
                f"the peer left {self._kept_bytes} bytes unacknowledged; UNACKED_BYTES_MAX is {UNACKED_BYTES_MAX} bytes"
            )
        self._sent += len(messages)
        self._since_ack = 0
        self._kept.append((self._sent, packet))
        self._kept_bytes += len(packet)
        return packet

    def receive(self, packet: bytes) -> list[M]:
        """The messages that are now due, in order.

        Raises
        ------
        ProtocolError
            If `packet` is not one, or acknowledges what was never sent.
        """
        try:
            first, received, messages = self._decoder.decode(packet)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise ProtocolError(f"a peer sent a message that cannot be read: {error}") from None
        if received > self._sent or first < 0 or received < 0:
            raise ProtocolError("a peer acknowledged a message that was never sent")
        self.acknowledged(received)
        if first == 0:
            return []
        self._since_ack += 1
        had = self.received + 1 - first
        if had < 0:
            if len(self._early) < 1024 and len(messages) > len(self._early.get(first, ())):
                self._early[first] = messages
            return []
        if had:
            del messages[:had]
        self.received += len(messages)
        while self._early:
            first = min(self._early)
            had = self.received + 1 - first
            if had < 0:
                break
            later = self._early.pop(first)[had:]
            self.received += len(later)
            messages.extend(later)
        return messages

    def acknowledged(self, received: int) -> None:
        """The peer has had `received` messages."""
        kept = self._kept
        while kept and kept[0][0] <= received:
            self.acked, packet = kept.popleft()
            self._kept_bytes -= len(packet)

    @property
    def oldest_kept(self) -> int:
        """Number of the last message of the oldest packet that the peer has not acknowledged; 0 if there is none."""
        return self._kept[0][0] if self._kept else 0

    @property
    def kept_bytes(self) -> int:
        """Bytes of packets that the peer has not acknowledged."""
        return self._kept_bytes

    @property
    def ack_due(self) -> bool:
        """Whether the peer has sent so much since our last packet that it should be told."""
        return self._since_ack >= ACK_EVERY_FRAMES

    @property
    def ack_wanted(self) -> bool:
        """Whether the peer has sent anything since our last packet."""
        return self._since_ack > 0

    def acknowledge(self) -> bytes:
        """A packet that says what was received and nothing else; it is not itself numbered or repeated."""
        self._since_ack = 0
        return encode((0, self.received, ()))

    def sign_of_life(self, told: int) -> bytes:
        """As `acknowledge`, with what the peer was `told` before: nothing new may be said."""
        return encode((0, told, ()))

    def memory(self) -> tuple[int, int, int, list[tuple[int, bytes]]]:
        """All that was said and had, for `remember`."""
        return self._sent, self.acked, self.received, list(self._kept)

    def remember(self, memory: tuple[int, int, int, list[tuple[int, bytes]]]) -> None:
        """Be where the channel was of which this is the `memory`."""
        self._sent, self.acked, self.received, kept = memory
        self._kept = deque(kept)
        self._kept_bytes = sum(len(packet) for _, packet in kept)

    def unacknowledged(self) -> list[bytes]:
        """The packets that the peer may not have had, oldest first."""
        return [packet for _, packet in self._kept]

    def resume(self, received: int) -> list[bytes]:
        """The packets to repeat on a new connection to a peer that has had `received` messages.

        Raises
        ------
        ProtocolError
            If the peer speaks of messages that were never sent, or lacks messages that are no longer kept.
        """
        if received > self._sent or received < self.acked:
            raise ProtocolError("the peer's place in the conversation does not fit ours")
        self.acknowledged(received)
        return self.unacknowledged()
