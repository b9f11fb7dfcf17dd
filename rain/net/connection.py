"""`Link`: one TCP connection, as both sides use it while it is opened and afterwards.

Theory of operation
-------------------
A `Link` is an asyncio protocol in two phases. At first what arrives is kept in a small buffer, from which the opening
(handshake, `Hello`, `Welcome`) takes exact numbers of bytes; reading pauses when more than `_OPENING_BUFFER_BYTES`
wait. Then it is bound: to a conversation, which gets all that arrives, or it is handed to a
`rain.net.data_connection.DataConnection`, which reads straight into one buffer that it uses again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.errors import ProtocolError
from rain.common.limits import KIB
from rain.common.protocol.address import format_address
from rain.common.protocol.encoding import encode
from rain.common.protocol.framing import PREFIX, encode_prefix
from rain.host.lacking.unix import has_unsent
from rain.net.guarded import guarded

_READ_BYTES = 96 * KIB
"""How much is read at a time. asyncio takes memory for all of it before each read; from 128 KiB on, the C library gets
that from the kernel each time, and returns it, which costs more than the read of a short message."""
_OPENING_BUFFER_BYTES = 64 * KIB


class Link(asyncio.Protocol):
    """A connection; opened by `rain.net.handshake.dial` or a listener.

    Attributes
    ----------
    address : str
        ``host:port`` of the peer, numeric.
    last_arrival : float
        Loop time when something last arrived.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._on_data: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._paused = False
        self.lost: str | None = None
        self.transport: Any = None
        self.address = "?"
        self.last_arrival = self._loop.time()

    # -- what asyncio calls ---------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if hasattr(transport, "max_size"):  # as asyncio's own transports have
            transport.max_size = _READ_BYTES
        peer = transport.get_extra_info("peername")
        if peer:
            self.address = format_address(peer[0], peer[1])

    @guarded("_broke")
    def data_received(self, data: bytes) -> None:
        self.last_arrival = self._loop.time()
        if self._on_data is not None:
            self._on_data(data)
            return
        self._buffer += data
        if len(self._buffer) > _OPENING_BUFFER_BYTES and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    @guarded("_loss_broke")
    def connection_lost(self, error: BaseException | None) -> None:
        self.lost = f"the connection broke ({error})" if error else "the connection was closed by the other side"
        self._wake()
        if self._on_lost is not None:
            self._on_lost(self.lost)

    def _broke(self, error: Exception, *_: object) -> None:
        """A callback raised an error: the user of the connection hears that it is lost."""
        self.abort()

    def _loss_broke(self, error: Exception, *_: object) -> None:
        self.lost = self.lost or f"the connection broke ({error})"
        on_lost, self._on_lost = self._on_lost, None
        self._wake()
        if on_lost is not None:
            on_lost(self.lost)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- opening --------------------------------------------------------------------------------

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises
        ------
        ConnectionError
            If the connection ends before.
        """
        while len(self._buffer) < count:
            if self.lost is not None:
                raise ConnectionError(self.lost)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        if self._paused and len(self._buffer) <= _OPENING_BUFFER_BYTES:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def opening(self, kind: Any) -> Any:
        """The next frame, a message of type `kind`; frames of this phase are small.

        Raises
        ------
        ProtocolError
            If it is something else.
        """
        header_bytes, payload_bytes = PREFIX.unpack(await self.exactly(PREFIX.size))
        if payload_bytes or header_bytes > _OPENING_BUFFER_BYTES:
            raise ProtocolError(f"the opening message announced {header_bytes + payload_bytes} bytes")
        try:
            return msgspec.msgpack.decode(await self.exactly(header_bytes), type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProtocolError(f"the opening message cannot be read: {error}") from None

    def send(self, message: Any) -> None:
        """Write one message of the opening."""
        self.write(encode_prefix(encode(message)))

    # -- afterwards -----------------------------------------------------------------------------

    def bind(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """From now on give all that arrives (also what already did) to `on_data`, and the end to `on_lost`."""
        self._on_data, self._on_lost = on_data, on_lost
        early = bytes(self._buffer)
        self._buffer.clear()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        if early:
            on_data(early)
        if self.lost is not None and self._on_lost is not None:
            self._on_lost(self.lost)

    def unbind(self) -> None:
        """Call nothing any more, and drop what arrives."""
        self._on_data, self._on_lost = _ignore, None

    def early(self) -> bytes:
        """What arrived behind the opening; for a `DataConnection`, which takes the transport over."""
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return data

    @property
    def secured(self) -> bool:
        """Whether this is TLS."""
        return self.transport.get_extra_info("ssl_object") is not None

    def write(self, data: bytes) -> None:
        """Send when possible; never blocks. Nothing goes to a connection whose end is known, if not told of yet."""
        if self.lost is None and not self.transport.is_closing():
            self.transport.write(data)

    @property
    def idle(self) -> bool:
        """Whether all that was written has reached the operating system."""
        return bool(self.transport.get_write_buffer_size() == 0)

    @property
    def under_way(self) -> bool:
        """Whether some of what was written has not even reached the peer's kernel (or a proxy's)."""
        if not self.idle:
            return True
        raw = self.transport.get_extra_info("socket")
        return raw is not None and has_unsent(raw.fileno())

    def close(self) -> None:
        """End after what was written is sent."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """End now."""
        if self.transport is not None:
            self.transport.abort()


def _ignore(data: bytes) -> None:
    pass
