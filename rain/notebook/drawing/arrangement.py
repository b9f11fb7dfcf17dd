"""How a graph is best laid out: from the top down or from left to right, what goes below what, how large it becomes.

All of it is a guess from ranks and sizes; where everything is, layouts say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from rain.notebook.drawing.text_metrics import node_size
from rain.notebook.protocol.graph import AnyNode, Frame, Topology

PAGE_WIDTH, PAGE_HEIGHT = 930, 490
"""CSS pixels that a graph has on a usual page."""
READABLE_SCALE = 0.9
"""At which the smallest letters, of `text_metrics.SMALL_SIZE`, have 9 CSS pixels."""
LINE_WIDTH = PAGE_WIDTH / READABLE_SCALE
SIDE_GAP, RANK_GAP = 22, 30
"""Points between nodes beside each other, and between ranks."""
SIDEWAYS_GAP = 42
"""Points between ranks from left to right, where arrows and their labels are."""
FRAME_SIDES, FRAME_ENDS = 16, 34
"""Points that a frame takes beside, and above and below what is in it."""
LINE_GAP = 46
"""Points between lines of a graph that is wrapped."""
CROSSING_MAX = 3
"""Arcs that may lead from one line to the next."""
PIECES_MIN = 4
"""Pieces that are not connected, or nodes between the same ones: from so many on they are put into rows."""


class Arrangement(NamedTuple):
    """How a graph is laid out.

    Attributes
    ----------
    sideways : bool
        From left to right, in lines that wrap.
    width, height : float
        Points.
    """

    sideways: bool
    width: float
    height: float

    @property
    def scale(self) -> float:
        """How large it is drawn to be seen as a whole on a usual page."""
        return min(1.0, PAGE_WIDTH / max(self.width, 1), PAGE_HEIGHT / max(self.height, 1))


def arrangement(
    nodes: Collection[AnyNode], arcs: Collection[tuple[str, str]], frames: Iterable[Frame] = ()
) -> Arrangement:
    """The better way to lay out a graph: what can be read, else drawn larger, else what is less high.

    Parameters
    ----------
    nodes : collection of node
    arcs : collection of (str, str)
        Keys of tail and head.
    frames : iterable of Frame

    Examples
    --------
    >>> from rain.notebook.protocol.graph import TaskNode
    >>> chain = [TaskNode(f"t{n}", "step", type="py/") for n in range(5)]
    >>> arrangement(chain, [("t0", "t1"), ("t1", "t2"), ("t2", "t3"), ("t3", "t4")]).sideways
    True
    >>> arrangement(chain, []).sideways
    False
    """
    shape = _Shape(nodes, arcs, frames)
    ways = (shape.downwards(), shape.sideways())
    return max(ways, key=lambda way: (round(min(way.scale, READABLE_SCALE), 2), -way.height))


def is_sideways(nodes: Collection[AnyNode], arcs: Collection[tuple[str, str]], frames: Collection[Frame] = ()) -> bool:
    """Whether a graph is to be laid out from left to right.

    Of one that is too large to be seen as a whole it counts that `stacked` puts what is beside each other into rows.
    """
    best = arrangement(nodes, arcs, frames)
    if best.sideways and best.scale < READABLE_SCALE:
        return best.scale >= _Shape(nodes, arcs, frames).downwards(in_rows=True).scale
    return best.sideways


class _Shape:
    """What is known of a graph without a layout: ranks and sizes."""

    def __init__(self, nodes: Collection[AnyNode], arcs: Collection[tuple[str, str]], frames: Iterable[Frame]) -> None:
        self.sizes = {node.key: node_size(node) for node in nodes}
        self.frame_of = {node.key: node.frame for node in nodes}
        self.around = {frame.key: frame.frame for frame in frames}
        self.arcs = [arc for arc in arcs if arc[0] in self.sizes and arc[1] in self.sizes and arc[0] != arc[1]]
        self.rank = ranks(self.sizes, self.arcs)

    def _rows(self, keys: Iterable[str]) -> list[list[str]]:
        """These nodes by rank."""
        rows: dict[int, list[str]] = {}
        for key in keys:
            rows.setdefault(self.rank[key], []).append(key)
        return [rows[rank] for rank in sorted(rows)]

    def _paths(self, keys: Iterable[str]) -> Counter[str]:
        """How many of these nodes are in each frame, or in one inside of it."""
        found: Counter[str] = Counter()
        for key in keys:
            frame = self.frame_of[key]
            while frame is not None:
                found[frame] += 1
                frame = self.around.get(frame)
        return found

    def downwards(self, in_rows: bool = False) -> Arrangement:
        """From the top down, pieces that are not connected in rows, and with `in_rows` all that is too wide."""
        sizes = []
        for piece in pieces(self.sizes, self.arcs):
            width = height = 0.0
            for keys in self._rows(piece):
                across = sum(self.sizes[key][0] + SIDE_GAP for key in keys) + FRAME_SIDES * len(self._paths(keys))
                rows = math.ceil(across / LINE_WIDTH) if in_rows else 1
                width = max(width, across / rows)
                height += rows * (max(self.sizes[key][1] for key in keys) + RANK_GAP)
            sizes.append((width, height))
        row = in_a_row([width for width, _ in sizes]) if len(sizes) >= PIECES_MIN else len(sizes)
        lines = [sizes[first : first + row] for first in range(0, len(sizes), max(row, 1))]
        ends = FRAME_ENDS * self._deepest()
        return Arrangement(
            sideways=False,
            width=max((sum(width for width, _ in line) for line in lines), default=0),
            height=sum(max(height for _, height in line) + ends for line in lines),
        )

    def _deepest(self) -> int:
        def depth(key: str | None) -> int:
            return 1 + depth(self.around[key]) if key in self.around else 0

        return max(map(depth, self.around), default=0)

    def sideways(self) -> Arrangement:
        """From left to right, in lines."""
        rows = self._rows(self.sizes)
        widths = [max(self.sizes[key][0] for key in row) + SIDEWAYS_GAP for row in rows]
        heights = [
            sum(self.sizes[key][1] + SIDE_GAP for key in row) + FRAME_ENDS * len(self._paths(row)) for row in rows
        ]
        lines = [range(begin, end) for begin, end in pairwise([0, *self._ends(widths), len(rows)]) if begin < end]
        width = max((sum(widths[row] for row in line) for line in lines), default=0)
        height = sum(max(heights[row] for row in line) + LINE_GAP for line in lines) - LINE_GAP
        return Arrangement(sideways=True, width=width, height=max(height, 0))

    def _ends(self, widths: Sequence[float]) -> Iterator[int]:
        """Before which ranks a new line begins."""
        crossing = [0] * (len(widths) + 1)  # arcs from ranks before each rank to it or beyond, as differences
        for tail, head in self.arcs:
            low, high = sorted((self.rank[tail], self.rank[head]))
            crossing[low + 1] += 1
            crossing[high + 1] -= 1
        spans: dict[str, tuple[int, int]] = {}
        for key in self.sizes:
            for frame in self._paths([key]):
                first, last = spans.get(frame, (len(widths), 0))
                spans[frame] = min(first, self.rank[key]), max(last, self.rank[key])
        inside = {rank for first, last in spans.values() for rank in range(first + 1, last + 1)}
        width, count, best = 0.0, 0, 0
        for rank, more in enumerate(widths):
            count += crossing[rank]
            if rank and count <= CROSSING_MAX and rank not in inside:
                best = rank
            if width + more > LINE_WIDTH and best:
                yield best
                width, best = sum(widths[best:rank]), 0
            width += more


def ranks(keys: Iterable[str], arcs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many arcs the longest way to each node has; where arcs go round, one that closes a circle is left out."""
    after: dict[str, list[str]] = {key: [] for key in keys}
    waits = dict.fromkeys(after, 0)
    for tail, head in arcs:
        after[tail].append(head)
        waits[head] += 1
    found = dict.fromkeys(after, 0)
    ready = [key for key, count in waits.items() if not count]
    left = dict.fromkeys(after)
    while left:
        if not ready:
            ready.append(next(iter(left)))
        key = ready.pop()
        if key not in left:
            continue
        del left[key]
        for head in after[key]:
            if head in left:
                found[head] = max(found[head], found[key] + 1)
                waits[head] -= 1
                if not waits[head]:
                    ready.append(head)
    used = {rank: place for place, rank in enumerate(sorted(set(found.values())))}
    return {key: used[rank] for key, rank in found.items()}


def pieces(keys: Iterable[str], arcs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The nodes of each connected part."""
    piece: dict[str, str] = {}  # a node of the same piece, at last the piece's own

    def find(key: str) -> str:
        while (up := piece.get(key, key)) != key:
            piece[key] = piece.get(up, up)
            key = up
        return key

    for tail, head in arcs:
        one, other = find(tail), find(head)
        if one != other:
            piece[other] = one
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(find(key), []).append(key)
    return list(found.values())


def in_a_row(widths: Sequence[float]) -> int:
    """How many of these go into a row: as many as a page is wide, of very many more, so that not all is one column."""
    average = sum(widths) / len(widths)
    return max(1, int(LINE_WIDTH / max(average, 1)), math.ceil(math.sqrt(len(widths))))


def stacked(topology: Topology) -> Iterator[tuple[str, str]]:
    """What goes below what although no arc says so, from the top down.

    Graphviz would put much that is not connected, and all that lies between the same nodes, beside each other, in a row
    too wide to be read.

    Yields
    ------
    (str, str)
        The last node of something, and the first node of what is below it.
    """
    sizes = {node.key: node_size(node)[0] + SIDE_GAP for node in topology.nodes}
    frame_of = {node.key: node.frame for node in topology.nodes}
    within = [(arc.tail, arc.head) for arc in topology.arcs if frame_of[arc.tail] == frame_of[arc.head]]
    by_frame: dict[str | None, list[list[str]]] = {}
    for piece in pieces(frame_of, within):
        by_frame.setdefault(frame_of[piece[0]], []).append(piece)
    rank = ranks(frame_of, within)
    below: dict[tuple[str, str], None] = {}
    for found in by_frame.values():
        below.update(_below([(_across(piece, rank, sizes), piece[0], piece[-1]) for piece in found]))
    for twins in _twins(topology, frame_of):
        below.update(_below([(sizes[key], key, key) for key in twins]))
    yield from below


def _across(piece: list[str], rank: Mapping[str, int], sizes: Mapping[str, float]) -> float:
    rows: Counter[int] = Counter()
    for key in piece:
        rows[rank[key]] += round(sizes[key])
    return max(rows.values())


def _below(things: list[tuple[float, str, str]]) -> dict[tuple[str, str], None]:
    """Rows of many things, of which there are width, first and last node."""
    if len(things) < PIECES_MIN:
        return {}
    row = in_a_row([width for width, _, _ in things])
    return {(upper[2], lower[1]): None for upper, lower in zip(things, things[row:], strict=False)}


def _twins(topology: Topology, frame_of: Mapping[str, str | None]) -> list[list[str]]:
    """Nodes in the same frame that have the same nodes before and behind them, which are several."""
    before: dict[str, set[str]] = {}
    after: dict[str, set[str]] = {}
    for arc in topology.arcs:
        before.setdefault(arc.head, set()).add(arc.tail)
        after.setdefault(arc.tail, set()).add(arc.head)
    found: dict[tuple[object, ...], list[str]] = {}
    for key, frame in frame_of.items():
        if key in before or key in after:
            like = frame, frozenset(before.get(key, ())), frozenset(after.get(key, ()))
            found.setdefault(like, []).append(key)
    return [keys for keys in found.values() if len(keys) >= PIECES_MIN]
