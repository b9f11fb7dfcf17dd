"""A process below the guardian: its state, and how a child that was just forked becomes it."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

from rain.host.starting import close_all_but
from rain.processes.keeper import FOLDERS_ARGUMENT, Folders
from rain.processes.logs import open_log

_TOLD = (
    "command", "before", "pid", "was_ready", "ready_at", "failures", "start_at", "left_until", "removing_until",
    "trial_until",
)  # fmt: skip


class GuardedProcess:
    """One process that is guarded: its part of the plan, and its state.

    Parameters
    ----------
    spec : dict
        Its part of the plan (see `rain.processes.guardian`).
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.name: str = spec["name"]
        self.command: list[str] = spec["command"]
        self.arguments: list[str] = spec.get("arguments", [])
        self.log: str = spec.get("log") or os.devnull
        self.fork: bool = spec.get("fork", False)
        self.restart: bool = spec.get("restart", False)
        self.vital: bool = spec.get("vital", False)
        self.leaves: bool = spec.get("leaves", False)
        self.told: bool = spec.get("told", False)
        self.keep: list[int] = spec.get("keep", [])
        self.stdin: str | None = spec.get("stdin")
        self.remote: bool = spec.get("remote", False)
        self.folders = Folders(self.restart)
        self.left_until: float | None = None  # when what it left is removed in any case
        self.removing_until = 0.0
        self.hold: int | None = None  # writing end of its standard input
        self.ready_text = b""
        self.pid = 0
        self.ready: int | None = None  # reading end of the pipe at which it says that it is ready
        self.was_ready = False
        self.ready_at = 0.0
        self.failures = 0
        self.start_at: float | None = 0.0
        self.before: list[str] = []  # the command to go back to, should the present one not become ready …
        self.trial_until: float | None = None  # … by this time

    def handed_on(self, descriptors: list[int]) -> dict[str, Any]:
        """What the guardian's standby has to know; the pipes that it has to have are added to `descriptors`."""
        told: dict[str, Any] = {name: getattr(self, name) for name in _TOLD}
        told |= {"folders": self.folders.told(), "ready_text": self.ready_text.decode("latin-1")}
        for name in ("ready", "hold"):
            descriptor = getattr(self, name)
            told[name] = None if descriptor is None else len(descriptors)
            descriptors += [] if descriptor is None else [descriptor]
        return told

    def take(self, told: dict[str, Any], descriptors: list[int]) -> None:
        """Be what the guardian before this one told."""
        for name in _TOLD:
            setattr(self, name, told[name])
        self.folders.take(told["folders"])
        self.ready_text = told["ready_text"].encode("latin-1")
        ready, hold = ([] if told[name] is None else descriptors[told[name] :][:1] for name in ("ready", "hold"))
        self.ready, self.hold = ready[0] if ready else None, hold[0] if hold else None


def become(process: GuardedProcess, ready: int, given: int | None, lifeline: int, entry: Any = None) -> NoReturn:
    """In a child that was just forked: become `process`.

    Parameters
    ----------
    process : GuardedProcess
    ready : int
        Descriptor at which the process says that it is ready.
    given : int or None
        Descriptor of the process's standard input.
    lifeline : int
    entry : callable, optional
        ``entry(arguments)`` to be called instead of the command.
    """
    status = 127
    try:
        default_signals()
        os.setsid()
        redirect_output(process.log)
        if given is not None:
            os.dup2(given, 0)
        if process.remote:
            os.dup2(ready, 1)
        keep = [ready, lifeline, process.folders.tell, *process.keep]
        values = {"{ready}": f"fd:{ready}", "{lifeline}": str(lifeline), FOLDERS_ARGUMENT: process.folders.argument()}
        arguments = [values.get(word, word) for word in process.arguments]
        if entry is None:
            for descriptor in keep:
                os.set_inheritable(descriptor, True)
            _execute(process, arguments)
        close_all_but(keep)
        status = entry(arguments) or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _execute(process: GuardedProcess, arguments: list[str]) -> NoReturn:
    try:
        os.execvp(process.command[0], process.command + arguments)
    except OSError as error:
        sys.stderr.write(f"rain {process.name}: {process.command[0]} cannot be started: {error.strerror}\n")
        raise SystemExit(127) from None


def redirect_output(path: str) -> None:
    """Append standard output and error to the file `path`, and close standard input."""
    log = open_log(path)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.close(null)


def default_signals() -> None:
    """In a child that was just forked: give signals their default actions, which the guardian had replaced."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
