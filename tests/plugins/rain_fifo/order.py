"""The order of the policy: a line in which nobody overtakes."""

from __future__ import annotations

from rain.server.records.task import Task


class Line:
    """Tasks in the order in which they were added."""

    def __init__(self) -> None:
        self._tasks: dict[Task, None] = {}

    def add(self, task: Task) -> None:
        self._tasks[task] = None

    def remove(self, task: Task) -> None:
        self._tasks.pop(task, None)

    def tasks(self) -> list[Task]:
        return list(self._tasks)
