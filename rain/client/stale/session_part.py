"""The part of `Session` that is about stale results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rain.client.core.operations.reruns import Plan
from rain.client.core.records import TaskRecord
from rain.client.operations.operation import Operation
from rain.client.operations.session_operations import Item
from rain.client.operations.twins import awaitable, blocking
from rain.client.session_contents import SessionContents
from rain.client.stale.edited import refresh
from rain.client.stale.rerun import rerun

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.client.task import Task


class StaleResults(SessionContents):
    """What is stale in a session, and to run it again."""

    @property
    def stale(self) -> list[Task]:
        """Tasks whose function, or a function before them, was edited since they were made, with a result of the code
        before.

        A function is the same one, edited, if it has the same module and qualified name; in notebooks, if it is the one
        that the name means now, whichever cell defined it. Its code counts, that of functions and classes of the
        notebook that it uses, defaults, and globals in capitals with a plain value; comments, docstrings and
        annotations do not.

        Examples
        --------
        >>> with client.new_session("fresh") as session:
        ...     session.stale
        []
        """
        session = cast("Session", self)
        refresh(session)
        records = list(self._inside.mirror.records.values())
        return [self._task(record) for record in records if isinstance(record, TaskRecord) and record.stale]

    @blocking
    def rerun_stale(
        self, tasks: Item | Iterable[Item] | None = None, timeout: float | None = None
    ) -> Operation[dict[Task, Task]]:
        """Run stale tasks again, with their functions as they are now, as new tasks under new ids.

        What was fetched does not change: the old tasks and objects stay as they are, and `renewed` of each gives what
        stands in its place. Tasks whose data were let go and are needed run again as well; arguments, options and
        outputs are as the tasks were made. What was made anew since by the same calls is left out. Before anything
        starts, it prints what will run, about how long that takes by what it took before, and which stale tasks are
        still running (they go on).

        Parameters
        ----------
        tasks : Task, DataObject or a sequence of them, optional
            Which ones; all that are stale if not given.
        timeout : float, optional
            Seconds to wait for the server's answer, not for the tasks.

        Returns
        -------
        dict of Task to Task
            The new tasks by the old ones.

        Raises
        ------
        RainException
            If a named one is not stale, or cannot run again because an input was let go.
        """
        return self._checked(rerun(cast("Session", self), tasks, _tell))

    rerun_stale_async = awaitable(rerun_stale)


def _tell(plan: Plan) -> None:
    offer = plan.offer() or "nothing is stale that can be run again"
    print("\n    ".join([offer, *plan.lines()]), flush=True)  # noqa: T201
