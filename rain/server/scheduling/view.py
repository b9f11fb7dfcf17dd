"""What a scheduling policy sees of the cluster: governors, and estimates about them."""

from __future__ import annotations

from collections.abc import Collection

from rain.server.graph import Graph
from rain.server.records.family import TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.scheduling import estimates, gaps
from rain.server.scheduling.estimates import Room as Room


class ClusterView:
    """The governors that are here, and what can be said of them; to be read only.

    Parameters
    ----------
    graph : Graph
        Not for policies: its layout is the core's business.
    """

    __slots__ = ("_graph",)

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def governors(self) -> Collection[Governor]:
        """Those that take work, in the order in which they came, but for those kept free for a task on several."""
        graph = self._graph
        if not graph.reserved:
            return graph.staying()
        return [governor for governor in graph.staying() if governor not in graph.reserved]

    def kept_free(self) -> Collection[Governor]:
        """Those that are kept free for a task on several, as long as that cannot start yet; see `fits_gap`."""
        return self._graph.reserved

    def fits_gap(self, governor: Governor, task: Task | TaskFamily, now: float) -> bool:
        """Whether a task, or a member of a family, fits on one of `kept_free` beside what is assigned there, and ends
        before it is needed."""
        graph = self._graph
        left_s = graph.reserved_until - now
        if left_s <= gaps.SLACK_S or not governor.holds(task.request):
            return False
        longest_s = gaps.longest_s(task)
        return longest_s is not None and longest_s <= left_s and self.room(governor, task) is Room.NOW

    def room(self, governor: Governor, task: Task | TaskFamily) -> Room:
        """Whether a task, or a member of a family, fits on a governor beside what is assigned there, or ahead of time,
        or not."""
        return estimates.room(governor, task.request, task.estimate.us)

    def wait_us(self, governor: Governor, task: Task) -> float:
        """Estimated microseconds until a task could start on a governor; 0 if it fits beside what is assigned."""
        return estimates.wait_us(governor, task.request, task.estimate.us)

    def transfer_us(self, governor: Governor, task: Task) -> float:
        """Estimated microseconds to bring a task's inputs to a governor's host."""
        return estimates.transfer_us(governor, estimates.heavy_inputs(task))

    def may_follow(self, task: Task, governor: Governor) -> bool:
        """Whether a waiting task may be given to the governor where its missing inputs are made."""
        return estimates.may_follow(task, governor)
