"""A graph in layers: which row each node is in, and the order within the rows.

Theory of operation
-------------------
The first half of the method of K. Sugiyama, S. Tagawa and M. Toda ("Methods for visual understanding of hierarchical
system structures", 1981), with the improvements of E. Gansner et al. ("A technique for drawing directed graphs", 1993):
cycles are broken by turning the arcs that a depth-first search finds to go back, rows are longest paths, long arcs are
chains of dummies, and sweeps by barycentres, then swaps of neighbours, take crossings away.

Open groups are frames around their nodes. In every row the nodes of a frame are next to each other, frames beside each
other are in the same order in all rows, and a frame has a placeholder in rows that it only passes through. `places` can
therefore draw every frame as a box.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from rain.notebook.drawing.text_metrics import ROOM, SMALL_SIZE, node_size, text_width
from rain.notebook.protocol.graph import AnyNode, Frame, Topology

DUMMIES_MAX = 5000
"""Longest arcs beyond so many dummies take no part in the layout and are drawn straight."""
SWEEPS_MAX = 14
SWAPS_MAX = 4
EFFORT = 12_000
"""Vertices times sweeps, or swaps, from which on there are fewer of them: no large graph takes seconds."""
NODE_GAP = 22
"""Points between nodes side by side."""
DUMMY_GAP = 12
"""Points between arcs that pass a row, and anything."""


class Net:
    """A connected part of a topology while it is laid out.

    Vertices are numbers: first the nodes, then dummies of long arcs and placeholders of frames.

    Attributes
    ----------
    nodes : list of node
        Of the topology.
    kinds : list of str
        Of the nodes.
    widths, heights : list of int
        Of the vertices, in points.
    frame : list of int
        The innermost frame of each vertex, or -1.
    frames : list of (str, int, float)
        Key, frame around it (or -1), least width.
    arcs : list of (int, int, int)
        Tail, head, number in the topology.
    turned : set of int
        Arcs (by place in `arcs`) that go up.
    chains : list of list of int
        The vertices of each arc, from the top down.
    row : list of int
        Of each vertex.
    rows : list of list of int
        The vertices of each row, from left to right.
    above, below : list of list of int
        Neighbours one row away.
    """

    def __init__(self, nodes: Sequence[AnyNode]) -> None:
        self.nodes = nodes
        sizes = [node_size(node) for node in nodes]
        self.kinds = [node.kind for node in nodes]
        self.widths = [width for width, _ in sizes]
        self.heights = [height for _, height in sizes]
        self.frame = [-1] * len(nodes)
        self.frames: list[tuple[str, int, float]] = []
        self.arcs: list[tuple[int, int, int]] = []
        self.turned: set[int] = set()
        self.chains: list[list[int]] = []
        self.row: list[int] = []
        self.rows: list[list[int]] = []
        self.above: list[list[int]] = []
        self.below: list[list[int]] = []

    def path(self, frame: int) -> tuple[int, ...]:
        """The frames around something in `frame`, the outermost first."""
        path: list[int] = []
        while frame >= 0:
            path.append(frame)
            frame = self.frames[frame][1]
        return tuple(reversed(path))


def nets(topology: Topology) -> list[Net]:
    """The connected parts of a topology, in its order; a frame connects what is in it."""
    nodes = topology.nodes
    number = {node.key: n for n, node in enumerate(nodes)}
    around = {frame.key: frame.frame for frame in topology.frames}
    leader: dict[Any, Any] = {}

    def find(item: Any) -> Any:
        while leader.setdefault(item, item) != item:
            leader[item] = item = leader[leader[item]]
        return item

    arcs = [
        (number[arc.tail], number[arc.head], n)
        for n, arc in enumerate(topology.arcs)
        if arc.tail in number and arc.head in number
    ]
    for tail, head, _ in arcs:
        leader[find(tail)] = find(head)
    for n, node in enumerate(nodes):
        if node.frame in around:
            leader[find(n)] = find(node.frame)
    for frame, outer in around.items():
        if outer in around:
            leader[find(frame)] = find(outer)
    parts: dict[Any, list[int]] = {}
    for n in range(len(nodes)):
        parts.setdefault(find(n), []).append(n)
    found = {}
    for root, members in parts.items():
        found[root] = net = Net([nodes[n] for n in members])
        _put_frames(net, topology.frames)
    place = {n: local for members in parts.values() for local, n in enumerate(members)}
    for tail, head, n in arcs:
        if tail != head:
            found[find(tail)].arcs.append((place[tail], place[head], n))
    return list(found.values())


def _put_frames(net: Net, frames: Sequence[Frame]) -> None:
    """Number the frames that have nodes, directly or in frames inside."""
    by_key: dict[str | None, Frame] = {frame.key: frame for frame in frames}
    used: set[str] = set()
    for node in net.nodes:
        frame = by_key.get(node.frame)
        while frame is not None and frame.key not in used:
            used.add(frame.key)
            frame = by_key.get(frame.frame)
    shown = [frame for frame in frames if frame.key in used]
    number: dict[str | None, int] = {frame.key: n for n, frame in enumerate(shown)}
    for frame in shown:
        width = text_width(frame.written, SMALL_SIZE + 1) * ROOM + 20
        net.frames.append((frame.key, number.get(frame.frame, -1), width))
    net.frame = [number.get(node.frame, -1) for node in net.nodes]


def put_in_rows(net: Net) -> None:
    """Give each node a row, and long arcs dummies in the rows that they pass."""
    count = len(net.nodes)
    heads: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for place, (tail, head, _) in enumerate(net.arcs):
        heads[tail].append((head, place))
    net.turned = _going_back(heads)
    down: list[list[int]] = [[] for _ in range(count)]
    up: list[list[int]] = [[] for _ in range(count)]
    for place, (tail, head, _) in enumerate(net.arcs):
        top, bottom = (head, tail) if place in net.turned else (tail, head)
        down[top].append(bottom)
        up[bottom].append(top)
    order = topological(down)
    assert order is not None
    row = [0] * count
    for v in order:
        for below in down[v]:
            row[below] = max(row[below], row[v] + 1)
    for tail_first in (True, False, True):
        # What has more arcs to one side moves there as far as it can: arcs become shorter.
        for v in reversed(order) if tail_first else order:
            if tail_first and len(up[v]) < len(down[v]):
                row[v] = min(row[u] for u in down[v]) - 1
            elif not tail_first and len(up[v]) > len(down[v]):
                row[v] = max(row[u] for u in up[v]) + 1
    least = min(row)
    net.row = [r - least for r in row]
    _make_chains(net)
    _make_placeholders(net)


def _going_back(heads: list[list[tuple[int, int]]]) -> set[int]:
    """The arcs that close a cycle in a depth-first search."""
    back: set[int] = set()
    seen = [0] * len(heads)  # 1: on the way from the root, 2: done
    entered = {head for arcs in heads for head, _ in arcs}
    for root in sorted(range(len(heads)), key=lambda v: v in entered):
        if seen[root]:
            continue
        seen[root] = 1
        stack = [(root, iter(heads[root]))]
        while stack:
            v, arcs = stack[-1]
            for head, place in arcs:
                if seen[head] == 1:
                    back.add(place)
                elif not seen[head]:
                    seen[head] = 1
                    stack.append((head, iter(heads[head])))
                    break
            else:
                seen[v] = 2
                stack.pop()
    return back


def topological(down: Sequence[Iterable[int]]) -> list[int] | None:
    """All vertices, each before those that it points to; None if there is a cycle."""
    waiting = [0] * len(down)
    for below in down:
        for u in below:
            waiting[u] += 1
    order = [v for v, count in enumerate(waiting) if not count]
    for v in order:
        for u in down[v]:
            waiting[u] -= 1
            if not waiting[u]:
                order.append(u)
    return order if len(order) == len(down) else None


def _new_vertex(net: Net, row: int, frame: int) -> int:
    net.widths.append(0)
    net.heights.append(0)
    net.frame.append(frame)
    net.row.append(row)
    net.above.append([])
    net.below.append([])
    return len(net.row) - 1


def _make_chains(net: Net) -> None:
    net.above = [[] for _ in net.nodes]
    net.below = [[] for _ in net.nodes]
    net.chains = [[] for _ in net.arcs]
    ends = [(h, t) if place in net.turned else (t, h) for place, (t, h, _) in enumerate(net.arcs)]
    shared: dict[tuple[int, int, int], int] = {}
    joined: set[tuple[int, int]] = set()
    left = DUMMIES_MAX
    for place in sorted(range(len(ends)), key=lambda place: net.row[ends[place][1]] - net.row[ends[place][0]]):
        top, bottom = ends[place]
        left -= net.row[bottom] - net.row[top] - 1
        if left < 0:
            net.chains[place] = [top, bottom]
            continue
        around = net.path(net.frame[top])
        both = (-1, *around)[common(around, net.path(net.frame[bottom]))]
        chain = net.chains[place] = [top]
        for row in range(net.row[top] + 1, net.row[bottom]):
            # What goes out of an object is the same, wherever it goes: one line, with branches.
            whose = top if net.kinds[top] == "object" else -1 - place
            if (whose, both, row) not in shared:
                shared[whose, both, row] = _new_vertex(net, row, both)
            chain.append(shared[whose, both, row])
        chain.append(bottom)
        for upper, lower in pairwise(chain):
            if (upper, lower) not in joined or lower == bottom:
                joined.add((upper, lower))
                net.below[upper].append(lower)
                net.above[lower].append(upper)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many frames, from the outside in, are around both."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _make_placeholders(net: Net) -> None:
    held: list[set[int]] = [set() for _ in net.frames]
    for v, row in enumerate(net.row):
        for frame in net.path(net.frame[v]):
            held[frame].add(row)
    for frame, rows in enumerate(held):
        for row in range(min(rows), max(rows)):
            if row not in rows:
                _new_vertex(net, row, frame)  # frames around it have this row too: no need to tell them


# -- order within rows ----------------------------------------------------------------------------
def order_rows(net: Net) -> None:
    """Put the vertices of each row into an order with few crossings."""
    sort = _Sorter(net)
    net.rows = best = sort.first()
    least = crossings(net, best)
    idle = 0
    for sweep in range(max(2, min(SWEEPS_MAX, EFFORT // len(net.row)))):
        if not least or idle > 4:
            break
        net.rows = sort.swept(net.rows, downwards=sweep % 2 == 0, median=sweep % 4 > 1)
        count = crossings(net, net.rows)
        idle += 1
        if count < least:
            best, least, idle = net.rows, count, 0
    net.rows = [list(row) for row in best]
    for _ in range(min(SWAPS_MAX, EFFORT // 3 // len(net.row)) if least else 0):
        if not _swap_neighbours(net):
            break


class _Sorter:
    """Sorts rows by where the neighbours are, and keeps frames together."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.paths = [net.path(frame) for frame in net.frame]
        self.x = [0.0] * len(net.row)
        self.frame_x = [0.0] * len(net.frames)

    def first(self) -> list[list[int]]:
        """Rows in the order of a depth-first search from the top."""
        net = self.net
        rows: list[list[int]] = [[] for _ in range(max(net.row) + 1)]
        seen = [False] * len(net.row)
        for root in sorted(range(len(net.row)), key=net.row.__getitem__):
            stack = [root]
            while stack:
                v = stack.pop()
                if not seen[v]:
                    seen[v] = True
                    rows[net.row[v]].append(v)
                    stack += reversed(net.below[v])
        for row in rows:
            self._measure(row)
        self._measure_frames()
        return [self._sorted(row, self.x) for row in rows]

    def swept(self, rows: list[list[int]], downwards: bool, median: bool) -> list[list[int]]:
        """Rows sorted one after the other by the places of neighbours in the row before."""
        net = self.net
        near = net.above if downwards else net.below
        x = self.x
        for row in rows:
            self._measure(row)
        wanted = list(x)
        swept = [list(row) for row in rows]
        for r in range(len(rows)) if downwards else reversed(range(len(rows))):
            for v in rows[r]:
                if near[v]:
                    places = sorted(x[u] for u in near[v])
                    wanted[v] = _middle(places) if median else sum(places) / len(places)
            swept[r] = self._sorted(rows[r], wanted)
        self._measure_frames()
        if net.frames:  # they may have changed places: the same order in all rows
            swept = [self._sorted(row, x) for row in swept]
        return swept

    def _measure(self, row: list[int]) -> None:
        """Where the vertices are if they are packed, the middle of the row at 0."""
        net, x = self.net, self.x
        at = 0.0
        for v in row:
            width = net.widths[v] + NODE_GAP if net.widths[v] else DUMMY_GAP
            x[v] = at + width / 2
            at += width
        for v in row:
            x[v] -= at / 2

    def _measure_frames(self) -> None:
        totals = [[0.0, 0] for _ in self.net.frames]
        for v, path in enumerate(self.paths):
            for frame in path:
                totals[frame][0] += self.x[v]
                totals[frame][1] += 1
        self.frame_x = [total / count for total, count in totals]

    def _sorted(self, row: list[int], wanted: list[float]) -> list[int]:
        if self.net.frames:
            many, frame_x, paths = len(self.net.row), self.frame_x, self.paths
            # At each level of nesting: where, then what, so that equal places do not mix two frames.
            keys = {v: [(frame_x[f], many + f) for f in paths[v]] + [(wanted[v], v)] for v in row}
            row = sorted(row, key=keys.__getitem__)
        else:
            row = sorted(row, key=wanted.__getitem__)
        self._measure(row)
        return row


def _middle(places: list[float]) -> float:
    half = len(places) // 2
    return places[half] if len(places) % 2 else (places[half - 1] + places[half]) / 2


def crossings(net: Net, rows: list[list[int]]) -> int:
    """How many pairs of arcs cross between rows."""
    total = 0
    for row, below in pairwise(rows):
        place = {v: n for n, v in enumerate(below)}
        passed: list[int] = []
        for v in row:
            ends = [place[u] for u in net.below[v]]
            for end in ends:
                total += len(passed) - bisect_right(passed, end)
            for end in ends:
                insort(passed, end)
    return total


def _swap_neighbours(net: Net) -> bool:
    """Swap vertices side by side where that takes crossings away; whether any were."""
    swapped = False
    place = [0] * len(net.row)
    for row in net.rows:
        for n, v in enumerate(row):
            place[v] = n
    for row in net.rows:
        ends = {
            v: (sorted(place[u] for u in net.above[v]), sorted(place[u] for u in net.below[v]))
            for v in row
            if net.above[v] or net.below[v]
        }
        for n in range(len(row) - 1):
            left, right = row[n], row[n + 1]
            if net.frame[left] != net.frame[right] or left not in ends or right not in ends:
                continue
            gain = 0
            for a, b in zip(ends[left], ends[right], strict=True):
                gain += _inversions(a, b) - _inversions(b, a)
            if gain > 0:
                row[n], row[n + 1] = right, left
                place[left], place[right] = n + 1, n
                swapped = True
    return swapped


def _inversions(left: list[int], right: list[int]) -> int:
    """Crossings of the arcs of two vertices side by side; the ends are sorted."""
    return sum(len(left) - bisect_right(left, end) for end in right)
