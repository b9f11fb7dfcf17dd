"""The Python executor: takes tasks from its governor, runs them one after the other, tells how they ended.

Theory of operation
-------------------
The main thread runs user code and reads the socket when nothing waits. Results of short tasks are held for up to
`RESULT_HOLD_S` (of members of families and links of chains for longer), so that many travel in one frame; they are
sent before anything runs that may take longer, and when nothing is left to run. What must not wait for
user code (recalls, interrupts, results that are held after all, the governor's death) is the responder thread's
(`rain.executor.responder`).

Per task there are a word in shared memory, a look into the task's folder and the position of two memory files;
all else is done per batch.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import signal
import socket
import sys
import time
from typing import Any, NoReturn, cast

import msgspec

from rain.common.ids import ID
from rain.common.limits import LEDGER_BYTES, MIB, RESULT_BYTES_MAX, RESULT_HOLD_S, WORDS_BYTES
from rain.common.protocol.encoding import encode
from rain.common.protocol.ledger import Ledger
from rain.common.protocol.messages import ExecutorSetup, ExecutorTask, MemberResult, OwnPreview, TaskResult
from rain.common.spec import DEFAULT_OPTIONS, TaskError, TaskInfo
from rain.common.task_configs import COMPANION, EXECUTE, PYTHON, VIEW
from rain.executor.governor_connection import GovernorConnection
from rain.executor.programs.program import run_program
from rain.executor.progress import Teller
from rain.executor.progress_bars import BarFinder
from rain.executor.python.attempt import MemberAttempt
from rain.executor.python.exception_report import describe
from rain.executor.python.handed_on import HandedOn
from rain.executor.python.members import Member, as_task_result
from rain.executor.python.modules import prepare_path
from rain.executor.python.tasks import Alike, Interrupted, PythonTasks, Stale
from rain.executor.readonly import enter_own_mounts
from rain.executor.responder import Responder
from rain.executor.stdio_capture import STDERR, StdioCapture
from rain.executor.task_directory import TaskDirectory
from rain.executor.views import run_view
from rain.host.thread_limits import thread_environment
from rain.objects import memory
from rain.objects.files import checksum, no_room
from rain.objects.lent_inputs import before
from rain.objects.pickling.reduce import stores

_UNMAP_AT_ONCE_BYTES = 16 * MIB
"""Results that are held are sent before more memory than this is unmapped, which takes its time."""


serving = False
"""Whether this process is an executor."""


def run(end: socket.socket, words: int, slot: int) -> NoReturn:
    """Be an executor until the governor closes its end.

    Parameters
    ----------
    end : socket.socket
        To the governor.
    words : int
        Descriptor of the file with all shared words.
    slot : int
        Number of this executor's word.
    """
    global serving
    serving = True
    Executor(end, words, slot).serve()


class Executor:
    """One executor process; see the module's text."""

    def __init__(self, end: socket.socket, words: int, slot: int) -> None:
        self._connection = GovernorConnection(end, self._interrupt, _ledger(words, slot))
        self._words = memoryview(mmap.mmap(words, WORDS_BYTES)).cast("Q")
        os.close(words)
        self._slot = slot
        self._interrupting = 0  # number of the task that a SIGINT on its way is meant for
        self._seconds: dict[ID | None, float] = {}  # how long each function took last
        self._forked = False
        self._handed_on = HandedOn()

    def serve(self) -> NoReturn:
        connection = self._connection
        while connection.setup is None:
            connection.receive()
        self._prepare(connection.setup)
        while True:
            task = connection.next()
            if task is None:
                self._rest()
                if connection.preview is not None:
                    self._make_preview()
                    continue
                connection.receive()
                self._responder.begin()
                continue
            if connection.arrived:
                connection.arrived = False
                if connection.preview is not None and (value := connection.take_preview()) is not None:
                    connection.tell_preview(OwnPreview(value.spec.id, put_off=True))
                if not self._python.arrived():
                    connection.give_up(task)
                    continue
            if isinstance(task, Member):
                alike = self._python.alike(task) if task.family.spec.task_type == PYTHON else None
                if alike is not None:
                    self._run_members(task, alike)
                    continue
            elif not self._handed_on.fill(task):
                connection.return_task(task)
                continue
            self._run(task)

    def _prepare(self, setup: ExecutorSetup) -> None:
        self._setup = setup
        self._stdio = StdioCapture()
        faulthandler.enable(STDERR)
        set_environment(setup)
        prepare_path(setup.sys_path, setup.cwd)
        _reseed()
        with contextlib.suppress(OSError):  # inputs are protected in another way then
            enter_own_mounts()
        self._directory = TaskDirectory(setup.work_dir)
        stores.ends_with_task(setup.work_dir)
        teller = Teller(self._connection.tell)
        BarFinder(teller).install()
        self._python = PythonTasks(setup, self._connection.functions, ask=self._connection.ask, teller=teller)
        self._responder = Responder(self._connection, (self._stdio.trim, self._directory.clean, teller.tell))
        signal.signal(signal.SIGINT, self._on_sigint)
        os.register_at_fork(after_in_child=self._in_forked_child)
        self._responder.start()

    def _make_preview(self) -> None:
        """Make the preview that is wanted, while no task waits."""
        value = self._connection.take_preview()
        if value is None:
            return
        from rain.executor.views.own import own_preview

        made = own_preview(value, self._connection.is_wanted)
        if self._forked:  # a process that the value's code forked came out of it
            os._exit(0)
        self._stdio.take()  # what it printed is no task's
        self._directory.leave()
        self._connection.tell_preview(made)

    def _rest(self) -> None:
        """Nothing waits: send what is held, and clear up."""
        self._connection.held.hold_s = RESULT_HOLD_S
        self._connection.flush()
        self._python.let_go()
        if self._words[self._slot]:
            self._words[self._slot] = 0
            self._directory.leave()
            self._stdio.renew()
        self._responder.end()

    # -- one task ------------------------------------------------------------------------------------

    def _run(self, task: ExecutorTask | Member) -> None:
        connection = self._connection
        begin = time.perf_counter()
        function = task.family.spec.function if type(task) is Member else task.spec.function
        expected = self._seconds.get(function, RESULT_HOLD_S)
        held = connection.held
        # Behind a task by itself, of which others wait for what it and its neighbours make, a single link is no chain.
        hold_s = held.hold_s if isinstance(task, Member) or self._handed_on.links > 1 else RESULT_HOLD_S
        if held.items and begin - held.since + expected >= hold_s:
            connection.flush()
            held.held_longer()
        if memory.own_bytes() > _UNMAP_AT_ONCE_BYTES:
            connection.flush()
        self._python.let_go()  # before the word is set: what the last task has written is not the next one's memory
        self._words[self._slot] = task.number
        try:
            result = self._attempt(task)
        except Stale:
            connection.give_up(task)
            return
        end = time.perf_counter()
        self._seconds[function] = end - begin if function is not None else RESULT_HOLD_S
        if self._forked:
            # A process that the task forked came out of the user's function: the task's result is not its to tell.
            os._exit(0)
        self._hold(task, result, *self._stdio.take(), end)

    def _run_members(self, member: Member, alike: Alike) -> None:
        """Run a member and those that follow it in its family, as `_run` does, with nothing done twice that is the same
        for all; until there are no more, or what waits has to be looked at."""
        connection, responder, python, stdio = self._connection, self._responder, self._python, self._stdio
        held, words, slot, family, place = connection.held, self._words, self._slot, member.family, member.place
        enter, run, is_quiet, clock = self._directory.enter, python.run_alike, stdio.is_quiet, time.perf_counter
        hold, infos, governor_id, mapped = connection.hold_short, alike.infos, self._setup.governor_id, memory.own_bytes
        first, args = family.number, family.args
        expected = self._seconds.get(family.spec.function, RESULT_HOLD_S)
        python.let_go()
        # One clock is read: a member begins when the one before it has ended, which its estimate is to hold anyway.
        begin = clock()
        epoch = time.time() - begin
        while place >= 0:
            if held.items and begin - held.since + expected >= held.hold_s:
                connection.flush()
                held.held_longer()
            if mapped():
                if mapped() > _UNMAP_AT_ONCE_BYTES:
                    connection.flush()
                python.let_go()
            attempt = MemberAttempt(family, place, governor_id, epoch + begin)
            words[slot] = number = first + place
            try:
                enter()
                responder.number = number
                try:
                    result = run(alike, attempt, number, args[place])
                finally:
                    responder.number = 0
            except BaseException as error:
                result = self._outside(attempt.task, error)
            if self._forked:
                os._exit(0)
            if type(result) is bytes and is_quiet():
                end, took = attempt.ended, attempt.duration or 0.0  # which it has: it ended plainly
                place = hold(family, place, epoch + begin, took, result, checksum(result), infos, end)
                if held.full:
                    connection.flush()
                    end = clock()
            else:
                end = clock()
                told = attempt.plain([result], [checksum(result)], infos) if isinstance(result, bytes) else result
                self._hold(attempt.task, told, *stdio.take(), end)
                place = connection.next_place()
            expected = end - begin
            begin = end
        self._seconds[family.spec.function] = expected

    def _hold(
        self, task: ExecutorTask | Member, result: TaskResult | MemberResult, stdout: bytes, stderr: bytes, ended: float
    ) -> None:
        """Tell how a task ended, and what it wrote, at once or a little later."""
        connection = self._connection
        if isinstance(result, MemberResult):
            member = cast(Member, task)
            if not stdout and not stderr:
                if connection.hold_member(
                    member.family,
                    member.place,
                    result.start_time,
                    result.duration,
                    result.data,
                    result.checksums,
                    result.infos,
                    ended,
                ):
                    connection.flush()
                return
            result = as_task_result(member, result)
        if isinstance(task, ExecutorTask):
            self._handed_on.ended(task, result)
        self._add_streams(result, stdout, stderr)
        if connection.hold(encoded(result), ended):
            connection.flush()

    def _attempt(self, task: ExecutorTask | Member) -> TaskResult | MemberResult:
        responder = self._responder
        try:
            self._directory.enter()
            responder.number = task.number
            try:
                if task.inputs or task.function is not None:
                    spoiled = before(task, self._setup.governor_id)
                    if spoiled is not None:
                        return spoiled
                if isinstance(task, Member):
                    program = task.family.spec.task_type == EXECUTE
                    return run_program(task, self._setup) if program else self._python.run(task)
                kind = task.spec.task_type
                if task.nodes:
                    return self._on_several(task)
                if kind == PYTHON:
                    return self._python.run(task)
                if kind == EXECUTE:
                    return run_program(task, self._setup)
                if kind == COMPANION:
                    from rain.executor.gangs.companion import run_companion

                    return run_companion(task, self._setup, self._connection.tell_ready)
                if kind == VIEW:
                    return run_view(task)
                return self._failed(task, TaskError("rain", f"this executor knows no tasks of type {kind!r}"))
            finally:
                responder.number = 0
        except Stale:
            raise
        except BaseException as error:
            return self._outside(task, error)

    def _outside(self, task: ExecutorTask | Member, error: BaseException) -> TaskResult:
        """The result of an attempt in which an error was raised a moment before or after the user's code."""
        self._responder.number = 0
        if isinstance(error, KeyboardInterrupt):
            return self._failed(task, TaskError("cancelled", "the task was interrupted"))
        if isinstance(error, OSError):
            why = no_room(error, self._directory.path) or error
            return self._failed(task, TaskError("rain", f"the task's folder cannot be made: {why}"))
        return self._failed(task, describe(error, {}, "rain"))

    def _on_several(self, task: ExecutorTask) -> TaskResult | MemberResult:
        """The first of the governors on which a task runs at once."""
        from rain.executor.gangs.launching import GangFiles

        files = GangFiles(self._setup.work_dir, task.nodes)
        earlier = {name: os.environ.get(name) for name in files.environment}
        os.environ.update(files.environment)
        try:
            if task.spec.task_type == PYTHON:
                return self._python.run(task)
            options = task.spec.options or DEFAULT_OPTIONS
            with_files = msgspec.structs.replace(options, env={**files.environment, **options.env})
            task.spec = msgspec.structs.replace(task.spec, options=with_files)
            return run_program(task, self._setup)
        finally:
            files.remove()
            for name, value in earlier.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def _failed(self, task: ExecutorTask | Member, error: TaskError) -> TaskResult:
        info = TaskInfo(governor=self._setup.governor_id, attempts=task.attempt)
        return TaskResult(task.spec.id, task.attempt, info, [], error)

    def _add_streams(self, result: TaskResult, stdout: bytes, stderr: bytes) -> None:
        """Put what was written into the result, unless the task's own account of it is there."""
        if stdout or stderr:
            (out, err), (own_out, own_err) = self._stdio.written, result.written
            result.written = (own_out if result.stdout else out, own_err if result.stderr else err)
            result.stdout = result.stdout or stdout
            result.stderr = result.stderr or stderr

    # -- interrupts and forks ------------------------------------------------------------------------

    def _interrupt(self, number: int) -> None:
        """The governor interrupts task `number`, or whatever runs."""
        running = self._responder.number
        if running and number in (0, running):
            self._interrupting = running
            os.killpg(os.getpgrp(), signal.SIGINT)

    def _on_sigint(self, _number: int, _frame: Any) -> None:
        target, self._interrupting = self._interrupting, 0
        running = self._responder.number
        if target and target == running:
            raise Interrupted
        if running and not target:
            raise KeyboardInterrupt

    def _in_forked_child(self) -> None:
        self._forked = True
        self._connection.abandon()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _ledger(words: int, slot: int) -> Ledger | None:
    """The ledger of the executor with this slot, behind the words; None if there was no room for it."""
    begin = WORDS_BYTES + slot * LEDGER_BYTES
    if os.fstat(words).st_size < begin + LEDGER_BYTES:
        return None
    return Ledger(memoryview(mmap.mmap(words, LEDGER_BYTES, offset=begin)))


def set_environment(setup: ExecutorSetup) -> None:
    """Set the environment variables of this process: thread counts of numeric libraries, then the tasks' own."""
    os.environ.update(thread_environment(setup.resources) | setup.env)


def _reseed() -> None:
    """Forks of one process would all draw the same numbers; `random` reseeds itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def encoded(result: TaskResult) -> msgspec.Raw:
    """`result` encoded as a message. If it cannot be encoded, because of what the task put there, an error is."""
    try:
        data = encode(result)
        if len(data) <= RESULT_BYTES_MAX:
            return msgspec.Raw(data)
        problem = f"it has {len(data)} bytes (RESULT_BYTES_MAX is {RESULT_BYTES_MAX})"
    except Exception as error:
        problem = str(error)
    info = result.info
    clean = TaskInfo(None, info.start_time, info.duration, info.governor, attempts=result.attempt)
    failure = result.error or TaskError("rain", f"the task's result cannot be sent: {problem}")
    return msgspec.Raw(encode(TaskResult(result.id, result.attempt, clean, [], failure)))
