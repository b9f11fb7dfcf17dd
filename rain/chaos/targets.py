"""The processes of a cluster, found by their names below a process, and what is done to them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from rain.host.process_table import descendants

_COMM_CHARS = 15
"""Of a process's name that the kernel keeps."""


def found(below: int, kind: str) -> list[int]:
    """Processes of a kind below the process `below`, in the order of their pids."""
    return sorted(pid for pid in descendants(below) if _name(pid) == f"rain-{kind}"[:_COMM_CHARS])


def send(pid: int, number: int) -> bool:
    """Send a signal; False if the process has ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def wake(pids: list[int]) -> None:
    """Let stopped processes go on."""
    for pid in pids:
        send(pid, signal.SIGCONT)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
