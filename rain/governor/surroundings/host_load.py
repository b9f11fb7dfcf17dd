"""How busy a governor's host is, and how much of that is the governor's own doing; for `Load`."""

from __future__ import annotations

import os
import time

from rain.host.machine import CpuTimes, cpu_times, memory_bytes
from rain.host.process_table import cpu_seconds, family


class HostLoad:
    """Reads the kernel's counters; the figures are about the time since the last reading. Calls may block shortly."""

    def __init__(self) -> None:
        self._times: CpuTimes | None = None
        self._read_at = 0.0
        self._seconds: dict[int, float] = {}  # cpu time of each process of ours

    def read(self) -> dict[str, float]:
        """The figures of `messages.Load` that are about the host; without cpu times at the first call."""
        before, self._times = self._times, cpu_times()
        total, available = memory_bytes()
        own = self._own_cpus()
        values = {
            "load": os.getloadavg()[0],
            "memory_percent": round(100.0 * (total - available) / total, 1) if total else 0.0,
            "host_used_bytes": float(total - available),
            "host_max_bytes": float(total),
            "host_cpus": float(os.cpu_count() or 1),
        }
        if before is None:
            return values
        return {**values, "cpu_percent": round(self._times.busy_percent_since(before), 1), "own_cpus": own}

    def _own_cpus(self) -> float:
        now = time.monotonic()
        seconds = {pid: spent for pid in family(os.getpid()) if (spent := cpu_seconds(pid)) is not None}
        spent = sum(max(0.0, value - self._seconds.get(pid, 0.0)) for pid, value in seconds.items())
        elapsed, self._read_at, self._seconds = now - self._read_at, now, seconds
        return spent / elapsed if elapsed > 0 else 0.0
