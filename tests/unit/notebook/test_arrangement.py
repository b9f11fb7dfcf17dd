"""Which way a graph is laid out, and lines that wrap."""

from __future__ import annotations

import re

import pytest

from rain.notebook.drawing.arrangement import LINE_WIDTH, arrangement, ranks, stacked
from rain.notebook.drawing.layout import layered
from rain.notebook.drawing.wrapping import wrapped
from rain.notebook.protocol.graph import Topology
from rain.notebook.protocol.layout import Box, Curve, Geometry
from tests.unit.notebook.graphs import frame, scattered, task, topology


def chain(length: int) -> Topology:
    arcs = [[f"t{n}", f"t{n + 1}", "", 1] for n in range(length - 1)]
    return topology([task(n, f"step {n}") for n in range(length)], arcs)


def shape(graph: Topology) -> tuple[bool, float, float]:
    return arrangement(graph.nodes, [(arc.tail, arc.head) for arc in graph.arcs], graph.frames)


def in_a_line(count: int, step: int = 100, arcs: list[tuple[int, int]] | None = None) -> Geometry:
    """Nodes from left to right, 80 wide; arcs from each to the next one unless others are given."""
    nodes = {f"t{n}": Box(40 + step * n, 20, 80, 26) for n in range(count)}
    pairs = [(n, n + 1) for n in range(count - 1)] if arcs is None else arcs
    curves = [
        Curve(f"t{a}", f"t{b}", f"M{80 + step * a},20C{85 + step * a},20 {90 + step * a},20 {step * b},20", 0, 0)
        for a, b in pairs
    ]
    return Geometry(step * count, 40, nodes, curves, {})


def test_chains_go_to_the_right_and_fans_down() -> None:
    assert arrangement(chain(5).nodes, [], []).sideways is False, "they are not connected: rows"
    sideways, width, height = shape(chain(5))
    assert sideways
    assert width < LINE_WIDTH
    assert height < 60
    assert shape(chain(40))[1] <= LINE_WIDTH, "in lines"
    fan = topology([task(n, "x") for n in range(9)], [["t0", f"t{n}", "", 1] for n in range(1, 9)])
    assert shape(fan)[0] is False


def test_ranks_of_a_graph_with_a_circle() -> None:
    assert ranks("abcd", [("a", "b"), ("b", "c"), ("a", "c")]) == {"a": 0, "b": 1, "c": 2, "d": 0}
    assert set(ranks("abc", [("a", "b"), ("b", "a"), ("b", "c")]).values()) == {0, 1, 2}
    graph = scattered(200, 400, frames=5)
    assert shape(graph)[1] > 0


def test_nodes_between_the_same_ones_are_put_into_rows() -> None:
    arcs = [[f"t{n}", "t99", "", 1] for n in range(40)]
    graph = topology([*[task(n, f"step {n}") for n in range(40)], task(99, "end")], arcs)
    below = list(stacked(graph))
    assert below[0][0] == "t0"
    row = int(below[0][1][1:])
    assert 5 < row < 14
    assert len(below) == 40 - row


def test_lines_wrap_like_a_text() -> None:
    whole = in_a_line(10)
    assert wrapped(whole, 1000) is whole
    lines = wrapped(whole, 500)
    assert lines.width <= 500
    assert [box.y for box in lines.nodes.values()] == sorted(box.y for box in lines.nodes.values())
    rows = {box.y for box in lines.nodes.values()}
    assert len(rows) == 3
    for row in rows:
        assert min(box.x for box in lines.nodes.values() if box.y == row) == lines.nodes["t0"].x
    assert [(arc.tail, arc.head) for arc in lines.arcs] == [(arc.tail, arc.head) for arc in whole.arcs]
    for arc in lines.arcs:
        points = [tuple(map(int, point.split(","))) for point in re.findall(r"-?\d+,-?\d+", arc.path)]
        tail, head = lines.nodes[arc.tail], lines.nodes[arc.head]
        assert points[0] == (tail.x + 40, tail.y)
        assert points[-1] == (head.x - 40, head.y)
        assert all(0 <= x <= lines.width and 0 <= y <= lines.height for x, y in points)


def test_nothing_is_broken_inside_of_a_frame_or_across_many_arcs() -> None:
    framed = in_a_line(10)
    framed.frames["g1"] = Box(195, 0, 500, 40)
    lines = wrapped(framed, 400)
    assert len({lines.nodes[f"t{n}"].y for n in range(2, 7)}) == 1
    assert lines.frames["g1"].x < lines.nodes["t2"].x - 39
    assert lines.nodes["t1"].y < lines.nodes["t2"].y < lines.nodes["t7"].y
    many = in_a_line(10, arcs=[(n, 9) for n in range(9)])
    assert [box.y for box in wrapped(many, 400).nodes.values()][4:] == [wrapped(many, 400).nodes["t9"].y] * 6


@pytest.mark.parametrize("geometry", [Geometry(900, 0, {}, [], {}), in_a_line(1, step=900)])
def test_what_cannot_be_broken_stays(geometry: Geometry) -> None:
    assert wrapped(geometry, 100) == geometry


def test_our_own_layout_wraps_chains_too() -> None:
    graph = chain(12)
    found = layered(Topology(1, graph.nodes, graph.arcs, [], sideways=True))
    assert found.width <= LINE_WIDTH
    assert len({box.y for box in found.nodes.values()}) == 2
    framed = Topology(1, [task(1, "x", "g1"), task(2, "y", "g1")], graph.arcs[:0], [frame(1, "f")], sideways=True)
    assert layered(framed).frames.keys() == {"g1"}
