"""Documents as trees that are opened node by node: where children begin is found out as far as they are shown.

Theory of operation
-------------------
A document knows how its format is written; a `Container` is what is known of one container: where each child that
was passed so far begins and ends, and how to go on from there. `advance` goes on until there are as many children as
are to be shown, the container ends, or the allowance of the request is used up; the next request goes on from the same
place. So nothing is read twice, and nothing beyond what is shown, whatever the size of the document.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import OrderedDict
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import TREE_PAGE_CHILDREN
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import cut, visible
from rain.notebook.inspectors.subject import Allowance, PageWithBuffers
from rain.notebook.protocol.data import TreeNode, TreePage
from rain.notebook.protocol.requests import Inspect

_CHILDREN_MAX = 2_000_000
"""Children of one node whose places are remembered."""
_CONTAINERS_MAX = 1000


class Container:
    """What is known of a container.

    Attributes
    ----------
    kind : str
    keys, starts, ends : array of int
        Positions of the children; the last one's end may not be known yet. Keys are there only where there are keys.
    count : int or None
        Where the format says it, or all children have been passed.
    position : int
        Where to go on.
    state : Any
        How to go on, the document's own.
    done : bool
    error : str
        Why it cannot go on.
    """

    __slots__ = ("count", "done", "ends", "error", "keys", "kind", "position", "starts", "state")

    def __init__(self, kind: str, position: int, count: int | None = None) -> None:
        self.kind = kind
        self.position = position
        self.count = count
        self.keys = array("Q")
        self.starts = array("Q")
        self.ends = array("Q")
        self.state: Any = None
        self.done = False
        self.error = ""

    def end(self, number: int) -> int | None:
        """Where a child ends, where that is known."""
        return self.ends[number] if number < len(self.ends) else None

    def stop(self, error: str = "") -> None:
        """All children that can be found have been."""
        self.done = True
        self.error = error
        if not error:
            self.count = len(self.starts)


class Description(msgspec.Struct, frozen=True):
    """What is said of a value: see `rain.notebook.protocol.data.TreeNode`."""

    kind: str
    text: str
    count: int | None


class Document(ABC):
    """A format.

    Parameters
    ----------
    ranges : Ranges
    """

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges

    @abstractmethod
    def root(self) -> int:
        """Where the outermost value begins."""

    @abstractmethod
    def open(self, start: int) -> Container | None:
        """A new container for the container that begins there; None for other values."""

    @abstractmethod
    def advance(self, container: Container, count: int, allowance: Allowance) -> None:
        """Find children until there are `count`, or there are no more, or the allowance is used up."""

    @abstractmethod
    def describe(self, start: int, end: int | None, long: bool) -> Description:
        """What is said of the value that begins there."""

    @abstractmethod
    def label(self, container: Container, number: int) -> str:
        """The key or number of a child."""

    @abstractmethod
    def behind(self, position: int) -> str:
        """What is behind the outermost value, which ends at `position`, in words; empty if nothing is."""

    note = ""
    """What is to be said of the document as a whole."""


class TreeViewer:
    """Pages of at most `TREE_PAGE_CHILDREN` children of a node.

    Parameters
    ----------
    document : Document
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._containers: OrderedDict[int, Container] = OrderedDict()
        self._asked = False

    def page(self, asked: Inspect) -> PageWithBuffers:
        allowance = Allowance(self._document.ranges, not self._asked)
        self._asked = True
        start, end, label = self._document.root(), None, ""
        for step in asked.at:
            start, end, label = self._child(start, step, allowance)
        node = self._node(label, start, end, True)
        container = self._container(start)
        if container is not None:
            self._add_children(node, container, asked.offset, allowance, not asked.at)
        return TreePage(at=asked.at, node=node, note=self._document.note), []

    def _container(self, start: int) -> Container | None:
        container = self._containers.get(start) or self._document.open(start)
        if container is not None:
            self._containers[start] = container
            self._containers.move_to_end(start)
            if len(self._containers) > _CONTAINERS_MAX:
                self._containers.popitem(last=False)
        return container

    def _node(self, label: str, start: int, end: int | None, long: bool) -> TreeNode:
        found = self._document.describe(start, end, long)
        return TreeNode(visible(label), found.kind, found.text, found.count)

    def _add_children(
        self, node: TreeNode, container: Container, offset: int, allowance: Allowance, outermost: bool
    ) -> None:
        if offset > _CHILDREN_MAX:
            raise RainException(f"of one node {_CHILDREN_MAX:,} children at most are shown; see the text or the bytes")
        # One more than is shown, so that the end of the last one is known, and whether there is another.
        self._document.advance(container, offset + TREE_PAGE_CHILDREN + 1, allowance)
        if outermost and container.done and not container.error:
            container.error = self._document.behind(container.position)
        offset = min(offset, len(container.starts))
        children = [
            self._node(self._document.label(container, number), container.starts[number], container.end(number), False)
            for number in range(offset, min(offset + TREE_PAGE_CHILDREN, len(container.starts)))
        ]
        count = container.count
        if container.error and offset + len(children) == len(container.starts):
            children.append(TreeNode("", "error", container.error, 0))
            count = len(container.starts) + 1
        node.count, node.offset, node.children = count, offset, children

    def _child(self, start: int, step: int | str, allowance: Allowance) -> tuple[int, int | None, str]:
        container = self._container(start)
        if container is None:
            raise RainException(f"there is nothing below the node that step {cut(repr(step), 60)} leads from")
        number = step if isinstance(step, int) else self._find(container, step, allowance)
        if number < _CHILDREN_MAX:
            self._document.advance(container, number + 1, allowance)
        if number >= len(container.starts):
            why = "there is none" if container.done else "what is before it has not been read yet"
            raise RainException(f"child {number} of this node cannot be shown: {container.error or why}")
        return container.starts[number], container.end(number), self._document.label(container, number)

    def _find(self, container: Container, key: str, allowance: Allowance) -> int:
        """The position of the first child with this label."""
        number = 0
        while number < _CHILDREN_MAX:
            if number == len(container.starts):
                self._document.advance(container, number + TREE_PAGE_CHILDREN, allowance)
            if number == len(container.starts):
                break
            if self._document.label(container, number) == key:
                return number
            number += 1
        raise RainException(f"no child called {cut(repr(key), 80)} was found in this node as far as it was read")
