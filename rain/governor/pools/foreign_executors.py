"""Foreign executors: programs in any language that speak cbor-1.

Theory of operation
-------------------
An executor is a process (with a process group of its own) that connects to a UNIX socket made for it alone, says what
it is, and is then given one task at a time. What it writes to stdout and stderr goes to two files, whose ends are
quoted in errors. `FOREIGN_EXECUTORS` is its life.

What comes from the executor is checked in `rain.governor.pools.cbor1`; an executor that breaks the protocol fails the
task that runs (or the first that waits) and is ended. It is gone when its process has ended, its socket is read to the
end and the outputs of its last result are in the store's incoming folder; then its whole group is killed, and
`PoolEvents.exited` is called, once.

Files are moved and hashed in threads; everything else happens in callbacks on the governor's loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import quote_output, shorten
from rain.common.ids import ID
from rain.common.limits import CBOR_LOG_BYTES_MAX, EXECUTOR_START_S
from rain.common.protocol.messages import (
    Damage,
    ExecutorFamily,
    ExecutorSetup,
    ExecutorTask,
    OutputResult,
    Results,
    SessionEnv,
    TaskResult,
)
from rain.common.spec import TaskError, TaskInfo
from rain.common.state_tables import states
from rain.governor.config import resolved
from rain.governor.pools.cbor1.call import ForeignCall
from rain.governor.pools.cbor1.calls import encode_drop_cached
from rain.governor.pools.cbor1.frames import Cbor1Error, FrameReader
from rain.governor.pools.cbor1.inputs import InputsChanged, check_inputs
from rain.governor.pools.cbor1.outputs import is_quick, take_outputs
from rain.governor.pools.cbor1.results import ForeignResult, check_register, decode_result
from rain.governor.pools.ended_logs import NAMES
from rain.governor.pools.executor_listener import ExecutorListener, SocketFolder
from rain.governor.pools.executor_socket import ExecutorSocket
from rain.governor.pools.foreign_states import FOREIGN_EXECUTORS, ForeignState
from rain.governor.pools.pool import PoolEvents
from rain.governor.pools.process_pool import NO_TAILS, ExecutorProcess, ProcessPool
from rain.governor.stdio_tails import trim
from rain.host.descriptors import with_original_limit
from rain.host.process_table import family
from rain.host.signals import signal_all
from rain.host.starting import or_ended, spawn
from rain.host.thread_limits import thread_environment
from rain.net.guarded import guarded
from rain.objects.files import no_room

log = logging.getLogger("rain.governor.pools.foreign_executors")

_EXIT_GRACE_S = 0.2
_TRIM_EVERY_S = 2.0


@states(state=FOREIGN_EXECUTORS)
class _Executor(ExecutorProcess):
    """What the governor holds of one foreign executor."""

    def __init__(self, executor_id: int, kind: str, setup: ExecutorSetup) -> None:
        super().__init__(executor_id, kind, setup)
        self.state = ForeignState.STARTING
        self.folder = os.path.join(setup.work_dir, "folder")
        self.process: subprocess.Popen[bytes] | None = None
        self.exit_fd = -1
        self.listener: ExecutorListener | None = None
        self.frames = FrameReader()
        self.timer: asyncio.TimerHandle | None = None
        self.registered = False
        self.queue: deque[ExecutorTask] = deque()
        self.call: ForeignCall | None = None
        self.cached: set[ID] = set()
        self.met: set[ID] = set()  # inputs that it has had
        self.reason = ""  # what follows "the executor" in a sentence, once it is to end

    @property
    def number(self) -> int:
        """The number of the task that it is on."""
        return self.call.task.number if self.call is not None else 0


_ALIVE = (ForeignState.STARTING, ForeignState.IDLE, ForeignState.BUSY)
_NOT_ENDED = (*_ALIVE, ForeignState.CLOSED)
_ENDED = (ForeignState.EXITED, ForeignState.KILLED, ForeignState.FAILED)


class ForeignExecutors(ProcessPool[_Executor]):
    """The pool of executors that speak cbor-1: an `rain.governor.pools.pool.ExecutorPool`.

    Parameters
    ----------
    commands : mapping of str to sequence of str
        The command of each executor type.
    events : PoolEvents
        In ``events.exited`` the number is that of the task that the executor was on.
    work_dir : str
        As of `ProcessPool`; also for sockets, which are made elsewhere if its path is too long for them.
    start_s : float
        Seconds that an executor has to register.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        events: PoolEvents,
        work_dir: str = "",
        start_s: float = EXECUTOR_START_S,
    ) -> None:
        super().__init__(events, work_dir)
        self._commands = commands
        self._start_s = start_s
        self._sockets = SocketFolder()
        self._all_gone = asyncio.Event()
        self._trimmer: asyncio.TimerHandle | None = None

    # -- what the governor asks for ------------------------------------------------------------------

    def run(self, executor_id: int, tasks: Sequence[ExecutorTask], families: Sequence[ExecutorFamily] = ()) -> None:
        """As `ExecutorPool.run`; there are no families of its tasks."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            executor.queue.extend(tasks)
            self._loop.call_soon(self._next, executor)

    def recall(self, executor_id: int, numbers: Sequence[int]) -> None:
        """As `ExecutorPool.recall`."""
        executor = self._executors.get(executor_id)
        if executor is None:
            return
        wanted = set(numbers)
        given = [task.number for task in executor.queue if task.number in wanted]
        executor.queue = deque(task for task in executor.queue if task.number not in wanted)
        self._loop.call_soon(self._recalled, executor, given)

    @guarded("_broke")
    def _recalled(self, executor: _Executor, given: list[int]) -> None:
        self._events.recalled(executor.id, given, False)

    def interrupt(self, executor_id: int, number: int = 0) -> None:
        """As `ExecutorPool.interrupt`."""
        executor = self._executors.get(executor_id)
        if executor is not None and executor.call is not None and number in (0, executor.number):
            self._signal(executor, signal.SIGINT)

    def kill(self, executor_id: int) -> None:
        """As `ExecutorPool.kill`."""
        executor = self._executors.get(executor_id)
        if executor is not None:
            self._end(executor, ForeignState.KILLED, "was killed")

    def drop(self, ids: Iterable[ID]) -> None:
        """As `ExecutorPool.drop`: executors that cached them are told."""
        gone = set(ids)
        for executor in self._executors.values():
            executor.met -= gone
            cached = executor.cached & gone
            if cached and executor.socket is not None and executor.state in _ALIVE:
                executor.cached -= cached
                executor.socket.send([encode_drop_cached(sorted(cached))])

    async def close(self) -> None:
        """As `ExecutorPool.close`."""
        self._closed = True
        if self._trimmer is not None:
            self._trimmer.cancel()
        for executor in list(self._executors.values()):
            self._end(executor, ForeignState.KILLED, "was killed")
        while self._executors:
            self._all_gone.clear()
            await self._all_gone.wait()
        await self._all_removed()
        self._sockets.close()

    # -- birth ---------------------------------------------------------------------------------------

    def _start(self, executor_id: int, kind: str, setup: ExecutorSetup, here: SessionEnv | None) -> None:
        executor = self._executors[executor_id] = _Executor(executor_id, kind, setup)
        self._trimmer = self._trimmer or self._loop.call_later(_TRIM_EVERY_S, self._trim)
        os.makedirs(setup.work_dir, mode=0o700, exist_ok=True)
        os.mkdir(executor.folder, 0o700)
        for name in NAMES:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            executor.files += (os.open(os.path.join(setup.work_dir, name), flags, 0o600),)
        executor.listener = ExecutorListener(
            self._sockets.path(self._work_dir or setup.work_dir, executor_id),
            on_connection=partial(self._connected, executor),
            on_error=lambda error: self._broke(error, executor),
        )
        environment = thread_environment(setup.resources) | setup.env
        environment["RAIN_EXECUTOR_SOCKET"] = executor.listener.path
        environment["RAIN_EXECUTOR_ID"] = str(executor.id)
        command = resolved(self._commands[kind], setup.env.get("PATH", os.environ.get("PATH", os.defpath)))
        process = spawn(
            with_original_limit(command),
            environment=environment,
            folder=executor.folder,
            stdout=executor.files[0],
            stderr=executor.files[1],
        )
        with or_ended(process):
            exit_fd = os.pidfd_open(process.pid)
            try:
                self._loop.add_reader(exit_fd, self._on_exit, executor)
            except BaseException:
                os.close(exit_fd)
                raise
        executor.process, executor.pid, executor.exit_fd = process, process.pid, exit_fd
        executor.timer = self._loop.call_later(self._start_s, self._on_late, executor)

    def _not_started(self, executor_id: int, reason: str) -> None:
        self._loop.call_soon(self._fail, self._executors[executor_id], reason)

    def _connected(self, executor: _Executor, connection: socket.socket) -> None:
        executor.socket = ExecutorSocket(
            connection,
            on_data=partial(self._take, executor),
            on_end=partial(self._closed_connection, executor),
            on_error=lambda error: self._broke(error, executor),
        )

    @guarded("_broke")
    def _on_late(self, executor: _Executor) -> None:
        what = "connect" if executor.socket is None else "register"
        self._fail(executor, f"did not {what} within {self._start_s:g} s (EXECUTOR_START_S)")

    # -- messages ------------------------------------------------------------------------------------

    def _closed_connection(self, executor: _Executor) -> None:
        self._disconnect(executor)
        if executor.state in _ALIVE:
            executor.state = ForeignState.CLOSED
            self._cancel_timer(executor)
            executor.timer = self._loop.call_later(_EXIT_GRACE_S, self._lives_on, executor)

    @guarded("_broke")
    def _lives_on(self, executor: _Executor) -> None:
        """It closed its connection a while ago and has not exited."""
        if executor.state is ForeignState.CLOSED:
            self._end(executor, ForeignState.FAILED, "closed its connection")

    def _take(self, executor: _Executor, data: bytes) -> None:
        if executor.state is ForeignState.FAILED:
            return
        try:
            for message, fields in executor.frames.feed(data):
                self._on_message(executor, message, fields)
        except Cbor1Error as error:
            self._fail(executor, str(error))

    def _on_message(self, executor: _Executor, message: str, fields: dict[str, Any]) -> None:
        call = executor.call
        if not executor.registered:
            check_register(message, fields, executor.kind)
            executor.registered = True
            self._cancel_timer(executor)
            if executor.state is ForeignState.STARTING:
                executor.state = ForeignState.IDLE
                self._loop.call_soon(self._next, executor)
        elif message != "result":
            raise Cbor1Error(f"sent the unknown message {message!r:.80}")
        elif call is None or call.taking:
            raise Cbor1Error("sent a result while it had no task")
        else:
            self._on_result(executor, call, decode_result(fields, call.task))

    # -- tasks ---------------------------------------------------------------------------------------

    @guarded("_broke")
    def _next(self, executor: _Executor) -> None:
        """Give the executor its next task, if it is free."""
        if executor.state is not ForeignState.IDLE or not executor.queue:
            return
        task = executor.queue.popleft()
        call = executor.call = ForeignCall(task, executor.setup)
        executor.state = ForeignState.BUSY
        executor.marks = self._cut_logs(executor)
        spoiled = call.spoiled(executor.cached)
        if spoiled is not None:
            self._finish(executor, spoiled)
            return
        try:
            frame = call.frame(executor.cached, executor.met)
        except (RainException, OSError) as error:
            self._finish(executor, self._failure(executor, task, f"executor {executor.kind!r} {error}"))
            return
        executor.met.update(value.spec.id for value in task.inputs)
        if executor.socket is not None:
            executor.socket.send([frame])

    @guarded("_trim_failed")
    def _trim(self) -> None:
        """A task that writes without end does not fill the disk."""
        for executor in self._executors.values():
            trim(executor.files, CBOR_LOG_BYTES_MAX)
        self._trimmer = self._loop.call_later(_TRIM_EVERY_S, self._trim) if self._executors else None

    def _trim_failed(self, error: Exception) -> None:
        self._trimmer = self._loop.call_later(_TRIM_EVERY_S, self._trim)

    def _cut_logs(self, executor: _Executor) -> tuple[int, int]:
        """Where the logs of the next task begin; they are emptied when they are long."""
        sizes = []
        for fd in executor.files:
            size = os.fstat(fd).st_size
            if size > CBOR_LOG_BYTES_MAX:
                os.ftruncate(fd, 0)
                size = 0
            sizes.append(size)
        return sizes[0], sizes[1]

    def _on_result(self, executor: _Executor, call: ForeignCall, result: ForeignResult) -> None:
        task, info = call.task, result.info
        call.complete(info)
        near = {value.spec.id for value in task.inputs} | set(task.spec.outputs)
        executor.cached |= near.intersection(result.cached)
        if result.error is not None:
            failed = self._failure(executor, task, result.error, info, "exception")
            try:
                check_inputs(call.watched)
            except InputsChanged as error:
                failed.damage = Damage(error.objects, ran=True, suspect=True)
            self._finish(executor, failed)
            return
        if not call.watched and all(is_quick(location) for _, location in result.outputs):
            done: asyncio.Future[list[OutputResult]] = self._loop.create_future()
            try:
                done.set_result(take_outputs(executor.setup, executor.folder, task, result, ()))
            except (RainException, OSError) as error:
                done.set_exception(error)
            self._on_taken(executor, task, info, done)
            return
        call.taking = True
        future = self._loop.run_in_executor(
            None, take_outputs, executor.setup, executor.folder, task, result, call.watched
        )
        future.add_done_callback(lambda done: self._on_taken(executor, task, info, done))

    @guarded("_broke")
    def _on_taken(
        self, executor: _Executor, task: ExecutorTask, info: TaskInfo, done: asyncio.Future[list[OutputResult]]
    ) -> None:
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
            self._finish(executor, TaskResult(task.spec.id, task.attempt, info, outputs, None, *executor.tails()))

    def _failure(
        self, executor: _Executor, task: ExecutorTask, message: str, info: TaskInfo | None = None, kind: str = "rain"
    ) -> TaskResult:
        """A failed attempt; the executor's own failures come with its logs."""
        stdout, stderr, written = executor.tails(since_mark=executor.call is not None)
        quoted = [quote_output(name, tail) for name, tail in (("stdout", stdout), ("stderr", stderr)) if tail]
        text = shorten("\n".join([message, *quoted]))
        info = info or TaskInfo(governor=executor.setup.governor_id, attempts=task.attempt)
        info.error = text
        return TaskResult(task.spec.id, task.attempt, info, [], TaskError(kind, text), stdout, stderr, written)

    def _finish(self, executor: _Executor, result: TaskResult) -> None:
        if executor.call is not None:
            executor.call.end()
            executor.call = None
        if executor.state is ForeignState.BUSY:
            executor.state = ForeignState.IDLE
        if not self._closed:
            self._events.results(executor.id, Results([result]))
        self._next(executor)
        self._bury_if_gone(executor)

    # -- death ---------------------------------------------------------------------------------------

    @guarded("_broke")
    def _fail(self, executor: _Executor, what: str) -> None:
        """The executor is of no use: fail the task it is on, or the first that waits, and end it."""
        if executor.state not in _NOT_ENDED:
            return
        call = executor.call
        task = call.task if call is not None else executor.queue.popleft() if executor.queue else None
        self._end(executor, ForeignState.FAILED, what)
        log.error("executor %s (%d) %s", executor.kind, executor.id, what)
        if task is not None and not (call is not None and call.taking):
            text = f"executor {executor.kind!r} {what}{self._where(executor)}"
            self._finish(executor, self._failure(executor, task, text))
        self._bury_if_gone(executor)

    def _end(self, executor: _Executor, state: ForeignState, reason: str) -> None:
        """Kill the executor; `_on_exit` hears of it. If it is being ended already, `state` and `reason` stay."""
        if executor.state in _NOT_ENDED:
            executor.state = state
            executor.reason = reason
        self._stop_waiting(executor)
        if executor.process is None:
            self._loop.call_soon(self._bury_if_gone, executor)
        elif executor.exit_fd >= 0:
            members = family(executor.pid)
            self._signal(executor, signal.SIGKILL)
            signal_all(members, signal.SIGKILL)

    def _stop_waiting(self, executor: _Executor) -> None:
        self._cancel_timer(executor)
        if executor.listener is not None:
            executor.listener.close()

    def _cancel_timer(self, executor: _Executor) -> None:
        if executor.timer is not None:
            executor.timer.cancel()
            executor.timer = None

    def _broke(self, error: Exception, executor: _Executor, *_: Any) -> None:
        """A callback about an executor raised an error: the executor ends, and its task is told why."""
        if executor.call is not None:
            executor.call.taking = False
        what = f"was ended because of an internal error of the governor: {type(error).__name__}: {error}"
        self._fail(executor, what)
        self._end(executor, ForeignState.FAILED, what)  # once more, if the error was in the way of its end
        self._bury_if_gone(executor)

    def _signal(self, executor: _Executor, number: int) -> None:
        # The process is not reaped before `exit_fd` is closed, so its group's number is not another's.
        if executor.exit_fd >= 0:
            try:
                os.killpg(executor.pid, number)
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
        if executor.socket is not None:
            for data in executor.socket.rest():
                self._take(executor, data)
        self._disconnect(executor)
        if executor.state is not ForeignState.FAILED:
            killed = executor.state is ForeignState.KILLED
            status = -status if status < 0 else status << 8  # as `waitpid` gives it
            executor.reason = self._describe(executor, status, "the governor ended it" if killed else "")
            if not killed:
                executor.state = ForeignState.EXITED
        self._stop_waiting(executor)
        self._bury_if_gone(executor)

    def _disconnect(self, executor: _Executor) -> None:
        if executor.socket is not None:
            executor.socket.close()
            executor.socket = None

    @guarded("_broke")
    def _bury_if_gone(self, executor: _Executor) -> None:
        taking = executor.call is not None and executor.call.taking
        if executor.state not in _ENDED or executor.exit_fd >= 0 or taking:
            return
        number, tails, where = executor.number, NO_TAILS, self._where(executor)
        executor.state = ForeignState.GONE
        try:
            tails = executor.tails(since_mark=executor.call is not None)
        except OSError as error:
            log.warning("what executor %s (%d) wrote cannot be read: %s", executor.kind, executor.id, error)
        executor.release()
        if where and self._ended is not None:
            files: dict[str, str | int] = {name: os.path.join(executor.setup.work_dir, name) for name in NAMES}
            self._ended.keep(f"executor-{executor.id}", files)
        del self._executors[executor.id]
        self._remove(executor.setup.work_dir)
        self._all_gone.set()
        lost = f" (Lost connection to executor {executor.kind!r})" if executor.process is not None else ""
        how, _, known = executor.reason.partition("\n")
        text = "\n".join(filter(None, (f"{how}{lost}{where}", known)))
        self._tell_exited(executor.id, text, number, tails, executor.signal, executor.end)

    def _where(self, executor: _Executor) -> str:
        """Of one that has not registered: where to read what it wrote."""
        dismissed = executor.state is ForeignState.KILLED
        if executor.registered or executor.process is None or self._ended is None or dismissed:
            return ""
        return f"; it had not registered, {self._ended.where(f'executor-{executor.id}')}"
