"""The list of failed tasks that a wait gives: in a notebook nothing is shown of an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rain.client.task import Task


class FailedTasks(list["Task"]):
    """A list, which as the last value of a cell shows its tasks, or nothing if there are none.

    Examples
    --------
    >>> FailedTasks() == []
    True
    """

    def _ipython_display_(self) -> None:
        if self:
            raise NotImplementedError  # IPython then shows this list as any other

    def _display_(self) -> list[Task] | str:
        """What marimo shows in its place."""
        return list(self) or ""
