"""A plugin of pytest: nothing that tests start outlives the run.

Each process of the run (with pytest-xdist there are several) puts a mark of its own into its environment, which what
it starts inherits. At the end what still carries the mark is ended and named, and the run has failed. A process beside
it (`tests.support.watcher`) does the same if the run is killed, or interrupted while a fixture is being made.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import watcher

_REPORTED = "left_running"


class Leftovers:
    """The plugin; register it in ``pytest_configure``.

    Parameters
    ----------
    grace_s : float
        How long processes may take to end by themselves when the last test is over.
    """

    def __init__(self, grace_s: float = 15.0) -> None:
        self._grace_s = grace_s
        self._mark = f"RAIN_TESTS_{uuid.uuid4().hex}"
        self._left: list[str] = []  # what ran, here and in workers
        # It has no mark, and a session of its own: an interrupt from the keyboard is not for it.
        self._watcher = subprocess.Popen(
            [sys.executable, "-P", watcher.__file__, str(os.getpid()), self._mark],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.environ[self._mark] = "1"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist has ended."""
        self._left += getattr(node, "workeroutput", {}).get(_REPORTED, [])

    @pytest.hookimpl(wrapper=True, trylast=True)  # before pytest-xdist sends what a worker has to tell
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """All tests are over, and all fixtures closed."""
        yield
        if session.exitstatus != pytest.ExitCode.INTERRUPTED:
            watcher.wait_until(lambda: not watcher.pids_with(self._mark), self._grace_s)
            self._left += [described(pid) for pid in watcher.pids_with(self._mark)]
        watcher.end_all(self._mark)
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_REPORTED] = self._left
        elif self._left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was left running."""
        if self._left:
            terminalreporter.section("left running by tests", red=True)
            for text in self._left:
                terminalreporter.line(text)

    def pytest_unconfigure(self) -> None:
        """Nobody has to watch any more."""
        del os.environ[self._mark]
        self._watcher.kill()
        self._watcher.wait()


def described(pid: int) -> str:
    """A process in words."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        command = "ended just now"
    return f"process {pid}: {command[:300]}"
