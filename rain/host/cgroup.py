"""Control groups, versions 1 and 2: what the group of a process and those above it may use.

In a container the file system of control groups usually begins at the container's own group, while
``/proc/self/cgroup`` may name it by its path on the host: so the folders along that path count as far as they are
there.

Everything takes `root`, a folder that stands for ``/``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

_MOUNT = "sys/fs/cgroup"
_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes an enormous number where there is no limit."""


def read(path: str) -> str:
    """A small file's text, stripped; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def folders(controller: str, root: str = "/", pid: int | str = "self") -> Iterator[tuple[str, int]]:
    """The folders of a process's group and of all above it, the topmost first, each with the version, 1 or 2.

    Parameters
    ----------
    controller : str
        ``"memory"`` or ``"cpu"``: in version 1 each may have a hierarchy of its own.
    root : str
    pid : int or str
    """
    mount = os.path.join(root, _MOUNT)
    for line in read(os.path.join(root, "proc", str(pid), "cgroup")).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            mounts, version = [mount, f"{mount}/unified"], 2
        elif controller in controllers.split(","):
            mounts, version = [f"{mount}/{controllers}", f"{mount}/{controller}"], 1
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            for hierarchy in dict.fromkeys(mounts):
                folder = "/".join([hierarchy, *parts[:depth]])
                if os.path.isdir(folder):
                    yield folder, version


def cpu_limits(root: str = "/", pid: int | str = "self") -> Iterator[tuple[float, str]]:
    """The limits of the group and those above it, in cpus, each with its folder."""
    for folder, version in folders("cpu", root, pid):
        if version == 2:
            words = read(f"{folder}/cpu.max").split()
        else:
            words = [read(f"{folder}/cpu.cfs_quota_us"), read(f"{folder}/cpu.cfs_period_us") or "100000"]
        try:
            quota, period = int(words[0]), int(words[1])
        except (ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            yield quota / period, folder


def memory_limits(root: str = "/", pid: int | str = "self") -> Iterator[tuple[int, str]]:
    """The limits of the group and those above it, in bytes, each with its folder.

    Where the group is slowed down (``memory.high``) before it is killed, that counts.
    """
    for folder, version in folders("memory", root, pid):
        for limit in _limits(folder, version):
            yield limit, folder


def memory_limit(root: str = "/", pid: int | str = "self") -> int | None:
    """The tightest of `memory_limits`; None without any.

    Examples
    --------
    >>> memory_limit("/a folder without control groups") is None
    True
    """
    return min((limit for limit, _ in memory_limits(root, pid)), default=None)


def memory_left(root: str = "/", pid: int | str = "self") -> int | None:
    """Bytes that the group may use beyond what it uses now, without what the kernel can take back at once (files that
    were not used for some time); None without a limit."""
    left = []
    for folder, version in folders("memory", root, pid):
        limit = min(_limits(folder, version), default=None)
        used = _bytes(read(f"{folder}/{'memory.current' if version == 2 else 'memory.usage_in_bytes'}"))
        if limit is not None and used is not None:
            idle = _table(f"{folder}/memory.stat").get("inactive_file" if version == 2 else "total_inactive_file", 0)
            left.append(limit - max(0, used - idle))
    return min(left, default=None)


def _limits(folder: str, version: int) -> list[int]:
    if version == 2:
        found = [_bytes(read(f"{folder}/{name}")) for name in ("memory.max", "memory.high")]
    else:
        found = [_bytes(read(f"{folder}/memory.limit_in_bytes"))]
        found.append(_table(f"{folder}/memory.stat").get("hierarchical_memory_limit"))  # of groups that are not seen
    return [limit for limit in found if limit is not None and limit < _UNLIMITED_BYTES]


def _bytes(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _table(path: str) -> dict[str, int]:
    lines = (line.split() for line in read(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()}
