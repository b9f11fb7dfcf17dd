"""A scheduling policy from outside the package: ``fifo``, first come, first served; one task per cpu, nothing ahead.

`tests/plugins/conftest.py` says how it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator

from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.scheduling.policy import SchedulingPolicy
from rain.server.scheduling.view import ClusterView, Room

from .order import Line


class Fifo(SchedulingPolicy):
    """Gives ready tasks in the order in which they became ready, each to the emptiest governor that has room now."""

    def __init__(self) -> None:
        self._line = Line()

    def task_ready(self, task: Task) -> None:
        self._line.add(task)

    def task_withdrawn(self, task: Task) -> None:
        self._line.remove(task)

    def assignments(self, view: ClusterView, now: float) -> Iterator[tuple[Task, Governor]]:
        for task in self._line.tasks():
            able = [governor for governor in view.governors() if view.room(governor, task) is Room.NOW]
            if able:
                self._line.remove(task)
                yield task, min(able, key=lambda governor: len(governor.assigned) / governor.cpus)
