"""The keeper, which removes the private folders of a process that died, above all its shared memory, which the kernel
does not free.

A process names each folder that it makes to its keeper (`rain.processes.scratch`). Below a guardian that is the keeper;
a daemon that was started alone forks one of its own (`Keeper`). Like the guardian this imports next to nothing before
it is needed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import NoReturn

from rain.host.starting import close_all_but

FOLDERS_ARGUMENT = "{folders}"
"""Placeholder in a guarded process's arguments for the argument of `report_folders_to`."""
_NEXT = "next"
_REMOVING_S = 20.0
_PAUSE_S = 0.1
_LATE_PAUSE_S = 1.0
_guardian = -1


class Folders:
    """The folders that a process, and the processes that were started in its place, have named.

    Parameters
    ----------
    starts : bool

    Attributes
    ----------
    starts : bool
        Whether a process is started in the place of one that died, and gets its folders.
    listen : int
        Descriptor at which names arrive; it is never at its end while `tell`, which the processes inherit, is open.
    tell : int
    """

    def __init__(self, starts: bool = False) -> None:
        self.starts = starts
        self.listen, self.tell = os.pipe()
        os.set_blocking(self.listen, False)
        self._partial = b""
        self._own: dict[str, None] = {}
        self._left: dict[str, None] = {}
        self._next: list[str] = []

    def receive(self) -> bool:
        """Read the names that arrived; False when no process can write any more."""
        while True:
            try:
                data = os.read(self.listen, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                what, path = json.loads(line)
                if what == _NEXT:
                    self._next = path
                    continue
                self._left.pop(path, None)
                if what == "+":
                    self._own[path] = None
                else:
                    self._own.pop(path, None)

    def died(self) -> None:
        """The process is dead; the one that is started in its place may take over its folders."""
        self.receive()
        self._partial = b""
        self._left |= self._own
        self._own.clear()

    def take_next(self) -> list[str]:
        """The command `rain` that the process, before it ended, wanted to be started in its place; empty: its own."""
        wanted, self._next = self._next, []
        return wanted

    def told(self) -> list[list[str]]:
        """What the guardian's standby has to know."""
        return [list(self._own), list(self._left), self._next]

    def take(self, told: list[list[str]]) -> None:
        """Know what the guardian before this one told."""
        own, left, self._next = told
        self._own, self._left = dict.fromkeys(own), dict.fromkeys(left)

    def argument(self) -> str:
        """The argument for the command line of the next process."""
        return json.dumps({"tell": self.tell, "left": list(self._left), "starts": self.starts})

    def remove(self, within: str = "", heirs: bool = False) -> bool:
        """Remove the folders that were left and not taken over, also those that a file in the folder `within` needs;
        with `heirs` not those that wait for a process which a batch system or a user may start. Returns whether all are
        gone."""
        if not self._left:
            return True
        from rain.processes.scratch import remove_left

        # Folders inside of others first.
        for path in sorted(self._left, key=len, reverse=True):
            if remove_left(path, within, heirs):
                del self._left[path]
        return not self._left

    def awaited(self) -> bool:
        """Whether each folder that is left waits for another process that may take it over."""
        from rain.processes.scratch import is_awaited

        return all(map(is_awaited, self._left))


def report_folders_to(argument: str) -> bool:
    """Below a guardian: tell it of this process's folders, and take over those of the process before. Returns whether
    the guardian starts another process in the place of one that died."""
    from rain.processes import scratch

    values = json.loads(argument)
    os.set_inheritable(values["tell"], False)
    scratch.report_to(values["tell"], values["left"])
    global _guardian
    _guardian = values["tell"]
    return bool(values["starts"])


def start_next(rain: list[str]) -> None:
    """Below a guardian, before this process ends with status 0: have it started again by another command `rain`.

    Raises
    ------
    OSError
        If the guardian is gone.
    """
    os.write(_guardian, json.dumps([_NEXT, rain]).encode() + b"\n")


class Keeper:
    """A child process that removes this process's folders should this process be killed.

    To be made before there are threads.
    """

    def __init__(self) -> None:
        from rain.processes import scratch

        folders = Folders()
        parent = os.pidfd_open(os.getpid())
        self._pid = os.fork()
        if self._pid == 0:
            _keep(folders, parent)
        os.close(parent)
        os.close(folders.listen)
        self._tell = folders.tell
        scratch.report_to(folders.tell, [])

    def close(self) -> None:
        """End the keeper."""
        from rain.processes import scratch

        scratch.report_to(-1, [])
        os.close(self._tell)
        os.waitpid(self._pid, 0)


def _keep(folders: Folders, parent: int) -> NoReturn:
    """In a child that was just forked: be the keeper of its parent."""
    status = 1
    try:
        os.setsid()  # signals from its parent's terminal are not meant for it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        with open("/proc/self/comm", "w") as comm:
            comm.write("rain-keeper")
        os.close(folders.tell)
        _keep_only({folders.listen, parent})
        os.chdir("/")
        while parent not in select.select([folders.listen, parent], [], [])[0]:
            if not folders.receive():
                break  # it ends, having removed its folders itself
        folders.died()
        remove_patiently(folders)
        status = 0
    finally:
        os._exit(status)


def remove_patiently(folders: Folders) -> None:
    """Remove the folders of a process that no guardian starts again; those that another one may take over wait."""
    from rain.common.limits import STORE_KEPT_S

    now = time.monotonic()
    # Its executors end because it did, and may write until then. What is locked is still used, or not its own.
    soon, late = now + _REMOVING_S, now + STORE_KEPT_S + _REMOVING_S
    while not folders.remove(heirs=True):
        now = time.monotonic()
        if now > (late if folders.awaited() else soon):
            break
        time.sleep(_PAUSE_S if now < soon else _LATE_PAUSE_S)


def remove_later(folders: Folders) -> None:
    """Fork a keeper for the folders that another process may take over."""
    if os.fork():
        return
    try:
        os.setsid()
        with open("/proc/self/comm", "w") as comm:
            comm.write("rain-keeper")
        _keep_only(set())
        os.chdir("/")
        remove_patiently(folders)
    finally:
        os._exit(0)


def _keep_only(keep: set[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    close_all_but(keep)
