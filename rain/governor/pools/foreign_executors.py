"""Foreign executors: programs in any language that speak cbor-1.

Theory of operation
-------------------
An executor is a process (with a process group of its own) that connects to a UNIX socket made for it alone, says what
it is, and is then given one task at a time. What it writes to stdout and stderr goes to two files, whose ends are
quoted in errors. The life of an executor here::

    started --register--> ready --call--> busy --result--> ready …      and from each state --exit--> gone

What comes from the executor is checked in `rain.governor.pools.cbor1`; whatever breaks the protocol fails the task
that runs (or the first that waits) and ends the process. An executor is gone when its process has ended, its socket is
read to the end and the outputs of its last result are in the store's incoming folder; then its whole group is killed,
and `on_exited` is called, once.

Files are moved and hashed in threads; everything else happens in callbacks on the governor's loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.common.formatting import quote_output, shorten
from rain.common.ids import ID
from rain.common.limits import (
    CBOR_CALL_BYTES_MAX,
    CBOR_LOG_BYTES_MAX,
    EXECUTOR_START_S,
    KIB,
)
from rain.common.location import Inline
from rain.common.protocol.messages import (
    Damage,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    OutputResult,
    Results,
    TaskResult,
)
from rain.common.spec import TaskError, TaskInfo
from rain.governor.config import resolved
from rain.governor.logs import NAMES, EndedLogs
from rain.governor.pools.cbor1.calls import encode_call, encode_drop_cached
from rain.governor.pools.cbor1.frames import Cbor1Error, FrameReader
from rain.governor.pools.cbor1.locations import Cached, Location, Memory, Path
from rain.governor.pools.cbor1.results import ForeignResult, check_register, decode_result
from rain.governor.pools.cbor1_inputs import InputsChanged, Watched, check_inputs, lend
from rain.governor.pools.cbor1_outputs import is_quick, take_outputs
from rain.governor.stdio_tails import read_new, read_tails, trim
from rain.host.deaths import Death, OomKills, describe_exit, what_is_known
from rain.host.descriptors import with_original_limit
from rain.host.process import family, own_memory, signal_all, spawn
from rain.host.thread_limits import thread_environment
from rain.net.guarded import guarded
from rain.objects.dirtree import remove_tree
from rain.objects.files import no_room
from rain.objects.lent_inputs import before
from rain.processes.scratch import SOCKETS, Scratch

log = logging.getLogger("rain.governor.pools.foreign_executors")

_SOCKET_PATH_BYTES_MAX = 107
_SHORT_FOLDERS = ("/tmp", "/dev/shm", "/var/tmp")
_RECEIVE_BYTES = 256 * KIB
_EXIT_GRACE_S = 0.2
_TRIM_EVERY_S = 2.0
_CLOSED = "closed its connection"


class _Executor:
    """What the governor holds of one foreign executor."""

    def __init__(self, executor_id: int, kind: str, setup: ExecutorSetup) -> None:
        self.id = executor_id
        self.kind = kind
        self.setup = setup
        self.folder = os.path.join(setup.work_dir, "folder")
        self.logs: tuple[int, ...] = ()
        self.marks = (0, 0)  # where the logs of the present task begin
        self.process: subprocess.Popen[bytes] | None = None
        self.exit_fd = -1
        self.listener: socket.socket | None = None
        self.socket_path = ""
        self.socket: socket.socket | None = None
        self.frames = FrameReader()
        self.outbox = bytearray()
        self.timer: asyncio.TimerHandle | None = None
        self.registered = False
        self.queue: deque[ExecutorTask] = deque()
        self.current: ExecutorTask | None = None
        self.watched: list[Watched] = []
        self.memory_left = 0  # bytes of inputs that the present call may still take along
        self.lent = 0  # inputs that were written as files for the present call
        self.started = (0.0, 0.0)  # wall clock and `perf_counter` of the present task
        self.taking = False  # outputs of its last result are being moved
        self.cached: set[ID] = set()
        self.met: set[ID] = set()  # inputs that it has had
        self.end = ""  # why it is being ended, once it is
        self.killed = False  # by us
        self.dismissed = False  # the governor asked for its end
        self.known = ""  # about its death
        self.broken = False  # nothing more is read from it
        self.buried = False

    def tails(self, since_mark: bool) -> tuple[bytes, bytes, tuple[int, int]]:
        """The ends of what it wrote, to stdout and to stderr, and how many bytes it were."""
        if not self.logs:
            return b"", b"", (0, 0)
        return read_tails(self.logs, self.marks if since_mark else (0, 0))


class ForeignExecutors:
    """Starts, feeds and ends executors that speak cbor-1. All methods are called on the loop; callbacks come later.

    Parameters
    ----------
    commands : mapping of str to sequence of str
        The command of each executor type.
    on_results : callable
        ``(executor_id, Results)``.
    on_recalled : callable
        ``(executor_id, numbers)``: the answer to one `recall`.
    on_exited : callable
        ``(executor_id, reason, number, stdout, stderr, written)``, once for each executor that was started, when its
        process group is gone: what follows "the executor" in a sentence, the number of the task that it was on (0:
        none), tails of what it wrote, how many bytes it were. Not called for what `close` ends.
    work_dir : str
        The governor's folder, for sockets; they are made elsewhere if its path is too long for them. Executors' own
        folders are ``setup.work_dir``.
    start_s : float
        Seconds that an executor has to register.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        on_results: Callable[[int, Results], Any],
        on_recalled: Callable[[int, list[int]], Any],
        on_exited: Callable[[int, str, int, bytes, bytes, tuple[int, int]], Any],
        work_dir: str = "",
        start_s: float = EXECUTOR_START_S,
    ) -> None:
        self._commands = commands
        self._on_results = on_results
        self._on_recalled = on_recalled
        self._on_exited = on_exited
        self._work_dir = work_dir
        self._start_s = start_s
        self._loop = asyncio.get_running_loop()
        self._executors: dict[int, _Executor] = {}
        self._short: Scratch | None = None
        self._ended = EndedLogs(work_dir) if work_dir else None
        self._closed = False
        self.oom_kills = OomKills()
        self._all_gone = asyncio.Event()
        self._trimmer: asyncio.TimerHandle | None = None
        self._removals: set[asyncio.Future[None]] = set()

    # -- what the governor asks for ------------------------------------------------------------------

    def start(self, executor_id: int, setup: ExecutorSetup, kind: str) -> None:
        """Start an executor of type `kind`; `run` may follow at once."""
        executor = self._executors[executor_id] = _Executor(executor_id, kind, setup)
        self._trimmer = self._trimmer or self._loop.call_later(_TRIM_EVERY_S, self._trim)
        try:
            self._start(executor)
        except Exception as error:
            if not isinstance(error, RainException | OSError):
                log.exception("executor %s (%d) could not be started", kind, executor_id)
            self._loop.call_soon(self._fail, executor, f"could not be started: {error}")

    def run(self, executor_id: int, tasks: Iterable[ExecutorTask]) -> None:
        """Queue tasks behind those that the executor has."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            executor.queue.extend(tasks)
            self._loop.call_soon(self._next, executor)

    def recall(self, executor_id: int, numbers: Sequence[int]) -> None:
        """Take back tasks that have not started; answered by `on_recalled`."""
        executor = self._executors.get(executor_id)
        if executor is None:
            return
        wanted = set(numbers)
        given = [task.number for task in executor.queue if task.number in wanted]
        executor.queue = deque(task for task in executor.queue if task.number not in wanted)
        self._loop.call_soon(self._recalled, executor, given)

    @guarded("_broke")
    def _recalled(self, executor: _Executor, given: list[int]) -> None:
        self._on_recalled(executor.id, given)

    def interrupt(self, executor_id: int, number: int = 0) -> None:
        """SIGINT to the executor's process group if it is on task `number` (0: on any)."""
        executor = self._executors.get(executor_id)
        if executor is not None and executor.current is not None and number in (0, executor.current.number):
            self._signal(executor, signal.SIGINT)

    def kill(self, executor_id: int) -> None:
        """SIGKILL to the executor's process group and all that descends from it."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            executor.dismissed = True
            self._end(executor, "was killed")

    def drop(self, ids: Iterable[ID]) -> None:
        """These objects are no longer needed: executors that cached them are told."""
        gone = set(ids)
        for executor in self._executors.values():
            executor.met -= gone
            cached = executor.cached & gone
            if cached and not executor.end:
                executor.cached -= cached
                self._send(executor, encode_drop_cached(sorted(cached)))

    def seen(self) -> dict[int, int]:
        """executor_id -> number of the task that it is on, 0 for none; of all that live."""
        return {
            executor.id: executor.current.number if executor.current else 0 for executor in self._executors.values()
        }

    def read(self, executor_id: int, number: int, had: tuple[int, int]) -> list[tuple[bytes, int]] | None:
        """What task `number` wrote so far, as `rain.governor.pools.python_executors.Executors.read`."""
        executor = self._executors.get(executor_id)
        if executor is None or executor.current is None or executor.current.number != number or not executor.logs:
            return None
        return [read_new(*place) for place in zip(executor.logs, executor.marks, had, strict=True)]

    def pid(self, executor_id: int) -> int:
        """The executor's process id, 0 if there is none."""
        executor = self._executors.get(executor_id)
        return executor.process.pid if executor is not None and executor.process is not None else 0

    def memory(self, executor_id: int) -> int:
        """Bytes of memory of its own that the executor and its descendants use."""
        pid = self.pid(executor_id)
        return sum(map(own_memory, family(pid))) if pid else 0

    async def close(self) -> None:
        """End all executors; returns when they are gone. Idempotent."""
        self._closed = True
        if self._trimmer is not None:
            self._trimmer.cancel()
        for executor in list(self._executors.values()):
            self._end(executor, "was killed")
        while self._executors:
            self._all_gone.clear()
            await self._all_gone.wait()
        await asyncio.gather(*self._removals)
        if self._short is not None:
            self._short.close()
            self._short = None

    # -- birth ---------------------------------------------------------------------------------------

    def _start(self, executor: _Executor) -> None:
        setup = executor.setup
        os.makedirs(setup.work_dir, mode=0o700, exist_ok=True)
        os.mkdir(executor.folder, 0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        executor.logs = tuple(os.open(os.path.join(setup.work_dir, name), flags, 0o600) for name in NAMES)
        self._listen(executor)
        environment = thread_environment(setup.resources) | setup.env
        environment["RAIN_EXECUTOR_SOCKET"] = executor.socket_path
        environment["RAIN_EXECUTOR_ID"] = str(executor.id)
        command = resolved(self._commands[executor.kind], setup.env.get("PATH", os.environ.get("PATH", os.defpath)))
        executor.process = spawn(
            with_original_limit(command),
            environment=environment,
            folder=executor.folder,
            stdout=executor.logs[0],
            stderr=executor.logs[1],
        )
        executor.exit_fd = os.pidfd_open(executor.process.pid)
        self._loop.add_reader(executor.exit_fd, self._on_exit, executor)
        executor.timer = self._loop.call_later(self._start_s, self._on_late, executor)

    def _listen(self, executor: _Executor) -> None:
        path = os.path.join(self._work_dir or executor.setup.work_dir, f"socket-{executor.id}")
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES_MAX:
            path = os.path.join(self._short_folder(), str(executor.id))
        listener = executor.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(path)
        executor.socket_path = path
        listener.listen(1)
        self._loop.add_reader(listener.fileno(), self._on_connection, executor)

    def _short_folder(self) -> str:
        """A private folder with a path short enough for sockets."""
        if self._short is None:
            for parent in _SHORT_FOLDERS:
                if os.access(parent, os.W_OK | os.X_OK):
                    self._short = Scratch(parent, SOCKETS)
                    break
            else:
                raise RainException(f"no folder for its socket can be made in any of {', '.join(_SHORT_FOLDERS)}")
        return self._short.path

    @guarded("_broke")
    def _on_connection(self, executor: _Executor) -> None:
        assert executor.listener is not None
        try:
            connection, _ = executor.listener.accept()
        except OSError:
            return
        # Nobody else can reach into the private folder; root could, by mistake.
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (os.geteuid(), 0):
            connection.close()
            return
        self._stop_listening(executor)
        connection.setblocking(False)
        executor.socket = connection
        self._loop.add_reader(connection.fileno(), self._on_readable, executor)

    def _stop_listening(self, executor: _Executor) -> None:
        if executor.listener is not None:
            self._loop.remove_reader(executor.listener.fileno())
            executor.listener.close()
            executor.listener = None
            try:
                os.unlink(executor.socket_path)
            except OSError:
                pass

    @guarded("_broke")
    def _on_late(self, executor: _Executor) -> None:
        what = "connect" if executor.socket is None else "register"
        self._fail(executor, f"did not {what} within {self._start_s:g} s (EXECUTOR_START_S)")

    # -- messages ------------------------------------------------------------------------------------

    @guarded("_broke")
    def _on_readable(self, executor: _Executor) -> None:
        if executor.socket is None:
            return
        try:
            data = executor.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(executor, data)
        else:
            self._disconnect(executor)
            if not executor.end:
                # Most likely it is about to exit; how it does tells more than that it was killed.
                executor.end = _CLOSED
                executor.timer = self._loop.call_later(_EXIT_GRACE_S, self._end, executor, _CLOSED)

    def _take(self, executor: _Executor, data: bytes) -> None:
        if executor.broken:
            return
        try:
            for message, fields in executor.frames.feed(data):
                self._on_message(executor, message, fields)
        except Cbor1Error as error:
            self._fail(executor, str(error))

    def _on_message(self, executor: _Executor, message: str, fields: dict[str, Any]) -> None:
        if not executor.registered:
            check_register(message, fields, executor.kind)
            executor.registered = True
            if executor.timer is not None:
                executor.timer.cancel()
            self._loop.call_soon(self._next, executor)
        elif message != "result":
            raise Cbor1Error(f"sent the unknown message {message!r:.80}")
        elif executor.current is None or executor.taking:
            raise Cbor1Error("sent a result while it had no task")
        else:
            self._on_result(executor, executor.current, decode_result(fields, executor.current))

    def _send(self, executor: _Executor, frame: bytes) -> None:
        if executor.socket is None:
            return
        executor.outbox += frame
        self._on_writable(executor)

    @guarded("_broke")
    def _on_writable(self, executor: _Executor) -> None:
        connection, outbox = executor.socket, executor.outbox
        if connection is None:
            return
        try:
            while outbox:
                sent = connection.send(memoryview(outbox)[: 4 * _RECEIVE_BYTES])
                del outbox[:sent]
        except BlockingIOError:
            self._loop.add_writer(connection.fileno(), self._on_writable, executor)
            return
        except OSError:  # its end is told by the reader
            outbox.clear()
        self._loop.remove_writer(connection.fileno())

    # -- tasks ---------------------------------------------------------------------------------------

    @guarded("_broke")
    def _next(self, executor: _Executor) -> None:
        """Give the executor its next task, if it is free."""
        free = executor.registered and executor.current is None and executor.exit_fd >= 0
        if not free or executor.end or not executor.queue:
            return
        task = executor.current = executor.queue.popleft()
        executor.marks = self._cut_logs(executor)
        executor.started = (time.time(), time.perf_counter())
        given = [value for value in task.inputs if value.spec.id not in executor.cached]
        spoiled = before(msgspec.structs.replace(task, inputs=given), executor.setup.governor_id)
        if spoiled is not None:
            self._finish(executor, spoiled)
            return
        try:
            executor.watched = []
            executor.memory_left = CBOR_CALL_BYTES_MAX
            locations = [self._location(executor, value) for value in task.inputs]
            hints = [value.spec.id in executor.met for value in task.inputs]
            frame = encode_call(task, locations, hints)
        except (RainException, OSError) as error:
            self._finish(executor, self._failure(executor, task, f"executor {executor.kind!r} {error}"))
            return
        executor.met.update(value.spec.id for value in task.inputs)
        self._send(executor, frame)

    @guarded("_trim_failed")
    def _trim(self) -> None:
        """A task that writes without end does not fill the disk."""
        for executor in self._executors.values():
            trim(executor.logs, CBOR_LOG_BYTES_MAX)
        self._trimmer = self._loop.call_later(_TRIM_EVERY_S, self._trim) if self._executors else None

    def _trim_failed(self, error: Exception) -> None:
        self._trimmer = self._loop.call_later(_TRIM_EVERY_S, self._trim)

    def _cut_logs(self, executor: _Executor) -> tuple[int, int]:
        """Where the logs of the next task begin; they are emptied when they are long."""
        sizes = []
        for fd in executor.logs:
            size = os.fstat(fd).st_size
            if size > CBOR_LOG_BYTES_MAX:
                os.ftruncate(fd, 0)
                size = 0
            sizes.append(size)
        return sizes[0], sizes[1]

    def _location(self, executor: _Executor, value: ExecutorInput) -> Location:
        if value.spec.id in executor.cached:
            return Cached()
        if isinstance(value.location, Inline):
            data = value.location.data
            executor.memory_left -= len(data)
            return Memory(data) if executor.memory_left >= 0 else Path(_lend(executor, data))
        location, watched = lend(value, executor.memory_left)
        if isinstance(location, Memory):
            executor.memory_left -= len(location.data)
        if watched is not None:
            executor.watched.append(watched)
        return location

    def _on_result(self, executor: _Executor, task: ExecutorTask, result: ForeignResult) -> None:
        info = result.info
        info.attempts = task.attempt
        info.governor = executor.setup.governor_id
        if info.start_time is None:
            info.start_time = executor.started[0]
        if info.duration is None:
            info.duration = time.perf_counter() - executor.started[1]
        near = {value.spec.id for value in task.inputs} | set(task.spec.outputs)
        executor.cached |= near.intersection(result.cached)
        if result.error is not None:
            failed = self._failure(executor, task, result.error, info, "exception")
            try:
                check_inputs(executor.watched)
            except InputsChanged as error:
                failed.damage = Damage(error.objects, ran=True, suspect=True)
            self._finish(executor, failed)
            return
        if not executor.watched and all(is_quick(location) for _, location in result.outputs):
            done: asyncio.Future[list[OutputResult]] = self._loop.create_future()
            try:
                done.set_result(take_outputs(executor.setup, executor.folder, task, result, ()))
            except (RainException, OSError) as error:
                done.set_exception(error)
            self._on_taken(executor, task, info, done)
            return
        executor.taking = True
        future = self._loop.run_in_executor(
            None, take_outputs, executor.setup, executor.folder, task, result, executor.watched
        )
        future.add_done_callback(lambda done: self._on_taken(executor, task, info, done))

    @guarded("_broke")
    def _on_taken(
        self, executor: _Executor, task: ExecutorTask, info: TaskInfo, done: asyncio.Future[list[OutputResult]]
    ) -> None:
        executor.taking = False
        try:
            outputs = done.result()
        except RainException as error:
            failed = self._failure(executor, task, f"executor {executor.kind!r} {error}", info)
            if isinstance(error, InputsChanged):
                failed.damage = Damage(error.objects, ran=True, suspect=True)
            self._finish(executor, failed)
        except OSError as error:
            full = no_room(error, f"{executor.setup.spill_dir}/")
            text = str(full or f"what executor {executor.kind!r} made cannot be taken: {error}")
            self._finish(executor, self._failure(executor, task, text, info))
        else:
            self._finish(executor, TaskResult(task.spec.id, task.attempt, info, outputs, None, *executor.tails(True)))

    def _failure(
        self, executor: _Executor, task: ExecutorTask, message: str, info: TaskInfo | None = None, kind: str = "rain"
    ) -> TaskResult:
        """A failed attempt; the executor's own failures come with its logs."""
        stdout, stderr, written = executor.tails(executor.current is task)
        quoted = [quote_output(name, tail) for name, tail in (("stdout", stdout), ("stderr", stderr)) if tail]
        text = shorten("\n".join([message, *quoted]))
        info = info or TaskInfo(governor=executor.setup.governor_id, attempts=task.attempt)
        info.error = text
        return TaskResult(task.spec.id, task.attempt, info, [], TaskError(kind, text), stdout, stderr, written)

    def _finish(self, executor: _Executor, result: TaskResult) -> None:
        executor.current = None
        if executor.lent:
            executor.lent = 0
            remove_tree(_lent_folder(executor))
        if not self._closed:
            self._on_results(executor.id, Results([result]))
        self._next(executor)
        self._bury_if_gone(executor)

    # -- death ---------------------------------------------------------------------------------------

    @guarded("_broke")
    def _fail(self, executor: _Executor, what: str) -> None:
        """The executor is of no use: fail the task it is on, or the first that waits, and end it."""
        if executor.end:
            return
        if executor.current is None and executor.queue:
            task: ExecutorTask | None = executor.queue.popleft()
        else:
            task = executor.current
        executor.broken = True
        self._end(executor, what)
        log.error("executor %s (%d) %s", executor.kind, executor.id, what)
        if task is not None and not executor.taking:
            text = f"executor {executor.kind!r} {what}{self._where(executor)}"
            self._finish(executor, self._failure(executor, task, text))
        self._bury_if_gone(executor)

    @guarded("_broke")
    def _end(self, executor: _Executor, why: str) -> None:
        """Kill the executor; `_on_exit` hears of it."""
        if not executor.end:
            executor.end = why
        if executor.timer is not None:
            executor.timer.cancel()
        self._stop_listening(executor)
        if executor.process is None:
            self._loop.call_soon(self._bury_if_gone, executor)
        elif executor.exit_fd >= 0:
            executor.killed = True
            members = family(executor.process.pid)
            self._signal(executor, signal.SIGKILL)
            signal_all(members, signal.SIGKILL)

    def _broke(self, error: Exception, executor: _Executor, *_: Any) -> None:
        """A callback about an executor raised an error: the executor ends, and its task is told why."""
        executor.taking = False
        what = f"was ended because of an internal error of the governor: {type(error).__name__}: {error}"
        if not executor.end or executor.end == _CLOSED:
            executor.end = ""
            self._fail(executor, what)
        else:
            self._end(executor, what)
        self._bury_if_gone(executor)

    def _signal(self, executor: _Executor, number: int) -> None:
        # The process is not reaped before `exit_fd` is closed, so its group's number is not another's.
        if executor.process is not None and executor.exit_fd >= 0:
            try:
                os.killpg(executor.process.pid, number)
            except OSError:
                pass

    @guarded("_broke")
    def _on_exit(self, executor: _Executor) -> None:
        """The process has ended: end what it left, and read what it still said."""
        assert executor.process is not None
        self._signal(executor, signal.SIGKILL)
        self._loop.remove_reader(executor.exit_fd)
        os.close(executor.exit_fd)
        executor.exit_fd = -1
        status = executor.process.wait()
        while executor.socket is not None:
            try:
                data = executor.socket.recv(_RECEIVE_BYTES)
            except OSError:
                break
            if not data:
                break
            self._take(executor, data)
        self._disconnect(executor)
        if executor.end == "was killed" or (executor.end in ("", _CLOSED) and not executor.killed):
            status = -status if status < 0 else status << 8  # as `waitpid` gives it
            executor.end = describe_exit(status)
            by_rain = "the governor ended it" if executor.killed else ""
            kills = self.oom_kills
            executor.known = what_is_known(Death(status, by_rain, kills.since(), kills.of_machine))
        self._end(executor, executor.end)
        self._bury_if_gone(executor)

    def _disconnect(self, executor: _Executor) -> None:
        if executor.socket is not None:
            self._loop.remove_reader(executor.socket.fileno())
            self._loop.remove_writer(executor.socket.fileno())
            executor.socket.close()
            executor.socket = None

    @guarded("_broke")
    def _bury_if_gone(self, executor: _Executor) -> None:
        process_lives = executor.process is not None and executor.exit_fd >= 0
        if not executor.end or process_lives or executor.taking or executor.buried:
            return
        executor.buried = True
        number = executor.current.number if executor.current is not None else 0
        tails: tuple[bytes, bytes, tuple[int, int]] = (b"", b"", (0, 0))
        try:
            tails = executor.tails(executor.current is not None)
        except OSError as error:
            log.warning("what executor %s (%d) wrote cannot be read: %s", executor.kind, executor.id, error)
        self._disconnect(executor)
        for fd in executor.logs:
            os.close(fd)
        executor.logs = ()
        where = self._where(executor)
        if where and self._ended is not None:
            files: dict[str, str | int] = {name: os.path.join(executor.setup.work_dir, name) for name in NAMES}
            self._ended.keep(f"executor-{executor.id}", files)
        del self._executors[executor.id]
        removal = self._loop.run_in_executor(None, remove_tree, executor.setup.work_dir)
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)
        self._all_gone.set()
        if not self._closed:
            lost = f" (Lost connection to executor {executor.kind!r})" if executor.process is not None else ""
            reason = "\n".join(filter(None, (f"{executor.end}{lost}{where}", executor.known)))
            self._on_exited(executor.id, reason, number, *tails)

    def _where(self, executor: _Executor) -> str:
        """Of one that has not registered: where to read what it wrote."""
        if executor.registered or executor.process is None or self._ended is None or executor.dismissed:
            return ""
        return f"; it had not registered, {self._ended.where(f'executor-{executor.id}')}"


def _lent_folder(executor: _Executor) -> str:
    return os.path.join(executor.setup.work_dir, "inputs")


def _lend(executor: _Executor, data: bytes) -> str:
    """The path of a read-only file with an input that the call does not take along in memory."""
    if not executor.lent:
        os.mkdir(_lent_folder(executor), 0o700)
    executor.lent += 1
    path = os.path.join(_lent_folder(executor), str(executor.lent))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb") as file:
        file.write(data)
    return path
