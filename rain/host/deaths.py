"""What is known about a process's death: whether the kernel killed for lack of memory, and how much it had used.

The kernel does not tell which process sent a signal. It does count how many processes of a control group it has killed
for lack of memory (`memory.events` of version 2, `memory.oom_control` of version 1; outside control groups there is a
count for the whole machine), so a SIGKILL that Rain did not send was for that if the count has grown.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from rain.common.formatting import size_text
from rain.common.spec import ProcessEnd
from rain.host.cgroup import folders, read
from rain.host.signals import signal_name

_V2, _V1 = "memory.events", "memory.oom_control"


class OomKills:
    """The kernel's count of processes killed for lack of memory, of this process's control group.

    Parameters
    ----------
    root : str
        A folder that stands for ``/``.

    Attributes
    ----------
    path : str
        The file that holds the count; empty if there is none.
    """

    def __init__(self, root: str = "/") -> None:
        self.path = ""
        self._last: int | None = None
        self._before: int | None = None
        groups = [f"{folder}/{_V2 if version == 2 else _V1}" for folder, version in folders("memory", root)]
        for path in (*reversed(groups), os.path.join(root, "proc/vmstat")):
            self.path = path
            if self.count() is not None:
                break
        else:
            self.path = ""
        self.mark()

    @property
    def of_machine(self) -> bool:
        """Whether the count is that of the whole machine."""
        return bool(self.path) and os.path.basename(self.path) not in (_V1, _V2)

    def count(self) -> int | None:
        """The present count; None if the kernel does not count here."""
        for line in read(self.path).splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdigit():
                return int(value)
        return None

    def mark(self) -> None:
        """From now on `since` counts anew."""
        self._last = self._before = self.count()

    def look(self) -> None:
        """Take note of the present count; `since` counts from the look before the last one."""
        self._before, self._last = self._last, self.count()

    def since(self) -> int | None:
        """How many were killed since the look before the last one, so for one period at least; None: not known."""
        now = self.count()
        return None if now is None or self._before is None else max(0, now - self._before)


class Death(NamedTuple):
    """How a process ended.

    Attributes
    ----------
    status : int
        As `os.waitpid` gives it.
    by_rain : str
        Why this host's Rain killed it; empty: it did not.
    oom_kills : int or None
        How many processes the kernel killed for lack of memory in the time in question; None: not known.
    of_machine : bool
        Whether that is a count of the whole machine.
    since : str
        Since when they were counted, where that is long ago.
    peak_bytes : int
        Most memory that it had at a time, shared and mapped pages included; 0 if not known.
    """

    status: int
    by_rain: str = ""
    oom_kills: int | None = None
    of_machine: bool = False
    since: str = ""
    peak_bytes: int = 0


def describe_exit(status: int) -> str:
    """What follows "the executor" in a sentence, of a status as `os.waitpid` gives it.

    Examples
    --------
    >>> describe_exit(11)
    'was killed by signal SIGSEGV (Segmentation fault)'
    >>> describe_exit(3 << 8)
    'exited with status 3'
    """
    if not os.WIFSIGNALED(status):
        return f"exited with status {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    return f"was killed by signal {signal_name(number)} ({signal.strsignal(number) or 'unknown'})"


def process_end(executor: str, process: int, death: Death, disk: str, memory: str) -> ProcessEnd:
    """What is told of a process's end, with what is left in the file systems of these two folders.

    Parameters
    ----------
    executor : str
        Its type.
    process : int
        Its pid.
    death : Death
    disk, memory : str
        Empty: not looked at.
    """
    killed = os.WIFSIGNALED(death.status)
    return ProcessEnd(
        executor,
        process,
        None if killed else os.waitstatus_to_exitcode(death.status),
        signal_name(os.WTERMSIG(death.status)) if killed else "",
        sender_of(death),
        death.peak_bytes,
        death.oom_kills,
        _left(disk),
        _left(memory),
    )


def _left(folder: str) -> int | None:
    """Bytes that may still be written to a folder's file system; None if that is not known."""
    try:
        seen = os.statvfs(folder)
    except OSError:
        return None
    return seen.f_bavail * seen.f_frsize


def was_sigkill(status: int) -> bool:
    """Whether a process of which `os.waitpid` said `status` was ended by SIGKILL."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def sender_of(death: Death) -> str:
    """Which side sent the SIGKILL of a death, as far as it is known; empty for other ends.

    Examples
    --------
    >>> sender_of(Death(9, oom_kills=1)), sender_of(Death(9, oom_kills=0)), sender_of(Death(11))
    ('the kernel, for lack of memory,', 'another process', '')
    """
    if death.by_rain:
        return "Rain"
    if not was_sigkill(death.status) or death.oom_kills is None:
        return ""
    return "the kernel, for lack of memory," if death.oom_kills else "another process"


def what_is_known(death: Death) -> str:
    """A sentence about a death by SIGKILL; empty for other ends, which speak for themselves.

    Examples
    --------
    >>> what_is_known(Death(9, oom_kills=1, peak_bytes=512 << 20))
    'It was out of memory: the kernel killed 1 process of its control group for that. Its peak was 512.0 MiB.'
    >>> what_is_known(Death(9, oom_kills=0))
    'Neither Rain sent this signal nor the kernel for lack of memory (it counted none): another process did.'
    >>> what_is_known(Death(9, "its memory limit was exceeded"))
    'Rain sent this signal, because its memory limit was exceeded.'
    """
    if not was_sigkill(death.status):
        return ""
    peak = f" Its peak was {size_text(death.peak_bytes)}." if death.peak_bytes else ""
    if death.by_rain:
        return f"Rain sent this signal, because {death.by_rain}."
    if death.oom_kills is None:
        return f"Rain did not send this signal. It was probably out of memory; this machine does not tell.{peak}"
    if not death.oom_kills:
        return (
            "Neither Rain sent this signal nor the kernel for lack of memory (it counted none): another process did."
            f"{peak}"
        )
    count = f"{death.oom_kills} process{'es' * (death.oom_kills != 1)}"
    where = "on this machine" if death.of_machine else "of its control group"
    probably = "probably " if death.of_machine or death.since else ""
    when = f" since {death.since}" if death.since else ""
    return f"It was {probably}out of memory: the kernel killed {count} {where} for that{when}.{peak}"
