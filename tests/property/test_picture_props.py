"""Any graph can be laid out and drawn; any rubbish for a geometry is refused."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rain.notebook.drawing.dot import dot_source
from rain.notebook.drawing.layout import checked_geometry, geometry_of_json, layered
from rain.notebook.drawing.svg import PICTURE_BYTES_MAX, picture, text_line
from rain.notebook.drawing.text_metrics import markup, shortened, visible
from tests.unit.notebook.graphs import small

words = st.text(st.characters(), max_size=40)  # lone surrogates too
states = st.sampled_from(
    ["new", "waiting", "unfinished", "ready", "running", "finished", "removed", "failed", "cancelled"]
)


@st.composite
def topologies(draw: st.DrawFn) -> dict[str, Any]:
    """Any nodes in any frames, any arcs: cycles, twins, arcs to themselves."""
    count = draw(st.integers(0, 14))
    frames = [
        {"key": f"g{n}", "label": draw(words), "in": draw(st.sampled_from([None, *(f"g{m}" for m in range(n))]))}
        for n in range(draw(st.integers(0, 5)))
    ]
    inside = st.sampled_from([None, *(frame["key"] for frame in frames)])
    nodes: list[dict[str, Any]] = []
    for n in range(count):
        kind = draw(st.sampled_from(["task", "object", "group"]))
        nodes.append({"key": f"{kind[0]}{100 + n}", "kind": kind, "label": draw(words), "in": draw(inside)})
    keys = st.sampled_from([node["key"] for node in nodes]) if nodes else st.nothing()
    arcs = draw(st.lists(st.tuples(keys, keys, words, st.integers(1, 9)), max_size=30 if nodes else 0))
    return {"number": 1, "nodes": nodes, "arcs": [list(arc) for arc in arcs], "frames": frames}


@given(topologies())
@settings(deadline=None)
def test_any_graph_is_laid_out(graph: dict[str, Any]) -> None:
    geometry = layered(graph)
    assert checked_geometry(json.loads(json.dumps(geometry)), graph) == geometry
    assert len(geometry["arcs"]) == len(graph["arcs"])
    boxes = {key: (x - w / 2, y - h / 2, x + w / 2, y + h / 2) for key, (x, y, w, h) in geometry["nodes"].items()}
    for one, other in itertools.combinations(boxes.values(), 2):
        assert apart(one, other)
    around = {frame["key"]: frame["in"] for frame in graph["frames"]}
    for node in graph["nodes"]:
        inside, at = set(), node["in"]
        while at is not None:
            inside.add(at)
            at = around[at]
        for key, (x, y, width, height) in geometry["frames"].items():
            if key not in inside:
                assert apart(boxes[node["key"]], (x, y, x + width, y + height))


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@given(topologies(), st.data(), words, words)
@settings(deadline=None)
def test_any_graph_is_drawn(graph: dict[str, Any], data: st.DataObject, name: str, error: str) -> None:
    status = {}
    for node in graph["nodes"]:
        state = data.draw(states)
        status[node["key"]] = {"s": state, "e": error, "c": {state: 3} if node["kind"] == "group" else error, "k": True}
    summary = {"tasks": {data.draw(states): 7}, "objects": 1, "elapsed": 1.0}
    session = {"id": 1, "name": name, "word": "open", "note": error}
    svg = picture(graph, status, summary, session, layered(graph))
    assert len(svg.encode()) <= PICTURE_BYTES_MAX
    ET.fromstring(svg)
    assert dot_source(graph).encode()
    assert "\n" not in text_line(session, summary)


@given(words)
@settings(deadline=None)
def test_texts_are_harmless(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert ET.fromstring(f'<a b="{markup(text)}">{markup(text)}</a>').text in (visible(text), visible(text) or None)
    assert len(shortened(text, 10)) <= 10


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["t1", "o1", "nodes"]) | words, inner),
    max_leaves=12,
)


@given(json_values)
@settings(deadline=None)
def test_rubbish_is_no_geometry(value: Any) -> None:
    assert checked_geometry(value, small()) is None


@given(st.data())
@settings(deadline=None)
def test_geometries_with_something_else_in_them(data: st.DataObject) -> None:
    geometry = json.loads(json.dumps(layered(small())))
    holder: Any = geometry
    while True:  # anything at any place
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            continue
        holder[key] = data.draw(json_values)
        break
    checked = checked_geometry(geometry, small())
    if checked is not None:
        ET.fromstring(picture(small(), {}, {"tasks": {}, "objects": 1}, {"name": "x", "word": "open"}, checked))


@given(st.binary(max_size=200) | words | json_values.map(lambda value: json.dumps(value)))
@settings(deadline=None)
def test_rubbish_is_no_layout_of_graphviz(text: str | bytes) -> None:
    try:
        geometry_of_json(text)
    except ValueError:
        pass
    else:
        raise AssertionError("rubbish was taken for a layout")
