"""A graph from left to right that is wider than the page, broken into lines like a text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from rain.notebook.drawing.arrangement import CROSSING_MAX, LINE_GAP
from rain.notebook.drawing.geometry import path_of
from rain.notebook.protocol.layout import Box, Curve, Geometry

TURN = 16
"""Points beside a line in which an arc turns to the next one."""
APART = 5
"""Points between arcs that go the same way."""
MARGIN = TURN + CROSSING_MAX * APART
"""Points beside all lines."""
_NUMBER = re.compile(r"-?\d+")


class _Line(NamedTuple):
    """What of the layout is in a line, and by how much that is moved."""

    right: int
    dx: int
    dy: int
    top: int
    """After it was moved."""


def wrapped(geometry: Geometry, width: float) -> Geometry:
    """The same graph in lines.

    Parameters
    ----------
    geometry : Geometry
        Laid out from left to right.
    width : float
        Points that a line has. One is longer where it cannot be broken: inside of frames, and where more than
        `CROSSING_MAX` arcs would lead to other lines.

    Returns
    -------
    Geometry

    Examples
    --------
    >>> nodes = {f"t{n}": Box(40 + 100 * n, 20, 80, 26) for n in range(4)}
    >>> [box.y for box in wrapped(Geometry(400, 40, nodes, [], {}), 250).nodes.values()]
    [14, 14, 86, 86]
    """
    if geometry.width <= width:
        return geometry
    ends = list(_ends(geometry, width - 2 * MARGIN)) if geometry.nodes else []
    if not ends:
        return geometry
    lines = _lines(geometry, ends)

    def line_at(x: int) -> int:
        return next(place for place, line in enumerate(lines) if x <= line.right)

    def moved(box: Box, middle: int) -> Box:
        line = lines[line_at(middle)]
        return Box(box.x + line.dx, box.y + line.dy, box.width, box.height)

    nodes = {key: moved(box, box.x) for key, box in geometry.nodes.items()}
    frames = {key: moved(box, box.x + box.width // 2) for key, box in geometry.frames.items()}
    arcs, crossing = [], 0
    for arc in geometry.arcs:
        tail, head = (line_at(geometry.nodes[key].x) for key in (arc.tail, arc.head))
        if tail == head:
            arcs.append(_moved(arc, lines[tail]))
        else:
            arcs.append(_turned(arc, lines, tail, head, crossing % (CROSSING_MAX + 1) * APART))
            crossing += 1
    return Geometry(
        width=max(line.right + line.dx for line in lines) + MARGIN,
        height=1 + max([b.y + b.height // 2 for b in nodes.values()] + [b.y + b.height for b in frames.values()]),
        nodes=nodes,
        arcs=arcs,
        frames=frames,
    )


def _blocks(geometry: Geometry) -> list[list[int]]:
    """Left and right end of what cannot be broken, from left to right."""
    spans = [(box.x - box.width // 2, box.x + box.width // 2) for box in geometry.nodes.values()]
    spans += [(box.x, box.x + box.width) for box in geometry.frames.values()]
    blocks: list[list[int]] = []
    for left, right in sorted(spans):
        if blocks and left <= blocks[-1][1]:
            blocks[-1][1] = max(blocks[-1][1], right)
        else:
            blocks.append([left, right])
    return blocks


def _ends(geometry: Geometry, width: float) -> Iterator[int]:
    """Behind which places a new line begins, so that none but those that cannot be broken is wider."""
    blocks = _blocks(geometry)
    middles = {key: box.x for key, box in geometry.nodes.items()}
    spans = [sorted((middles[arc.tail], middles[arc.head])) for arc in geometry.arcs]
    begin, last = blocks[0][0], None
    for (_, end), (start, _) in pairwise([*blocks, [blocks[-1][1]] * 2]):
        if start > end and sum(low < end and start < high for low, high in spans) > CROSSING_MAX:
            continue
        if last is not None and end - begin > width:
            yield last[0]
            begin = last[1]
        last = end, start


def _lines(geometry: Geometry, ends: Sequence[int]) -> list[_Line]:
    """The lines, each as high as what is in it, one below the other."""
    boxes = [Box(b.x - b.width // 2, b.y - b.height // 2, b.width, b.height) for b in geometry.nodes.values()]
    boxes += geometry.frames.values()
    lines, at, before = [], 1, -math.inf
    for end in [*ends, math.inf]:
        inside = [box for box in boxes if before < box.x <= end]
        left, right = min(box.x for box in inside), max(box.x + box.width for box in inside)
        top, bottom = min(box.y for box in inside), max(box.y + box.height for box in inside)
        lines.append(_Line(right, MARGIN - left, at - top, at))
        at += bottom - top + LINE_GAP
        before = end
    return lines


def _points(arc: Curve) -> list[tuple[int, int]]:
    numbers = [int(number) for number in _NUMBER.findall(arc.path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _moved(arc: Curve, line: _Line) -> Curve:
    points = [(x + line.dx, y + line.dy) for x, y in _points(arc)]
    return Curve(arc.tail, arc.head, path_of(points), arc.x + line.dx, arc.y + line.dy)


def _turned(arc: Curve, lines: Sequence[_Line], tail: int, head: int, aside: int) -> Curve:
    """An arc to another line: out at the right of its own, back between the lines, in at the left."""
    points = _points(arc)
    x, y = points[0][0] + lines[tail].dx, points[0][1] + lines[tail].dy
    end_x, end_y = points[-1][0] + lines[head].dx, points[-1][1] + lines[head].dy
    passed = lines[min(tail, head) : max(tail, head)]
    right = max(line.right + line.dx for line in passed) + TURN + aside
    left = MARGIN - TURN - aside
    between = lines[max(tail, head)].top - LINE_GAP // 2 + aside - APART
    way = [(x, y)]
    way += [(right, y), (right, y), (right, (y + between) // 2)]
    way += [(right, between), (right, between), (right - TURN, between)]
    way += [(right - TURN, between), (left + TURN, between), (left + TURN, between)]
    way += [(left, between), (left, between), (left, (between + end_y) // 2)]
    way += [(left, end_y), (left, end_y), (end_x, end_y)]
    return Curve(arc.tail, arc.head, path_of(way), (left + right) // 2, between)
