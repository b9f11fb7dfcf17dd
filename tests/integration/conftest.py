"""Clusters for tests with real processes, and a look at what they leave behind."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from rain import Client, Session

GUARD_S = 20.0
"""How long tests wait for what should come at once; only a broken system takes that long."""


def until(condition: Callable[[], object], what: str, guard_s: float = GUARD_S) -> None:
    """Return as soon as `condition()` holds.

    Raises
    ------
    AssertionError
        If it does not within `guard_s` seconds.
    """
    deadline = time.monotonic() + guard_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {guard_s} s: {what}"
        time.sleep(0.01)


@dataclass
class Marked:
    """Finds all processes that descend from this one, wherever they have gone, by a mark in their environment."""

    mark: str = field(default_factory=lambda: f"TEST_MARK_{uuid.uuid4().hex}")

    def processes(self) -> list[psutil.Process]:
        """Those that live."""
        needle = self.mark.encode() + b"="
        found = []
        for pid in psutil.pids():
            try:
                if needle in Path(f"/proc/{pid}/environ").read_bytes() and pid != os.getpid():
                    process = psutil.Process(pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
            except (OSError, psutil.Error):
                continue
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


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marked]:
    """Marks what the test starts; at the end of the test nothing of it may live."""
    found = Marked()
    monkeypatch.setenv(found.mark, "1")
    yield found
    until(lambda: not found.processes(), f"all processes gone; there are {found.processes()}")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of one governor with two cpus, shared by a module's tests."""
    with Client.local(cpus=2) as client:
        yield client


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    """A session of the shared cluster."""
    with client.new_session("test") as session:
        yield session
