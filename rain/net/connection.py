"""One TCP connection: dialling it, the handshake, and what follows it frame by frame.

Theory of operation
-------------------
A `Link` is an asyncio protocol in two phases. At first what arrives is kept in a small buffer, from which the opening
(handshake, `Hello`, `Welcome`) takes exact numbers of bytes; reading pauses when more than `_OPENING_BUFFER_BYTES`
wait. Then it is bound: to a conversation, which gets whatever arrives, or it is handed to a `DataConnection`, which
reads straight into one buffer that it uses again and again.

An address on loopback is spoken to in plain, any other one over TLS. Both ends see the same address of the
listening socket, so there is nothing to negotiate; unless somebody forwards a port (ssh, containers), which the
connecting side notices by a connection closed at once: then it tries TLS, if its credentials name a certificate.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import termios
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import CHUNK_BYTES, HANDSHAKE_S, KIB
from rain.common.protocol.address import format_address, is_loopback, parse_address
from rain.common.protocol.encoding import encode
from rain.common.protocol.framing import PREFIX, encode_prefix
from rain.common.protocol.messages import DataError, DataMessage
from rain.host.descriptors import above_the_limit, is_out_of_descriptors, out_of_descriptors
from rain.net import auth
from rain.net.auth import Credentials, WrongPeer
from rain.net.guarded import guarded

_OPENING_BUFFER_BYTES = 64 * KIB


class Link(asyncio.Protocol):
    """A connection; `opened` by `dial` or a listener.

    Attributes
    ----------
    address : str
        ``host:port`` of the peer, numeric.
    heard : float
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
        self.heard = self._loop.time()

    # -- what asyncio calls ---------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        peer = transport.get_extra_info("peername")
        if peer:
            self.address = format_address(peer[0], peer[1])

    @guarded("_broke")
    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
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
        """A callback raised an error: whoever uses the connection hears that it is lost."""
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

    def say(self, message: Any) -> None:
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
        """Call nobody any more, and drop what arrives."""
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
        """Send when possible; never blocks."""
        if self.lost is None:
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
        try:
            return raw is not None and any(fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4)))
        except OSError:
            return False

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


# -- dialling -------------------------------------------------------------------------------------


async def dial(
    address: str, credentials: Credentials, role: str, *, pinned: bool = True, handshake_s: float | None = None
) -> Link:
    """A connection to `address` on which both sides have proved themselves.

    Parameters
    ----------
    address : str
        ``host:port``.
    credentials : Credentials
    role : str
        As whom to connect.
    pinned : bool
        Whether the certificate must be the server's (`Credentials.fingerprint`), as it is at the server itself.
    handshake_s : float or None
        Seconds that it may take; None: `HANDSHAKE_S`.

    Raises
    ------
    Unanswered
        If the connection was accepted, and nothing was said on it.
    RainException
        With a text for newcomers: nobody listens, not a Rain server, another key, another version.
    """
    key = credentials.key(role)
    pin = credentials.fingerprint if pinned else b""
    limit_s = HANDSHAKE_S if handshake_s is None else handshake_s
    try:
        return await _dial(address, role, key, pin, limit_s, secure=False)
    except _ClosedEarly:
        if not pin or not is_loopback(parse_address(address)[0]):
            raise
    return await _dial(address, role, key, pin, limit_s, secure=True)


class _ClosedEarly(RainException):
    pass


class Unanswered(RainException):
    """A connection was accepted, and nothing was said on it: the process there is stopped, busy, or being started."""


async def _dial(address: str, role: str, key: bytes, pin: bytes, limit_s: float, *, secure: bool) -> Link:
    link: Link | None = None
    try:
        async with asyncio.timeout(limit_s):
            link = await _connect(address, secure)
            await _prove(link, role, key, pin)
    except TimeoutError:
        _abandon(link)
        raise (RainException if link is None else Unanswered)(
            f"{address} does not answer within HANDSHAKE_S ({limit_s:g} s): it is unreachable, busy, "
            "or not a Rain server"
        ) from None
    except WrongPeer as error:
        _abandon(link)
        raise ProtocolError(f"what listens at {address} {error}") from None
    except socket.gaierror as error:
        raise RainException(f"the host of {address} is not known: {error.strerror}") from None
    except OSError as error:
        _abandon(link)
        if link is not None:
            raise _ClosedEarly(
                f"{address} closed the connection during the handshake: it is not a Rain server, or it is too busy"
            ) from None
        raise RainException(_why_not(address, error)) from None
    except BaseException:
        _abandon(link)
        raise
    return link


def _why_not(address: str, error: OSError) -> str:
    # Where a name has several addresses, asyncio joins what was said of each into one text.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return f"nothing listens at {address}: is the server running there (`rain start`), and is this its port?"
    if is_out_of_descriptors(error):
        return str(out_of_descriptors(f"{address} cannot be reached", error))
    return f"{address} cannot be reached: {error.strerror or error}"


def _abandon(link: Link | None) -> None:
    if link is not None:
        link.unbind()
        link.abort()


async def _connect(address: str, secure: bool) -> Link:
    loop = asyncio.get_running_loop()
    host, port = parse_address(address)
    try:
        transport, link = await loop.create_connection(Link, host, port)
    except OSError as error:
        if not is_out_of_descriptors(error):
            raise
        with above_the_limit():
            transport, link = await loop.create_connection(Link, host, port)
    if not secure and is_loopback(transport.get_extra_info("peername")[0]):
        return link
    try:
        # TLS starts from the connecting side's first byte, so nothing has arrived yet.
        secured = await loop.start_tls(transport, link, auth.connecting_context(), server_hostname="rain")
    except BaseException:
        transport.abort()
        raise
    link.transport = secured
    return link


async def _prove(link: Link, role: str, key: bytes, pin: bytes) -> None:
    fingerprint = peer_fingerprint(link)
    if fingerprint and pin and fingerprint != pin:
        raise WrongPeer("shows another certificate: the token or connection file belongs to another server")
    ours = auth.Connecting(role, key, fingerprint)
    link.write(ours.opening)
    magic = await link.exactly(len(auth.MAGIC))
    if magic != auth.MAGIC:
        raise WrongPeer("is not a Rain server (is it the right port?)")
    link.write(ours.prove(magic + await link.exactly(auth.ANSWER_BYTES - len(magic))))


def peer_fingerprint(link: Link) -> bytes:
    """Of the certificate that the peer showed; empty without TLS."""
    secured = link.transport.get_extra_info("ssl_object")
    return auth.fingerprint_of(secured.getpeercert(binary_form=True)) if secured is not None else b""


async def admit(link: Link, keys: dict[str, bytes], fingerprint: bytes) -> str:
    """The listening side's handshake; returns the peer's role.

    Raises
    ------
    WrongPeer, ConnectionError
    """
    ours = auth.Listening(keys, fingerprint)
    link.write(ours.answer(await link.exactly(auth.OPENING_BYTES)))
    return ours.check(await link.exactly(auth.PROOF_BYTES))


# -- data connections -----------------------------------------------------------------------------

_DATA_HEADER_BYTES = 64 * KIB
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
        """A callback raised an error: whoever waits hears that the connection is lost."""
        if self._lost is None:
            self._lost = f"the connection to {self.address} broke ({type(error).__name__}: {error})"
        self._transport.abort()
        self._wake()
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # -- what users call ------------------------------------------------------------------------

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


async def open_data(address: str, credentials: Credentials) -> DataConnection:
    """A data connection to a server or governor.

    Raises
    ------
    RainException
        As `dial`.
    """
    return DataConnection(await dial(address, credentials, "data", pinned=False))


def describe(error: BaseException) -> str:
    """The error's text, or its class's name."""
    return str(error) or type(error).__name__
