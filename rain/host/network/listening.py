"""Which process listens on which port of this host, as the kernel lists it in /proc."""

from __future__ import annotations

import os
import re

_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]$")


def listener_on(port: int, processes: list[int]) -> int | None:
    """Which of these processes listens on a TCP port; None if none of them does.

    Parameters
    ----------
    port : int
    processes : list of int
        Their pids.
    """
    sockets = _sockets_on(port)
    for pid in processes if sockets else ():
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder)
        except OSError:  # it ended meanwhile
            continue
        for name in names:
            try:
                found = _SOCKET.match(os.readlink(f"{folder}/{name}"))
            except OSError:  # closed meanwhile
                continue
            if found is not None and found[1] in sockets:
                return pid
    return None


def _sockets_on(port: int) -> set[str]:
    """The inodes of sockets that listen on a port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found
