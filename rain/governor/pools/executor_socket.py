"""The governor's end of a socket to an executor: sends as much as fits, reads what comes, on the loop."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from rain.common.limits import KIB
from rain.net.guarded import guarded

_RECEIVE_BYTES = 64 * KIB
"""More than the C library takes from its heap would be mapped and unmapped for each message."""


class ExecutorSocket:
    """A connected socket; becomes non-blocking.

    Parameters
    ----------
    end : socket.socket
    on_data : callable
        Called with the bytes that came.
    on_end : callable
        Called once the executor has closed its end. What follows is told by its exit.
    on_error : callable
        Called with an error that one of these raised, or this class itself.
    """

    __slots__ = ("_end", "_loop", "_mute", "_on_data", "_on_end", "_on_error", "_outbox")

    def __init__(
        self,
        end: socket.socket,
        on_data: Callable[[bytes], None],
        on_end: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._on_data = on_data
        self._on_end = on_end
        self._on_error = on_error
        self._mute = False
        self._outbox: deque[bytes | memoryview] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end.fileno(), self._readable)

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames behind those that wait."""
        if self._mute:
            return
        idle = not self._outbox
        self._outbox.extend(frames)
        if idle:
            self._writable()

    @guarded("_broke")
    def _writable(self) -> None:
        """Send as much as the socket takes now."""
        if self._mute:
            return
        outbox = self._outbox
        fd = self._end.fileno()
        while outbox:
            try:
                sent = self._end.send(outbox[0])
            except BlockingIOError:
                self._loop.add_writer(fd, self._writable)
                return
            except OSError:  # the executor is dead, which its exit tells
                outbox.clear()
                break
            if sent == len(outbox[0]):
                outbox.popleft()
            else:
                outbox[0] = memoryview(outbox[0])[sent:]
        self._loop.remove_writer(fd)

    @guarded("_broke")
    def _readable(self) -> None:
        if self._mute:
            return
        try:
            data = self._end.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_data(data)
        else:
            self._loop.remove_reader(self._end.fileno())  # or the loop would spin
            self._on_end()

    def _broke(self, error: Exception) -> None:
        self._on_error(error)

    def rest(self) -> Iterator[bytes]:
        """What an executor that has exited sent before and was not read."""
        while not self._mute:
            try:
                data = self._end.recv(_RECEIVE_BYTES)
            except OSError:
                return
            if not data:
                return
            yield data

    def mute(self) -> None:
        """Neither read nor send any more."""
        if not self._mute:
            self._mute = True
            self._outbox.clear()
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())

    def close(self) -> None:
        """Close it; idempotent."""
        self.mute()
        self._end.close()
