"""A plugin of pytest (``make test-costs``): what tests cost in processor time, with all processes that they start.

Each process of the run moves into a control group of its own, whose clock counts whatever is started in it, wherever
that goes; where no control group can be made (it needs root), only children that have ended count. The summary names
the folders, files and tests that cost most. Seconds on a clock say little on a busy machine; these tell what a change
saved.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

GROUPS = Path("/sys/fs/cgroup")
_SPENT = "processor_time"
_SHOWN = 40
PHASES = ("setup", "call", "teardown")
Spent = dict[str, dict[str, float]]
"""Of each test (or other part of a run) the seconds of each phase."""


class GroupClock:
    """The seconds that this process uses, and what it will start.

    Raises
    ------
    OSError
        If no control group can be made here.
    """

    def __init__(self) -> None:
        first = (GROUPS / "cpuacct" / "cpuacct.usage").exists()  # of the two versions of control groups
        self._parent = GROUPS / "cpuacct" if first else GROUPS
        self._folder = self._parent / f"rain-tests-{os.getpid()}"
        self._folder.mkdir()
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))
        self._file, self._unit = (self._folder / "cpuacct.usage", 1e9) if first else (self._folder / "cpu.stat", 1e6)

    def __call__(self) -> float:
        return int(self._file.read_text().split()[-1 if self._unit == 1e9 else 1]) / self._unit

    def close(self) -> None:
        """Leave the group; it goes if nothing runs in it."""
        (self._parent / "cgroup.procs").write_text(str(os.getpid()))
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def own_clock() -> float:
    """The seconds that this process and its ended children used."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class Costs:
    """Measures one process of the run; the first one also sums up."""

    def __init__(self) -> None:
        self.spent: Spent = defaultdict(lambda: defaultdict(float))
        self.spent["(starting)"]["call"] += own_clock()
        self._group: GroupClock | None = None
        self._clock: Callable[[], float] = own_clock
        with contextlib.suppress(OSError):
            self._clock = self._group = GroupClock()
        self._read = self._clock()

    def lap(self, name: str, phase: str) -> None:
        """What was used since the last lap was used for this."""
        now = self._clock()
        self.spent[name][phase] += now - self._read
        self._read = now

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Iterator[None]:
        self.lap("(starting)", "call")
        found = yield
        self.lap("(collecting)", "call")
        return found

    def _phase(self, item: pytest.Item, phase: str) -> Iterator[None]:
        self.lap("(between)", "call")
        try:
            return (yield)
        finally:
            self.lap(item.nodeid, phase)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._phase(item, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._phase(item, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._phase(item, "teardown"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        self.lap("(ending)", "call")
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_SPENT] = {name: dict(phases) for name, phases in self.spent.items()}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for name, phases in getattr(node, "workeroutput", {}).get(_SPENT, {}).items():
            for phase, seconds in phases.items():
                self.spent[name][phase] += seconds

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("processor time")
        for title, depth in (("folders", 2), ("files", 9), ("tests", 0)):
            terminalreporter.line(f"{title}:")
            for line in self.table(depth)[:_SHOWN]:
                terminalreporter.line(line)

    def pytest_unconfigure(self) -> None:
        if self._group is not None:
            self._group.close()

    def table(self, depth: int) -> list[str]:
        """Lines of what cost most: tests, or what lies `depth` deep in folders."""
        sums: Spent = defaultdict(lambda: defaultdict(float))
        for name, phases in self.spent.items():
            place = "/".join(name.split("::")[0].split("/")[:depth]) if depth else name
            for phase, seconds in phases.items():
                sums[place][phase] += seconds
                sums[place]["all"] += seconds
        if depth == 2:
            for phases in list(sums.values()):
                for phase, seconds in phases.items():
                    sums["all"][phase] += seconds
        by_cost = sorted(sums.items(), key=lambda pair: -pair[1]["all"])
        return [
            f"{phases['all']:8.2f} s  {name}  ({', '.join(f'{phase} {phases[phase]:.2f}' for phase in PHASES)})"
            for name, phases in by_cost
        ]


def pytest_configure(config: pytest.Config) -> None:
    """The plugin is loaded."""
    config.pluginmanager.register(Costs(), "costs")
