"""The machine that this process runs on: its name, cpus and memory.

The figures come from /proc, by a few lines: psutil took 30 ms and 4 MiB to import and twice as long for each reading.
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

from rain.common.errors import RainException
from rain.host.cgroup import read
from rain.host.shares import cpu_share


@cache
def host_id() -> str:
    """A name that two processes share when they can see each other's files.

    It changes when the machine starts anew. Containers on one machine differ by their own machine id or host name.
    """
    import hashlib

    boot = read("/proc/sys/kernel/random/boot_id")
    machine = read("/etc/machine-id")
    if not boot:
        import uuid

        boot = str(uuid.getnode())
    return hashlib.sha256("\0".join((boot, machine, os.uname().nodename)).encode()).hexdigest()[:32]


# -- cpus -----------------------------------------------------------------------------------------


def available_cpus() -> int:
    """How many cpus this process may use (see `rain.host.shares`)."""
    return int(cpu_share().amount)


def parse_cpus(text: str | int) -> int:
    """How many cpus ``N`` (as many, even if the machine has fewer), ``-N`` (all but N) or ``detect`` means here.

    Raises
    ------
    RainException
        If it means none.

    Examples
    --------
    >>> parse_cpus("3"), parse_cpus("detect") == available_cpus()
    (3, True)
    """
    if str(text).strip() == "detect":
        return available_cpus()
    try:
        number = int(text) if type(text) in (int, str) else None
    except ValueError:
        number = None
    if number is None:
        raise RainException(f"cpus must be a number, -N (all but N) or 'detect', not {text!r}")
    if number < 0:
        all_cpus = available_cpus()
        if all_cpus + number < 1:
            raise RainException(f"cpus {number} leaves none of the {all_cpus} cpus that this process may use")
        return all_cpus + number
    return number


class CpuTimes(NamedTuple):
    """Time of all cpus of the machine since it was started, in the kernel's ticks.

    Attributes
    ----------
    total : int
    idle : int
        Also waiting for disks.
    """

    total: int
    idle: int

    def busy_percent_since(self, before: CpuTimes) -> float:
        """How busy the cpus were since an earlier reading, 0 to 100.

        Examples
        --------
        >>> CpuTimes(300, 150).busy_percent_since(CpuTimes(100, 100))
        75.0
        """
        total = self.total - before.total
        return min(100.0, max(0.0, 100.0 * (1 - (self.idle - before.idle) / total))) if total > 0 else 0.0


def cpu_times() -> CpuTimes:
    """The present times; all zero where the kernel does not tell."""
    words = read("/proc/stat").partition("\n")[0].split()
    # user, nice, system, idle, waiting for disks, interrupts (two kinds), stolen; what follows is counted in user.
    ticks = [int(word) for word in words[1:9]]
    return CpuTimes(sum(ticks), sum(ticks[3:5]))


# -- memory ---------------------------------------------------------------------------------------


def memory_bytes() -> tuple[int, int]:
    """The memory of the machine, and how much of it is available, in bytes; what containers may use is in
    `rain.host.cgroup`.

    Examples
    --------
    >>> total, available = memory_bytes()
    >>> 0 < available < total
    True
    """
    found = {}
    for line in read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = int(rest.split()[0]) << 10
            if len(found) == 2:
                break
    return found.get("MemTotal", 0), found.get("MemAvailable", 0)
