"""Processes as the kernel lists them in /proc: which are alive, whose children they are, what they use."""

from __future__ import annotations

import os

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STATE, _PARENT, _USER_TICKS, _SYSTEM_TICKS, _START = 0, 1, 11, 12, 19  # numbers of fields behind the name
_ENDED = (b"Z", b"X")


def _fields(pid: int | str) -> list[bytes] | None:
    """The fields of a process's `stat` behind its name; None if there is none with `pid`."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            # The name stands in parentheses and may hold anything, also parentheses.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def state(pid: int) -> str:
    """What a process does, as one letter (``T`` and ``t``: stopped, ``Z``: a zombie); empty if there is none to see."""
    fields = _fields(pid)
    return "" if fields is None else fields[_STATE].decode()


def is_alive(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    fields = _fields(pid)
    return fields is not None and fields[_STATE] not in _ENDED


def start_time(pid: int) -> str:
    """Tells processes apart that had the same number; empty if there is none with `pid`."""
    fields = _fields(pid)
    return "" if fields is None else fields[_START].decode()


def cpu_seconds(pid: int) -> float | None:
    """What a process has used in user and system mode; None if it is gone."""
    fields = _fields(pid)
    return None if fields is None else (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_PER_S


def own_memory(pid: int) -> int:
    """Bytes of memory that a process has for itself (files that it mapped do not count); 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith((b"RssAnon:", b"VmSwap:")))


def parents() -> dict[int, int]:
    """pid -> parent's pid of every process that is not a zombie."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _fields(entry)
            if fields is not None and fields[_STATE] not in _ENDED:
                found[int(entry)] = int(fields[_PARENT])
    return found


def descendants(pid: int) -> list[int]:
    """The living processes below `pid`, children before their children."""
    below: dict[int, list[int]] = {}
    for child, parent in parents().items():
        below.setdefault(parent, []).append(child)
    found, queue = [], list(below.get(pid, ()))
    while queue:
        child = queue.pop(0)
        found.append(child)
        queue += below.get(child, ())
    return found


def family(pid: int) -> list[int]:
    """A process and its descendants. Looks only at these, not at all of the machine's."""
    members = [pid]
    for member in members:
        try:
            for thread in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{thread}/children") as file:
                    members += map(int, file.read().split())
        except OSError:  # it ended meanwhile
            continue
    return members


def oldest_with(entry: bytes) -> float | None:
    """When the oldest of this process's ancestors was started that has ``NAME=value`` in its environment, in seconds
    since the epoch; None if none has."""
    pid, found = os.getpid(), None
    while pid > 1:
        fields = _fields(pid)
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if fields is None or entry not in file.read().split(b"\0"):
                    break
        except OSError:  # another user's
            break
        found = int(fields[_START]) / _TICKS_PER_S
        pid = int(fields[_PARENT])
    if found is None:
        return None
    with open("/proc/stat", "rb") as file:
        booted = next((int(line.split()[1]) for line in file if line.startswith(b"btime ")), None)
    return None if booted is None else booted + found
