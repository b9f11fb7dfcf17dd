"""Any graph can be laid out and drawn; any rubbish for a geometry is refused."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.common.errors import RainException
from rain.common.state_styles import LOOKS
from rain.notebook.drawing.dot import dot_source
from rain.notebook.drawing.geometry import fits, geometry_of, layout_of_json
from rain.notebook.drawing.layout import layered
from rain.notebook.drawing.svg import PICTURE_BYTES_MAX, picture, text_line
from rain.notebook.drawing.text_metrics import markup, shortened, visible
from rain.notebook.protocol.graph import SessionInfo, Status, Summary, Topology
from rain.notebook.protocol.layout import Geometry
from rain.notebook.protocol.requests import PlaceGraph, request_of
from tests.unit.notebook.graphs import data, frame, group, small, task, topology

words = st.text(st.characters(), max_size=40)  # lone surrogates too
states = st.sampled_from(list(LOOKS))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any nodes in any frames, any arcs: cycles, twins, arcs to themselves."""
    frames = [
        frame(n, draw(words), draw(st.sampled_from([None, *(f"g{m}" for m in range(n))])))
        for n in range(draw(st.integers(0, 5)))
    ]
    inside = st.sampled_from([None, *(one.key for one in frames)])
    nodes: list[Any] = []
    for n in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from([task, data, lambda number, *rest: group(number, rest[0], 3, rest[1])]))
        nodes.append(kind(100 + n, draw(words), draw(inside)))
    keys = st.sampled_from([node.key for node in nodes]) if nodes else st.nothing()
    arcs = draw(st.lists(st.tuples(keys, keys, words, st.integers(1, 9)), max_size=30 if nodes else 0))
    return topology(nodes, [list(arc) for arc in arcs], frames)


@given(topologies())
def test_any_graph_is_laid_out(graph: Topology) -> None:
    geometry = layered(graph)
    assert fits(geometry, graph)
    assert msgspec.json.decode(msgspec.json.encode(geometry), type=Geometry) == geometry
    assert len(geometry.arcs) == len(graph.arcs)
    boxes = {
        key: (box.x - box.width / 2, box.y - box.height / 2, box.x + box.width / 2, box.y + box.height / 2)
        for key, box in geometry.nodes.items()
    }
    for one, other in itertools.combinations(boxes.values(), 2):
        assert apart(one, other)
    around = {one.key: one.frame for one in graph.frames}
    for node in graph.nodes:
        inside, at = set(), node.frame
        while at is not None:
            inside.add(at)
            at = around[at]
        for key, box in geometry.frames.items():
            if key not in inside:
                assert apart(boxes[node.key], (box.x, box.y, box.x + box.width, box.y + box.height))


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@given(topologies(), st.data(), words, words)
def test_any_graph_is_drawn(graph: Topology, draws: st.DataObject, name: str, error: str) -> None:
    status = {}
    for node in graph.nodes:
        state = draws.draw(states)
        counts = {state: 3} if node.kind == "group" else None
        status[node.key] = Status(state, error=error, size=error, kept=True, content_type=error, counts=counts)
    summary = Summary({draws.draw(states): 7}, 1, 1.0, None, False)
    session = SessionInfo(1, name, "open", error)
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
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["bb", "objects"]) | words, inner),
    max_leaves=12,
)


def placed(layout: Any) -> Geometry | None:
    """The geometry that a browser's layout of `small` gives, if it is taken."""
    try:
        asked = request_of({"type": "geometry", "number": 1, "layout": layout})
        assert isinstance(asked, PlaceGraph)
        geometry = geometry_of(asked.layout)
    except (RainException, ValueError):
        return None
    return geometry if fits(geometry, small()) else None


def small_layout() -> dict[str, Any]:
    """As Graphviz writes it."""
    keys = [node.key for node in small().nodes]
    objects = [
        {"_gvid": n, "name": key, "pos": f"50,{50 * n + 20}", "width": "1.0", "height": "0.5"}
        for n, key in enumerate(keys)
    ]
    edges = [
        {"_gvid": n, "tail": keys.index(arc.tail), "head": keys.index(arc.head), "pos": "e,5,5 1,1 2,2 3,3 4,4"}
        for n, arc in enumerate(small().arcs)
    ]
    return {"bb": "0,0,100,300", "objects": objects, "edges": edges}


@given(json_values)
def test_rubbish_is_no_geometry(value: Any) -> None:
    assert placed(value) is None


@given(st.data())
def test_geometries_with_something_else_in_them(draws: st.DataObject) -> None:
    layout = small_layout()
    assert placed(layout) is not None
    holder: Any = layout
    while True:  # anything at any place
        key = draws.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if isinstance(holder[key], dict | list) and holder[key] and draws.draw(st.booleans()):
            holder = holder[key]
            continue
        holder[key] = draws.draw(json_values)
        break
    geometry = placed(layout)
    if geometry is not None:
        ET.fromstring(picture(small(), {}, Summary({}, 1, None, None, False), SessionInfo(1, "x", "open"), geometry))


@given(st.binary(max_size=200) | words | json_values.map(json.dumps))
def test_rubbish_is_no_layout_of_graphviz(text: str | bytes) -> None:
    try:
        geometry_of(layout_of_json(text))
    except ValueError:
        pass
    else:
        raise AssertionError("rubbish was taken for a layout")
