"""The graphs of a report, laid out: what is seen first, and each group opened, as far as the bounds go; pure."""

from __future__ import annotations

from collections import deque

from rain.notebook.drawing.layout import layered
from rain.notebook.graph_model import View
from rain.notebook.graph_model.tree import Group, Leaf, Part
from rain.notebook.graph_model.view import OUTPUTS_MAX
from rain.notebook.protocol.graph import GroupNode, Status, Summary, Topology
from rain.notebook.protocol.report import Scene

NODES_MAX = 1_200
"""Nodes of all scenes but the first: to lay out a node takes about a millisecond."""
OBJECTS_MAX = 400
"""Tasks and objects of a session that has a scene with a node for each object."""
ALL_OBJECTS = "objects"
"""What stands in the place of an opened group for that."""
WORK_MAX = 50_000
"""Tasks that are looked at for scenes: all of them for each."""


class Scenes:
    """The scenes of a view, which is left as it was.

    Parameters
    ----------
    view : View
    now : float
        Seconds since the epoch.

    Attributes
    ----------
    scenes : list of Scene
    status : dict of str to Status
    members : dict of str to list of str
    left_out : int
        Groups that there is no scene of.
    summary : Summary
    """

    def __init__(self, view: View, now: float) -> None:
        self._view, self._now = view, now
        self.scenes: list[Scene] = []
        self.status: dict[str, Status] = {}
        self.members: dict[str, list[str]] = {}
        self.left_out = 0
        self.summary: Summary = view.summary(now)
        self._waiting: deque[tuple[str, ...]] = deque()
        self._add(())
        if view.tree.size <= OBJECTS_MAX:
            view.show_all_objects(True)
            self._draw(ALL_OBJECTS, "")
            view.show_all_objects(False)
        nodes, work = NODES_MAX, WORK_MAX
        while self._waiting:
            path = self._waiting.popleft()
            work -= len(view.tree.tasks)
            if nodes <= 0 or work <= 0:
                self.left_out += 1
                continue
            for key in path:
                view.open(key)
            nodes -= self._add(path)
            for key in path:
                view.close(key)

    def _add(self, path: tuple[str, ...]) -> int:
        """Draw the graph with these groups open, and note which ones to open next; how many nodes it has."""
        opened, above = (path[-1] if path else ""), (path[-2] if len(path) > 1 else "")
        topology, fresh = self._draw(opened, above)
        fresh = [key for key in fresh if self._view.tree.find(key) is not None]
        # What failed is looked for first.
        fresh.sort(key=lambda key: self.status[key].state != "failed")
        self._waiting.extend((*path, key) for key in fresh)
        return len(topology.nodes)

    def _draw(self, opened: str, above: str) -> tuple[Topology, list[str]]:
        """Add the scene of the graph as it is now; and the groups in it that were in none before."""
        told = self._view.snapshot(self._now)
        self.scenes.append(Scene(opened, above, told.topology, layered(told.topology)))
        self.status |= told.status
        groups = [node.key for node in told.topology.nodes if isinstance(node, GroupNode)]
        fresh = [key for key in groups if key not in self.members]
        for key in fresh:
            self.members[key] = self._inside(key)
        return told.topology, fresh

    def _inside(self, key: str) -> list[str]:
        """Keys of the tasks in a group; where there are none, of the objects."""
        found = [leaf.key for leaf in self._view.tasks_in(key)]
        owner = self._view.task(key.removesuffix(".more"))
        if owner is not None:
            return [f"o{output.spec.id[1]}" for output in owner.record.outputs[OUTPUTS_MAX:]]
        return found or [leaf.key for leaf in _leaves(self._view.tree.find(key))]


def _leaves(node: object) -> list[Leaf]:
    group = node.group if isinstance(node, Part) else node
    if not isinstance(group, Group):
        return []
    begin, end = (node.begin, node.end + 1) if isinstance(node, Part) else (0, None)
    return [leaf for leaf in group.members[begin:end] if isinstance(leaf, Leaf)]
