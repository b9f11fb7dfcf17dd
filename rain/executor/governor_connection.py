"""The executor's end of the socket to its governor: tasks that wait, results that are held, and who may touch them.

Two threads use it. The main thread runs tasks; the responder thread (`rain.executor.responder`) takes over reading and
sending while a task takes long. Neither costs the other a system call per task.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn, cast

import msgspec

from rain.common.limits import KIB, MODULE_WAIT_S
from rain.common.protocol.encoding import encode
from rain.common.protocol.framing import FrameDecoder, encode_prefix
from rain.common.protocol.ledger import Ledger
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    GovernorToExecutor,
    Interrupt,
    ModuleFound,
    NodeReady,
    OwnPreview,
    Progressed,
    Recall,
    Recalled,
    Results,
    RunTasks,
    TaskInputs,
    TaskProgress,
    WantModule,
    WantPreview,
)
from rain.common.spec import ObjectInfo
from rain.common.task_configs import UserModule
from rain.executor.held_results import HeldResults
from rain.executor.python.members import Member, Members

_decode = msgspec.msgpack.Decoder(list[GovernorToExecutor]).decode
_number = itemgetter(0)
_RECEIVE_BYTES = 64 * KIB
_ASK_POLL_S = 0.05


class _Answer:
    """The governor's answer to user code that imports a module."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.module: UserModule | None = None


class GovernorConnection:
    """What came from the governor and what goes to it.

    Parameters
    ----------
    end : socket.socket
        Blocking.
    on_interrupt : callable
        Called with an `Interrupt`'s number, in the thread that received it.
    ledger : Ledger or None
        Where results are written down while they are held.
    """

    def __init__(self, end: socket.socket, on_interrupt: Callable[[int], None], ledger: Ledger | None = None) -> None:
        self._socket = end
        self._on_interrupt = on_interrupt
        self._frames = FrameDecoder()
        self._reading = threading.Lock()
        self._sending = threading.Lock()
        self._state = threading.Lock()  # of what follows; held for moments only
        self._waiting: dict[int, ExecutorTask | Members] = {}
        self._taken_of: Members | None = None  # what the last one was taken of, if that was a member
        self._inputs: dict[int, list[ExecutorInput]] = {}
        """First inputs of tasks that are still to come, by number."""
        self.held = HeldResults(ledger)
        self._stale = False
        self.setup: ExecutorSetup | None = None
        self.functions: dict[Any, ExecutorInput] = {}
        """Functions as they came, by id of their constant objects."""
        self.arrived = False
        """Whether tasks have come since this was set to False."""
        self._asked: dict[str, _Answer] = {}
        self.preview: ExecutorInput | None = None
        """The object of which a preview is wanted."""

    def fileno(self) -> int:
        return self._socket.fileno()

    # -- incoming -----------------------------------------------------------------------------------

    def next(self) -> ExecutorTask | Member | None:
        """Take the task that is to be run next; None if none waits."""
        with self._state:
            waiting = self._waiting
            self._taken_of = None
            while waiting:
                number, item = next(iter(waiting.items()))
                if type(item) is Members and item.place < item.stop:
                    self._taken_of = item
                    return item.take()
                del waiting[number]
                if type(item) is not Members:
                    return cast(ExecutorTask, item)
        return None

    def next_place(self) -> int:
        """The place in its family of the member that is to be run next, which is taken; negative unless it is behind
        the one that was taken last, and nothing has come that is to be looked at first."""
        with self._state:
            members = self._taken_of
            if members is None or self.arrived or (place := members.place) >= members.stop:
                return -1
            members.place = place + 1
            return place

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
                    self._queue([*message.tasks, *message.families] if message.families else message.tasks)
                elif isinstance(message, TaskInputs):
                    self._inputs.setdefault(message.number, []).extend(message.inputs)
                elif isinstance(message, Recall):
                    self._send_messages([Recalled(self._give_back(message.numbers))])
                elif isinstance(message, Interrupt):
                    self._on_interrupt(message.number)
                elif isinstance(message, WantPreview):
                    self.preview = message.value
                elif isinstance(message, ModuleFound):
                    answer = self._asked.pop(message.name, None)
                    if answer is not None:
                        answer.module = message.module
                        answer.came.set()
                else:
                    self.setup = message

    def _queue(self, tasks: Sequence[ExecutorTask | ExecutorFamily]) -> None:
        for task in tasks:
            function = task.function
            if function is not None:
                self.functions[function.spec.id] = function
            if self._inputs and (first := self._inputs.pop(task.number, None)) is not None:
                task.inputs = first + task.inputs
        items = [(task.number, _waiting(task)) for task in tasks]
        items.sort(key=_number)  # which they are, unless there are families among others
        with self._state:
            if not self._stale:
                self._waiting.update(items)
                self.arrived = True
                return
        self._send_messages([Recalled(_numbers(dict(items)), unasked=True)])

    def _give_back(self, numbers: Sequence[int]) -> list[int]:
        with self._state:
            given = [number for number in numbers if type(self._waiting.get(number)) is ExecutorTask]
            for number in given:
                del self._waiting[number]
            if len(given) < len(numbers):
                wanted = set(numbers)
                left: dict[int, ExecutorTask | Members] = {}
                for number, item in self._waiting.items():
                    if type(item) is Members and (gone := wanted.intersection(item.numbers())):
                        given += gone
                        left.update((rest.numbers()[0], rest) for rest in item.without(gone))
                        item.leave()
                    else:
                        left[number] = item
                self._waiting = left
            return given

    def ask(self, name: str) -> UserModule | None:
        """Ask the governor for a module of the client's; may be called by any thread of user code.

        Raises
        ------
        ImportError
            If no answer comes within `MODULE_WAIT_S`.
        """
        if self._socket.fileno() < 0 or self.setup is None:  # in a process that user code forked
            return None
        with self._state:
            answer = self._asked.setdefault(name, _Answer())
        # An interrupt raises in the main thread, wherever that is: what may not stop half way another one does.
        threading.Thread(target=self._get, args=(name, answer), name="rain-import", daemon=True).start()
        if not answer.came.wait(MODULE_WAIT_S):
            raise ImportError(
                f"the client did not answer within {MODULE_WAIT_S:g} s (MODULE_WAIT_S) whether it has a module {name!r}"
            )
        return answer.module

    def _get(self, name: str, answer: _Answer) -> None:
        self._send_messages([WantModule(self.setup.session_id if self.setup is not None else 0, name)])
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        deadline = time.monotonic() + MODULE_WAIT_S
        while not answer.came.is_set() and time.monotonic() < deadline:
            if poll.poll(_ASK_POLL_S * 1000):
                self.receive_now()

    def tell(self, progress: TaskProgress) -> None:
        """Say how far the running task is; not in the main thread, which a signal may stop half way."""
        self._send_messages([Progressed([progress])])

    def take_preview(self) -> ExecutorInput | None:
        """What a preview is wanted of, once."""
        value, self.preview = self.preview, None
        return value

    def tell_preview(self, preview: OwnPreview) -> None:
        """Answer `WantPreview`."""
        self._send_messages([preview])

    def is_wanted(self) -> bool:
        """Whether tasks wait, or anything else has come that is not read."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(self._waiting or poll.poll(0))

    def tell_ready(self, ready: NodeReady) -> None:
        """Say that the companion that runs here is up."""
        self._send_messages([ready])

    # -- outgoing -----------------------------------------------------------------------------------

    def hold(self, result: msgspec.Raw, ended: float) -> bool:
        """Keep an encoded `TaskResult` to be sent with others; True if they are so large by now that they should go."""
        with self._state:
            return self.held.add(result, ended)

    def hold_member(
        self,
        family: ExecutorFamily,
        place: int,
        start_time: float,
        duration: float,
        data: Sequence[bytes],
        checksums: Sequence[int],
        infos: Sequence[ObjectInfo],
        ended: float,
    ) -> bool:
        """Keep how a member of a family ended plainly; as `hold`."""
        with self._state:
            return self.held.add_member(family, place, start_time, duration, data, checksums, infos, ended)

    def hold_short(
        self,
        family: ExecutorFamily,
        place: int,
        start_time: float,
        duration: float,
        value: bytes,
        checksum: int,
        infos: Sequence[ObjectInfo],
        ended: float,
    ) -> int:
        """As `hold_member`, of one that has one output, and gives what `next_place` does: this is done for each short
        task. Whether what is held should go, ``held.full`` tells."""
        with self._state:
            self.held.add_short(family, place, start_time, duration, value, checksum, infos, ended)
            members = self._taken_of
            if members is None or self.arrived or (place := members.place) >= members.stop:
                return -1
            members.place = place + 1
            return place

    def flush(self) -> None:
        """Send what is held."""
        if not self.held.items:
            return
        with self._sending:
            with self._state:
                messages = self.held.take()
            if messages:
                self._send(messages)
                with self._state:
                    self.held.sent()

    def hold_left(self) -> float:
        """For how many seconds what is held may be held still; 0 if nothing is. Any thread may ask."""
        held = self.held
        return held.since + held.may_wait_s - time.perf_counter() if held.items else 0.0

    def give_up(self, task: ExecutorTask | Member) -> None:
        """This executor must be replaced: give back `task` and all that waits, and accept nothing more."""
        with self._state:
            self._stale = True
            numbers = [task.number, *_numbers(self._waiting)]
            self._waiting.clear()
            self._taken_of = None
        self.flush()
        self._send_messages([Results([], stale=True), Recalled(numbers, unasked=True)])

    def return_task(self, task: ExecutorTask) -> None:
        """Give back a task that cannot run here now, when all that ran before it is told."""
        self.flush()
        self._send_messages([Recalled([task.number], unasked=True)])

    def _send_messages(self, messages: Sequence[Any]) -> None:
        with self._sending:
            self._send(messages)

    def _send(self, messages: Sequence[Any]) -> None:
        try:
            self._socket.sendall(encode_prefix(encode(messages)))
        except OSError:  # the governor is gone
            die()

    def abandon(self) -> None:
        """In a process that user code forked: this is not its connection."""
        self._socket.close()


def _waiting(task: ExecutorTask | ExecutorFamily) -> ExecutorTask | Members:
    return Members(task, 0, len(task.args)) if isinstance(task, ExecutorFamily) else task


def _numbers(waiting: Mapping[int, ExecutorTask | Members]) -> list[int]:
    """The numbers of all that waits."""
    found: list[int] = []
    for number, item in waiting.items():
        if isinstance(item, Members):
            found += item.numbers()
        else:
            found.append(number)
    return found


def die() -> NoReturn:
    """End this executor and its whole process group at once."""
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
