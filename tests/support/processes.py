"""Processes that descend from a test, found by a mark in their environment wherever they have gone."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass, field

import psutil

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
        (found,) = (process for process in self.processes() if process.ppid() == os.getpid())
        return found
