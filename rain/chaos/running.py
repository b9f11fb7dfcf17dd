"""Runs a script, without faults and with them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from rain.chaos import targets
from rain.chaos.comparing import Outcome
from rain.chaos.plan import Fault
from rain.common.errors import RainException
from rain.host.process_table import state

END_S = 10.0
"""How long a script that is ended has for it."""


def run_calm(command: Sequence[str], files: Sequence[str]) -> Outcome:
    """Run a script without faults.

    Raises
    ------
    RainException
        If it cannot be started.
    """
    return _run(command, files, lambda script: script.wait())


def run_faulty(
    command: Sequence[str],
    files: Sequence[str],
    faults: Iterator[Fault],
    tell: Callable[[str], None],
    below: int | None = None,
    limit_s: float | None = None,
) -> Outcome:
    """Run a script, and do to the processes of its cluster what is planned until it has ended.

    Parameters
    ----------
    command, files : sequence of str
        The script, and the files that are compared.
    faults : iterator of Fault
    tell : callable
        Called with a line for each fault.
    below : int, optional
        A process above the cluster's; the script itself if not given.
    limit_s : float, optional
        After which the script is ended.

    Raises
    ------
    RainException
        If it cannot be started, or takes longer than `limit_s`.
    """
    return _run(command, files, lambda script: _harass(script, faults, tell, below or script.pid, limit_s))


def _run(command: Sequence[str], files: Sequence[str], watch: Callable[[subprocess.Popen[bytes]], object]) -> Outcome:
    before = {name: _version(name) for name in files}
    with tempfile.TemporaryFile() as output:
        try:
            # What tasks print unasked comes in another order each time.
            script = subprocess.Popen(command, stdout=output, env={**os.environ, "RAIN_ECHO": "0"})
        except OSError as error:
            raise RainException(f"{command[0]} cannot be started: {error.strerror}") from None
        try:
            watch(script)
        finally:
            _end(script)
        output.seek(0)
        return Outcome(script.returncode, output.read(), {name: _digest(name, before[name]) for name in files})


def _harass(
    script: subprocess.Popen[bytes],
    faults: Iterable[Fault],
    tell: Callable[[str], None],
    below: int,
    limit_s: float | None,
) -> None:
    began = time.monotonic()
    stopped: list[tuple[float, int]] = []  # when they go on, and their pids
    try:
        for fault in faults:
            while _wait(script, min([fault.at_s, *(at for at, _ in stopped), limit_s or fault.at_s]), began):
                now = time.monotonic() - began
                targets.wake([pid for at, pid in stopped if at <= now])
                stopped = [(at, pid) for at, pid in stopped if at > now]
                if limit_s is not None and now >= limit_s:
                    raise RainException(f"the script has not ended within {limit_s:.0f} s (--limit)")
                if now >= fault.at_s:
                    break
            else:
                return
            pid = _strike(fault, below, tell)
            if pid and fault.pause_s:
                stopped.append((time.monotonic() - began + fault.pause_s, pid))
    finally:
        targets.wake([pid for _, pid in stopped])


def _wait(script: subprocess.Popen[bytes], until_s: float, began: float) -> bool:
    """Wait until a time; False if the script has ended before."""
    try:
        script.wait(max(0.0, until_s - (time.monotonic() - began)))
    except subprocess.TimeoutExpired:
        return True
    return False


def _strike(fault: Fault, below: int, tell: Callable[[str], None]) -> int:
    """Carry a fault out; the process that it met, or 0."""
    there = [pid for pid in targets.found(below, fault.kind) if state(pid) != "T"]
    if not there:
        tell(f"{fault.at_s:8.2f} s  no {fault.kind} is there")
        return 0
    pid = there[fault.number_of(len(there))]
    number = signal.SIGSTOP if fault.pause_s else signal.SIGKILL
    if not targets.send(pid, number):
        tell(f"{fault.at_s:8.2f} s  the {fault.kind} {pid} has just ended")
        return 0
    long = f" for {fault.pause_s:.2f} s" if fault.pause_s else ""
    tell(f"{fault.at_s:8.2f} s  {number.name}{long} to the {fault.kind} {pid}")
    return pid


def _end(script: subprocess.Popen[bytes]) -> None:
    """End a script that still runs, so that it can end its cluster."""
    if script.poll() is not None:
        return
    script.send_signal(signal.SIGINT)
    try:
        script.wait(END_S)
    except subprocess.TimeoutExpired:
        script.kill()
        script.wait()


def _version(name: str) -> tuple[int, int, int] | None:
    """What tells whether a file was written since; None if it is not there."""
    try:
        seen = os.stat(name)
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _digest(name: str, before: tuple[int, int, int] | None) -> bytes | None:
    """Of a file's content; None if it is not there, or is what an earlier run has left."""
    if _version(name) == before:
        return None
    try:
        with open(name, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
