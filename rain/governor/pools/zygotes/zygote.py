"""The governor's side of a zygote: the process from which executors of one Python interpreter are forked."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import Exited, Fork, Forked, Kill, Ready, ZygoteToGovernor
from rain.governor.pools.ended_logs import NAMES, EndedLogs
from rain.governor.pools.zygotes.process import ZygoteProcess
from rain.governor.stdio_tails import read_tails
from rain.host.signals import kill_tree
from rain.net.guarded import guarded

_PACKET_BYTES = 4096
_ERROR_CHARS_MAX = 4096
_END_S = 3.0

_decode = msgspec.msgpack.Decoder(ZygoteToGovernor).decode


class Zygote:
    """One zygote process, which serves from its start until `close` or its death.

    Parameters
    ----------
    started : ZygoteProcess
        Its process, which is this zygote's from now on.
    on_message : callable
        Called with each `Forked` and `Exited`.
    on_gone : callable
        Called once with this zygote when it is gone although `close` was not called, and with what that means for its
        executors (``"could not be started: …"``).
    ended : EndedLogs or None
        Where what it wrote is kept if it ends before it could fork anything.
    """

    def __init__(
        self,
        started: ZygoteProcess,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[Forked | Exited], None],
        on_gone: Callable[[Zygote, str], None],
        ended: EndedLogs | None = None,
    ) -> None:
        self.python = started.python
        self.ready = False
        self._loop = loop
        self._on_message = on_message
        self._on_gone = on_gone
        self._ended = ended
        self._outbox: deque[tuple[bytes, Sequence[int]]] = deque()
        self._started = started
        self._outputs, self._socket, self._process = started.outputs, started.socket, started.process
        try:
            loop.add_reader(self._socket.fileno(), self._readable)
        except BaseException:
            started.end()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, executor_id: int, slot: int, fds: Sequence[int]) -> None:
        """Ask for an executor that gets `fds`; they are duplicated and stay open here."""
        self._post(Fork(executor_id, slot), [os.dup(fd) for fd in fds])

    def kill(self, executor_id: int) -> None:
        """Kill an executor's process group and all that descends from it."""
        self._post(Kill(executor_id), ())

    def _post(self, message: Fork | Kill, fds: Sequence[int]) -> None:
        if self._socket.fileno() < 0:  # closed: all its executors are gone or going
            for fd in fds:
                os.close(fd)
            return
        self._outbox.append((encode(message), fds))
        if len(self._outbox) == 1:
            self._writable()

    @guarded("_broke")
    def _writable(self) -> None:
        """Send as much as the zygote takes now."""
        while self._outbox:
            data, fds = self._outbox[0]
            try:
                socket.send_fds(self._socket, [data], fds)
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._writable)
                return
            except OSError:  # it is gone; reading tells
                pass
            for fd in fds:
                os.close(fd)
            self._outbox.popleft()
        self._loop.remove_writer(self._socket.fileno())

    @guarded("_broke")
    def _readable(self) -> None:
        while self._socket.fileno() >= 0:
            try:
                data = self._socket.recv(_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end()
                return
            message = _decode(data)
            if isinstance(message, Ready):
                self.ready = True
            else:
                self._on_message(message)

    def _broke(self, error: Exception) -> None:
        """A callback raised an error: without what it should have done nothing is known of the executors any more."""
        if self._socket.fileno() >= 0:
            self._end(f"was killed because of an internal error of the governor ({type(error).__name__}: {error})")

    def _end(self, why: str = "") -> None:
        stdout, stderr = (tail.decode("utf-8", "replace").strip() for tail in read_tails(self._outputs, (0, 0))[:2])
        where = ""
        if not self.ready and self._ended is not None:
            name = f"python-{self._process.pid}"
            self._ended.keep(name, dict(zip(NAMES, self._outputs, strict=True)))
            where = f"; {self._ended.where(name)}"
        self._forget()
        kill_tree(self._process.pid)
        status = self._process.wait()
        text = "\n".join(filter(None, (stdout, stderr)))[-_ERROR_CHARS_MAX:]
        if why:
            reason = why
        elif self.ready:
            reason = f"was killed because the process that it was forked from ended (status {status})"
        else:
            reason = f"could not be started: {self.python} ended with status {status}{where}: {text or 'no message'}"
        self._on_gone(self, reason)

    def _forget(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._started.let_go()
        for _, fds in self._outbox:
            for fd in fds:
                os.close(fd)
        self._outbox.clear()

    async def close(self) -> None:
        """End the zygote and all its executors; returns when they are gone."""
        if self._socket.fileno() < 0:
            return
        self._forget()
        deadline = self._loop.time() + _END_S
        while self._process.poll() is None and self._loop.time() < deadline:  # noqa: ASYNC110  no event tells the loop
            await asyncio.sleep(0.002)
        if self._process.poll() is None:
            kill_tree(self._process.pid)
            self._process.wait()
