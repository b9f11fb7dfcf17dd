"""Layouts that others made: by Graphviz, or in a browser. Nothing in them is taken on trust."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from rain.common.limits import MIB

DOT_JSON_BYTES_MAX = 32 * MIB
COORDINATE_MAX = 1_000_000
"""Points."""
PATH_CHARS_MAX = 16_000
POINTS_PER_INCH = 72
CLUSTER = "cluster"
"""What names of frames begin with in DOT."""

_PATH = re.compile(r"M-?\d{1,7},-?\d{1,7}(?:C-?\d{1,7},-?\d{1,7} -?\d{1,7},-?\d{1,7} -?\d{1,7},-?\d{1,7})+", re.ASCII)


# -- from a browser -------------------------------------------------------------------------------
def checked_geometry(value: object, topology: Mapping[str, Any]) -> dict[str, Any] | None:
    """A geometry that came from a browser, if it is one of this topology.

    Parameters
    ----------
    value : object
        Anything that may be in JSON.
    topology : dict

    Returns
    -------
    dict or None
        With integers only; None if anything is wrong with it.
    """
    try:
        return _checked(value, topology)
    except (TypeError, ValueError, KeyError, OverflowError):
        return None


def _checked(value: Any, topology: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(value.get(part), dict) for part in ("nodes", "frames")):
        raise TypeError("no geometry")
    keys = {node["key"] for node in topology["nodes"]}
    if keys != value["nodes"].keys():
        raise KeyError("nodes of another topology")
    if not value["frames"].keys() <= {frame["key"] for frame in topology["frames"]}:
        raise KeyError("frames of another topology")
    if not isinstance(value["arcs"], list):
        raise TypeError("no arcs")
    left = Counter((arc[0], arc[1]) for arc in topology["arcs"])
    arcs = []
    for tail, head, path, x, y in value["arcs"]:
        left[tail, head] -= 1
        if left[tail, head] < 0:
            raise KeyError("arcs of another topology")
        if not isinstance(path, str) or len(path) > PATH_CHARS_MAX or not _PATH.fullmatch(path):
            raise ValueError("no path")
        arcs.append([tail, head, path, _whole(x), _whole(y)])
    return {
        "width": _whole(value["width"], 0),
        "height": _whole(value["height"], 0),
        "nodes": {key: _box(box) for key, box in value["nodes"].items()},
        "arcs": arcs,
        "frames": {key: _box(box) for key, box in value["frames"].items()},
    }


def _box(box: Any) -> list[int]:
    x, y, width, height = box
    return [_whole(x), _whole(y), _whole(width, 0), _whole(height, 0)]


def _whole(number: Any, least: int = -COORDINATE_MAX) -> int:
    """A coordinate as an integer, rounded."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= COORDINATE_MAX:
        raise ValueError(f"{number!r} is not a coordinate")
    return round(number)


# -- from Graphviz --------------------------------------------------------------------------------
class _Object(msgspec.Struct):
    _gvid: int
    name: str
    pos: str | None = None
    width: str | None = None
    height: str | None = None
    bb: str | None = None


class _Edge(msgspec.Struct):
    tail: int
    head: int
    _gvid: int = 0
    pos: str | None = None
    lp: str | None = None
    style: str = ""


class _Graph(msgspec.Struct):
    bb: str
    objects: list[_Object] = []
    edges: list[_Edge] = []


def geometry_of_json(text: str | bytes) -> dict[str, Any]:
    """The geometry in what ``dot -Tjson`` or ``dot -Tjson0`` wrote for `rain.notebook.drawing.dot.dot_source`.

    Raises
    ------
    ValueError
        If `text` is anything else.
    """
    if len(text) > DOT_JSON_BYTES_MAX:
        raise ValueError(f"layout of {len(text)} bytes is larger than DOT_JSON_BYTES_MAX")
    try:
        return _converted(msgspec.json.decode(text, type=_Graph))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a layout by Graphviz: {error}") from None


def _converted(graph: _Graph) -> dict[str, Any]:
    left, bottom, right, top = _numbers(graph.bb, 4)
    nodes: dict[str, list[int]] = {}
    frames: dict[str, list[int]] = {}
    names: dict[int, str] = {}
    for item in graph.objects:
        if item.bb is not None and item.name.startswith(CLUSTER):
            x0, y0, x1, y1 = _numbers(item.bb, 4)
            frames[item.name[len(CLUSTER) :]] = _box([x0 - left, top - y1, x1 - x0, y1 - y0])
        elif item.pos is not None and item.width is not None and item.height is not None:
            x, y = _numbers(item.pos, 2)
            width, height = (_numbers(inches, 1)[0] * POINTS_PER_INCH for inches in (item.width, item.height))
            nodes[item.name] = _box([x - left, top - y, width, height])
            names[item._gvid] = item.name
    arcs = []
    for edge in sorted(graph.edges, key=lambda edge: edge._gvid):
        if edge.style == "invis":  # it only keeps things apart
            continue
        if edge.pos is None or edge.tail not in names or edge.head not in names:
            raise ValueError("an arc without a place")
        points = [(_whole(x - left), _whole(top - y)) for x, y in _curve(edge.pos)]
        x, y = _numbers(edge.lp, 2) if edge.lp is not None else _middle(edge.pos)
        arcs.append([names[edge.tail], names[edge.head], path_of(points), _whole(x - left), _whole(top - y)])
    return {
        "width": _whole(right - left, 0),
        "height": _whole(top - bottom, 0),
        "nodes": nodes,
        "arcs": arcs,
        "frames": frames,
    }


def _numbers(text: str, count: int) -> list[float]:
    words = text.split(",")
    numbers = [float(word) for word in words]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{text[:80]!r} is not {count} numbers")
    return numbers


def _curve(pos: str) -> list[list[float]]:
    """Points of a Bézier curve, the last one being the tip of the arrow."""
    tip = None
    points = []
    for word in pos.partition(";")[0].split():
        if word.startswith("e,"):
            tip = _numbers(word[2:], 2)
        elif not word.startswith("s,"):
            points.append(_numbers(word, 2))
    if len(points) < 4 or len(points) % 3 != 1:
        raise ValueError(f"{pos[:80]!r} is not a curve")
    if tip is not None:
        points[-1] = tip
    return points


def _middle(pos: str) -> list[float]:
    """Half way along the curve."""
    points = _curve(pos)
    at = 3 * ((len(points) - 1) // 6)
    a, b, c, d = points[at : at + 4]
    return [(a[n] + 3 * b[n] + 3 * c[n] + d[n]) / 8 for n in (0, 1)]


def path_of(points: list[tuple[int, int]]) -> str:
    """Points of a Bézier curve as SVG writes it."""
    words = [f"{x},{y}" for x, y in points]
    return f"M{words[0]}" + "".join(f"C{' '.join(words[n : n + 3])}" for n in range(1, len(words), 3))
