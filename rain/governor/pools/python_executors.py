"""Executors of this governor: processes that run Python tasks and programs.

Theory of operation
-------------------
An executor is forked from a zygote (`rain.governor.pools.zygotes`), one per Python interpreter. It shares with the
governor

* a socket pair, over which frames with lists of messages go. It exists before the fork, so tasks may be given at once;
* two memory files, its stdout and stderr. The governor holds them too, and has their tails whatever kills the executor;
* one 64-bit word in a mapping common to all executors: the number of the task that it is on.

An executor has exited when its zygote says so, which it does when nothing that descends from the executor is left.
What it sent before its death is still in the socket and is taken first. Everything happens in callbacks on the
governor's loop; nothing blocks.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.limits import BATCH_BYTES_TARGET, KIB, MIB
from rain.common.protocol.encoding import encode
from rain.common.protocol.framing import FrameDecoder, encode_prefix
from rain.common.protocol.messages import (
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    ExecutorToGovernor,
    Exited,
    Forked,
    Interrupt,
    ModuleFound,
    Recall,
    Recalled,
    Results,
    RunTasks,
    TaskInputs,
)
from rain.governor.logs import EndedLogs
from rain.governor.pools.zygotes import Zygote
from rain.governor.results import failed
from rain.governor.stdio_tails import read_new, read_tails
from rain.host.deaths import Death, OomKills, describe_exit, what_is_known
from rain.host.process import family, own_memory
from rain.net.guarded import guarded
from rain.objects.dirtree import remove_tree

log = logging.getLogger("rain.governor.pools.python_executors")

EXECUTORS_MAX = 8192
"""Executors that may be alive at a time: the number of shared words."""
_WORD_BYTES = 8
_RECEIVE_BYTES = 256 * KIB
_SOCKET_BYTES = 1 * MIB
_EXIT_GRACE_S = 1.0

_decode = msgspec.msgpack.Decoder(list[ExecutorToGovernor]).decode


class _Executor:
    """What the governor holds of one executor."""

    __slots__ = (
        "broken",
        "first",
        "frames",
        "id",
        "killed",
        "outbox",
        "pid",
        "slot",
        "socket",
        "stderr",
        "stdout",
        "work_dir",
        "zygote",
    )

    def __init__(self, executor_id: int, zygote: Zygote, slot: int, end: socket.socket, work_dir: str) -> None:
        self.id = executor_id
        self.zygote = zygote
        self.slot = slot
        self.socket = end
        self.work_dir = work_dir
        self.stdout = os.memfd_create("stdout", os.MFD_CLOEXEC)
        self.stderr = os.memfd_create("stderr", os.MFD_CLOEXEC)
        self.frames = FrameDecoder()
        self.outbox: deque[bytes | memoryview] = deque()
        self.pid = 0
        self.first = 0  # number of the first task it was given
        self.killed = ""  # why we killed it
        self.broken = False  # it is not talked to any more


class Executors:
    """Starts, feeds and ends executors. All methods are called on the loop.

    Parameters
    ----------
    on_results : callable
        ``(executor_id, Results)``.
    on_recalled : callable
        ``(executor_id, numbers)``: the answer to one `recall`; after stale results also unasked for.
    on_exited : callable
        ``(executor_id, reason, number, stdout, stderr, written)``, once for each executor that was started, when
        nothing of it is left: what happened (in further lines: what is known about that), the task number in the shared
        word, tails of what it wrote since that task began, and how many bytes it were. Not called for what `close`
        ends.
    on_module : callable
        ``(executor_id, name)``: it is to import a module that only the client may have; answered by `give`.
    work_dir : str
        Current directory of the processes that executors are forked from. Executors have their own
        (``setup.work_dir``), which are removed when they exit.
    python : str or None
        The interpreter of executors that ask for none; None: the governor's.

    Attributes
    ----------
    oom_kills : OomKills
        Whoever owns this lets it look once a second or so.
    """

    def __init__(
        self,
        *,
        on_results: Callable[[int, Results], Any],
        on_recalled: Callable[[int, list[int]], Any],
        on_exited: Callable[[int, str, int, bytes, bytes, tuple[int, int]], Any],
        on_module: Callable[[int, str], Any] | None = None,
        work_dir: str = "",
        python: str | None = None,
    ) -> None:
        self._on_results = on_results
        self._on_recalled = on_recalled
        self._on_exited = on_exited
        self._on_module = on_module or self._no_module
        self._work_dir = work_dir or "/"
        self._ended = EndedLogs(work_dir) if work_dir else None
        self._python = python or sys.executable
        self._loop = asyncio.get_running_loop()
        self._zygotes: dict[tuple[str, str], Zygote] = {}
        self._executors: dict[int, _Executor] = {}
        self._words_file = os.memfd_create("rain-words", os.MFD_CLOEXEC)
        os.ftruncate(self._words_file, EXECUTORS_MAX * _WORD_BYTES)
        self._mapping = mmap.mmap(self._words_file, EXECUTORS_MAX * _WORD_BYTES)
        self._words = memoryview(self._mapping).cast("Q")
        self._free_slots = list(range(EXECUTORS_MAX - 1, -1, -1))
        self._closed = False
        self.oom_kills = OomKills()

    # -- what the governor asks for ------------------------------------------------------------------

    def warm(self, python: str | None = None) -> None:
        """Start the zygote of an interpreter, so that its first executor starts fast.

        Raises
        ------
        RainException
            If the interpreter cannot be started.
        """
        self._zygote(python)

    def start(self, executor_id: int, setup: ExecutorSetup, python: str | None = None) -> None:
        """Start an executor; `run` may follow at once.

        What goes wrong is told by `on_exited`.
        """
        try:
            self._start(executor_id, setup, python)
        except Exception as error:
            if not isinstance(error, RainException | OSError):
                log.exception("executor %d could not be started", executor_id)
            executor = self._executors.get(executor_id)
            if executor is not None:
                executor.zygote.kill(executor_id)
                self._forget(executor)
            self._loop.call_soon(self._start_failed, executor_id, f"could not be started: {error}")

    def _start(self, executor_id: int, setup: ExecutorSetup, python: str | None) -> None:
        zygote = self._zygote(python)
        if not self._free_slots:
            raise ResourceError(f"{EXECUTORS_MAX} executors are alive on this governor (EXECUTORS_MAX)")
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            executor = _Executor(executor_id, zygote, self._free_slots.pop(), ours, setup.work_dir)
            self._words[executor.slot] = 0
            self._executors[executor_id] = executor
            zygote.fork(
                executor_id,
                executor.slot,
                [theirs.fileno(), executor.stdout, executor.stderr, self._words_file],
            )
        self._loop.add_reader(ours.fileno(), self._readable, executor)
        self._post(executor, [setup])

    @guarded("_tell_again")
    def _start_failed(self, executor_id: int, reason: str) -> None:
        if not self._closed:
            self._on_exited(executor_id, reason, 0, b"", b"", (0, 0))

    def run(self, executor_id: int, tasks: Sequence[ExecutorTask]) -> None:
        """Queue tasks behind those that the executor has."""
        executor = self._executors.get(executor_id)
        if executor is None:
            return
        if not executor.first and tasks:
            executor.first = tasks[0].number
        self._post_tasks(executor, list(tasks))

    def recall(self, executor_id: int, numbers: Sequence[int]) -> None:
        """Ask for tasks that have not started; answered by `on_recalled`."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._post(executor, [Recall(list(numbers))])

    def give(self, executor_id: int, found: ModuleFound) -> None:
        """Answer an executor that asked for a module."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._post(executor, [found])

    def _no_module(self, executor_id: int, name: str) -> None:
        self.give(executor_id, ModuleFound(0, name))

    def interrupt(self, executor_id: int, number: int = 0) -> None:
        """SIGINT to the executor's process group if it is on task `number` (0: on any)."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._post(executor, [Interrupt(number)])

    def kill(self, executor_id: int) -> None:
        """SIGKILL to the executor's process group and all that descends from it."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._kill(executor, "the governor ended it")

    def seen(self) -> dict[int, int]:
        """executor_id -> number of the task that it is on, 0 for none; of all that live."""
        words = self._words
        return {executor_id: words[executor.slot] for executor_id, executor in self._executors.items()}

    def read(self, executor_id: int, number: int, had: tuple[int, int]) -> list[tuple[bytes, int]] | None:
        """What task `number` wrote so far to stdout and stderr, behind the bytes that are known: as `read_new`.

        None if the executor is not on this task.
        """
        executor = self._executors.get(executor_id)
        if executor is None or self._words[executor.slot] != number:
            return None
        found = [read_new(executor.stdout, 0, had[0]), read_new(executor.stderr, 0, had[1])]
        return found if self._words[executor.slot] == number else None

    def pid(self, executor_id: int) -> int:
        """The executor's process id, 0 if it has not been forked yet or is gone."""
        executor = self._executors.get(executor_id)
        return executor.pid if executor is not None else 0

    def memory(self, executor_id: int) -> int:
        """Bytes of memory of its own that the executor and its descendants use; mapped objects do not count."""
        pid = self.pid(executor_id)
        return sum(map(own_memory, family(pid))) if pid else 0

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
            remove_tree(executor.work_dir)
        self._words.release()
        self._mapping.close()
        os.close(self._words_file)

    # -- sending and receiving -----------------------------------------------------------------------

    def _post(self, executor: _Executor, messages: list[Any]) -> None:
        self._post_frames(executor, [encode_prefix(encode(messages))])

    def _post_frames(self, executor: _Executor, frames: list[bytes]) -> None:
        idle = not executor.outbox
        executor.outbox.extend(frames)
        if idle:
            self._writable(executor)

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
            self._post_frames(executor, _in_pieces(tasks[0]))
        except Exception as error:
            self._loop.call_soon(self._unsent, executor, tasks[0], error)

    @guarded("_broke")
    def _unsent(self, executor: _Executor, task: ExecutorTask, error: Exception) -> None:
        log.error("task %s cannot be sent to its executor", task.spec.id, exc_info=error)
        text = f"the task cannot be given to an executor: {type(error).__name__}: {error}"
        self._on_results(executor.id, Results([failed(task.spec.id, task.attempt, text)]))
        if task.function is not None and executor.id in self._executors:
            # Later tasks count on it that the function was sent.
            executor.zygote.kill(executor.id)

    @guarded("_broke")
    def _writable(self, executor: _Executor) -> None:
        """Send as much as the executor's socket takes now."""
        outbox = executor.outbox
        fd = executor.socket.fileno()
        while outbox:
            try:
                sent = executor.socket.send(outbox[0])
            except BlockingIOError:
                self._loop.add_writer(fd, self._writable, executor)
                return
            except OSError:  # it is dead; its zygote tells
                outbox.clear()
                break
            if sent == len(outbox[0]):
                outbox.popleft()
            else:
                outbox[0] = memoryview(outbox[0])[sent:]
        self._loop.remove_writer(fd)

    @guarded("_broke")
    def _readable(self, executor: _Executor) -> None:
        try:
            data = executor.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(executor, data)
        else:
            # Its death is told by the zygote; without a reader the loop does not spin until then.
            self._loop.remove_reader(executor.socket.fileno())
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
        executor.broken = True
        executor.outbox.clear()
        self._loop.remove_reader(executor.socket.fileno())
        self._loop.remove_writer(executor.socket.fileno())
        self._kill(executor, why)

    def _tell_again(self, error: Exception, executor_id: int, reason: str) -> None:
        self._on_exited(executor_id, reason, 0, b"", b"", (0, 0))  # of one that is known no more: does nothing

    def _take(self, executor: _Executor, data: bytes) -> None:
        try:
            for header, _payload in executor.frames.feed(data):
                for message in _decode(header):
                    if isinstance(message, Results):
                        self._on_results(executor.id, message)
                    elif isinstance(message, Recalled):
                        self._on_recalled(executor.id, message.numbers)
                    else:
                        self._on_module(executor.id, message.name)
        except (ProtocolError, msgspec.MsgspecError) as error:
            # User code found the descriptor and wrote into it.
            log.error("executor %d sent what cannot be read and is killed: %s", executor.id, error)
            self._end(
                executor, f"it sent what cannot be read ({error}; did the task write into a descriptor of Rain's?)"
            )

    def _kill(self, executor: _Executor, why: str) -> None:
        executor.killed = executor.killed or why
        executor.zygote.kill(executor.id)

    # -- birth and death -----------------------------------------------------------------------------

    def _zygote(self, python: str | None) -> Zygote:
        python = python or self._python
        # One interpreter may have several names in the folder of its virtual environment.
        key = (os.path.dirname(os.path.abspath(python)), os.path.realpath(python))
        zygote = self._zygotes.get(key)
        if zygote is None:
            zygote = self._zygotes[key] = Zygote(
                python, self._work_dir, self._loop, self._on_zygote, self._on_zygote_gone, self._ended
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
            self._bury(executor, self._describe(executor, message))
        else:
            self._bury(executor, f"could not be started: fork: {os.strerror(message.status)}")

    def _describe(self, executor: _Executor, message: Exited) -> str:
        kills = self.oom_kills
        # The count of a moment ago: what else died since the executor was started is not its business.
        death = Death(message.status, executor.killed, kills.since(), kills.of_machine, peak_bytes=message.peak)
        return "\n".join(filter(None, (describe_exit(message.status), what_is_known(death))))

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
        number, tails = self._words[executor.slot], (b"", b"", (0, 0))
        try:
            self._take_rest(executor)
            tails = read_tails((executor.stdout, executor.stderr))
        except Exception as error:
            log.exception("executor %d cannot be read to its end", executor.id)
            reason = f"{reason}; then what it left could not be read ({_named(error)})"
        if not executor.pid and not executor.zygote.ready:
            # It could not even be started: its task is charged, or it would be tried for ever.
            number = executor.first
        self._forget(executor)
        self._on_exited(executor.id, reason, number, *tails)

    def _take_rest(self, executor: _Executor) -> None:
        while not executor.broken:
            try:
                data = executor.socket.recv(_RECEIVE_BYTES)
            except OSError:
                return
            if not data:
                return
            self._take(executor, data)

    def _forget(self, executor: _Executor) -> None:
        if self._executors.pop(executor.id, None) is None:
            return
        fd = executor.socket.fileno()
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        executor.socket.close()
        os.close(executor.stdout)
        os.close(executor.stderr)
        self._free_slots.append(executor.slot)
        if not self._closed:
            self._loop.run_in_executor(None, _removed, executor.work_dir)


def _removed(folder: str) -> None:
    """Remove a folder; what stays goes with the governor's."""
    try:
        remove_tree(folder)
    except Exception:
        log.exception("the folder %s cannot be removed", folder)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


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
