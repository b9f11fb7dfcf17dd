"""What a scheduling policy is: the server's core says what is ready, the policy says where it goes.

A policy is pure, as the core is: it reads records and the time that it is given, and touches nothing of the world.
`rain.server.policy_loading` refuses one that imports more. `CONTRIBUTING.md` says how to bring one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rain.server.records.family import Members
from rain.server.records.governor import Governor
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.scheduling.view import ClusterView

DEFAULT_POLICY = "locality"
"""The name of Rain's own (`rain.server.scheduling.locality`)."""


class SchedulingPolicy(Protocol):
    """Which ready task goes to which governor; one instance for all sessions of a server.

    A policy owns its queues. It is told of each task that becomes ready, and answers `assignments` at the end of each
    turn of the server in which anything changed. Records are the server's: a policy reads them and writes nothing
    into them. What it may read of a task: `id`, `session`, `request` (what it asks for), `inputs`, `outputs`, `order`
    (counts submissions), `rank` (length of the longest chain of tasks that starts with it), `spec.options` (with the
    user's `priority`), `estimate.us` (microseconds that the same code took before), `runs_once` and `placement`; of a
    governor: `id`, `cpus`, `resources`, `assigned` and `host_id`. `ClusterView` answers the rest.

    Tasks of a family (a map, a loop of equal calls) come one by one like all others. A policy that also has a method
    ``members_ready(members)`` is given those that are ready as one range of a family instead, and may assign parts of
    it (`rain.server.records.family.Members`); Rain's own does.

    What a policy gets wrong harms no one but the sessions concerned: a task that is given to a governor that is not
    here or cannot hold it, or is given twice, fails and says so. A policy that raises is made anew; if that goes on,
    the sessions with ready tasks are ended, and say so.

    Examples
    --------
    First come, first served::

        class Fifo(SchedulingPolicy):
            def __init__(self):
                self._tasks = {}

            def task_ready(self, task):
                self._tasks[task] = None

            def task_withdrawn(self, task):
                self._tasks.pop(task, None)

            def assignments(self, view, now):
                for task in list(self._tasks):
                    for governor in view.governors():
                        if view.room(governor, task) is Room.NOW:
                            del self._tasks[task]
                            yield task, governor
                            break
    """

    def task_ready(self, task: Task) -> None:
        """All inputs of a task are finished: it can be assigned from now on."""

    def task_withdrawn(self, task: Task) -> None:
        """A task that was ready cannot run now: it was cancelled, or an input was lost. It may be ready again."""

    def assignments(self, view: ClusterView, now: float) -> Iterable[tuple[Task | Members, Governor]]:
        """What to assign, each ready task at most once.

        Each pair is booked before the next is asked for, so that what a generator reads is current. Beside ready
        tasks a waiting task may be given, to the governor to which all tasks that make its missing inputs are assigned.

        Parameters
        ----------
        view : ClusterView
        now : float
            Monotonic seconds.
        """
        ...

    def steals(self, view: ClusterView) -> Iterable[tuple[Governor, Sequence[Task | Members]]]:
        """Tasks to ask back from governors, so that others can have them; asked after all assignments of a turn.

        A governor gives back those that have not begun; they become ready again.
        """
        return ()

    def governor_lost(self, governor: Governor) -> None:
        """A governor is gone, or takes no more work. Its tasks become ready again one by one."""

    def session_ended(self, session: Session) -> None:
        """Nothing of a session will be assigned any more. Its ready tasks were withdrawn."""
