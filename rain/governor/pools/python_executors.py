"""Executors of this governor: processes that run Python tasks and programs.

Theory of operation
-------------------
An executor is forked from a zygote (`rain.governor.pools.zygotes`), one per Python interpreter. It shares with the
governor

* a socket pair, over which frames with lists of messages go. It exists before the fork, so tasks may be given at once;
* two memory files, its stdout and stderr. The governor holds them too, and has their tails whatever kills the executor;
* one 64-bit word in a mapping common to all executors: the number of the task that it is on;
* behind the words, in the same file, its ledger of results that it holds (`rain.common.protocol.ledger`).

An executor has exited when its zygote says so, which it does when nothing that descends from the executor is left.
What it sent before its death is still in the socket and is taken first, then what its ledger says. Everything happens
in callbacks on the governor's loop; nothing blocks.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import msgspec

from rain.common.errors import ProtocolError, ResourceError
from rain.common.limits import BATCH_BYTES_TARGET, EXECUTORS_MAX, INLINE_BYTES_MAX, LEDGER_BYTES, MIB, WORDS_BYTES
from rain.common.protocol import ledger
from rain.common.protocol.encoding import encode
from rain.common.protocol.families import member_outputs, member_spec
from rain.common.protocol.framing import FrameDecoder, encode_prefix
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    ExecutorToGovernor,
    Exited,
    FamilyResults,
    Forked,
    Interrupt,
    ModuleFound,
    NodeReady,
    OwnPreview,
    Progressed,
    Recall,
    Recalled,
    Results,
    RunTasks,
    SessionEnv,
    TaskInputs,
    TaskResult,
    WantPreview,
)
from rain.governor.core.records import PY
from rain.governor.pools.executor_socket import ExecutorSocket
from rain.governor.pools.pool import PoolEvents
from rain.governor.pools.process_pool import NO_TAILS, ExecutorProcess, ProcessPool
from rain.governor.pools.zygotes.process import ZygoteProcess
from rain.governor.pools.zygotes.zygote import Zygote
from rain.governor.results import failed
from rain.net.guarded import guarded
from rain.processes.logs import give_back

log = logging.getLogger("rain.governor.pools.python_executors")

_SOCKET_BYTES = 1 * MIB
_EXIT_GRACE_S = 1.0

_decode = msgspec.msgpack.Decoder(list[ExecutorToGovernor]).decode


class _Executor(ExecutorProcess):
    """What the governor holds of one executor."""

    socket: ExecutorSocket

    def __init__(
        self, executor_id: int, kind: str, setup: ExecutorSetup, zygote: Zygote, words: memoryview, slot: int
    ) -> None:
        super().__init__(executor_id, kind, setup)
        self.zygote = zygote
        self._words = words
        self.slot = slot
        self.files = (os.memfd_create("stdout", os.MFD_CLOEXEC), os.memfd_create("stderr", os.MFD_CLOEXEC))
        self.frames = FrameDecoder()
        self.first = 0  # number of the first task it was given
        self.killed = ""  # why we killed it

    @property
    def number(self) -> int:
        """The number in the executor's shared word."""
        return self._words[self.slot]


class PythonExecutors(ProcessPool[_Executor]):
    """The pool of Rain's own executors: an `rain.governor.pools.pool.ExecutorPool`.

    Parameters
    ----------
    events : PoolEvents
        In ``events.exited`` the number is that of the shared word, and the output what was written since that task
        began.
    work_dir : str
        As of `ProcessPool`; also the current directory of the processes that executors are forked from.
    started : ZygoteProcess or None
        A zygote of the governor's own interpreter that was started before.
    """

    def __init__(self, events: PoolEvents, work_dir: str = "", started: ZygoteProcess | None = None) -> None:
        super().__init__(events, work_dir)
        self._started = started
        self._zygotes: dict[tuple[str, str], Zygote] = {}
        self._words_file = os.memfd_create("rain-words", os.MFD_CLOEXEC)
        os.ftruncate(self._words_file, WORDS_BYTES)
        self._mapping = mmap.mmap(self._words_file, WORDS_BYTES)
        self._words = memoryview(self._mapping).cast("Q")
        self._free_slots = list(range(EXECUTORS_MAX - 1, -1, -1))

    # -- what the governor asks for ------------------------------------------------------------------

    def warm(self, python: str | None = None) -> None:
        """Start the zygote of an interpreter, so that its first executor starts fast.

        Raises
        ------
        RainException
            If the interpreter cannot be started.
        """
        self._zygote(python)

    def _start(self, executor_id: int, kind: str, setup: ExecutorSetup, here: SessionEnv | None) -> None:
        zygote = self._zygote(here.python if here is not None and kind == PY else None)
        if not self._free_slots:
            raise ResourceError(f"{EXECUTORS_MAX} executors are alive on this governor (EXECUTORS_MAX)")
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            executor = _Executor(executor_id, kind, setup, zygote, self._words, self._free_slots.pop())
            executor.socket = ExecutorSocket(
                ours,
                on_data=partial(self._take, executor),
                on_end=partial(self._closed_connection, executor),
                on_error=lambda error: self._broke(error, executor),
            )
            self._words[executor.slot] = 0
            self._make_ledger(executor.slot)
            self._executors[executor_id] = executor
            zygote.fork(executor_id, executor.slot, [theirs.fileno(), *executor.files, self._words_file])
        self._post(executor, [setup])

    def _make_ledger(self, slot: int) -> None:
        """See to it that the slot has a ledger, and that it is empty. One without loses what it holds."""
        begin = WORDS_BYTES + slot * LEDGER_BYTES
        try:
            if os.fstat(self._words_file).st_size < begin + LEDGER_BYTES:
                os.ftruncate(self._words_file, begin + LEDGER_BYTES)
            else:
                os.pwrite(self._words_file, bytes(8), begin)
        except OSError as error:  # for instance a limit of files' sizes
            log.warning("there is no room for what executor number %d holds: %s", slot, error)

    def _not_started(self, executor_id: int, reason: str) -> None:
        executor = self._executors.get(executor_id)
        if executor is not None:
            executor.zygote.kill(executor_id)
            self._forget(executor)
        self._loop.call_soon(self._start_failed, executor_id, reason)

    @guarded("_tell_again")
    def _start_failed(self, executor_id: int, reason: str) -> None:
        self._tell_exited(executor_id, reason, 0, NO_TAILS)

    def _tell_again(self, error: Exception, executor_id: int, reason: str) -> None:
        self._tell_exited(executor_id, reason, 0, NO_TAILS)  # of one that is known no more: does nothing

    def run(self, executor_id: int, tasks: Sequence[ExecutorTask], families: Sequence[ExecutorFamily] = ()) -> None:
        """As `ExecutorPool.run`."""
        executor = self._executors.get(executor_id)
        if executor is None:
            return
        if not executor.first and (tasks or families):
            executor.first = min([task.number for task in tasks] + [family.number for family in families])
        if families:
            self._post_families(executor, list(tasks), list(families))
        else:
            self._post_tasks(executor, list(tasks))

    def recall(self, executor_id: int, numbers: Sequence[int]) -> None:
        """As `ExecutorPool.recall`."""
        self._say(executor_id, Recall(list(numbers)))

    def give(self, executor_id: int, found: ModuleFound) -> None:
        """As `ExecutorPool.give`."""
        self._say(executor_id, found)

    def preview(self, executor_id: int, value: ExecutorInput) -> None:
        """As `ExecutorPool.preview`."""
        self._say(executor_id, WantPreview(value))

    def interrupt(self, executor_id: int, number: int = 0) -> None:
        """As `ExecutorPool.interrupt`."""
        self._say(executor_id, Interrupt(number))

    def kill(self, executor_id: int) -> None:
        """As `ExecutorPool.kill`."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._kill(executor, "the governor ended it")

    async def close(self) -> None:
        """End all executors and zygotes; returns when they are gone. Idempotent."""
        if self._closed:
            return
        self._closed = True
        left = list(self._executors.values())
        for executor in left:
            self._forget(executor)
        zygotes = list(self._zygotes.values())
        self._zygotes.clear()
        await asyncio.gather(*(zygote.close() for zygote in zygotes))
        for executor in left:
            self._remove(executor.setup.work_dir)
        await self._all_removed()
        self._words.release()
        self._mapping.close()
        os.close(self._words_file)

    # -- sending and receiving -----------------------------------------------------------------------

    def _say(self, executor_id: int, message: Recall | Interrupt | ModuleFound | WantPreview) -> None:
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._post(executor, [message])

    def _post(self, executor: _Executor, messages: list[Any]) -> None:
        executor.socket.send([encode_prefix(encode(messages))])

    def _post_tasks(self, executor: _Executor, tasks: list[ExecutorTask]) -> None:
        """Post tasks; of a batch that a frame cannot hold the halves, of a task its inputs before it. A task that
        cannot be sent has failed; the others go."""
        try:
            self._post(executor, [RunTasks(tasks)])
            return
        except Exception as error:  # nothing of it was posted
            problem = error
        if len(tasks) > 1:
            half = len(tasks) // 2
            self._post_tasks(executor, tasks[:half])
            self._post_tasks(executor, tasks[half:])
            return
        try:
            if not isinstance(problem, ProtocolError):
                raise problem
            executor.socket.send(_in_pieces(tasks[0]))
        except Exception as error:
            self._loop.call_soon(self._unsent, executor, tasks[0], error)

    def _post_families(self, executor: _Executor, tasks: list[ExecutorTask], families: list[ExecutorFamily]) -> None:
        """Post tasks and members of families; what a frame cannot hold in pieces, in the order of their numbers."""
        try:
            self._post(executor, [RunTasks(tasks, families)])
            return
        except Exception:  # nothing of it was posted
            pass
        pieces: list[ExecutorTask | ExecutorFamily] = sorted([*tasks, *families], key=lambda task: task.number)
        for piece in pieces:
            if isinstance(piece, ExecutorTask):
                self._post_tasks(executor, [piece])
            elif len(piece.args) > 1 and len(pieces) == 1:
                for half in _halves(piece):
                    self._post_families(executor, [], [half])
            elif len(piece.args) > 1:
                self._post_families(executor, [], [piece])
            else:
                self._post_tasks(executor, [_as_task(piece)])

    @guarded("_broke")
    def _unsent(self, executor: _Executor, task: ExecutorTask, error: Exception) -> None:
        log.error("task %s cannot be sent to its executor", task.spec.id, exc_info=error)
        text = f"the task cannot be given to an executor: {type(error).__name__}: {error}"
        self._events.results(executor.id, Results([failed(task.spec.id, task.attempt, text)]))
        if task.function is not None and executor.id in self._executors:
            # Later tasks count on it that the function was sent.
            executor.zygote.kill(executor.id)

    def _closed_connection(self, executor: _Executor) -> None:
        # Its death is told by the zygote.
        self._loop.call_later(_EXIT_GRACE_S, self._deaf, executor)

    @guarded("_broke")
    def _deaf(self, executor: _Executor) -> None:
        """It closed its connection and lives on, as its death would have been told by now."""
        if self._executors.get(executor.id) is executor and not executor.killed:
            self._kill(executor, "it closed the connection to its governor (did the task close all descriptors?)")

    def _broke(self, error: Exception, executor: _Executor, *_: Any) -> None:
        """A callback about an executor raised an error: the executor ends, and its task is told why."""
        self._end(executor, f"of an internal error of the governor ({_named(error)})")

    def _end(self, executor: _Executor, why: str) -> None:
        """Kill an executor that cannot be talked to any more; its zygote tells when it is gone."""
        if executor.id not in self._executors:
            return
        executor.socket.mute()
        self._kill(executor, why)

    def _take(self, executor: _Executor, data: bytes) -> None:
        try:
            for header, _payload in executor.frames.feed(data):
                for message in _decode(header):
                    if isinstance(message, Results):
                        for family in message.families:
                            _check_columns(family)
                        self._events.results(executor.id, message)
                    elif isinstance(message, Recalled):
                        self._events.recalled(executor.id, message.numbers, message.unasked)
                    elif isinstance(message, Progressed):
                        self._events.progressed(executor.id, message.tasks)
                    elif isinstance(message, NodeReady):
                        self._events.companion_ready(executor.id, message)
                    elif isinstance(message, OwnPreview):
                        self._events.previewed(executor.id, message)
                    else:
                        self._events.module_wanted(executor.id, message.name)
        except (ProtocolError, msgspec.MsgspecError) as error:
            # User code found the descriptor and wrote into it.
            log.error("executor %d sent what cannot be read and is killed: %s", executor.id, error)
            self._end(
                executor, f"it sent what cannot be read ({error}; did the task write into a descriptor of Rain's?)"
            )

    def _take_held(self, executor: _Executor) -> None:
        """Results that it had not sent; of those that it had sent all the same there is nothing left to be told."""
        begin = WORDS_BYTES + executor.slot * LEDGER_BYTES
        size = min(int.from_bytes(os.pread(self._words_file, 8, begin), sys.byteorder) + 8, LEDGER_BYTES)
        if size > 8:
            held = list(ledger.read(os.pread(self._words_file, size, begin)))
            give_back(self._words_file, begin, begin + LEDGER_BYTES)
            for result in held:
                if isinstance(result, TaskResult):
                    self._events.results(executor.id, Results([result]))
                else:
                    self._events.member_ended(executor.id, result)

    def _kill(self, executor: _Executor, why: str) -> None:
        executor.killed = executor.killed or why
        executor.zygote.kill(executor.id)

    # -- birth and death -----------------------------------------------------------------------------

    def _zygote(self, python: str | None) -> Zygote:
        python = python or sys.executable
        # One interpreter may have several names in the folder of its virtual environment.
        key = (os.path.dirname(os.path.abspath(python)), os.path.realpath(python))
        zygote = self._zygotes.get(key)
        if zygote is None:
            started, self._started = (self._started, None) if python == sys.executable else (None, self._started)
            started = started or ZygoteProcess(python, self._work_dir)
            zygote = self._zygotes[key] = Zygote(
                started, self._loop, self._on_zygote, self._on_zygote_gone, self._ended
            )
        return zygote

    @guarded("_hear_again")
    def _on_zygote(self, message: Forked | Exited) -> None:
        self._hear(message)

    def _hear_again(self, error: Exception, message: Forked | Exited) -> None:
        self._hear(message)  # what was heard already does nothing

    def _hear(self, message: Forked | Exited) -> None:
        executor = self._executors.get(message.executor_id)
        if executor is None:
            return
        if isinstance(message, Forked):
            executor.pid = message.pid
        elif message.pid:
            self._bury(executor, self._describe(executor, message.status, executor.killed, message.peak))
        else:
            self._bury(executor, f"could not be started: fork: {os.strerror(message.status)}")

    @guarded("_bury_again")
    def _on_zygote_gone(self, zygote: Zygote, reason: str) -> None:
        self._bury_all(zygote, reason)

    def _bury_again(self, error: Exception, zygote: Zygote, reason: str) -> None:
        self._bury_all(zygote, reason)  # those that are left

    def _bury_all(self, zygote: Zygote, reason: str) -> None:
        log.error("the zygote of %s is gone; its executors each %s", zygote.python, reason)
        self._zygotes = {key: other for key, other in self._zygotes.items() if other is not zygote}
        for executor in [executor for executor in self._executors.values() if executor.zygote is zygote]:
            if executor.pid:
                # The kernel kills the executor itself when the zygote ends; its group is left to us.
                try:
                    os.killpg(executor.pid, signal.SIGKILL)
                except OSError:
                    pass
            self._bury(executor, reason)

    def _bury(self, executor: _Executor, reason: str) -> None:
        """Take what the executor sent before its death, then tell of it; whatever goes wrong meanwhile."""
        number, tails = executor.number, NO_TAILS
        try:
            for data in executor.socket.rest():
                self._take(executor, data)
            self._take_held(executor)
            tails = executor.tails()
        except Exception as error:
            log.exception("executor %d cannot be read to its end", executor.id)
            reason = f"{reason}; then what it left could not be read ({_named(error)})"
        if not executor.pid and not executor.zygote.ready:
            # It could not even be started: its task is charged, or it would be tried for ever.
            number = executor.first
        self._forget(executor)
        self._tell_exited(executor.id, reason, number, tails, executor.signal, executor.end)

    def _forget(self, executor: _Executor) -> None:
        if self._executors.pop(executor.id, None) is None:
            return
        executor.release()
        self._free_slots.append(executor.slot)
        if not self._closed:
            self._remove(executor.setup.work_dir)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _check_columns(told: FamilyResults) -> None:
    """See that columns are of one length, and that what is in them may travel there.

    Raises
    ------
    ProtocolError
        If not.
    """
    size = len(told.durations)
    sound = bool(size) and not size % 8 and len(told.start_times) == size and told.stride == len(told.outputs) + 1
    for column in told.outputs:
        sound = sound and len(column.data) == size // 8 and len(column.checksums) == size
        sound = sound and max(map(len, column.data)) <= INLINE_BYTES_MAX
    if not sound:
        raise ProtocolError(f"the columns of the family of task {told.first} do not fit each other")


def _as_task(family: ExecutorFamily) -> ExecutorTask:
    """The one member of a family, as an ordinary task."""
    spec = member_spec(family.spec, 0, family.args[0])
    return ExecutorTask(family.number, family.attempt, spec, family.inputs, family.outputs, family.function)


def _halves(family: ExecutorFamily) -> tuple[ExecutorFamily, ExecutorFamily]:
    """The first and the other half of its members."""
    middle = len(family.args) // 2
    spec, outputs = member_spec(family.spec, middle, b""), member_outputs(family.outputs, middle)
    return (
        msgspec.structs.replace(family, args=family.args[:middle]),
        msgspec.structs.replace(
            family,
            number=family.number + middle,
            spec=spec,
            outputs=outputs,
            args=family.args[middle:],
            function=None,
        ),
    )


def _in_pieces(task: ExecutorTask) -> list[bytes]:
    """The frames of a task that is too large for one.

    Raises
    ------
    ProtocolError
        If one of its parts alone is too large.
    """
    frames: list[bytes] = []
    piece: list[msgspec.Raw] = []
    size = 0
    for value in task.inputs:
        data = encode(value)
        if piece and size + len(data) > BATCH_BYTES_TARGET:
            frames.append(encode_prefix(encode([TaskInputs(task.number, cast(list[ExecutorInput], piece))])))
            piece, size = [], 0
        piece.append(msgspec.Raw(data))
        size += len(data)
    rest = msgspec.structs.replace(task, inputs=piece)
    return [*frames, encode_prefix(encode([RunTasks([rest])]))]
