"""Ends what a run of pytest leaves running when it is gone, however it went: killed, interrupted or done.

`python -P watcher.py PID MARK` waits for the end of process PID, and then ends every process that was started with
the variable MARK in its environment: with SIGTERM, so that what has something to tidy up can, then with SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

GENTLE_S = 2.0
"""Between SIGTERM and SIGKILL."""
STUBBORN_S = 30.0
"""Until processes that SIGKILL does not end are given up."""


def pids_with(mark: str) -> list[int]:
    """The other living processes that were started with the variable `mark` in their environment."""
    needle = b"\0" + mark.encode() + b"="
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            # A process of another user, or one that has just ended.
            with contextlib.suppress(OSError):
                marked = needle in b"\0" + Path("/proc", name, "environ").read_bytes()
                if marked and _state(name) not in ("Z", "X"):
                    found.append(int(name))
    return sorted(found)


def _state(pid: str) -> str:
    """The letter behind the name of the process in parentheses."""
    return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]


def end_all(mark: str) -> None:
    """End what `pids_with` finds, also what it starts meanwhile."""
    _signal_until(mark, signal.SIGTERM, time.monotonic() + GENTLE_S)
    _signal_until(mark, signal.SIGKILL, time.monotonic() + STUBBORN_S)


def _signal_until(mark: str, number: signal.Signals, deadline: float) -> None:
    told: set[int] = set()
    while (left := pids_with(mark)) and time.monotonic() < deadline:
        for pid in left:
            if pid not in told:
                told.add(pid)
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        time.sleep(0.02)


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition()` holds within some seconds."""
    deadline = time.monotonic() + seconds
    pause_s = 0.01
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.3)  # to look through all processes costs some milliseconds
    return True


def main(pid: int, mark: str) -> None:
    """Wait for the end of process `pid`, then end what carries the `mark`."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        if os.getppid() == pid:  # otherwise it has ended already, and the number may be another process's
            select.select([handle], [], [])
    end_all(mark)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
