"""Conversations over connections that may break, and the listener that holds on to them.

Theory of operation
-------------------
A `Conversation` is a `rain.common.channel.Channel` and whichever `Link` carries it at present. `send` encodes a message
at once (so that a mistake shows where it was made) and gathers it; at the end of the loop's turn all that was gathered
leaves as one packet, or several of about `BATCH_BYTES_TARGET`. Acknowledgements ride on packets; a bare one is sent
when many packets came and nothing went, and as a heartbeat every `HEARTBEAT_S`.

When the link breaks, the side that connected dials again with growing pauses and names the conversation in its
`Hello`; the listening side keeps a conversation without a link for a while that depends on the peer's role. Nothing of
this is seen by the cores: messages arrive in order and exactly once, or the conversation is given up and `on_gone` is
called, once.

Signs of life: each side breaks a link on which it heard nothing for a while. A governor that is silent for
`GOVERNOR_LOST_S` is given up at once, as its process may be stopped; a silent client may merely hold the interpreter's
lock in a long computation, so there the kernel's keep-alive decides. Time in which our own loop stood still is not held
against the peer.

A frame with an empty header ends a conversation on purpose; its payload says why.

A plain asyncio protocol on Tornado's loop carries the bytes, not a Tornado stream. Measured between two processes (2
cores, Python 3.11) they are equal: 68 µs for one small message there and back, 2 GB/s for large objects. The protocol
is called with what arrived instead of resuming a coroutine per connection, and hands its transport over to
`DataConnection`, under TLS too, so it is the simpler of the two.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rain.common.address import format_address, is_loopback, is_wildcard
from rain.common.channel import Channel
from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.framing import FrameDecoder, encode_prefix
from rain.common.limits import (
    BATCH_BYTES_TARGET,
    CLIENT_GRACE_S,
    CLIENT_SILENT_S,
    FRAME_BYTES_MAX,
    GOVERNOR_LOST_S,
    GOVERNOR_RECONNECT_S,
    HANDSHAKE_S,
    HANDSHAKES_PENDING_MAX,
    HEARTBEAT_S,
    PROTOCOL_VERSION,
)
from rain.common.messages import Hello, Opening, Refused, Welcome
from rain.io.auth import Certificate, Credentials, WrongPeer
from rain.io.link import DataConnection, Link, admit, describe, dial, open_data

__all__ = ["Conversation", "DataConnection", "Listener", "converse", "listen", "open_data"]

log = logging.getLogger("rain.transport")
_encode = msgspec.msgpack.Encoder().encode
_PACKET_OVERHEAD_BYTES = 64
_ACK_BYTES = 4 * BATCH_BYTES_TARGET
_PARTING_S = 2.0
_RETRY_MIN_S, _RETRY_MAX_S = 0.02, 0.5

Messages = list[Any]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""What `Hello.python` says."""


def _nothing(*_: Any) -> None:
    pass


class Conversation:
    """An ordered exchange of messages with one peer, whatever becomes of the connection.

    Attributes
    ----------
    address : str
        ``host:port`` of the peer, numeric.
    peer : Hello or Welcome
        What the peer said of itself.
    ended : str
        Empty while the conversation lives, then ``"closed"`` (by us), ``"left"`` (the peer said so),
        ``"unreachable"``, ``"forgotten"`` (the peer does not know the conversation any more), ``"refused"`` or
        ``"broken"`` (protocol error).
    on_messages : callable
        Called with a non-empty list of messages.
    on_gone : callable
        Called once with a reason when the conversation was given up, though not after our own `close`.
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
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.name = name
        self.address = "?"
        self.peer: Any = None
        self.ended = ""
        self.on_messages = on_messages
        self.on_gone = on_gone
        self.on_away = on_away or _nothing
        self.on_back = on_back or _nothing
        self._channel: Channel[Any] = Channel(incoming)
        self._link: Link | None = None
        self._decoder = FrameDecoder()
        self._outbox: list[msgspec.Raw] = []
        self._outbox_bytes = 0
        self._flush_due = False
        self._unacked_bytes = 0
        self._wrote = False
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
        raw = _encode(message)
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
            self._loop.call_soon(self._turn_ended)

    def _turn_ended(self) -> None:
        self._flush_due = False
        self.flush()

    def flush(self) -> None:
        """Send now what was gathered."""
        if self.ended:
            return
        if self._outbox:
            self._pack()
        elif self._link is not None and (self._channel.ack_due or self._unacked_bytes > _ACK_BYTES):
            self._acknowledge(self._link)

    def _pack(self) -> None:
        outbox, self._outbox, self._outbox_bytes = self._outbox, [], 0
        try:
            packet = self._channel.send(outbox)
        except ProtocolError as error:
            self._give_up("broken", str(error))
            return
        self._unacked_bytes = 0
        if self._link is not None:
            self._wrote = True
            self._link.write(encode_prefix(packet))

    def _acknowledge(self, link: Link) -> None:
        self._unacked_bytes = 0
        self._wrote = True
        link.write(encode_prefix(self._channel.acknowledge()))

    # -- receiving ------------------------------------------------------------------------------

    def _arrived(self, data: bytes) -> None:
        channel = self._channel
        messages: Messages = []
        end: tuple[str, str] | None = None
        try:
            for header, payload in self._decoder.feed(data):
                if not header:
                    reason = payload[:1000].decode("utf-8", "replace")
                    end = ("left", reason or f"{self.address} closed the conversation")
                    break
                self._unacked_bytes += len(header)
                messages.extend(channel.receive(header))
        except ProtocolError as error:
            log.warning("conversation with %s is given up: %s", self.address, error)
            end = ("broken", str(error))
        if messages:
            try:
                self.on_messages(messages)
            except Exception:
                log.exception("conversation with %s is given up: its messages raised an error", self.address)
                end = ("broken", "an internal error, see the log")
        if end is not None:
            self._give_up(*end)
        elif channel.ack_due or self._unacked_bytes > _ACK_BYTES:
            self._flush_soon()

    # -- links ----------------------------------------------------------------------------------

    def _carry_on(self, link: Link, received: int) -> None:
        """Take `link`, whose peer has had `received` packets.

        Raises
        ------
        ProtocolError
            If the peer's place does not fit ours.
        """
        repeated = self._channel.resume(received)
        if self._link is not None:
            self._link.unbind()
            self._link.abort()
        self._link, self._decoder = link, FrameDecoder()
        self.address = link.address
        for packet in repeated:
            link.write(encode_prefix(packet))
        self._beat_due = self._loop.time() + HEARTBEAT_S
        self._set_timer(HEARTBEAT_S, self._beat)
        link.bind(self._arrived, self._link_lost)

    def _beat(self) -> None:
        link, now = self._link, self._loop.time()
        if link is None:
            return
        if now - self._beat_due > HEARTBEAT_S:
            link.heard += now - self._beat_due  # it was our loop that stood still
        if self._silence_s is not None and now - link.heard > self._silence_s:
            self._silent(f"no sign of life from {self.address} for {now - link.heard:.0f} s")
            return
        if link.idle and (not self._wrote or self._channel.ack_wanted):
            self._acknowledge(link)
        self._wrote = False
        self._beat_due = now + HEARTBEAT_S
        self._set_timer(HEARTBEAT_S, self._beat)

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
        if link is not None:
            text = reason.encode()[:1000]
            link.unbind()
            link.write(encode_prefix(b"", len(text)) + text)
            link.close()
            self._loop.call_later(_PARTING_S, link.abort)  # a peer that reads nothing holds it no longer

    def _end(self, how: str) -> None:
        self.ended = how
        self._outbox.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, how: str, reason: str) -> None:
        if self.ended:
            return
        self._end(how)
        self._drop_link()
        self.on_gone(reason)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that were sent and are not yet acknowledged. A sender of much should wait when this grows."""
        return self._outbox_bytes + self._channel.kept_bytes


# -- the side that connects -----------------------------------------------------------------------


class _Connected(Conversation):
    """The connecting side: dials again by itself."""

    def __init__(self, target: str, credentials: Credentials, hello: Hello, away_s: float, *rest: Any) -> None:
        super().__init__(hello.conversation, *rest)
        self._target = target
        self._credentials = credentials
        self._hello = hello
        self._away_s = away_s
        self._silence_s = away_s / 2
        self._dialling: asyncio.Task[None] | None = None

    async def _open(self) -> None:
        """Dial, and carry on there.

        Raises
        ------
        RainException, _Over
        """
        resume = self.peer is not None
        link = await dial(self._target, self._credentials, self._hello.role)
        try:
            link.say(msgspec.structs.replace(self._hello, received=self._channel.received, resume=resume))
            async with asyncio.timeout(HANDSHAKE_S):
                answer = await link.opening(Opening)
        except TimeoutError:
            link.abort()
            raise RainException(f"{self._target} does not answer within HANDSHAKE_S ({HANDSHAKE_S:g} s)") from None
        except OSError:
            link.abort()
            raise RainException(f"{self._target} closed the connection: is the server stopping?") from None
        except BaseException:
            link.abort()
            raise
        if isinstance(answer, Welcome) and (answer.resumed or not resume):
            self._welcomed(link, answer)
            return
        link.abort()
        if isinstance(answer, Refused):
            raise _Over("refused", f"{self._target} refused the connection: {answer.reason}")
        if isinstance(answer, Welcome):
            raise _Over("forgotten", f"{self._target} does not know this conversation any more (was it restarted?)")
        raise _Over("broken", f"{self._target} opened the conversation with a message that does not belong there")

    def _welcomed(self, link: Link, welcome: Welcome) -> None:
        if welcome.data_key:
            self._credentials.keys["data"] = welcome.data_key
        self.peer = welcome
        try:
            self._carry_on(link, welcome.received)
        except ProtocolError as error:
            link.abort()
            raise _Over("broken", str(error)) from None

    def _link_lost(self, reason: str) -> None:
        if self.ended or self._link is None:
            return
        heard = self._link.heard
        self._drop_link()
        log.info("the connection to %s is lost: %s", self._target, reason)
        self._dialling = self._loop.create_task(self._dial_again(heard + self._away_s, reason))
        self.on_away(reason)

    async def _dial_again(self, deadline: float, reason: str) -> None:
        pause = _RETRY_MIN_S
        while not self.ended:
            try:
                async with asyncio.timeout_at(max(deadline, self._loop.time() + 0.1)):
                    await self._open()
                self._loop.call_soon(self.on_back)
                return
            except TimeoutError:
                pass
            except _Over as over:
                self._give_up(over.how, over.reason)
                return
            except RainException as error:
                reason = str(error)
            if self._loop.time() >= deadline:
                self._give_up("unreachable", f"{self._target} was away for {self._away_s:g} s: {reason}")
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _RETRY_MAX_S)

    def close(self, reason: str = "") -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        super().close(reason)


class _Over(Exception):
    """The conversation cannot be opened or resumed, now or later."""

    def __init__(self, how: str, reason: str) -> None:
        super().__init__(reason)
        self.how, self.reason = how, reason


async def converse(
    address: str,
    credentials: Credentials,
    hello: Hello,
    incoming: Any,
    on_messages: Callable[[Messages], None],
    on_gone: Callable[[str], None],
    *,
    on_away: Callable[[str], None] | None = None,
    on_back: Callable[[], None] | None = None,
    away_s: float = GOVERNOR_LOST_S,
) -> Conversation:
    """Open a conversation with the server at `address`.

    Parameters
    ----------
    address : str
        ``host:port``.
    credentials : Credentials
        With the key of ``hello.role``; gets the key of data connections from the server.
    hello : Hello
        An empty `conversation` is given a random name, an empty `python` is filled in.
    incoming : type
        The union of messages that the server may send.
    on_messages, on_gone, on_away, on_back : callable
        See `Conversation`. May be called before this returns.
    away_s : float
        Seconds after which a server that is away is given up, counted from the last sign of life.

    Raises
    ------
    RainException
        If it cannot be opened, with a text for newcomers.
    """
    hello = msgspec.structs.replace(
        hello, conversation=hello.conversation or secrets.token_hex(16), python=hello.python or PYTHON
    )
    conversation = _Connected(address, credentials, hello, away_s, incoming, on_messages, on_gone, on_away, on_back)
    try:
        await conversation._open()
    except _Over as over:
        raise RainException(over.reason) from None
    return conversation


# -- the side that listens ------------------------------------------------------------------------


class _Accepted(Conversation):
    """The listening side: waits for the peer to come back."""

    def __init__(
        self, listener: Listener, hello: Hello, incoming: Any, grace_s: float, silence_s: float | None
    ) -> None:
        super().__init__(hello.conversation, incoming)
        self._listener = listener
        self._grace_s = grace_s
        self._silence_s = silence_s
        self.peer = hello

    def _silent(self, reason: str) -> None:
        self._give_up("unreachable", reason)

    def _link_lost(self, reason: str) -> None:
        if self.ended or self._link is None:
            return
        self._drop_link()
        self._set_timer(self._grace_s, lambda: self._give_up("unreachable", f"{reason}, and it did not come back"))
        self.on_away(reason)

    def _end(self, how: str) -> None:
        super()._end(how)
        self._listener._conversations.pop((self.peer.role, self.name), None)


class Listener:
    """Accepts connections, admits peers that prove themselves, and holds their conversations.

    Parameters
    ----------
    host : str
        Loopback, another address of this machine, a wildcard, or ``fd`` (see `listen`).
    port : int
        0 picks a free one.
    credentials : Credentials
        The keys of the roles that may connect. Beyond loopback a certificate is made if there is none.
    on_conversation : callable
        Called with each new `Conversation` (not with a resumed one) and its `Hello`; sets `on_messages` and `on_gone`.
    on_data : callable
        Called with each `DataConnection`, which is closed when the returned awaitable ends.
    incoming_by_role : dict of str to type
        What each role may send; other roles are refused. Empty: data connections only.
    welcome : callable
        Given a `Hello`, returns the `Welcome` with what the peer should know; raises `RainException` to refuse it.

    Attributes
    ----------
    address : str
        ``host:port``, numeric.

    Raises
    ------
    ResourceError
        If the address cannot be listened at.
    """

    def __init__(
        self,
        host: str,
        port: int,
        credentials: Credentials,
        on_conversation: Callable[[Conversation, Hello], None],
        on_data: Callable[[DataConnection], Awaitable[None]],
        incoming_by_role: dict[str, Any],
        welcome: Callable[[Hello], Welcome],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._credentials = credentials
        self._on_conversation = on_conversation
        self._on_data = on_data
        self._incoming_by_role = incoming_by_role
        self._welcome = welcome
        self._conversations: dict[tuple[str, str], _Accepted] = {}
        self._pending: OrderedDict[asyncio.Task[None], None] = OrderedDict()
        self._serving: set[asyncio.Task[None]] = set()
        self._context: Any = None
        self._socket = listen(host, port)
        bound = self._socket.getsockname()
        self.host, self.port = str(bound[0]), int(bound[1])
        self.address = format_address(self.host, self.port)
        if not is_loopback(self.host):
            credentials.certificate = credentials.certificate or Certificate.generate()
            self._context = credentials.certificate.context()
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(HANDSHAKES_PENDING_MAX):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, ConnectionError, InterruptedError):
                return
            except OSError as error:  # out of descriptors: the backlog waits while others end
                log.error("cannot accept connections at %s for a second: %s", self.address, error)
                self._loop.remove_reader(self._socket)
                self._loop.call_later(1.0, self._accept_again)
                return
            self._prepare(connection)
            task = self._loop.create_task(self._admit(connection, format_address(address[0], address[1])))
            self._pending[task] = None
            task.add_done_callback(self._admitted)
            if len(self._pending) > HANDSHAKES_PENDING_MAX:
                # An honest peer proves itself within milliseconds, so it is never the oldest.
                self._pending.popitem(last=False)[0].cancel()

    def _accept_again(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)

    @staticmethod
    def _prepare(connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def _admitted(self, task: asyncio.Task[None]) -> None:
        self._pending.pop(task, None)

    # -- one new connection ---------------------------------------------------------------------

    async def _admit(self, connection: socket.socket, address: str) -> None:
        link = Link()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                context = None if is_loopback(str(connection.getsockname()[0])) else self._context
                await self._loop.connect_accepted_socket(lambda: link, connection, ssl=context)
                certificate = self._credentials.certificate
                fingerprint = certificate.fingerprint if context is not None and certificate is not None else b""
                role = await admit(link, self._credentials.keys, fingerprint)
                if role != "data":
                    self._open(link, role, await link.opening(Hello))
                    return
            self._serve_data(link)
            return
        except (TimeoutError, asyncio.CancelledError):
            log.info("%s: dropped, it did not prove itself in time", address)
        except (ProtocolError, WrongPeer) as error:
            log.warning("%s: dropped, it %s", address, error)
        except OSError as error:
            log.info("%s: left before it proved itself (%s)", address, describe(error))
        except Exception:
            log.exception("%s: dropped because of an internal error", address)
        link.unbind()
        link.abort()
        if link.transport is None:
            connection.close()

    def _serve_data(self, link: Link) -> None:
        task = self._loop.create_task(self._data(DataConnection(link)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _data(self, connection: DataConnection) -> None:
        try:
            await self._on_data(connection)
        except (OSError, ProtocolError) as error:
            log.debug("data connection of %s ended: %s", connection.address, error)
        except Exception:
            log.exception("data connection of %s: internal error", connection.address)
        finally:
            connection.close()

    def _open(self, link: Link, role: str, hello: Hello) -> None:
        try:
            refused = self._objection(role, hello)
            if refused:
                raise RainException(refused)
            known = self._conversations.get((role, hello.conversation))
            if known is not None and known.ended:
                known = None
            welcome = self._welcome(hello)
        except RainException as error:
            log.warning("%s: refused: %s", link.address, error)
            self._part(link, Refused(str(error)))
            return
        welcome.conversation = hello.conversation
        welcome.data_key = self._credentials.keys.get("data", b"")
        welcome.resumed = known is not None
        if known is None and hello.resume:
            welcome.received = 0
            self._part(link, welcome)
            return
        new = known is None
        if known is None:
            grace = GOVERNOR_RECONNECT_S if role == "governor" else CLIENT_GRACE_S
            silence = GOVERNOR_LOST_S if role == "governor" else None
            known = _Accepted(self, hello, self._incoming_by_role[role], grace, silence)
            self._conversations[role, hello.conversation] = known
        welcome.received = known._channel.received
        link.say(welcome)
        if role == "client" and hasattr(socket, "TCP_USER_TIMEOUT"):
            raw = link.transport.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * CLIENT_SILENT_S))
        if new:
            known.address = link.address
            self._on_conversation(known, hello)
        if not known.ended:
            try:
                known._carry_on(link, hello.received)
            except ProtocolError as error:
                link.abort()
                known._give_up("broken", str(error))
                return
            if not new:
                known.on_back()

    def _objection(self, role: str, hello: Hello) -> str:
        if hello.role != role:
            return f"it proved to be a {role} and said that it is a {hello.role}"
        if role not in self._incoming_by_role:
            return f"no {role} connects here"
        if hello.protocol != PROTOCOL_VERSION:
            return f"version {hello.protocol} of Rain's protocol is spoken there, version {PROTOCOL_VERSION} here"
        if hello.python and hello.python != PYTHON:
            return (
                f"the {role} runs Python {hello.python}, the server Python {PYTHON}: functions and values can only be "
                f"exchanged between equal versions, so start the {role} with Python {PYTHON}"
            )
        return ""

    @staticmethod
    def _part(link: Link, message: Any) -> None:
        link.say(message)
        link.unbind()
        link.close()

    # -- the end --------------------------------------------------------------------------------

    def close(self, reason: str = "") -> None:
        """Stop listening and end all conversations and data connections; `on_gone` is not called. Idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        for task in (*self._pending, *self._serving):
            task.cancel()
        for conversation in list(self._conversations.values()):
            conversation.close(reason)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port`.

    The host ``fd`` means the descriptor number `port`, a listening socket that this process inherited: whoever started
    it keeps it open while a server is started anew.

    Raises
    ------
    ResourceError
        If the address cannot be listened at.
    """
    if host == "fd":
        inherited = socket.socket(fileno=port)
        inherited.setblocking(False)
        return inherited
    where = format_address(host, port)
    try:
        found = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except socket.gaierror as error:
        raise ResourceError(f"cannot listen at {where}: the host is not known ({error.strerror})") from None
    family, _, _, _, address = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and is_wildcard(host):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        text = "the port is in use by another process" if error.errno == 98 else error.strerror
        raise ResourceError(f"cannot listen at {where}: {text}") from None
    return listener
