"""A conversation with one peer, carried by the connection that there is at present.

See `rain.net.transport` for how the parts work together.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.errors import ProtocolError, RainException
from rain.common.formatting import safe_text
from rain.common.limits import BATCH_BYTES_TARGET, DEADLINES, FRAME_BYTES_MAX, MIB, Deadlines
from rain.common.protocol.channel import Channel
from rain.common.protocol.encoding import encode
from rain.common.protocol.framing import FrameDecoder, encode_prefix
from rain.net.connection import Link
from rain.net.guarded import guarded

log = logging.getLogger("rain.transport")
_PACKET_OVERHEAD_BYTES = 64
_ACK_BYTES = 4 * BATCH_BYTES_TARGET
_PARTING_S = 2.0
_LOOK_S = 0.02

Messages = list[Any]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""What `Hello.python` says."""


_TOLD_BYTES = 1 * MIB
"""Of how many bytes that a peer acknowledges with nothing else `on_acknowledged` is told."""


def _nothing(*_: Any) -> None:
    pass


def at_once() -> bool:
    return True


class Conversation:
    """An ordered exchange of messages with one peer, which outlives its connections.

    Attributes
    ----------
    address : str
        ``host:port`` of the peer, numeric.
    pool : int
        Number of the pool by whose key the peer proved itself; 0: none's.
    peer : Hello or Welcome
        What the peer said of itself.
    ended : str
        Empty while the conversation lives, then ``"closed"`` (by us), ``"left"`` (the peer said so),
        ``"unreachable"``, ``"forgotten"`` (the peer does not know the conversation any more), ``"refused"`` or
        ``"broken"`` (protocol error).
    absence : str
        While the peer is away, what was met last where it listens: ``"refused"`` (nothing listens there), ``"silent"``
        (connections are accepted and not answered); else empty.
    links : int
        Connections that have carried it.
    on_messages : callable
        Called with a non-empty list of messages.
    on_gone : callable
        Called once with a reason when the conversation was given up, though not after our own `close`.
    packets : list of bytes
        Those that brought the messages with which `on_messages` is called.
    commit : callable
        Called before anything leaves: writes down what that follows from. While it returns False nothing leaves;
        `release` tries again.
    on_acknowledged : callable
        Called now and then with the number of messages that a peer has had which says nothing else.
    soon : callable
        Called with what sends the messages of a turn of the loop, once for each turn in which there are any, and calls
        that at the end of the turn. The owner of a conversation may set it, to send when its own turn ends: what its
        turn's end adds then leaves in the same packet.
    on_away, on_back : callable
        Called (on_away with a reason) when the connection broke, and when another one carries on.
    """

    def __init__(
        self,
        name: str,
        incoming: Any,
        on_messages: Callable[[Messages], None] = _nothing,
        on_gone: Callable[[str], None] = _nothing,
        on_away: Callable[[str], None] | None = None,
        on_back: Callable[[], None] | None = None,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadlines = deadlines
        self.name = name
        self.address = "?"
        self.pool = 0
        self.peer: Any = None
        self.ended = ""
        self.absence = ""
        self.links = 0
        self.on_messages = on_messages
        self.on_gone = on_gone
        self.on_away = on_away or _nothing
        self.on_back = on_back or _nothing
        self.packets: list[bytes] = []
        self.commit: Callable[[], bool] = at_once
        self.on_acknowledged: Callable[[int], None] = _nothing
        self.soon: Callable[[Callable[[], None]], Any] = self._loop.call_soon
        self._channel: Channel[Any] = Channel(incoming)
        self._link: Link | None = None
        self._decoder = FrameDecoder()
        self._outbox: list[msgspec.Raw] = []
        self._outbox_bytes = 0
        self._flush_due = False
        self._unacked_bytes = 0
        self._wrote = False
        self._held = False  # something waits for `commit`
        self._told = 0  # as many messages of the peer's are known to be written down
        self._bounded = True
        self._freed_bytes = 0
        self._silence_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat_due = 0.0

    def __repr__(self) -> str:
        return f"<Conversation with {self.address} {self.ended or ('away' if self._link is None else 'open')}>"

    # -- sending --------------------------------------------------------------------------------

    def send(self, message: Any) -> None:
        """Send `message` at the end of this turn of the loop. To a conversation that has ended nothing is sent.

        Raises
        ------
        ProtocolError
            If the message alone is larger than a frame may be.
        """
        if self.ended:
            return
        raw = encode(message)
        if len(raw) > FRAME_BYTES_MAX - _PACKET_OVERHEAD_BYTES:
            raise ProtocolError(
                f"a {type(message).__name__} message of {len(raw)} bytes is over the limit FRAME_BYTES_MAX "
                f"({FRAME_BYTES_MAX} bytes)"
            )
        if self._outbox and self._outbox_bytes + len(raw) > BATCH_BYTES_TARGET:
            self._pack()
        self._outbox.append(msgspec.Raw(raw))
        self._outbox_bytes += len(raw)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.soon(self._turn_ended)

    @guarded("_broke")
    def _turn_ended(self) -> None:
        self.flush()

    def flush(self) -> None:
        """Send now what was gathered."""
        self._flush_due = False
        if self.ended:
            return
        if self._outbox:
            self._pack()
        elif self._link is not None and (self._channel.ack_due or self._unacked_bytes > _ACK_BYTES):
            self._acknowledge(self._link)

    def _pack(self) -> None:
        outbox, self._outbox, self._outbox_bytes = self._outbox, [], 0
        try:
            packet = self._channel.send(outbox, self._bounded)
        except ProtocolError as error:
            self._give_up("broken", str(error))
            return
        self._unacked_bytes = 0
        if self._link is not None:
            self._write(self._link, packet)

    def _write(self, link: Link, packet: bytes) -> None:
        """Let a packet leave; if it may not, all that is not acknowledged waits for `release`."""
        if self._held or not self.commit():
            self._held = True
            return
        self._told = self._channel.received
        self._wrote = True
        link.write(encode_prefix(packet))

    def release(self) -> None:
        """Let leave what was held back, if it may by now."""
        if self._held and self.commit():
            self._held = False
            if self._link is not None:
                for packet in self._channel.unacknowledged():
                    self._write(self._link, packet)

    def _broke(self, error: Exception) -> None:
        """A callback raised an error: what it should have sent or seen is not known."""
        self._give_up("broken", f"an internal error, see the log: {type(error).__name__}: {error}")

    def _acknowledge(self, link: Link) -> None:
        if self._held or not self.commit():
            return
        self._told = self._channel.received
        self._unacked_bytes = 0
        self._wrote = True
        link.write(encode_prefix(self._channel.acknowledge()))

    # -- receiving ------------------------------------------------------------------------------

    def _arrived(self, data: bytes) -> None:
        channel = self._channel
        messages: Messages = []
        self.packets = packets = []
        kept_bytes = channel.kept_bytes
        end: tuple[str, str] | None = None
        try:
            for header, payload in self._decoder.feed(data):
                if not header:
                    reason = payload[:1000].decode("utf-8", "replace")
                    end = ("left", reason or f"{self.address} closed the conversation")
                    break
                self._unacked_bytes += len(header)
                if came := channel.receive(header):
                    packets.append(header)
                    messages.extend(came)
        except ProtocolError as error:
            log.warning("conversation with %s is given up: %s", self.address, error)
            end = ("broken", str(error))
        self._freed_bytes += kept_bytes - channel.kept_bytes
        if messages:
            self._freed_bytes = 0
            try:
                self.on_messages(messages)
            except Exception as error:
                log.exception("conversation with %s is given up: its messages raised an error", self.address)
                end = ("broken", f"an internal error, see the log: {type(error).__name__}: {error}")
        if self._freed_bytes > _TOLD_BYTES:
            self._freed_bytes = 0
            self.on_acknowledged(channel.acked)
        self.packets = []
        if end is not None:
            self._give_up(*end)
        elif channel.ack_due or self._unacked_bytes > _ACK_BYTES:
            self._flush_soon()

    # -- links ----------------------------------------------------------------------------------

    def _carry_on(self, link: Link, received: int) -> None:
        """Take `link`, whose peer has had `received` messages.

        Raises
        ------
        ProtocolError
            If the peer's count of messages does not fit ours.
        """
        repeated = self._channel.resume(received)
        if self._link is not None:
            self._link.unbind()
            self._link.abort()
        self._link, self._decoder = link, FrameDecoder()
        self.absence = ""
        self.links += 1
        self.address = link.address
        self._held = False
        for packet in repeated:
            self._write(link, packet)
        self._next_beat(self._beat)
        link.bind(self._arrived, self._link_lost)

    @guarded("_broke")
    def _beat(self) -> None:
        link, now = self._link, self._loop.time()
        if link is None:
            return
        link.last_arrival += self._stood_still()
        silence = now - link.last_arrival
        if self._silence_s is not None and silence > self._silence_s:
            self._silent(f"no sign of life from {self.address} for {silence:.0f} s")
            return
        objection = self._objection(link, silence)
        if objection:
            self._silent(objection)
            return
        if link.idle and (not self._wrote or self._channel.ack_wanted):
            self._acknowledge(link)
            if not self._wrote:  # it may not: the peer is to see that this side lives all the same
                link.write(encode_prefix(self._channel.sign_of_life(self._told)))
        self._wrote = False
        self._next_beat(self._beat)

    def _objection(self, link: Link, silence: float) -> str:
        """Why `link` is of no use any more although it is not silent for too long; empty if it is."""
        return ""

    def _next_beat(self, beat: Callable[[], None]) -> None:
        heartbeat = self._deadlines.heartbeat_s
        self._beat_due = self._loop.time() + heartbeat
        self._set_timer(heartbeat, beat)

    def _stood_still(self) -> float:
        """Seconds that our own loop stood still since the last beat, which do not count against the peer."""
        late = self._loop.time() - self._beat_due
        return late if late > self._deadlines.heartbeat_s else 0.0

    def _set_timer(self, delay_s: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, call)

    def _drop_link(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        link, self._link = self._link, None
        if link is not None:
            link.unbind()
            link.abort()

    def _silent(self, reason: str) -> None:
        self._link_lost(reason)

    def _link_lost(self, reason: str) -> None:
        raise NotImplementedError

    async def was_away(self, links: int) -> bool:
        """After something else with the peer went wrong: whether the peer was away. If so, it is back then.

        Parameters
        ----------
        links : int
            As the attribute was when that began.

        Raises
        ------
        RainException
            If the conversation has ended.
        """
        began = self._loop.time()
        while not self.ended:
            link = self._link
            if link is not None and self.links != links:
                return True
            if link is not None and link.last_arrival > began:
                return False
            await asyncio.sleep(_LOOK_S)
        raise RainException(f"the conversation with {self.address} has ended")

    # -- the end --------------------------------------------------------------------------------

    def close(self, reason: str = "") -> None:
        """Send what was gathered, tell the peer that this is the end, and why; idempotent. `on_gone` is not called."""
        if self.ended:
            return
        self.flush()
        if self.ended:
            return
        self._end("closed")
        link = self._link
        self._link = None
        if link is not None and (self._held or not self.commit()):
            link.abort()  # what it follows from is not written down
        elif link is not None:
            self._part(link, reason)

    def _part(self, link: Link, reason: str) -> None:
        """Tell the peer that this is the end, and why."""
        text = safe_text(reason).encode()[:1000]
        link.unbind()
        link.write(encode_prefix(b"", len(text)) + text)
        link.close()
        self._loop.call_later(_PARTING_S, link.abort)  # a peer that reads nothing holds it no longer

    def _end(self, how: str) -> None:
        self.ended = how
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, how: str, reason: str) -> None:
        if self.ended:
            return
        self._end(how)
        link = self._link
        if how == "broken" and link is not None:  # else the peer would ask for a conversation that is not known here
            self._link = None
            self._part(link, f"the conversation was given up: {reason}")
        self._drop_link()
        self.on_gone(reason)

    def packet_of(self, messages: Messages) -> bytes:
        """A packet like those of `packets`, as if the peer had sent these messages in their place."""
        channel = self._channel
        return encode((channel.received + 1 - len(messages), channel.acked, messages))

    def unheard(self, outgoing: Any) -> list[Any]:
        """The messages, of a union of types, that the peer may not have had; oldest first."""
        packets = msgspec.msgpack.Decoder(tuple[int, int, list[outgoing]])
        kept = [message for packet in self._channel.unacknowledged() for message in packets.decode(packet)[2]]
        return [*kept, *msgspec.msgpack.decode(encode(self._outbox), type=list[outgoing])]

    def detach(self) -> None:
        """Send nothing any more: in a child of this process, where there are no connections."""
        self._link, self._bounded = None, False

    def memory(self) -> tuple[int, int, int, list[tuple[int, bytes]]]:
        """What was said, for an image of this process; see `detach`."""
        self.flush()
        return self._channel.memory()

    @property
    def deadlines(self) -> Deadlines:
        """How long the sides wait for each other."""
        return self._deadlines

    @property
    def backlog_bytes(self) -> int:
        """Bytes that were sent and are not yet acknowledged. A sender of much should wait when this grows."""
        return self._outbox_bytes + self._channel.kept_bytes
