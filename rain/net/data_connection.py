"""`DataConnection`: a connection for large objects, and how one is opened."""

from __future__ import annotations

import asyncio

import msgspec

from rain.common.errors import ProtocolError
from rain.common.limits import CHUNK_BYTES, KIB
from rain.common.protocol.encoding import encode
from rain.common.protocol.framing import PREFIX, encode_prefix
from rain.common.protocol.messages import DataError, DataMessage
from rain.net.auth import Credentials
from rain.net.connection import Link
from rain.net.guarded import guarded
from rain.net.handshake import dial

_DATA_HEADER_BYTES = 256 * KIB
"""Of a message: the largest holds a small object and the paths of its session."""
_WRITE_BYTES = 256 * KIB
_ERROR_CHARS_MAX = 8 * KIB
"""Of the text of an error, which may be as long as what it is about; a peer gives up a longer header."""
_decode_data = msgspec.msgpack.Decoder(DataMessage).decode


class DataConnection(asyncio.BufferedProtocol):
    """A connection for large objects: messages and raw payloads in turn.

    Payloads are read into one buffer that is used again for each; the reader asks the system for no more than the
    present frame and the next one's prefix, so nothing has to be moved.

    Attributes
    ----------
    address : str
        ``host:port`` of the peer.
    """

    def __init__(self, link: Link) -> None:
        self._loop = asyncio.get_running_loop()
        self._memory = memoryview(bytearray(PREFIX.size + _DATA_HEADER_BYTES + CHUNK_BYTES + PREFIX.size))
        self._filled = 0
        self._frame_end = 0  # 0: the prefix is not known yet
        self._taken = 0  # end of the frame that the caller holds
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._reading = True
        self._lost = link.lost
        self._transport = link.transport
        self.address = link.address
        early = link.early()
        link.unbind()
        self._memory[: len(early)] = early
        self._filled = len(early)
        # Plain transports hold a sender back above this mark, TLS ones at it.
        self._transport.set_write_buffer_limits(high=1 if link.secured else 0, low=0)
        self._transport.set_protocol(self)
        if self._filled:
            self._look()

    # -- what asyncio calls ---------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        end = self._frame_end + PREFIX.size if self._frame_end else PREFIX.size
        return self._memory[self._filled : max(end, self._filled + 1)]

    @guarded("_broke")
    def buffer_updated(self, count: int) -> None:
        self._filled += count
        self._look()

    def _look(self) -> None:
        """Find out where the frame ends; wake the reader, or stop reading, when it is whole."""
        if not self._frame_end and self._filled >= PREFIX.size:
            header_bytes, payload_bytes = PREFIX.unpack_from(self._memory)
            if header_bytes > _DATA_HEADER_BYTES or payload_bytes > CHUNK_BYTES or (header_bytes and payload_bytes):
                self._lost = f"{self.address} announced a frame of {header_bytes} and {payload_bytes} bytes"
                self._transport.abort()
                self._wake()
                return
            self._frame_end = PREFIX.size + header_bytes + payload_bytes
        if self._frame_end and self._filled >= self._frame_end:
            if self._reading and self._filled > self._frame_end:
                # Ahead of the reader by as much as the buffer layout allows: the next prefix.
                self._reading = False
                self._transport.pause_reading()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @guarded("_broke")
    def connection_lost(self, error: BaseException | None) -> None:
        if self._lost is None:
            self._lost = f"the connection to {self.address} " + (f"broke ({error})" if error else "was closed")
        self._wake()
        self.resume_writing()

    @guarded("_broke")
    def pause_writing(self) -> None:
        if self._drained is None:
            self._drained = self._loop.create_future()

    @guarded("_broke")
    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def _broke(self, error: Exception, *_: object) -> None:
        """A callback raised an error: calls that wait hear that the connection is lost."""
        if self._lost is None:
            self._lost = f"the connection to {self.address} broke ({type(error).__name__}: {error})"
        self._transport.abort()
        self._wake()
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # -- sending and receiving ------------------------------------------------------------------------

    async def send(self, message: DataMessage) -> None:
        """Send a message.

        Raises
        ------
        ConnectionError
            If the connection is gone.
        """
        if isinstance(message, DataError):
            message.message = message.message[:_ERROR_CHARS_MAX]
        self._transport.write(encode_prefix(encode(message)))
        await self._sent()

    async def send_payload(self, data: bytes | bytearray | memoryview) -> None:
        """Send raw bytes, at most `CHUNK_BYTES`; the buffer is free again on return.

        Raises
        ------
        ConnectionError
            If the connection is gone.
        """
        size = len(data)
        if size > CHUNK_BYTES:
            raise ValueError(f"a payload of {size} bytes is over the limit CHUNK_BYTES ({CHUNK_BYTES} bytes)")
        self._transport.write(PREFIX.pack(0, size))
        view = memoryview(data).cast("B")
        # The transport copies what the system does not take at once, so it is not given more than a piece.
        for start in range(0, size, _WRITE_BYTES):
            self._transport.write(view[start : start + _WRITE_BYTES])
            await self._sent()

    async def _sent(self) -> None:
        if self._drained is not None:
            await self._drained
        if self._lost is not None:
            raise ConnectionError(self._lost)

    async def receive(self) -> DataMessage | memoryview:
        """The next message, or the next payload as a view that is valid until the next call.

        Raises
        ------
        ConnectionError
            If the connection ended.
        ProtocolError
            If the peer sent something else.
        """
        self._drop_taken()
        while not (self._frame_end and self._filled >= self._frame_end):
            if self._lost is not None:
                raise ConnectionError(self._lost)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        header_bytes, _ = PREFIX.unpack_from(self._memory)
        self._taken = self._frame_end
        body = self._memory[PREFIX.size : self._frame_end]
        if not header_bytes:
            return body.toreadonly()
        try:
            message: DataMessage = _decode_data(body)
            return message
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.close()
            raise ProtocolError(f"{self.address} sent a message that cannot be read: {error}") from None

    def _drop_taken(self) -> None:
        if not self._taken:
            return
        rest = self._filled - self._taken
        self._memory[:rest] = bytes(self._memory[self._taken : self._filled])
        self._filled, self._taken, self._frame_end = rest, 0, 0
        self._look()
        whole = self._frame_end and self._filled >= self._frame_end
        if not self._reading and not whole and self._lost is None:
            self._reading = True
            self._transport.resume_reading()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._lost is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self._lost is None:
            self._lost = f"the connection to {self.address} was closed here"
        self._transport.close()
        self._wake()
        self.resume_writing()


async def open_data(address: str, credentials: Credentials, *, pinned: bool = False) -> DataConnection:
    """A data connection to a server or governor.

    Parameters
    ----------
    address : str
        ``host:port``.
    credentials : Credentials
    pinned : bool
        Whether it is the server's, at the address by which this process reaches it: as for `dial`.

    Raises
    ------
    RainException
        As `dial`.
    """
    return DataConnection(await dial(address, credentials, "data", pinned=pinned))
