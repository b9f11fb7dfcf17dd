"""The side that listens: admits peers that prove themselves, and holds their conversations while they are away.

See `rain.net.transport` for how the parts work together.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.limits import DEADLINES, HANDSHAKES_PENDING_MAX, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, Deadlines
from rain.common.protocol.address import format_address, is_loopback, is_wildcard
from rain.common.protocol.messages import Hello, Refused, Welcome
from rain.net.auth import Certificate, Credentials, WrongPeer
from rain.net.connection import Link
from rain.net.conversation import PYTHON, Conversation, Messages, at_once
from rain.net.data_connection import DataConnection
from rain.net.guarded import guarded
from rain.net.handshake import admit, describe
from rain.net.peer_identity import has_ended, is_known, is_stopped

log = logging.getLogger("rain.transport")


_FIRST_LOOK_S = 0.05
"""A process that is being killed closes its connections a moment before it has ended."""


class _Accepted(Conversation):
    """The listening side: waits for the peer to come back."""

    def __init__(
        self, listener: Listener, hello: Hello, incoming: Any, grace_s: float, silence_s: float | None
    ) -> None:
        super().__init__(hello.conversation, incoming, deadlines=listener.deadlines)
        self._listener = listener
        self._grace_s = grace_s
        self._silence_s = silence_s
        self._left_s = 0.0
        self._why_away = ""
        self.peer = hello
        self.commit = listener.commit

    def _objection(self, link: Link, silence: float) -> str:
        # A child that it forked may hold its connection open.
        if silence > self._deadlines.link_silent_s and has_ended(self.peer.process):
            return "its process has ended"
        return ""

    def _silent(self, reason: str) -> None:
        self._give_up("unreachable", reason)

    def _link_lost(self, reason: str) -> None:
        if self.ended or self._link is None:
            return
        self._drop_link()
        self._wait(reason)
        self.on_away(reason)

    def _wait(self, reason: str) -> None:
        self._left_s, self._why_away = self._grace_s, reason
        self._look_again(_FIRST_LOOK_S)

    def _look_again(self, pause_s: float) -> None:
        pause_s = min(pause_s, self._deadlines.heartbeat_s, self._left_s)
        self._set_timer(pause_s, lambda: self._look(pause_s))

    def _look(self, pause_s: float) -> None:
        """Whether the peer may still come back. A pause counts as long as it was meant to be: our loop may have stood
        still. The time of a client that is stopped does not count either: it may be in a debugger."""
        if has_ended(self.peer.process):
            self._give_up("unreachable", f"{self._why_away}, and its process has ended")
            return
        if self.peer.role != "client" or not is_stopped(self.peer.process):
            self._left_s -= pause_s
        if self._left_s <= 0:
            self._give_up("unreachable", f"{self._why_away}, and it did not come back")
        else:
            self._look_again(self._deadlines.heartbeat_s)

    # -- of a server that was started anew ----------------------------------------------------------

    def replay(self, packets: list[bytes]) -> Messages:
        """The messages that packets brought to the server before."""
        self.flush()
        messages: Messages = []
        for packet in packets:
            messages += self._channel.receive(packet)
        return messages

    def remember(self, memory: tuple[int, int, int, list[tuple[int, bytes]]]) -> None:
        """Be where the conversation was of which this is the `memory`."""
        self._channel.remember(memory)

    def replay_acknowledged(self, received: int) -> None:
        """The peer told the server before how many messages it has had."""
        self.flush()
        self._channel.acknowledged(received)

    def forget(self) -> None:
        """The server before had ended it."""
        self._end("closed")

    def replayed(self) -> None:
        """All that was said before is said: from now on the peer is waited for."""
        self.flush()
        self._bounded = True
        self._wait("the server was started anew")

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
        The keys of the roles that may connect. Beyond loopback a certificate is made, if there is none, when it is
        first needed.
    on_conversation : callable
        Called with each new `Conversation` (not with a resumed one) and its `Hello`; sets `on_messages` and `on_gone`.
    on_data : callable
        Called with each `DataConnection`, which is closed when the returned awaitable ends.
    incoming_by_role : dict of str to type
        What each role may send; other roles are refused. Empty: data connections only.
    welcome : callable
        Given a `Hello`, returns the `Welcome` with what the peer should know; raises `RainException` to refuse it.
    deadlines : Deadlines
    commit : callable
        See `Conversation`.

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
        deadlines: Deadlines = DEADLINES,
        commit: Callable[[], bool] = at_once,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.deadlines = deadlines
        self.commit = commit
        self._credentials = credentials
        self._on_conversation = on_conversation
        self._on_data = on_data
        self._incoming_by_role = incoming_by_role
        self._welcome = welcome
        self._conversations: dict[tuple[str, str], _Accepted] = {}
        self._pending: OrderedDict[asyncio.Task[None], None] = OrderedDict()
        self._serving: set[asyncio.Task[None]] = set()
        self._context: Any = None
        self._securing: asyncio.Future[Any] | None = None
        self._socket = listen(host, port)
        bound = self._socket.getsockname()
        self.host, self.port = str(bound[0]), int(bound[1])
        self.address = format_address(self.host, self.port)
        if not is_loopback(self.host) and credentials.certificate is not None:
            self._context = credentials.certificate.context()
        self._loop.add_reader(self._socket, self._accept)

    @guarded("_accepted_none")
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

    @guarded("_accept_later")
    def _accept_again(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)

    def _accepted_none(self, error: Exception) -> None:
        """The connection that it was about is closed by now; the next one is waited for."""

    def _accept_later(self, error: Exception) -> None:
        self._loop.call_later(1.0, self._accept_again)

    @staticmethod
    def _prepare(connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    @guarded("_forget_pending")
    def _admitted(self, task: asyncio.Task[None]) -> None:
        self._pending.pop(task, None)

    def _forget_pending(self, error: Exception, task: asyncio.Task[None]) -> None:
        self._pending.pop(task, None)

    # -- one new connection ---------------------------------------------------------------------

    async def _admit(self, connection: socket.socket, address: str) -> None:
        link = Link()
        try:
            async with asyncio.timeout(self.deadlines.handshake_s):
                context = None if is_loopback(str(connection.getsockname()[0])) else await self._secured()
                await self._loop.connect_accepted_socket(lambda: link, connection, ssl=context)
                certificate = self._credentials.certificate
                fingerprint = certificate.fingerprint if context is not None and certificate is not None else b""
                role, pool = await admit(link, self._credentials.keys, fingerprint)
                if role != "data":
                    self._open(link, role, pool, await link.opening(Hello))
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

    async def _secured(self) -> Any:
        """The TLS settings. A certificate that was not given is made at the first connection: that takes a tenth of a
        second of a processor, with the library for it, and most governors of a small pool are never connected to."""
        if self._context is None:
            if self._securing is None or (self._securing.done() and self._securing.exception() is not None):
                self._securing = self._loop.run_in_executor(None, self._secure)
            await asyncio.shield(self._securing)
        return self._context

    def _secure(self) -> None:
        credentials = self._credentials
        credentials.certificate = credentials.certificate or Certificate.generate()
        self._context = credentials.certificate.context()

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

    def _open(self, link: Link, role: str, pool: int, hello: Hello) -> None:
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
            known = self._accepted(role, hello)
            known.address, known.pool = link.address, pool
            try:
                self._on_conversation(known, hello)
            except Exception as error:
                log.exception("%s: the conversation is given up", link.address)
                link.abort()
                known._give_up("broken", f"an internal error, see the log: {type(error).__name__}: {error}")
                return
        if not self.commit():  # what the peer is told now must not be forgotten
            # Unanswered it counts as a server that does not run, for which peers wait longer than for one out of reach.
            self._loop.call_later(2 * self.deadlines.handshake_s, link.abort)
            if new and not known.ended:
                known._wait("the server's journal could not be written")
            return
        welcome.received = known._channel.received
        link.send(welcome)
        # The timeout also ends a connection whose peer is merely stopped while much waits for it. Of a process on this
        # machine it is known whether it is still there.
        if role == "client" and hasattr(socket, "TCP_USER_TIMEOUT") and not is_known(hello.process):
            raw = link.transport.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * self.deadlines.client_silent_s))
        if not known.ended:
            try:
                known._carry_on(link, hello.received)
            except ProtocolError as error:
                link.abort()
                known._give_up("broken", str(error))
                return
            if not new:
                known.on_back()

    def _accepted(self, role: str, hello: Hello) -> _Accepted:
        table = self.deadlines
        grace = table.governor_reconnect_s if role == "governor" else table.client_grace_s
        silence = table.governor_lost_s if role == "governor" else None
        known = _Accepted(self, hello, self._incoming_by_role[role], grace, silence)
        self._conversations[role, hello.conversation] = known
        return known

    def restore(self, hello: Hello, pool: int, address: str) -> _Accepted:
        """A conversation that the server before this one had. It is told by `replay` what was said in it, then by
        `replayed` that this is all."""
        known = self._accepted(hello.role, hello)
        known.address, known.pool = address, pool
        known._bounded = False
        return known

    def replayed(self) -> None:
        """All that was said before is said: the peers of conversations that were restored are waited for."""
        for conversation in list(self._conversations.values()):
            conversation.replayed()

    def release(self) -> None:
        """Let leave what was held back, if it may by now."""
        for conversation in list(self._conversations.values()):
            conversation.release()

    def _objection(self, role: str, hello: Hello) -> str:
        if hello.role != role:
            return f"it proved to be a {role} and said that it is a {hello.role}"
        if role not in self._incoming_by_role:
            return f"no {role} connects here"
        if not PROTOCOL_VERSION_MIN <= hello.protocol <= PROTOCOL_VERSION:
            return f"version {hello.protocol} of Rain's protocol is spoken there, version {PROTOCOL_VERSION} here"
        if hello.python != PYTHON:
            return (
                f"the {role} runs Python {hello.python or '(unknown)'}, the server Python {PYTHON}: functions and "
                f"values can only be exchanged between equal versions, so start the {role} with Python {PYTHON}"
            )
        return ""

    @staticmethod
    def _part(link: Link, message: Any) -> None:
        link.send(message)
        link.unbind()
        link.close()

    # -- the end --------------------------------------------------------------------------------

    def leave(self) -> None:
        """As `close`, but peers are told nothing: they wait for the next server."""
        for conversation in list(self._conversations.values()):
            conversation.flush()
            conversation._end("closed")
            conversation._drop_link()
        self.close()

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

    The host ``fd`` means the descriptor number `port`, a listening socket that this process inherited: the
    guardian keeps it open while a server is started anew.

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
        text = "the port is in use by another process" if error.errno == errno.EADDRINUSE else error.strerror
        raise ResourceError(f"cannot listen at {where}: {text}") from None
    return listener
