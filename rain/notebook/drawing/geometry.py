"""Layouts that Graphviz made, in the browser or by the program ``dot``. Nothing in them is taken on trust."""

from __future__ import annotations

import math
from collections import Counter

import msgspec

from rain.common.limits import MIB
from rain.notebook.protocol.graph import Topology
from rain.notebook.protocol.layout import Box, Curve, DotLayout, Geometry

DOT_JSON_BYTES_MAX = 32 * MIB
COORDINATE_MAX = 1_000_000
"""Points."""
CURVE_CHARS_MAX = 32_000
"""Of the text in which Graphviz describes a curve."""
POINTS_PER_INCH = 72
CLUSTER = "cluster"
"""What names of frames begin with in DOT."""


def layout_of_json(text: str | bytes) -> DotLayout:
    """What ``dot -Tjson`` or ``dot -Tjson0`` wrote.

    Raises
    ------
    ValueError
        If `text` is anything else.
    """
    if len(text) > DOT_JSON_BYTES_MAX:
        raise ValueError(f"layout of {len(text)} bytes is larger than DOT_JSON_BYTES_MAX")
    try:
        return msgspec.json.decode(text, type=DotLayout)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a layout by Graphviz: {error}") from None


def fits(geometry: Geometry, topology: Topology) -> bool:
    """Whether a geometry is one of this topology."""
    left = Counter((arc.tail, arc.head) for arc in topology.arcs)
    left.subtract((curve.tail, curve.head) for curve in geometry.arcs)
    return (
        {node.key for node in topology.nodes} == geometry.nodes.keys()
        and geometry.frames.keys() <= {frame.key for frame in topology.frames}
        and all(count >= 0 for count in left.values())
    )


def geometry_of(layout: DotLayout) -> Geometry:
    """Where everything is to be drawn.

    Parameters
    ----------
    layout : DotLayout
        What Graphviz made of a `rain.notebook.drawing.dot.dot_source`.

    Raises
    ------
    ValueError
        If it can be no layout by Graphviz.
    """
    left, bottom, right, top = _numbers(layout.bb, 4)
    nodes: dict[str, Box] = {}
    frames: dict[str, Box] = {}
    names: dict[int, str] = {}
    for item in layout.objects:
        if item.bb is not None and item.name.startswith(CLUSTER):
            x0, y0, x1, y1 = _numbers(item.bb, 4)
            frames[item.name[len(CLUSTER) :]] = _box(x0 - left, top - y1, x1 - x0, y1 - y0)
        elif item.pos is not None and item.width is not None and item.height is not None:
            x, y = _numbers(item.pos, 2)
            width, height = (_numbers(inches, 1)[0] * POINTS_PER_INCH for inches in (item.width, item.height))
            nodes[item.name] = _box(x - left, top - y, width, height)
            names[item._gvid] = item.name
    arcs = []
    for edge in sorted(layout.edges, key=lambda edge: edge._gvid):
        if edge.style == "invis":  # it only keeps things apart
            continue
        if edge.pos is None or edge.tail not in names or edge.head not in names:
            raise ValueError("an arc without a place")
        xs, ys = _curve(edge.pos)
        x, y = _numbers(edge.lp, 2) if edge.lp is not None else (_middle(xs), _middle(ys))
        path = path_of([(round(px - left), round(top - py)) for px, py in zip(xs, ys, strict=True)])
        arcs.append(Curve(names[edge.tail], names[edge.head], path, _whole(x - left), _whole(top - y)))
    return Geometry(_whole(right - left, 0), _whole(top - bottom, 0), nodes, arcs, frames)


def _box(x: float, y: float, width: float, height: float) -> Box:
    return Box(_whole(x), _whole(y), _whole(width, 0), _whole(height, 0))


def _whole(number: float, least: int = -COORDINATE_MAX) -> int:
    """A coordinate as an integer, rounded."""
    if not least <= number <= COORDINATE_MAX:
        raise ValueError(f"{number!r} is not a coordinate")
    return round(number)


def _numbers(text: str, count: int) -> list[float]:
    words = text.split(",", count)
    numbers = [float(word) for word in words]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{text[:80]!r} is not {count} numbers")
    return numbers


def _curve(pos: str) -> tuple[list[float], list[float]]:
    """The points of a Bézier curve by coordinate, the last one being the tip of the arrow.

    A graph has thousands of them, so they are read and checked together.
    """
    if len(pos) > CURVE_CHARS_MAX:
        raise ValueError(f"a curve of {len(pos)} characters is longer than CURVE_CHARS_MAX")
    words = pos.partition(";")[0].split()
    ends = [words.pop(0)[2:] for _ in range(min(2, len(words))) if words[0].startswith(("e,", "s,"))]
    tip = _numbers(ends[0], 2) if ends and pos.startswith("e,") else None
    numbers = [float(number) for word in words for number in word.split(",", 2)]
    xs, ys = numbers[::2], numbers[1::2]
    if len(xs) != len(ys) or len(xs) != len(words) or len(xs) < 4 or len(xs) % 3 != 1:
        raise ValueError(f"{pos[:80]!r} is not a curve")
    if tip is not None:
        xs[-1], ys[-1] = tip
    if math.isnan(sum(xs) + sum(ys)) or max(*xs, *ys) > COORDINATE_MAX or min(*xs, *ys) < -COORDINATE_MAX:
        raise ValueError(f"{pos[:80]!r} leads to what are no coordinates")
    return xs, ys


def _middle(at: list[float]) -> float:
    """Half way along a curve, one coordinate of it."""
    first = 3 * ((len(at) - 1) // 6)
    a, b, c, d = at[first : first + 4]
    return (a + 3 * b + 3 * c + d) / 8


def path_of(points: list[tuple[int, int]]) -> str:
    """Points of a Bézier curve as SVG writes it."""
    words = [f"{x},{y}" for x, y in points]
    return f"M{words[0]}" + "".join(f"C{' '.join(words[n : n + 3])}" for n in range(1, len(words), 3))
