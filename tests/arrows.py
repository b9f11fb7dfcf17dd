"""A plugin of pytest: after a whole run, each arrow of each table of states was taken by some test.

Every process of the tests (workers of pytest, servers, governors, forks of the simulator) appends the arrows that it
takes to one file; see `rain.processes.state_checks`. When all tests are done, the process that began reads it. It
judges only a run that was whole (`NEEDED`, nothing deselected) and in which nothing failed, and any with ``--arrows``.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest

from rain.processes.state_checks import VARIABLE, check_states
from tools.draw_states import tables

HERE = pathlib.Path(__file__).parent
NEEDED = ("unit", "sim", "integration")
"""Folders whose tests take the arrows."""
WHOLE = "whole"


class Arrows:
    """What one process of pytest knows of the arrows that were taken."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._first = not hasattr(config, "workerinput")  # else it is a worker of pytest-xdist
        self._failed = False
        self.missing: list[str] = []
        if self._first:
            file, self._path = tempfile.mkstemp(prefix="rain-arrows-")
            os.close(file)
            os.environ[VARIABLE] = self._path
        else:
            self._path = os.environ[VARIABLE]
        check_states()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note whether all is collected, before anything is deselected."""
        found = {item.path for item in items}
        if all(path in found for folder in NEEDED for path in HERE.joinpath(folder).rglob("test_*.py")):
            with open(self._path, "a") as file:
                file.write(f"{WHOLE}\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that failed, or had no program to run with, may not have taken its arrows."""
        lacked = report.skipped and isinstance(report.longrepr, tuple) and "needs " in report.longrepr[2]
        self._failed |= bool(report.failed or lacked)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge."""
        if not self._first:
            return
        lines = pathlib.Path(self._path).read_text().splitlines()
        os.unlink(self._path)
        whole = WHOLE in lines and not self._failed and not self._selected() and not session.exitstatus
        if whole or getattr(self._config.option, "arrows", False):
            self.missing = never_taken(lines)
            if self.missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _selected(self) -> bool:
        options = self._config.option
        chosen = [getattr(options, name, None) for name in ("keyword", "markexpr", "deselect", "lf", "collectonly")]
        return any(chosen) or any("::" in argument for argument in self._config.args)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is missing."""
        if self.missing:
            terminalreporter.section("arrows of tables of states that no test takes", red=True)
            for line in self.missing:
                terminalreporter.line(line)
            terminalreporter.line("Write a test that takes them, or drop them from their table.")


def never_taken(lines: list[str]) -> list[str]:
    """The arrows of all tables that are not among `lines`."""
    taken = {tuple(line.split()) for line in lines}
    return [" ".join(arrow) for table in tables() for arrow in sorted(table.names() - taken)]
