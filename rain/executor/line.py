"""The executor's end of the socket to its governor: tasks that wait, results that are held, and who may touch them.

Two threads use it. The main thread runs tasks; the control thread (`rain.executor.control`) takes over reading and
sending while a task takes long. Neither costs the other a system call per task.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import msgspec

from rain.common.framing import FrameDecoder, encode_prefix
from rain.common.limits import BATCH_BYTES_TARGET, KIB
from rain.common.messages import (
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    GovernorToExecutor,
    Interrupt,
    Recall,
    Recalled,
    Results,
    RunTasks,
    TaskResult,
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[GovernorToExecutor]).decode
_RECEIVE_BYTES = 64 * KIB


class Line:
    """What came from the governor and what goes to it.

    Parameters
    ----------
    end : socket.socket
        Blocking.
    on_interrupt : callable
        Called with an `Interrupt`'s number, in the thread that received it.
    """

    def __init__(self, end: socket.socket, on_interrupt: Callable[[int], None]) -> None:
        self._socket = end
        self._on_interrupt = on_interrupt
        self._frames = FrameDecoder()
        self._reading = threading.Lock()
        self._sending = threading.Lock()
        self._state = threading.Lock()  # of what follows; held for moments only
        self._waiting: dict[int, ExecutorTask] = {}
        self._held: list[msgspec.Raw] = []
        self._held_bytes = 0
        self._stale = False
        self.setup: ExecutorSetup | None = None
        self.functions: dict[Any, ExecutorInput] = {}
        """Functions as they came, by id of their constant objects."""

    def fileno(self) -> int:
        return self._socket.fileno()

    # -- incoming -----------------------------------------------------------------------------------

    def next(self) -> ExecutorTask | None:
        """Take the task that is to be run next; None if none waits."""
        with self._state:
            for number in self._waiting:
                return self._waiting.pop(number)
        return None

    def receive(self) -> None:
        """Wait for something from the governor, unless a task waits already. Ends the process group at end of file."""
        with self._reading:
            if not self._waiting:
                self._take(self._socket.recv(_RECEIVE_BYTES))

    def receive_now(self) -> None:
        """Take what has arrived, if anything; leaves it to the other thread if that is reading."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            self._take(self._socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass
        finally:
            self._reading.release()

    def _take(self, data: bytes) -> None:
        if not data:
            die()
        for header, _payload in self._frames.feed(data):
            for message in _decode(header):
                if isinstance(message, RunTasks):
                    self._queue(message.tasks)
                elif isinstance(message, Recall):
                    self._send_messages([Recalled(self._give_back(message.numbers))])
                elif isinstance(message, Interrupt):
                    self._on_interrupt(message.number)
                else:
                    self.setup = message

    def _queue(self, tasks: Sequence[ExecutorTask]) -> None:
        for task in tasks:
            function = task.function
            if function is not None:
                self.functions[function.spec.id] = function
        with self._state:
            if not self._stale:
                self._waiting.update((task.number, task) for task in tasks)
                return
        self._send_messages([Recalled([task.number for task in tasks])])

    def _give_back(self, numbers: Sequence[int]) -> list[int]:
        with self._state:
            return [number for number in numbers if self._waiting.pop(number, None) is not None]

    # -- outgoing -----------------------------------------------------------------------------------

    def hold(self, result: msgspec.Raw) -> bool:
        """Keep an encoded `TaskResult` to be sent with others; True if they are so large by now that they should go."""
        with self._state:
            self._held.append(result)
            self._held_bytes += len(memoryview(result))
            return self._held_bytes > BATCH_BYTES_TARGET

    def holds(self) -> bool:
        """Whether results are held."""
        return bool(self._held)

    def flush(self) -> None:
        """Send what is held."""
        if not self._held:
            return
        with self._sending:
            with self._state:
                held, self._held, self._held_bytes = self._held, [], 0
            if held:
                self._send([Results(cast(list[TaskResult], held))])

    def give_up(self, task: ExecutorTask) -> None:
        """This executor must be replaced: give back `task` and all that waits, and accept nothing more."""
        with self._state:
            self._stale = True
            numbers = [task.number, *self._waiting]
            self._waiting.clear()
        self.flush()
        self._send_messages([Results([], stale=True), Recalled(numbers)])

    def _send_messages(self, messages: Sequence[Any]) -> None:
        with self._sending:
            self._send(messages)

    def _send(self, messages: Sequence[Any]) -> None:
        try:
            self._socket.sendall(encode_prefix(_encode(messages)))
        except OSError:  # the governor is gone
            die()

    def abandon(self) -> None:
        """In a process that user code forked: this is not its line."""
        self._socket.close()


def die() -> NoReturn:
    """End this executor and its whole process group at once."""
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
