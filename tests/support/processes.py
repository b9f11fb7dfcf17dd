"""Processes that descend from a test, found by a mark in their environment wherever they have gone."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from dataclasses import dataclass, field

import psutil

from rain.host.process_table import is_alive, parents
from rain.processes.connection_files import ConnectionFile
from rain.processes.launching import stop_guardian
from tests.support.waiting import until
from tests.support.watcher import pids_with


@dataclass
class Marked:
    """Finds all processes that descend from this one, by a variable that is to be set in its environment."""

    mark: str = field(default_factory=lambda: f"TEST_MARK_{uuid.uuid4().hex}")

    def processes(self) -> list[psutil.Process]:
        """Those that live."""
        found = []
        for pid in pids_with(self.mark):
            with contextlib.suppress(psutil.Error):
                found.append(psutil.Process(pid))
        return found

    def named(self, name: str) -> list[psutil.Process]:
        """Those called `name` (``rain-server``, ``rain-governor``, ``sleep``), oldest first."""
        found = []
        for process in self.processes():
            try:
                if process.name() == name:
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: process.pid)

    def guardian(self) -> psutil.Process:
        """The process that this one's cluster is started and ended by."""
        (standby,) = (process for process in self.processes() if process.ppid() == os.getpid())
        (found,) = (process for process in self.processes() if process.ppid() == standby.pid)
        return found


def end_guardian(file: ConnectionFile) -> None:
    """End a server that this process has started as `rain start` does, which would have ended meanwhile."""
    above = parents().get(file.guardian, 0)
    stop_guardian(file.guardian, file.guardian_start)
    for pid in (above, file.guardian):
        with contextlib.suppress(ChildProcessError):
            if pid not in (0, os.getpid()):
                os.waitpid(pid, 0)


def kill_guardian(pid: int) -> None:
    """Kill a guardian, and before it its standby, so that nothing takes its place."""
    guardian = psutil.Process(pid)
    standby = guardian.parent()
    if standby is not None and standby.name() == "rain-standby":
        os.kill(standby.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(standby.pid, 0)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), "the guardian has ended")
