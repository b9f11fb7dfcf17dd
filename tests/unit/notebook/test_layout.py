"""The layered layout, and layouts that others made."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from rain.notebook.drawing.geometry import fits, geometry_of, layout_of_json
from rain.notebook.drawing.layout import layered
from rain.notebook.drawing.text_metrics import markup, node_size, shortened, text_width, visible
from rain.notebook.protocol.graph import Topology
from rain.notebook.protocol.layout import Box, Curve, DotLayout, Geometry
from tests.unit.notebook.graphs import data, frame, group, mixed, scattered, small, task, topology

SLOW = 6
"""How many times slower than the machine that figures were taken on a test may be."""

GRAPHS = {
    "nothing": topology([], []),
    "one": topology([task(1, "a")], []),
    "small": small(),
    "mixed": mixed(),
    "scattered": scattered(60, 90),
    "frames": scattered(80, 120, frames=6),
    "islands": topology([task(n, f"alone {n}") for n in range(50)], []),
    "fan": topology(
        [data(0, "x"), *(task(n, "y") for n in range(1, 40))], [["o0", f"t{n}", "", 1] for n in range(1, 40)]
    ),
    "ring": topology([task(n, "r") for n in range(6)], [[f"t{n}", f"t{(n + 1) % 6}", "", 1] for n in range(6)]),
}


def points_of(path: str) -> list[tuple[int, int]]:
    numbers = [int(word) for word in re.findall(r"-?\d+", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def sides(box: Box) -> tuple[float, float, float, float]:
    return box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def holders(graph: Topology, inside: str | None) -> set[str]:
    around = {each.key: each.frame for each in graph.frames}
    found = set()
    while inside in around:
        found.add(inside)
        inside = around[inside]
    return found


@pytest.fixture(params=GRAPHS, ids=str)
def graph(request: pytest.FixtureRequest) -> dict[str, Any]:
    return GRAPHS[request.param]


def test_everything_has_a_place(graph: Topology) -> None:
    geometry = layered(graph)
    assert list(geometry.nodes) == [node.key for node in graph.nodes]
    for node in graph.nodes:
        box = geometry.nodes[node.key]
        assert (box.width, box.height) == node_size(node)
        left, top, right, bottom = sides(box)
        assert left >= 0
        assert top >= 0
        assert right <= geometry.width
        assert bottom <= geometry.height
    assert [(arc.tail, arc.head) for arc in geometry.arcs] == [(arc.tail, arc.head) for arc in graph.arcs]
    assert fits(geometry, graph)


def test_no_node_lies_on_another(graph: Topology) -> None:
    boxes = [sides(box) for box in layered(graph).nodes.values()]
    assert all(apart(one, other) for one, other in itertools.combinations(boxes, 2))


def test_frames_hold_what_is_inside_and_nothing_else(graph: Topology) -> None:
    geometry = layered(graph)
    places = {key: (box.x, box.y, box.x + box.width, box.y + box.height) for key, box in geometry.frames.items()}
    inside = {node.key: holders(graph, node.frame) for node in graph.nodes}
    assert set(places) == set().union(*inside.values())
    for key, around in inside.items():
        box = sides(geometry.nodes[key])
        for outer, place in places.items():
            if outer in around:
                assert place[0] < box[0] < box[2] < place[2]
                assert place[1] < box[1] < box[3] < place[3]
            else:
                assert apart(box, place)
    nested = {each.key: holders(graph, each.frame) for each in graph.frames if each.key in places}
    for one, other in itertools.combinations(nested, 2):
        if one not in nested[other] and other not in nested[one]:
            assert apart(places[one], places[other])
        else:
            outer, inner = (one, other) if one in nested[other] else (other, one)
            assert places[outer][0] < places[inner][0] < places[inner][2] < places[outer][2]
            assert places[outer][1] < places[inner][1] < places[inner][3] < places[outer][3]


def going_back(graph: Topology, geometry: Geometry) -> list[tuple[str, str]]:
    nodes = geometry.nodes
    return [
        (arc.tail, arc.head) for arc in graph.arcs if arc.tail != arc.head and nodes[arc.tail].y >= nodes[arc.head].y
    ]


def test_arcs_go_from_node_to_node_and_down(graph: Topology) -> None:
    geometry = layered(graph)
    back = going_back(graph, geometry)
    assert len(back) == (graph in (GRAPHS["ring"], GRAPHS["mixed"]))
    for curve in geometry.arcs:
        tail, head = curve.tail, curve.head
        points = points_of(curve.path)
        for (x, y), key in ((points[0], tail), (points[-1], head)):
            left, top, right, bottom = sides(geometry.nodes[key])
            assert left <= x <= right
            assert top - 1 <= y <= bottom + 1
        if tail != head:
            heights = [y for _, y in points]
            assert heights == sorted(heights, reverse=(tail, head) in back)


def test_cycles_turn_no_more_arcs_than_needed() -> None:
    geometry = layered(GRAPHS["ring"])
    assert going_back(GRAPHS["ring"], geometry) == [("t5", "t0")]


def test_chains_are_straight() -> None:
    nodes = [task(n, "a" * (n % 5)) for n in range(30)]
    geometry = layered(topology(nodes, [[f"t{n}", f"t{n + 1}", "", 1] for n in range(29)]))
    assert len({box.x for box in geometry.nodes.values()}) == 1


def test_a_tree_is_symmetric() -> None:
    nodes = [task(n, "node") for n in range(7)]
    geometry = layered(topology(nodes, [[f"t{(n - 1) // 2}", f"t{n}", "", 1] for n in range(1, 7)]))
    places = geometry.nodes
    for top in range(3):
        children = (places[f"t{2 * top + 1}"].x + places[f"t{2 * top + 2}"].x) / 2
        assert abs(places[f"t{top}"].x - children) <= 2


def test_what_can_be_drawn_without_crossings_is() -> None:
    # Two combs whose teeth are told in turn, held together by their handles.
    nodes = [task(0, "left"), task(1, "right"), *(data(n, "d") for n in range(9))]
    arcs = [[f"t{n % 2}", f"o{n}", "", 1] for n in range(8)]
    places = layered(topology(nodes, [*arcs, ["o8", "t0", "", 1], ["o8", "t1", "", 1]])).nodes
    spans = [sorted(places[head].x for tail, head, *_ in arcs if tail == name) for name in ("t0", "t1")]
    assert spans[0][-1] < spans[1][0] or spans[1][-1] < spans[0][0]


def test_parts_are_beside_and_below_each_other() -> None:
    geometry = layered(GRAPHS["islands"])
    assert 0.8 < geometry.width / geometry.height < 4


def test_labels_of_arcs_keep_apart() -> None:
    nodes = [data(n, f"part {n}") for n in range(6)] + [task(0, "join")]
    geometry = layered(topology(nodes, [[f"o{n}", "t0", f"{n}: part", 1] for n in range(6)]))
    spots = [(curve.x, curve.y) for curve in geometry.arcs]
    for (x, y), (other_x, other_y) in itertools.combinations(spots, 2):
        assert abs(x - other_x) > 25 or abs(y - other_y) > 7


def test_long_arcs_beyond_a_number_are_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.notebook.drawing.row_assignment.DUMMIES_MAX", 10)
    graph = scattered(60, 90)
    geometry = layered(graph)
    assert fits(geometry, graph)
    boxes = [sides(box) for box in geometry.nodes.values()]
    assert all(apart(one, other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("frames", [0, 12])
def test_large_graphs_take_no_time(frames: int) -> None:
    graph = scattered(500, 1000, frames=frames)
    before = time.process_time()
    layered(graph)
    assert time.process_time() - before < 0.5 * SLOW


def test_deep_graphs() -> None:
    nodes = [task(n, "x") for n in range(3000)]
    geometry = layered(topology(nodes, [[f"t{n}", f"t{n + 1}", "", 1] for n in range(2999)] + [["t0", "t2999", "", 1]]))
    assert geometry.nodes["t2999"].y > geometry.nodes["t0"].y


LAY_OUT = """
import msgspec, sys
from rain.notebook.drawing.layout import layered
from tests.unit.notebook.graphs import mixed, scattered
graphs = [layered(mixed()), layered(scattered(60, 90)), layered(scattered(80, 120, frames=6))]
sys.stdout.buffer.write(msgspec.json.encode(graphs))
"""


def test_the_same_in_every_process() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", LAY_OUT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert len(texts) == 1


# -- from Graphviz --------------------------------------------------------------------------------
GOOD_JSON = {
    "name": "rain",
    "directed": True,
    "bb": "0,0,200,100",
    "objects": [
        {"_gvid": 0, "name": "clusterg3", "bb": "8,8,100,90", "label": "x"},
        {"_gvid": 1, "name": "t1", "pos": "27,82", "width": "0.75", "height": "0.5"},
        {"_gvid": 2, "name": "t2", "pos": "27,18.4", "width": "0.75", "height": "0.5"},
    ],
    "edges": [{"_gvid": 0, "tail": 1, "head": 2, "pos": "e,27,36 27,64 27,60 27,50 27,40", "lp": "33,50"}],
}


def graphviz(**changes: Any) -> DotLayout:
    return layout_of_json(json.dumps({**GOOD_JSON, **changes}))


def drawn_by_graphviz() -> Topology:
    return topology([task(1, "a", "g3"), task(2, "b", "g3")], [["t1", "t2", "x", 1]], [frame(3, "x")])


def test_geometry_of_graphviz() -> None:
    geometry = geometry_of(graphviz())
    assert geometry == Geometry(
        width=200,
        height=100,
        nodes={"t1": Box(27, 18, 54, 36), "t2": Box(27, 82, 54, 36)},
        arcs=[Curve("t1", "t2", "M27,36C27,40 27,50 27,64", 33, 50)],
        frames={"g3": Box(8, 10, 92, 82)},
    )
    assert fits(geometry, drawn_by_graphviz())


def test_an_empty_graph_has_a_geometry() -> None:
    assert geometry_of(DotLayout("0,0,0,0")) == Geometry(0, 0, {}, [], {})


def test_arcs_that_only_keep_things_apart_are_not_drawn() -> None:
    edges: Any = [*GOOD_JSON["edges"], {"_gvid": 1, "tail": 2, "head": 1, "style": "invis"}]  # type: ignore[misc]
    assert geometry_of(graphviz(edges=edges)) == geometry_of(graphviz())


@pytest.mark.parametrize(
    "other",
    [
        topology([task(1, "a"), task(2, "b"), task(3, "c")], [["t1", "t2", "x", 1]], [frame(3, "x")]),
        topology([task(1, "a")], [["t1", "t2", "x", 1]], [frame(3, "x")]),
        topology([task(1, "a"), task(2, "b")], [["t1", "t2", "x", 1]], []),
        topology([task(1, "a"), task(2, "b")], [["t2", "t1", "x", 1]], [frame(3, "x")]),
        topology([task(1, "a"), task(2, "b")], [], [frame(3, "x")]),
    ],
    ids=["node missing", "node more", "foreign frame", "foreign arc", "arc more"],
)
def test_a_layout_of_another_graph_does_not_fit(other: Topology) -> None:
    assert not fits(geometry_of(graphviz()), other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"bb": "0,0,1"}',
        '{"bb": "0,0,nan,1"}',
        '{"bb": "0,0,1e300,1"}',
        '{"bb": "0,0,-5,1"}',
        '{"bb": 7}',
        '{"bb": "0,0,1,1", "objects": 3}',
        "[" * 100_000,
        '{"x": ' * 100_000,
        b"\xff\xfe",
        "\udc00",
        *(
            json.dumps({**GOOD_JSON, "edges": [{**GOOD_JSON["edges"][0], **change}]})  # type: ignore[index, dict-item]
            for change in (
                {"pos": "1,1"},
                {"pos": None},
                {"pos": "e,1 1,1 1,1 1,1 1,1"},
                {"pos": "1,1 1,1 1,1 x,1"},
                {"tail": 9},
                {"head": "t2"},
                {"lp": "inf,1"},
                {"lp": "1e300,1"},
                {"lp": None, "pos": 'M0,0"/><script>'},
                {"pos": "e,1,1 1,1 1,1 1,1 url(#a)"},
                {"pos": "1,1 " + "1,1 1,1 1,1 " * 10_000},
                {"tail": True},
            )
        ),
    ],
)
def test_bad_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        geometry_of(layout_of_json(text))


def test_json_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.notebook.drawing.geometry.DOT_JSON_BYTES_MAX", 10)
    with pytest.raises(ValueError, match="DOT_JSON_BYTES_MAX"):
        graphviz()


# -- labels ---------------------------------------------------------------------------------------
def test_labels() -> None:
    assert visible("plain") == "plain"
    assert visible("a\tb\r\nc") == "a b c"
    assert visible("\x00\x1b[31m\x7f\x85") == r"\x00\x1b[31m\x7f\x85"
    assert visible("\u202e\u2066\ufeff\uffff\udc80") == r"\u202e\u2066\ufeff\uffff\udc80"
    assert visible("größe 数据 😀") == "größe 数据 😀"
    assert markup("<&>\"'") == "&lt;&amp;&gt;&quot;&#39;"
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcde…hijk"
    assert len(shortened("x" * 10**7, 28)) == 28
    assert len(shortened("\u202e" * 10**6, 28)) == 28
    assert text_width("iii") < text_width("mmm") < text_width("数据数据")


def test_sizes_leave_room() -> None:
    for node in (task(1, "a long name of a task"), data(1, "a long name of an object"), group(1, "a" * 300, 7)):
        width, height = node_size(node)
        assert width % 2 == height % 2 == 0
        assert text_width(shortened(node.label, 28)) + 20 < width < 400


def test_frames_are_as_wide_as_their_labels() -> None:
    graph = topology([task(1, "a", "g1")], [], [frame(1, "the name of this group is long")])
    geometry = layered(graph)
    assert geometry.frames["g1"].width > text_width("the name of this group is long", 10)
