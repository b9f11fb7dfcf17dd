"""Runs one program as a task: inputs become files, the program runs, files become outputs.

Theory of operation
-------------------
Programs run in executor processes that run nothing else. The program is spawned (not forked: the time must not depend
on the executor's size) into the executor's own process group, so that interrupting or killing the group reaches it too.
The executor takes in what the program leaves behind (it is a subreaper) and kills that when the program has ended, so
that nothing holds files of a folder that is handed on.

An interrupt (SIGINT to the group) ends the program in whatever way the program chooses; here it only makes the
result "cancelled".
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.common.formatting import quote_output
from rain.common.limits import MIB, TASK_OUTPUT_BYTES_MAX
from rain.common.protocol.families import read_words, with_args
from rain.common.protocol.messages import (
    Damage,
    ExecutorFamily,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    MemberResult,
    OutputResult,
    TaskResult,
)
from rain.common.spec import ObjectSpec, ProcessEnd, TaskError, TaskInfo, TaskSpec
from rain.common.task_configs import ExecuteConfig, read_config
from rain.executor.programs.program_workspace import LentFiles, Workspace, read_tail
from rain.executor.python.members import Member, as_member_result
from rain.executor.readonly import ReadOnly
from rain.host.deaths import Death, OomKills, process_end, what_is_known
from rain.host.process_table import family
from rain.host.signals import signal_all, signal_name, signal_of
from rain.objects.files import disk_full, file_limit, no_room
from rain.objects.lent_inputs import spoil
from rain.objects.nameless_file import NamelessFile

_PR_SET_CHILD_SUBREAPER = 36
_LEFTOVERS_S = 1.0
_COMMAND_CHARS_MAX = 4096
_DEFAULT_SIGNALS = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ,
    signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
"""An ignored signal would stay ignored in the program; Python ignores two of these."""

_REFUSALS = (
    b"Read-only file system",
    b"Permission denied",
    b"Device or resource busy",
    b"Value too large for defined data type",  # a new file in a folder whose owner is unknown
)


_MARK_EVERY_S = 1.0
"""How often at most the kernel's count of processes killed for lack of memory is noted before a program starts."""


class _WrongExit(RainException):
    """The program ended, but not as it should; by `signal`, unless that is 0."""

    def __init__(self, text: str, signal: int) -> None:
        super().__init__(text)
        self.signal = signal


class _Cancelled(RainException):
    """SIGINT came."""


class ProgramRunner:
    """Runs programs in this process, one after the other, each in what is then the current directory.

    Parameters
    ----------
    setup : ExecutorSetup
    stdout, stderr : int
        Descriptors of regular files (memory files of the executor) for what the program writes there. They are emptied
        before each program.
    """

    def __init__(self, setup: ExecutorSetup, *, stdout: int = 1, stderr: int = 2) -> None:
        self.setup = setup
        self.stdout = stdout
        self.stderr = stderr
        self.read_only = ReadOnly()
        self.lent = LentFiles(f"{setup.work_dir}/inputs", self.read_only)
        self.environment = dict(os.environb)
        self.path = os.fsdecode(self.environment.get(b"PATH", os.fsencode(os.defpath)))
        self.found: dict[tuple[str, str], str] = {}  # (name, PATH) -> file
        self.interrupted = False
        self.oom_kills = OomKills()
        self.marked = time.perf_counter()
        self._family: ExecutorFamily | None = None
        self._config: ExecuteConfig | None = None
        self._runs = False
        self._sigint_before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._sigint_before = signal.signal(signal.SIGINT, self._on_interrupt)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self, task: ExecutorTask | Member) -> TaskResult | MemberResult:
        """Run `task` to its end. Never raises for what the task did."""
        self.interrupted = False
        for file in (self.stdout, self.stderr):
            if os.lseek(file, 0, os.SEEK_END):
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
        self._runs = True
        try:
            return _Attempt(self, task).run()
        finally:
            self.lent.clear()
            self._runs = False

    def config_of(self, task: ExecutorTask | Member) -> ExecuteConfig:
        """The task's config, if it fits the task; of members of a family it is checked once.

        Raises
        ------
        RainException
        """
        if not isinstance(task, Member):
            return _checked(task.spec, task.inputs, task.outputs)
        family, place = task.family, task.place
        config = self._config if self._family is family else None
        if config is not None:
            config = msgspec.structs.replace(config, args=read_words(family.args[place]))
            _check_words(config)
            return config
        spec = msgspec.structs.replace(family.spec, config=with_args(family.spec.config, family.args[place]))
        self._family, self._config = family, _checked(spec, family.inputs, family.outputs)
        return self._config

    def _on_interrupt(self, number: int, frame: Any) -> None:
        if self._runs:
            self.interrupted = True
        elif callable(self._sigint_before):
            self._sigint_before(number, frame)


class _Attempt:
    """One run of one task."""

    def __init__(self, runner: ProgramRunner, task: ExecutorTask | Member) -> None:
        self.runner = runner
        self.task = task
        self.setup = runner.setup
        self.config = ExecuteConfig([])
        self.started = time.time()
        self.info = TaskInfo(
            start_time=self.started, duration=0.0, governor=self.setup.governor_id, attempts=task.attempt
        )
        self.space = Workspace(
            self.setup, runner.lent, runner.read_only, f"program-{self.setup.executor_id}-{task.number}"
        )
        self.captured: dict[int, NamelessFile] = {}
        self.pid = 0
        self.peak = 0
        self.end: ProcessEnd | None = None
        self.ran = False

    def run(self) -> TaskResult | MemberResult:
        outputs: list[OutputResult] = []
        error = None
        try:
            outputs = self._run()
        except _Cancelled:
            error = TaskError("cancelled", "the program was interrupted")
        except _WrongExit as failure:
            error = TaskError("exit", str(failure), signal=failure.signal, end=self.end)
        except RainException as failure:
            error = TaskError("rain", str(failure))
        except OSError as failure:
            full = no_room(failure, failure.filename or f"{os.path.abspath('.')}/")
            error = TaskError("rain", str(full) if full else f"the program could not be run: {failure}")
        self.space.ended(self.config)
        changed = self.space.changed_inputs()
        (stdout, out), (stderr, err) = self._tails(error is not None or bool(changed))
        if error is not None:
            self.info.error = error.message
        elif isinstance(self.task, Member) and not (changed or out or err):
            plain = as_member_result(self.task.number, self.started, self.info.duration or 0.0, outputs)
            if plain is not None:
                self._close()
                return plain
        result = TaskResult(self.task.spec.id, self.task.attempt, self.info, outputs, error, stdout, stderr, (out, err))
        if changed:
            damage = Damage(list(changed), ran=self.ran, suspect=self.ran and self.space.may_have_changed(changed))
            spoil(result, self.task.inputs, changed, damage)
        if result.error is not None:
            self.space.discard()
        self._close()
        return result

    def _close(self) -> None:
        for file in self.captured.values():
            file.discard()

    def _run(self) -> list[OutputResult]:
        config = self.config = self.runner.config_of(self.task)
        self.space.map_inputs(config, self.task.inputs)
        opened: list[int] = []
        try:
            status = self._spawn_and_wait(config, self._stdin(config, opened))
        finally:
            for fd in opened:
                os.close(fd)
            self.space.ended(config)
        if self.runner.interrupted:
            raise _Cancelled
        if status not in config.exit_codes:
            raise _WrongExit(self._wrong_exit(status, config), signal_of(status))
        return self._outputs(config)

    # -- the process --------------------------------------------------------------------------------

    def _stdin(self, config: ExecuteConfig, opened: list[int]) -> int | None:
        if config.stdin is None:
            return None
        fd = self.space.open_input(self.task.inputs[config.stdin])
        opened.append(fd)
        return fd

    def _output(self, index: int | None, default: int) -> int:
        """The descriptor for the program's stdout or stderr."""
        if index is None:
            return default
        if index not in self.captured:
            self.captured[index] = self.space.open_output()
        return self.captured[index].fd

    def _spawn_and_wait(self, config: ExecuteConfig, stdin: int | None) -> int:
        runner = self.runner
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0) if stdin is None else (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, self._output(config.stdout, runner.stdout), 1),
            (os.POSIX_SPAWN_DUP2, self._output(config.stderr, runner.stderr), 2),
        ]
        args = ["/bin/sh", "-c", config.args[0]] if config.shell else config.args
        environment, path = self._environment()
        program = self._find(args[0], path)
        if runner.interrupted:
            raise _Cancelled
        begin = time.perf_counter()
        if begin > runner.marked + _MARK_EVERY_S:
            runner.marked = begin
            runner.oom_kills.mark()
        try:
            pid = os.posix_spawn(
                program, args, environment, file_actions=actions, setsigmask=(), setsigdef=_DEFAULT_SIGNALS
            )
        except (OSError, ValueError) as error:
            if runner.found.pop((args[0], path), None) is not None and not os.path.exists(program):
                return self._spawn_and_wait(config, stdin)  # it was moved since it was found
            raise self._not_started(error, program) from None
        self.ran = True
        self.pid = pid
        _, status, usage = os.wait4(pid, 0)
        # Until it was replaced by the program the process shared our memory, and that counts.
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.peak = usage.ru_maxrss << 10 if usage.ru_maxrss > ours else 0
        self.info.duration = time.perf_counter() - begin
        _end_leftovers()
        return os.waitstatus_to_exitcode(status)

    def _environment(self) -> tuple[dict[bytes, bytes], str]:
        """The program's environment, and the PATH in it."""
        task = self.task
        options = task.family.spec.options if isinstance(task, Member) else task.spec.options
        if options is None or not options.env:
            return self.runner.environment, self.runner.path
        own = {os.fsencode(name): os.fsencode(value) for name, value in options.env.items()}
        return self.runner.environment | own, options.env.get("PATH", self.runner.path)

    def _find(self, name: str, path: str) -> str:
        """The file to be executed."""
        if "/" in name:
            return name
        known = self.runner.found.get((name, path))
        if known is not None:
            return known
        for folder in path.split(":"):
            candidate = f"{folder or '.'}/{name}"
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                if folder.startswith("/"):
                    self.runner.found[name, path] = candidate
                return candidate
        raise RainException(
            f"program {name!r} was not found on governor {self.setup.governor_id}; PATH is {path}\n"
            f"Command: {self._command()}"
        )

    def _not_started(self, error: OSError | ValueError, program: str) -> RainException:
        where = f"on governor {self.setup.governor_id}"
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.ENOENT and os.path.exists(program):
            reason = f"program {program!r} {where} needs an interpreter (named in its first line) that is not there"
        elif number in (errno.ENOENT, errno.ENOTDIR):
            reason = f"program {program!r} was not found {where}"
        elif number == errno.EACCES:
            what = "is a directory" if os.path.isdir(program) else "is not executable"
            reason = f"program {program!r} {what} {where}"
        elif number == errno.ENOEXEC:
            reason = f"file {program!r} {where} is neither a program nor a script that begins with #!"
        elif number == errno.E2BIG:
            reason = "the arguments and the environment of the program are longer than the system allows"
        elif number is None:
            reason = f"the program cannot be given these arguments or this environment: {error}"
        else:
            reason = f"program {program!r} could not be started {where}: {os.strerror(number)}"
        return RainException(f"{reason}\nCommand: {self._command()}")

    def _command(self) -> str:
        """The command line as a shell shows it."""
        config = self.config
        text = config.args[0] if config.shell else shlex.join(config.args)
        return text if len(text) <= _COMMAND_CHARS_MAX else f"{text[:_COMMAND_CHARS_MAX]} … ({len(text)} characters)"

    # -- afterwards ---------------------------------------------------------------------------------

    def _wrong_exit(self, status: int, config: ExecuteConfig) -> str:
        lines = [f"the program {_ended(status, config.shell)}{_expected(config.exit_codes)}"]
        kills = self.runner.oom_kills
        # Rain itself ends a program with its executor only, and then its result is not wanted.
        as_waited = -status if status < 0 else status << 8
        death = Death(as_waited, "", kills.since(), kills.of_machine, peak_bytes=self.peak)
        self.end = process_end(self.task.spec.task_type.partition("/")[0], self.pid, death, ".", self.setup.store_dir)
        lines += filter(None, [what_is_known(death)])
        lines.append(f"Command: {self._command()}")
        room = os.statvfs(".")
        if room.f_bavail * room.f_frsize < MIB:
            lines.append(str(disk_full(f"{os.path.abspath('.')}/")))
        wrote = self._tails(True)[1][0]
        if self.space.has_mounts and any(text in wrote for text in _REFUSALS):
            lines.append(
                "Inputs are read-only, directories as a whole; with write=True the program has a copy of its own"
            )
        lines.append(quote_output("stderr", wrote))
        return "\n".join(lines)

    def _tails(self, failed: bool) -> list[tuple[bytes, int]]:
        """The tails of what the program wrote, and how many bytes it were; what went to an output is told only when the
        output is lost."""
        indices = (self.config.stdout, self.config.stderr) if failed else (None, None)
        defaults = (self.runner.stdout, self.runner.stderr)
        tails = []
        for index, default in zip(indices, defaults, strict=True):
            file = None if index is None else self.captured.get(index)
            tails.append(read_tail(default if file is None else file.fd, TASK_OUTPUT_BYTES_MAX))
        return tails

    def _outputs(self, config: ExecuteConfig) -> list[OutputResult]:
        specs = self.task.outputs
        results = dict(self.space.collect(config, specs)) if config.outputs else {}
        for index, file in self.captured.items():
            results[index] = self.space.output_of(file, specs[index])
        if self.runner.interrupted:
            raise _Cancelled
        return [results[index] for index in range(len(specs))]


_runner: ProgramRunner | None = None


def run_program(
    task: ExecutorTask | Member, setup: ExecutorSetup, *, stdout: int = 1, stderr: int = 2
) -> TaskResult | MemberResult:
    """Run the program that `task` describes (a `rain.common.task_configs.EXECUTE` task) to its end.

    The current directory has to be the executor's empty task folder. What the program leaves there is the caller's to
    remove.

    Parameters
    ----------
    task : ExecutorTask or Member
    setup : ExecutorSetup
        Of this executor. What is expensive to set up is kept for the next task of the same executor.
    stdout, stderr : int
        Descriptors of the files that hold what the program writes there, unless that is one of its outputs.

    Returns
    -------
    TaskResult or MemberResult
        With outputs inline or as files in ``setup.store_dir`` or ``setup.spill_dir``, or with an error of kind
        ``"exit"``, ``"rain"`` or ``"cancelled"``.
    """
    global _runner
    if _runner is None or _runner.setup is not setup:
        _runner = ProgramRunner(setup, stdout=stdout, stderr=stderr)
    return _runner.run(task)


def _check_words(config: ExecuteConfig) -> None:
    if not config.args or not (config.args[0] or config.shell):
        raise RainException("the task names no program")
    if config.shell and len(config.args) != 1:
        raise RainException("a command for the shell has to be one string")


def _checked(spec: TaskSpec, given: Sequence[ExecutorInput], made: Sequence[ObjectSpec]) -> ExecuteConfig:
    """The config of a task with these inputs and outputs, if it fits them."""
    config = read_config(spec.config, ExecuteConfig)
    _check_words(config)
    inputs, outputs = len(given), len(made)
    used = [mapped.index for mapped in config.inputs] + ([] if config.stdin is None else [config.stdin])
    if any(not 0 <= index < inputs for index in used):
        raise RainException(f"the task maps an input that it does not have (it has {inputs})")
    streams = {index for index in (config.stdout, config.stderr) if index is not None}
    taken = [mapped.index for mapped in config.outputs] + list(streams)
    if sorted(taken) != list(range(outputs)):
        raise RainException(f"the task has {outputs} outputs, each of which must be mapped once; mapped are {taken}")
    if config.stdin is not None and given[config.stdin].spec.data_type == "dir":
        raise RainException("a directory cannot be a program's stdin")
    if any(made[index].data_type == "dir" for index in streams):
        raise RainException("what a program writes to stdout or stderr cannot become a directory")
    return config


def _ended(status: int, shell: bool) -> str:
    if status < 0:
        hint = f": it wrote more than RLIMIT_FSIZE ({file_limit()}) allows" if status == -signal.SIGXFSZ else ""
        return f"was killed by signal {signal_name(-status)}{hint}"
    if shell and status == 127:
        return "ended with exit status 127 (command not found)"
    if status > 128 and signal_name(status - 128).startswith("SIG"):
        return f"ended with exit status {status} (as a shell does after signal {signal_name(status - 128)})"
    return f"ended with exit status {status}"


def _expected(codes: list[int]) -> str:
    if codes == [0]:
        return ""
    return f"; expected was {' or '.join(map(str, codes)) or 'none'}"


def _end_leftovers() -> None:
    """Kill what the program left running, and wait for its end."""
    deadline = 0.0
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        now = time.monotonic()
        deadline = deadline or now + _LEFTOVERS_S
        if now > deadline:  # it cannot be killed now (stuck in the kernel): the end of the executor's group ends it
            return
        signal_all(family(os.getpid())[1:], signal.SIGKILL)
        time.sleep(0.001)
