"""Starting a guardian with a server and governors below it, and learning how that went.

Used for clusters that a client owns (`rain.client.local_cluster`) and for those that `rain start` leaves behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import EXECUTOR_START_S, LOG_BYTES_MAX, RESTART_S
from rain.host.process_table import is_alive, start_time
from rain.host.starting import clean_environment, or_ended
from rain.processes.elsewhere.causes import cause_of
from rain.processes.keeper import FOLDERS_ARGUMENT
from rain.processes.logs import open_log
from rain.processes.scratch import Scratch

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RAIN = (sys.executable, "-P", os.path.join(_PACKAGE, "__main__.py"))
"""The command `rain` of this very package, on this host; with ``-P`` nothing in the current folder stands in for it or
for a library."""
_HEARD_MAX = 1000
"""Reports that are remembered while nothing waits for them."""
_LOG_TAIL_BYTES = 4096
_LOG_TAIL_LINES = 12
READY = "{ready}"
LIFELINE = "{lifeline}"
UNDER_GUARDIAN = ("--ready-file", READY, "--lifeline", LIFELINE, "--folders", FOLDERS_ARGUMENT)
"""Arguments that the guardian fills in."""


@dataclass(slots=True)
class Program:
    """One process for the guardian.

    Attributes
    ----------
    name : str
    arguments : list of str
        Arguments behind `command`; the guardian replaces `READY` and `LIFELINE`.
    log : str
        File for its standard output and error.
    command : list of str
    restart : bool
        Whether it is started again when it died.
    vital : bool
        Whether the guardian ends all processes when this one cannot be kept running.
    leaves : bool
        Whether its exit status 0 means that it has left on purpose, and is not to be started again.
    told : bool
        Whether the guardian tells it by a signal that it will not be started again.
    keep : list of int
        Descriptors that it inherits.
    stdin : str or None
        A line for its standard input, which then stays open as long as the guardian lives.
    remote : bool
        Whether it says that it is ready on standard output rather than at `READY`.
    """

    name: str
    arguments: list[str]
    log: str
    command: list[str] = field(default_factory=lambda: list(RAIN))
    restart: bool = False
    vital: bool = False
    leaves: bool = False
    told: bool = False
    keep: list[int] = field(default_factory=list)
    stdin: str | None = None
    remote: bool = False


class _Known:
    """A process, which may have ended meanwhile."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.started = start_time(pid) if pid else ""

    @property
    def lives(self) -> bool:
        """Whether it is still there."""
        return bool(self.pid) and is_alive(self.pid) and start_time(self.pid) == self.started


class Launch:
    """A guardian and the processes that it guards.

    Parameters
    ----------
    programs : list of Program
    folder : str
        A folder for the guardian's log.
    owned : Scratch or None
        If given (it is `folder`), the guardian removes it at its end.
    tied : bool
        Whether the guardian ends with this process.
    log_bytes_max, look_at_logs_s : int, float
        How long logs may become, and how often the guardian checks that.
    preload : bool
        Whether servers and governors are forked from a process that imported Rain (see `rain.processes.guardian`).
    rain : sequence of str
        The command `rain` with which programs are started; that of another version may replace it.
    trial_s : float
        How long another version may take to be ready, before the one before is started again.

    Attributes
    ----------
    folder : str
    """

    def __init__(
        self,
        programs: list[Program],
        folder: str,
        *,
        owned: Scratch | None = None,
        tied: bool = True,
        preload: bool = True,
        log_bytes_max: int = LOG_BYTES_MAX,
        look_at_logs_s: float = 10.0,
        rain: Sequence[str] = RAIN,
        trial_s: float = RESTART_S,
    ) -> None:
        self._programs = programs
        self.folder = folder
        self._log = os.path.join(folder, "guardian.log")
        lifeline, self._hold = os.pipe() if tied else (-1, -1)
        self._reports, report = os.pipe()
        self._partial = b""
        self._heard: deque[dict[str, Any]] = deque(maxlen=_HEARD_MAX)
        self._guarding = _Known(0)
        self._over = False
        plan: dict[str, Any] = {
            "processes": [vars_of(program) for program in programs],
            "report": report,
            "log": self._log,
            "lifeline": lifeline if tied else None,
            "folder": folder if owned else None,
            "lock": owned.lock if owned else None,
            "rain": list(rain),
            "trial_s": trial_s,
            "log_bytes_max": log_bytes_max,
            "look_at_logs_s": look_at_logs_s,
        }
        if preload:
            plan |= {"preload": ["rain.cli.daemon", *_shells(programs)], "entry": "rain.cli.daemon:forked"}
        keep = {report, *(descriptor for program in programs for descriptor in program.keep)}
        if tied:
            keep.add(lifeline)
        if owned:
            keep.add(owned.lock)
        try:
            # For what is printed before the guardian opens its log itself, for instance that it cannot be imported.
            with open(self._log, "ab", opener=open_log) as log:
                self._process = subprocess.Popen(
                    [*RAIN, "guardian"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=clean_environment(),
                    pass_fds=tuple(keep),
                    start_new_session=True,
                )
        except OSError as error:
            self._close(lifeline, report)
            raise RainException(f"the guardian cannot be started: {error.strerror}") from None
        os.close(report)
        if tied:
            os.close(lifeline)
        try:
            with or_ended(self._process):
                if owned:
                    owned.hand_over(self._process.pid)
                self._send(plan)
        except BaseException:
            self._close()
            raise
        _launches.add(self)

    def _send(self, plan: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(plan).encode() + b"\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # `wait` tells why

    def _close(self, *descriptors: int) -> None:
        for descriptor in (self._reports, self._hold, *descriptors):
            if descriptor >= 0:
                os.close(descriptor)

    def wait(
        self,
        timeout_s: float = EXECUTOR_START_S,
        on_ready: Callable[[str], None] | None = None,
        limit: str = "EXECUTOR_START_S",
    ) -> None:
        """Return when all programs are ready; `on_ready` gets the name of each that is. `limit` names the time limit.

        Raises
        ------
        RainException
            If a program cannot start, with the end of its log. All that was started is ended then.
        """
        awaited = {program.name for program in self._programs}
        deadline = time.monotonic() + timeout_s
        try:
            while awaited:
                left = deadline - time.monotonic()
                if left <= 0 or not self._receive(left):
                    self._check_there()
                    names = ", ".join(sorted(awaited))
                    raise RainException(
                        f"{names}: not ready within {timeout_s:g} s ({limit}); the log ends with:\n"
                        + self._tail(sorted(awaited)[0])
                    )
                while self._heard:
                    report = self._heard.popleft()
                    name = report["name"]
                    if report["event"] == "ready":
                        awaited.discard(name)
                        if on_ready is not None:
                            on_ready(name)
                    elif report["event"] == "ended" and name in awaited:
                        raise RainException(self._why(name, report["text"]))
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process that guards: its standby, once that has taken its place.

        Raises
        ------
        RainException
            If it ended before it began.
        """
        while self._receive(0.0 if self._guarding.pid else EXECUTOR_START_S):
            pass
        if not self._guarding.pid:
            self._check_there()
        return self._guarding.pid

    def _check_there(self) -> None:
        if self._over:
            raise RainException(f"the guardian ended; its log says:\n{tail_of(self._log)}")

    def _receive(self, timeout_s: float) -> bool:
        """Take in what is reported within that time; whether anything was."""
        if self._reports < 0 or self._over or not select.select([self._reports], [], [], timeout_s)[0]:
            return False
        data = os.read(self._reports, 65536)
        if not data:
            self._over = True
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for report in map(json.loads, lines):
            if report["event"] == "guarding":
                self._guarding = _Known(report["pid"])
            else:
                self._heard.append(report)
        return True

    def _tail(self, name: str) -> str:
        return tail_of(next(program.log for program in self._programs if program.name == name))

    def _why(self, name: str, status: str) -> str:
        """The program's own line about it, if it printed one, else the end of its log."""
        tail = self._tail(name)
        said = [line for line in tail.splitlines() if line.startswith("rain ") and ": " in line]
        remote = any(program.remote for program in self._programs if program.name == name)
        if said and not remote:
            return said[-1].partition(": ")[2]
        cause = cause_of(tail) if remote else ""
        why = f": {cause}" if cause else ""
        return f"the {name} could not start ({status}){why}. Its log ends with:\n{tail}"

    @property
    def ended(self) -> bool:
        """Whether guardian and standby are gone, and with them all that they guarded."""
        return self._process.poll() is not None and not self._left()

    def _left(self) -> bool:
        """Whether there is a guardian that has lost its standby."""
        with contextlib.suppress(RainException):
            return self.pid != self._process.pid and self._guarding.lives
        return False

    def release(self) -> None:
        """Leave all processes running, and forget them. Only if the guardian is not tied to this process."""
        os.close(self._reports)
        self._reports = -1
        # The guardian outlives this process, which will not wait for it.
        self._process.returncode = 0

    def stop(self, grace_s: float = 12.0, *, for_good: bool = True) -> None:
        """End all and wait for it; idempotent. If not `for_good` the guardian is killed, so that a server keeps its
        journal, as after a death."""
        if not for_good:
            self._kill()
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1
        if self._process.returncode is None:
            try:
                self._process.send_signal(signal.SIGTERM)
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._kill()  # what is guarded notices, and ends
        if self._reports >= 0:
            if self._left():
                try:
                    stop_guardian(self._guarding.pid, self._guarding.started, grace_s)
                except RainException:
                    self._kill()
            os.close(self._reports)
            self._reports = -1

    def _kill(self) -> None:
        """Kill the guardian, its standby first."""
        self._process.kill()
        self._process.wait()
        if self._left():
            os.kill(self._guarding.pid, signal.SIGKILL)


_launches: weakref.WeakSet[Launch] = weakref.WeakSet()


def _forked() -> None:
    """A forked child must not hold the lifeline open when its parent has died."""
    for launch in _launches:
        if launch._hold >= 0:
            os.close(launch._hold)
            launch._hold = -1


os.register_at_fork(after_in_child=_forked)


def _shells(programs: list[Program]) -> list[str]:
    """The modules of these programs that one process imports before they are forked from it.

    Examples
    --------
    >>> from rain.processes.launching import Program
    >>> _shells([Program("governor-1", ["governor", "n1"], "log"), Program("hosts", ["hosts"], "log", stdin="token")])
    ['rain.governor.shell']
    """
    return sorted({f"rain.{program.arguments[0]}.shell" for program in programs if _forks(program)})


def _forks(program: Program) -> bool:
    return program.command == list(RAIN) and program.stdin is None


def vars_of(program: Program) -> dict[str, Any]:
    """The part of the guardian's plan about `program`."""
    return {name: getattr(program, name) for name in Program.__slots__} | {"fork": _forks(program)}


def tail_of(path: str) -> str:
    """The last lines of a log."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"({path}: {error.strerror})"
    return last_lines(text) or "(nothing)"


def last_lines(text: str) -> str:
    """The last lines of a text, as many as errors show."""
    return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])


def stop_guardian(pid: int, started: str, grace_s: float = 20.0) -> bool:
    """End the guardian `pid`, which another process started, and wait; False if it has ended already.

    Raises
    ------
    RainException
        If it does not end.
    """
    if not pid or not is_alive(pid) or start_time(pid) != started:
        return False
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], grace_s)[0] and is_alive(pid):
            raise RainException(f"the guardian (process {pid}) did not end within {grace_s:g} s")
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
