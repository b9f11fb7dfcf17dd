"""The layered layout, and layouts that others made."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from rain.notebook.drawing.layout import checked_geometry, geometry_of_json, layered
from rain.notebook.drawing.text_metrics import markup, node_size, shortened, text_width, visible
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


def sides(box: list[int]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def holders(graph: dict[str, Any], inside: str | None) -> set[str]:
    around = {each["key"]: each["in"] for each in graph["frames"]}
    found = set()
    while inside in around:
        found.add(inside)
        inside = around[inside]
    return found


@pytest.fixture(params=GRAPHS, ids=str)
def graph(request: pytest.FixtureRequest) -> dict[str, Any]:
    return GRAPHS[request.param]


def test_everything_has_a_place(graph: dict[str, Any]) -> None:
    geometry = layered(graph)
    assert list(geometry["nodes"]) == [node["key"] for node in graph["nodes"]]
    for node in graph["nodes"]:
        box = geometry["nodes"][node["key"]]
        assert tuple(box[2:]) == node_size(node)
        left, top, right, bottom = sides(box)
        assert left >= 0
        assert top >= 0
        assert right <= geometry["width"]
        assert bottom <= geometry["height"]
    assert [arc[:2] for arc in geometry["arcs"]] == [arc[:2] for arc in graph["arcs"]]
    assert checked_geometry(json.loads(json.dumps(geometry)), graph) == geometry


def test_no_node_lies_on_another(graph: dict[str, Any]) -> None:
    boxes = [sides(box) for box in layered(graph)["nodes"].values()]
    assert all(apart(one, other) for one, other in itertools.combinations(boxes, 2))


def test_frames_hold_what_is_inside_and_nothing_else(graph: dict[str, Any]) -> None:
    geometry = layered(graph)
    places = {key: (x, y, x + w, y + h) for key, (x, y, w, h) in geometry["frames"].items()}
    inside = {node["key"]: holders(graph, node["in"]) for node in graph["nodes"]}
    assert set(places) == set().union(*inside.values())
    for key, around in inside.items():
        box = sides(geometry["nodes"][key])
        for outer, place in places.items():
            if outer in around:
                assert place[0] < box[0] < box[2] < place[2]
                assert place[1] < box[1] < box[3] < place[3]
            else:
                assert apart(box, place)
    nested = {each["key"]: holders(graph, each["in"]) for each in graph["frames"] if each["key"] in places}
    for one, other in itertools.combinations(nested, 2):
        if one not in nested[other] and other not in nested[one]:
            assert apart(places[one], places[other])
        else:
            outer, inner = (one, other) if one in nested[other] else (other, one)
            assert places[outer][0] < places[inner][0] < places[inner][2] < places[outer][2]
            assert places[outer][1] < places[inner][1] < places[inner][3] < places[outer][3]


def going_back(graph: dict[str, Any], geometry: dict[str, Any]) -> list[tuple[str, str]]:
    nodes = geometry["nodes"]
    return [(tail, head) for tail, head, *_ in graph["arcs"] if tail != head and nodes[tail][1] >= nodes[head][1]]


def test_arcs_go_from_node_to_node_and_down(graph: dict[str, Any]) -> None:
    geometry = layered(graph)
    back = going_back(graph, geometry)
    assert len(back) == (graph in (GRAPHS["ring"], GRAPHS["mixed"]))
    for tail, head, path, _, _ in geometry["arcs"]:
        points = points_of(path)
        for (x, y), key in ((points[0], tail), (points[-1], head)):
            left, top, right, bottom = sides(geometry["nodes"][key])
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
    assert len({x for x, _, _, _ in geometry["nodes"].values()}) == 1


def test_a_tree_is_symmetric() -> None:
    nodes = [task(n, "node") for n in range(7)]
    geometry = layered(topology(nodes, [[f"t{(n - 1) // 2}", f"t{n}", "", 1] for n in range(1, 7)]))
    places = geometry["nodes"]
    for top in range(3):
        children = (places[f"t{2 * top + 1}"][0] + places[f"t{2 * top + 2}"][0]) / 2
        assert abs(places[f"t{top}"][0] - children) <= 2


def test_what_can_be_drawn_without_crossings_is() -> None:
    # Two combs whose teeth are told in turn, held together by their handles.
    nodes = [task(0, "left"), task(1, "right"), *(data(n, "d") for n in range(9))]
    arcs = [[f"t{n % 2}", f"o{n}", "", 1] for n in range(8)]
    places = layered(topology(nodes, [*arcs, ["o8", "t0", "", 1], ["o8", "t1", "", 1]]))["nodes"]
    spans = [sorted(places[head][0] for tail, head, *_ in arcs if tail == name) for name in ("t0", "t1")]
    assert spans[0][-1] < spans[1][0] or spans[1][-1] < spans[0][0]


def test_parts_are_beside_and_below_each_other() -> None:
    geometry = layered(GRAPHS["islands"])
    assert 0.8 < geometry["width"] / geometry["height"] < 4


def test_labels_of_arcs_keep_apart() -> None:
    nodes = [data(n, f"part {n}") for n in range(6)] + [task(0, "join")]
    geometry = layered(topology(nodes, [[f"o{n}", "t0", f"{n}: part", 1] for n in range(6)]))
    spots = [(arc[3], arc[4]) for arc in geometry["arcs"]]
    for (x, y), (other_x, other_y) in itertools.combinations(spots, 2):
        assert abs(x - other_x) > 25 or abs(y - other_y) > 7


def test_long_arcs_beyond_a_number_are_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.notebook.drawing.row_assignment.DUMMIES_MAX", 10)
    graph = scattered(60, 90)
    geometry = layered(graph)
    assert checked_geometry(geometry, graph) == geometry
    boxes = [sides(box) for box in geometry["nodes"].values()]
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
    assert geometry["nodes"]["t2999"][1] > geometry["nodes"]["t0"][1]


LAY_OUT = """
import json, sys
from rain.notebook.drawing.layout import layered
from tests.unit.notebook.graphs import mixed, scattered
json.dump([layered(mixed()), layered(scattered(60, 90)), layered(scattered(80, 120, frames=6))], sys.stdout)
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


# -- from browsers --------------------------------------------------------------------------------
def changed(geometry: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**geometry, **parts}


def bad_geometries() -> dict[str, Any]:
    good = layered(mixed())
    nodes, arcs, frames = good["nodes"], good["arcs"], good["frames"]
    first = arcs[0]
    return {
        "null": None,
        "list": [],
        "text": "x",
        "empty": {},
        "no arcs": {key: value for key, value in good.items() if key != "arcs"},
        "arcs are text": changed(good, arcs="abc"),
        "arcs are null": changed(good, arcs=None),
        "short arc": changed(good, arcs=[first[:3]]),
        "number for arc": changed(good, arcs=[7]),
        "unhashable arc": changed(good, arcs=[[["o1"], "g1", *first[2:]]]),
        "foreign arc": changed(good, arcs=[["o1", "t4", *first[2:]]]),
        "arc twice": changed(good, arcs=[*arcs, first]),
        "path of text": changed(good, arcs=[[*first[:2], 'M0,0"/><script>', 0, 0]]),
        "path with url": changed(good, arcs=[[*first[:2], "M0,0C1,1 2,2 url(#a)", 0, 0]]),
        "path and more": changed(good, arcs=[[*first[:2], first[2] + "\n", 0, 0]]),
        "path in other digits": changed(good, arcs=[[*first[:2], "M\u0660,0C1,1 2,2 3,3", 0, 0]]),
        "path is null": changed(good, arcs=[[*first[:2], None, 0, 0]]),
        "long path": changed(good, arcs=[[*first[:2], "M0,0" + "C1,1 2,2 3,3" * 5000, 0, 0]]),
        "no number": changed(good, width="12"),
        "yes": changed(good, width=True),
        "nan": changed(good, width=math.nan),
        "infinite": changed(good, height=math.inf),
        "negative": changed(good, height=-1),
        "huge": changed(good, height=10**400),
        "node missing": changed(good, nodes={"o1": nodes["o1"]}),
        "node more": changed(good, nodes={**nodes, "t99": [1, 1, 1, 1]}),
        "node of three": changed(good, nodes={**nodes, "o1": [1, 1, 1]}),
        "node of text": changed(good, nodes={**nodes, "o1": "1234"}),
        "node of null": changed(good, nodes={**nodes, "o1": None}),
        "node with nan": changed(good, nodes={**nodes, "o1": [math.nan, 1, 1, 1]}),
        "nodes are a list": changed(good, nodes=list(nodes)),
        "foreign frame": changed(good, frames={**frames, "g9": [0, 0, 1, 1]}),
        "frame turned over": changed(good, frames={"g3": [0, 0, -1, 1]}),
    }


@pytest.mark.parametrize("name", bad_geometries())
def test_bad_geometries_are_refused(name: str) -> None:
    assert checked_geometry(bad_geometries()[name], mixed()) is None


def test_good_geometries_are_rounded() -> None:
    geometry = layered(small())
    sent = json.loads(json.dumps(geometry))
    sent["nodes"]["o1"] = [value + 0.3 for value in sent["nodes"]["o1"]]
    sent["more"] = "what a later version may send"
    assert checked_geometry(sent, small()) == geometry


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


def test_geometry_of_graphviz() -> None:
    assert geometry_of_json(json.dumps(GOOD_JSON)) == {
        "width": 200,
        "height": 100,
        "nodes": {"t1": [27, 18, 54, 36], "t2": [27, 82, 54, 36]},
        "arcs": [["t1", "t2", "M27,36C27,40 27,50 27,64", 33, 50]],
        "frames": {"g3": [8, 10, 92, 82]},
    }


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
            )
        ),
    ],
)
def test_bad_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        geometry_of_json(text)


def test_json_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.notebook.drawing.geometry.DOT_JSON_BYTES_MAX", 10)
    with pytest.raises(ValueError, match="DOT_JSON_BYTES_MAX"):
        geometry_of_json(json.dumps(GOOD_JSON))


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
        assert text_width(shortened(node["label"], 28)) + 20 < width < 400


def test_frames_are_as_wide_as_their_labels() -> None:
    graph = topology([task(1, "a", "g1")], [], [frame(1, "the name of this group is long")])
    geometry = layered(graph)
    assert geometry["frames"]["g1"][2] > text_width("the name of this group is long", 10)
