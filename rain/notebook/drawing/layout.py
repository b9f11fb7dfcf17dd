"""Where everything in a picture of a graph is: a small layered layout."""

from __future__ import annotations

import math
from itertools import pairwise

from rain.notebook.drawing.arrangement import LINE_WIDTH, SIDEWAYS_GAP
from rain.notebook.drawing.coordinates import Coordinates
from rain.notebook.drawing.geometry import path_of
from rain.notebook.drawing.row_assignment import Net, nets, order_rows, put_in_rows
from rain.notebook.drawing.text_metrics import ROOM, SMALL_SIZE, text_width
from rain.notebook.drawing.wrapping import wrapped
from rain.notebook.protocol.graph import Topology
from rain.notebook.protocol.layout import Box, Curve, Geometry

ROW_GAP = 30
"""Points between rows at least."""
LABEL_ROOM = 8
"""... and more where arcs have labels."""
ROW_GAP_MAX = 110
FRAME_TOP = 18
"""Points above what is in a frame, where its label is."""
FRAME_BOTTOM = 10
PART_GAP = 36
"""Points between parts of the graph that are not connected."""
ASPECT = 1.8
"""Width to height that is aimed at when parts are put beside each other."""
MARGIN = 8
"""Points around everything."""
PORT_GAP = 9
"""Points between arcs at a node."""
LABEL_SHARES = (0.36, 0.5, 0.64, 0.25, 0.75)
"""Where labels may be on their arcs, the best place first; the other way round for those near to the end."""

Point = tuple[float, float]


def layered(topology: Topology) -> Geometry:
    """Lay out a graph in rows, from the top down; or from left to right, if it is to be so and has no frames.

    Parameters
    ----------
    topology : Topology

    Returns
    -------
    Geometry
        The same topology gives the same geometry.

    Examples
    --------
    >>> from rain.notebook.protocol.graph import TaskNode
    >>> layered(Topology(1, [TaskNode("t1", "split", type="py/")], [], [])).nodes
    {'t1': Box(x=40, y=21, width=64, height=26)}
    """
    labels = [arc.text for arc in topology.arcs]
    if not topology.sideways or topology.frames:
        return _assembled(topology, [_Part(net, labels) for net in nets(topology)])
    return wrapped(_assembled(topology, [_sideways(net, labels) for net in nets(topology)]), LINE_WIDTH)


def _sideways(net: Net, labels: list[str]) -> _Part:
    """A part whose rows are columns."""
    net.widths, net.heights = net.heights, net.widths
    room = max([SIDEWAYS_GAP, *(text_width(label, SMALL_SIZE) * ROOM + 2 * LABEL_ROOM for label in labels if label)])
    part = _Part(net, labels, room)
    part.nodes = [(key, y, x, height, width) for key, x, y, width, height in part.nodes]
    part.arcs = {
        number: ([(y, x) for x, y in points], (label[1], label[0])) for number, (points, label) in part.arcs.items()
    }
    part.width, part.height = part.height, part.width
    return part


class _Part:
    """A connected part of the graph, laid out on its own with its upper left corner at 0, 0.

    Attributes
    ----------
    nodes : list of (str, float, float, int, int)
    arcs : dict of int to (list of points, point)
        Points of the curve and place of the label, by number in the topology.
    frames : list of (str, float, float, float, float)
    width, height : float
    """

    def __init__(self, net: Net, labels: list[str], room: float = 0) -> None:
        self.net = net
        self.room = room or ROW_GAP + (LABEL_ROOM if any(labels) else 0)
        put_in_rows(net)
        order_rows(net)
        places = Coordinates(net)
        least = min(places.x[v] - net.widths[v] / 2 for v in range(len(net.row)))
        least = min([least, *(left for left, _ in places.sides)])
        self.x = [x - least for x in places.x]
        self._put_frames([(left - least, right - least) for left, right in places.sides])
        self.nodes = [
            (node.key, self.x[v], self.y[net.row[v]], net.widths[v], net.heights[v]) for v, node in enumerate(net.nodes)
        ]
        self.labels: dict[int, list[tuple[float, float, float]]] = {}
        self.arcs = self._curves(labels)
        right = max(self.x[v] + net.widths[v] / 2 for v in range(len(net.row)))
        self.width = max([right, *(x + w for _, x, _, w, _ in self.frames)])

    def _put_frames(self, sides: list[tuple[float, float]]) -> None:
        """Rows' places, with room for the frames that begin and end between them; and the frames."""
        net = self.net
        spans = self._spans()
        above, below = [0] * len(spans), [0] * len(spans)
        inside: list[list[int]] = [[] for _ in spans]
        for frame, (_, outer, _) in enumerate(net.frames):
            if outer >= 0:
                inside[outer].append(frame)
        for frame in sorted(range(len(spans)), key=lambda f: -len(net.path(f))):
            first, last = spans[frame]
            above[frame] = FRAME_TOP + max((above[f] for f in inside[frame] if spans[f][0] == first), default=0)
            below[frame] = FRAME_BOTTOM + max((below[f] for f in inside[frame] if spans[f][1] == last), default=0)
        tops, bottoms = [0] * len(net.rows), [0] * len(net.rows)
        for (first, last), top, bottom in zip(spans, above, below, strict=True):
            tops[first] = max(tops[first], top)
            bottoms[last] = max(bottoms[last], bottom)
        self._put_rows(tops, bottoms)
        self.frames = []
        for frame, (key, _, _) in enumerate(net.frames):
            first, last = spans[frame]
            y = self.y[first] - self.half[first] - above[frame]
            end = self.y[last] + self.half[last] + below[frame]
            left, right = sides[frame]
            self.frames.append((key, left, y, right - left, end - y))

    def _spans(self) -> list[tuple[int, int]]:
        """First and last row of each frame."""
        net = self.net
        spans = [(len(net.rows), -1)] * len(net.frames)
        for v, row in enumerate(net.row):
            for frame in net.path(net.frame[v]):
                first, last = spans[frame]
                spans[frame] = min(first, row), max(last, row)
        return spans

    def _put_rows(self, tops: list[int], bottoms: list[int]) -> None:
        net = self.net
        self.half = [max((net.heights[v] for v in row), default=0) / 2 for row in net.rows]
        reach = [0.0] * len(net.rows)  # how far arcs go to the side below each row
        for v, row in enumerate(net.row):
            for u in net.below[v]:
                reach[row] = max(reach[row], abs(self.x[u] - self.x[v]))
        room = self.room
        at = float(tops[0])
        self.y = []
        for row, half in enumerate(self.half):
            self.y.append(at + half)
            at += 2 * half + bottoms[row]
            if row + 1 < len(net.rows):
                # Arcs that go far to the side need height, or they lie on each other.
                at += max(room, min(room + reach[row] / 16, ROW_GAP_MAX)) + tops[row + 1]
        self.height = at

    def _curves(self, labels: list[str]) -> dict[int, tuple[list[Point], Point]]:
        net = self.net
        starts = self._ports([chain[:2] for chain in net.chains], -1)
        ends = self._ports([chain[:-3:-1] for chain in net.chains], 1)
        crowd_out, crowd_in = [0] * len(net.nodes), [0] * len(net.nodes)
        for chain in net.chains:
            crowd_out[chain[0]] += 1
            crowd_in[chain[-1]] += 1
        curves = {}
        for place, (chain, (_, _, number)) in enumerate(zip(net.chains, net.arcs, strict=True)):
            stops = [starts[place]]
            for v in chain[1:-1]:
                row = net.row[v]
                stops.append((self.x[v], self.y[row] - self.half[row]))
                stops.append((self.x[v], self.y[row] + self.half[row]))
            stops.append(ends[place])
            # Labels go where the arcs of a node are apart.
            near_end = crowd_out[chain[0]] > crowd_in[chain[-1]]
            label = self._label_place(stops, near_end, labels[number])
            points = _curve(stops)
            curves[number] = (points[::-1] if place in net.turned else points), label
        return curves

    def _label_place(self, stops: list[Point], near_end: bool, label: str) -> Point:
        """A point of an arc where there is room for its label, or the best one if there is none."""
        width = text_width(label, SMALL_SIZE) * ROOM + 4
        a, b = stops[-2:] if near_end else stops[:2]
        points = [_between(a, b, 1 - share if near_end else share) for share in LABEL_SHARES]
        if not label:
            return points[0]
        for point in points:
            if self._take(point, width):
                return point
        return points[0]

    def _take(self, point: Point, width: float) -> bool:
        """Take a place for a label, unless another label is there."""
        x, y = point
        line = round(y / SMALL_SIZE)
        for near in (line - 1, line, line + 1):
            for other_x, other_y, other in self.labels.get(near, ()):
                if abs(other_x - x) < (width + other) / 2 and abs(other_y - y) < SMALL_SIZE + 1:
                    return False
        self.labels.setdefault(line, []).append((x, y, width))
        return True

    def _ports(self, steps: list[list[int]], side: int) -> list[Point]:
        """Where arcs touch their nodes: spread along the side that they leave from, by where they go.

        Parameters
        ----------
        steps : list of [int, int]
            For each arc the node, and the vertex that the arc comes from or goes to.
        side : int
            1 for the upper, -1 for the lower side.
        """
        net = self.net
        arcs: list[list[int]] = [[] for _ in net.nodes]
        for place, (v, _) in enumerate(steps):
            arcs[v].append(place)
        ports: list[Point] = [(0, 0)] * len(steps)
        for v, places in enumerate(arcs):
            if not places:
                continue
            # Arcs that share a dummy share a port, arcs to the same node do not.
            lines: dict[tuple[float, int, int], list[int]] = {}
            for place in places:
                u = steps[place][1]
                lines.setdefault((self.x[u], u, place if net.widths[u] else -1), []).append(place)
            oval = net.kinds[v] == "task"
            limit = net.widths[v] * (0.32 if oval else 0.5) - (0 if oval else 8)
            half = net.heights[v] / 2
            wanted = [(x - self.x[v]) * 0.3 for x, _, _ in sorted(lines)]
            for line, offset in zip(sorted(lines), _spaced(wanted, limit), strict=True):
                height = half * math.sqrt(1 - (2 * offset / net.widths[v]) ** 2) if oval else half
                for place in lines[line]:
                    ports[place] = self.x[v] + offset, self.y[net.row[v]] - side * height
        return ports


def _spaced(wanted: list[float], limit: float) -> list[float]:
    """Offsets near to those wanted, none beyond the limit, in the same order and apart if there is room."""
    count = len(wanted)
    if count == 1:
        return [max(-limit, min(limit, wanted[0]))]
    gap = min(PORT_GAP, 2 * limit / (count - 1))
    right = [max(offset, -limit) for offset in wanted]
    for n in range(1, count):
        right[n] = max(right[n], right[n - 1] + gap)
    left = [min(offset, limit) for offset in wanted]
    for n in reversed(range(count - 1)):
        left[n] = min(left[n], left[n + 1] - gap)
    middle = [(a + b) / 2 for a, b in zip(left, right, strict=True)]
    # Both ends within the limit: each offset has room for those before and behind it.
    return [max(-limit + n * gap, min(limit - (count - 1 - n) * gap, offset)) for n, offset in enumerate(middle)]


def _curve(stops: list[Point]) -> list[Point]:
    """A smooth curve through points that go down, upright at each."""
    turns = stops[:1]
    for n in range(1, len(stops)):
        if n + 1 < len(stops) and turns[-1][0] == stops[n][0] == stops[n + 1][0]:
            continue  # straight on
        turns.append(stops[n])
    points = turns[:1]
    for (x, y), (next_x, next_y) in pairwise(turns):
        half = (y + next_y) / 2
        points += [(x, half), (next_x, half), (next_x, next_y)]
    return points


def _between(a: Point, b: Point, t: float) -> Point:
    """A point of the curve from one stop to the next."""
    bend = 3 * t * t - 2 * t * t * t
    rise = 1.5 * t * (1 - t) + t**3  # of a Bézier curve whose handles are at half height
    return a[0] + (b[0] - a[0]) * bend, a[1] + (b[1] - a[1]) * rise + SMALL_SIZE / 3


# -- parts beside each other ----------------------------------------------------------------------
def _assembled(topology: Topology, parts: list[_Part]) -> Geometry:
    """The geometry of all parts, put beside each other like words on a page."""
    nodes: dict[str, Box] = {}
    frames: dict[str, Box] = {}
    arcs: dict[int, Curve] = {}
    right = bottom = float(MARGIN)
    for part, at_x, at_y in _shelved(parts):
        x, y = round(at_x + MARGIN), round(at_y + MARGIN)
        for key, node_x, node_y, width, height in part.nodes:
            nodes[key] = Box(round(node_x) + x, round(node_y) + y, width, height)
        for key, left, top, *size in part.frames:
            frames[key] = Box(round(left) + x, round(top) + y, *map(round, size))
        for number, (points, label) in part.arcs.items():
            arc = topology.arcs[number]
            path = path_of([(round(px) + x, round(py) + y) for px, py in points])
            arcs[number] = Curve(arc.tail, arc.head, path, round(label[0]) + x, round(label[1]) + y)
        right, bottom = max(right, x + part.width), max(bottom, y + part.height)
    for number, arc in enumerate(topology.arcs):
        if arc.tail == arc.head and arc.tail in nodes:
            arcs[number] = loop = _loop(arc.tail, nodes[arc.tail])
            right = max(right, float(loop.x))
    return Geometry(
        width=math.ceil(right) + MARGIN,
        height=math.ceil(bottom) + MARGIN,
        nodes={node.key: nodes[node.key] for node in topology.nodes},
        arcs=[arcs[number] for number in sorted(arcs)],
        frames={frame.key: frames[frame.key] for frame in topology.frames if frame.key in frames},
    )


def _shelved(parts: list[_Part]) -> list[tuple[_Part, float, float]]:
    """Coordinates of the parts, the largest first, in lines of about the same width."""
    area = sum((part.width + PART_GAP) * (part.height + PART_GAP) for part in parts)
    line = max([math.sqrt(area * ASPECT), *(part.width + PART_GAP for part in parts)])
    x = y = tallest = 0.0
    placed = []
    for part in sorted(parts, key=lambda part: -len(part.nodes)):
        if x and x + part.width > line:
            x, y, tallest = 0.0, y + tallest + PART_GAP, 0.0
        placed.append((part, x, y))
        x += part.width + PART_GAP
        tallest = max(tallest, part.height)
    return placed


def _loop(key: str, box: Box) -> Curve:
    """An arc from a node to itself."""
    side, reach = box.x + box.width // 2, box.x + box.width // 2 + 26
    points = [(side, box.y - 4), (reach, box.y - box.height), (reach, box.y + box.height), (side, box.y + 4)]
    return Curve(key, key, path_of(points), reach, box.y)
