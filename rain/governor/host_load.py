"""How busy a governor's host is, and how much of that is the governor's own doing; for `Load`."""

from __future__ import annotations

import os
import time
from typing import Any

from rain.host.process import family

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads the kernel's counters; what is told is about the time since the last reading. Calls may block shortly."""

    def __init__(self) -> None:
        self._psutil: Any = None
        self._read_at = 0.0
        self._seconds: dict[int, float] = {}  # cpu time of each process of ours

    def read(self) -> dict[str, float]:
        """The figures of `messages.Load` that are about the host; without cpu times at the first call."""
        first = self._psutil is None
        if first:
            import psutil

            self._psutil = psutil
        memory = self._psutil.virtual_memory()
        host = self._psutil.cpu_percent(None)
        own = self._own_cpus()
        values = {
            "load": os.getloadavg()[0],
            "memory_percent": memory.percent,
            "host_used_bytes": float(memory.total - memory.available),
            "host_max_bytes": float(memory.total),
        }
        return values if first else {**values, "cpu_percent": host, "own_cpus": own}

    def _own_cpus(self) -> float:
        now = time.monotonic()
        seconds = {pid: spent for pid in family(os.getpid()) if (spent := _cpu_seconds(pid)) is not None}
        spent = sum(max(0.0, value - self._seconds.get(pid, 0.0)) for pid, value in seconds.items())
        elapsed, self._read_at, self._seconds = now - self._read_at, now, seconds
        return spent / elapsed if elapsed > 0 else 0.0


def _cpu_seconds(pid: int) -> float | None:
    """What a process has used in user and system mode; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
