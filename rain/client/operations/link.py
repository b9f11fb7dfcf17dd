"""The one thread in which a client talks to its server.

`Link` is all that the rest of the client needs; `ServerLink` is a link over a conversation, with a background thread
that runs an asyncio loop. Tests put another `Link` in its place.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from rain.client.functions.notebook_name import in_kernel
from rain.common.errors import RainException
from rain.common.limits import BACKLOG_BYTES_MAX, DEADLINES
from rain.common.protocol.messages import Goodbye, Hello, ServerToClient, Welcome
from rain.host.descriptors import opened
from rain.host.machine import host_id
from rain.net.auth import Credentials
from rain.net.transfer.outages import through_outages
from rain.net.transport import converse

_BACKLOG_WAIT_S = 0.005
_TICK_S = 0.25
_JOIN_S = 5.0
T = TypeVar("T")


class Link(Protocol):
    """How a client reaches its server. All methods may be called in any thread."""

    address: str
    credentials: Credentials
    welcome: Welcome

    def send(self, messages: Iterable[Any]) -> None:
        """Send messages in order; returns at once."""

    def call(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine in the link's loop."""

    async def through_outages(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, which needs the server; done again if it fails while the server is away."""

    def in_thread(self, work: Callable[[], Any]) -> Future[Any]:
        """Run blocking work in a thread of the loop's pool."""

    def close(self) -> None:
        """Say goodbye to the server and end; idempotent."""


class Owner(Protocol):
    """What a link tells of its server; it calls all methods in its thread."""

    def arrived(self, messages: list[Any]) -> None:
        """Messages from the server."""

    def gone(self, reason: str) -> None:
        """The server is gone for good."""

    def away(self) -> None:
        """The connection to the server broke; it is dialled again."""

    def back(self) -> None:
        """A new connection to the same server carries the conversation on."""

    def unsendable(self, message: Any, error: Exception) -> None:
        """A message could not be encoded, and was not sent."""

    def tick(self, absence: str) -> None:
        """Called now and then. `absence`: as in `rain.net.conversation.Conversation`."""


class ServerLink:
    """A link to the server at an address.

    Parameters
    ----------
    address : str
        ``host:port``.
    credentials : Credentials
    owner : Owner
    timeout : float
        Seconds for connecting.

    Raises
    ------
    RainException
        If the server cannot be reached or refuses.
    """

    def __init__(self, address: str, credentials: Credentials, owner: Owner, timeout: float) -> None:
        self.address = address
        self.credentials = credentials
        self._owner = owner
        self._outbox: deque[Any] = deque()
        self._pump_due = False
        self._pumping = False
        self._closed = False
        self._conversation: Any = None
        self._ticker: asyncio.TimerHandle | None = None
        self._loop = opened(asyncio.new_event_loop)
        self._thread = threading.Thread(target=self._run, name="rain-client", daemon=True)
        self._thread.start()
        try:
            self.call(self._open(timeout)).result()
        except BaseException:
            self._stop()
            raise
        conversation: Any = self._conversation
        self.welcome: Welcome = conversation.peer

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _open(self, timeout: float) -> None:
        owner = self._owner
        try:
            async with asyncio.timeout(timeout):
                self._conversation = await converse(
                    self.address,
                    self.credentials,
                    Hello("client", "", host_id=host_id(), kernel=in_kernel()),
                    ServerToClient,
                    owner.arrived,
                    owner.gone,
                    on_away=lambda reason: owner.away(),
                    on_back=owner.back,
                    deadlines=DEADLINES,
                )
        except TimeoutError:
            raise RainException(f"the server at {self.address} did not answer within {timeout:g} s") from None
        self._conversation.soon = self._flush_soon
        self._ticker = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TICK_S, self._tick)
        self._owner.tick(self._conversation.absence)

    # -- sending --------------------------------------------------------------------------------

    def send(self, messages: Iterable[Any]) -> None:
        """Send messages in order; returns at once."""
        self._outbox.extend(messages)
        if not self._pump_due:
            self._pump_due = True
            self._soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        self._pumping = True
        try:
            self._send_waiting()
        finally:
            self._pumping = False
            self._conversation.flush()

    def _flush_soon(self, flush: Callable[[], None]) -> None:
        """Let the conversation send at the end of the turn, or of the pumping that goes on."""
        if not self._pumping:
            self._loop.call_soon(flush)

    def _send_waiting(self) -> None:
        outbox, conversation = self._outbox, self._conversation
        while outbox:
            if conversation.backlog_bytes > BACKLOG_BYTES_MAX and not conversation.ended:
                self._pump_due = True
                self._loop.call_later(_BACKLOG_WAIT_S, self._pump)
                return
            message = outbox.popleft()
            try:
                conversation.send(message)
            except Exception as error:
                self._owner.unsendable(message, error)

    def _soon(self, work: Callable[[], Any]) -> None:
        try:
            if threading.current_thread() is self._thread:  # which need not be woken
                self._loop.call_soon(work)
            else:
                self._loop.call_soon_threadsafe(work)
        except RuntimeError:  # closed meanwhile
            pass

    # -- other work -----------------------------------------------------------------------------

    def call(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def through_outages(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, which needs the server; done again if it fails while the server is away."""
        return await through_outages(self._conversation, work)

    def in_thread(self, work: Callable[[], Any]) -> Future[Any]:
        """Run blocking work in a thread of the loop's pool."""

        async def run() -> Any:
            return await self._loop.run_in_executor(None, work)

        return self.call(run())

    # -- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Say goodbye to the server and end the thread; idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self.call(self._leave()).result(_JOIN_S)
        except (RuntimeError, TimeoutError):
            pass  # the loop has ended or is stuck: the server cannot be told
        self._stop()

    async def _leave(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._pump()
        self._conversation.send(Goodbye())
        self._conversation.close("the client was closed")
        await self._loop.shutdown_default_executor()

    def _stop(self) -> None:
        self._closed = True
        self._soon(self._end)
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    def _end(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        # The loop stops one turn later, after cancelled tasks and closing transports have had theirs.
        self._loop.call_soon(self._loop.call_soon, self._loop.stop)
