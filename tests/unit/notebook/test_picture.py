"""The static picture: self-contained, harmless, small, and it tells what there is to tell."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from msgspec.structs import replace

from rain.common.formatting import duration_text
from rain.common.state_styles import LOOKS
from rain.notebook.drawing import svg as pictures
from rain.notebook.drawing.layout import layered
from rain.notebook.drawing.svg import PICTURE_BYTES_MAX, picture, text_line
from rain.notebook.drawing.text_metrics import visible
from rain.notebook.protocol.graph import SessionInfo, Status, Summary, Topology
from rain.notebook.protocol.layout import Box
from tests.unit.notebook.graphs import (
    data,
    frame,
    group,
    mixed,
    scattered,
    size_of,
    small,
    status_of,
    summary_of,
    task,
    topology,
)

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {"svg", "g", "title", "desc", "rect", "ellipse", "path", "text", "tspan"}
ATTRIBUTES = {
    *("width", "height", "viewBox", "role", "transform", "x", "y", "rx", "ry", "cx", "cy", "d", "fill", "stroke"),
    *("stroke-width", "stroke-linejoin", "paint-order", "pointer-events"),
    *("font-family", "font-size", "font-weight", "text-anchor"),
}
SESSION = SessionInfo(3, "words", "closed")


def drawn(graph: Topology, session: SessionInfo = SESSION, **changes: Any) -> str:
    status = {**status_of(graph), **changes}
    return picture(graph, status, summary_of(graph, status), session, layered(graph))


def parsed(svg: str) -> ET.Element:
    """The picture's tree, with nothing in it but what is known to do no harm."""
    root = ET.fromstring(svg)
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in TAGS
        assert set(element.attrib) <= ATTRIBUTES
        for value in element.attrib.values():
            assert "url" not in value
            assert ":" not in value
    return root


def texts(root: ET.Element, tag: str = "text") -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(SVG + tag)]


@pytest.mark.parametrize(
    "graph",
    [topology([], []), small(), mixed(), scattered(60, 90, frames=4)],
    ids=size_of,
)
def test_self_contained(graph: Topology) -> None:
    svg = drawn(graph)
    root = parsed(svg)
    assert root.attrib["role"] == "img"
    assert [child.tag for child in root[:2]] == [SVG + "title", SVG + "desc"]
    ground = root[2]
    assert (ground.tag, ground.attrib["fill"]) == (SVG + "rect", "#ffffff")
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    assert root.attrib["viewBox"] == f"0 0 {width} {height}"
    assert width <= pictures.WIDTH_MAX
    assert height <= pictures.HEIGHT_MAX + 200
    assert svg == drawn(graph)


def test_tells_names_states_and_labels() -> None:
    root = parsed(
        drawn(small(), t1=Status("failed", "61 s", error="ValueError: seven"), o2=Status("finished", size="2.0 KiB"))
    )
    assert {"✗ split", "✓ even", "0: numbers", "words \xa0 closed", "83 s"} <= set(texts(root))
    assert "split, failed, 61 s, ValueError: seven" in texts(root, "title")
    assert "even, finished, 2.0 KiB" in texts(root, "title")
    assert texts(root, "title")[0] == "Session words: closed"
    assert texts(root, "desc")[0].startswith("<Session 'words' closed, 2 tasks: ")


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.2, 3.0, 1e6])
def test_however_long_it_took(seconds: float) -> None:
    graph = small()
    status = {"t1": Status("finished", duration_text(seconds))}
    svg = picture(graph, status, replace(summary_of(graph, status_of(graph)), elapsed=seconds), SESSION, layered(graph))
    assert duration_text(seconds) in texts(parsed(svg))


def test_the_state_follows_the_name_however_wide_that_is() -> None:
    for name in ("cross-validation", "MMMMMMMMMM", "i" * 50, "W" * 50):
        root = parsed(drawn(small(), replace(SESSION, name=name)))
        (head,) = [text for text in root.iter(SVG + "text") if "closed" in "".join(text.itertext())]
        assert [part.attrib.get("x") for part in head] == [None, None], "placed by whoever knows the font"
        wide = pictures.text_width((head[0].text or ""), 14) * pictures.BOLD
        assert wide < int(root.attrib["width"]) - pictures.HEAD_ROOM


def test_every_node_and_arc_is_there() -> None:
    graph = scattered(60, 90)
    root = parsed(drawn(graph))
    assert len([e for e in root.iter(SVG + "ellipse") if e.find(SVG + "title") is not None]) == 30
    assert len([e for e in root.iter(SVG + "rect") if e.find(SVG + "title") is not None]) == 30
    lines, heads = [path.attrib["d"] for path in root.iter(SVG + "path")]
    assert lines.count("M") == heads.count("M") == heads.count("z") == 90


def test_paths_are_those_of_the_geometry() -> None:
    assert pictures._short_path([10, 20, 10, 30, 15, 30, 15, 40, 15, 50, 15, 60, 15, 70]) == "M10 20c0 10 5 10 5 20V70"
    assert pictures._short_path([10, 20, 3, -30, 15, 30, 15, 40]) == "M10 20c-7-50 5 10 5 20"


def test_groups_tell_counts() -> None:
    root = parsed(drawn(mixed()))
    assert "✓ 398 \xa0▶\ufe0e 2" in texts(root)
    assert "\u00d7400" in texts(root)
    assert "load, 398 finished, 2 running" in texts(root, "title")
    legend = set(texts(root))
    assert {"task", "object", "group", "finished", "running"} <= legend
    assert "kept" not in legend or any(status.kept for status in status_of(mixed()).values())


def test_kept_objects_have_a_double_outline() -> None:
    graph = topology([data(1, "x")], [])
    once, twice = (drawn(graph, o1=Status("finished", kept=kept)).count("<rect") for kept in (False, True))
    assert twice == once + 1 + 2  # around the object, and in the legend
    assert ">kept<" in drawn(graph, o1=Status("finished", kept=True))


@pytest.mark.parametrize("state", LOOKS)
def test_states_have_marks_and_colours(state: str) -> None:
    root = parsed(drawn(topology([task(1, "x")], []), t1=Status(state)))
    look = LOOKS[state]
    (node,) = (element for element in root.iter(SVG + "g") if element.find(f"{SVG}ellipse/{SVG}title") is not None)
    assert (node.attrib["fill"], node.attrib["stroke"]) == (look.fill, look.line)
    assert any(text.startswith(look.mark) and text.endswith(" x") for text in texts(root))
    assert look.word in texts(root)


def test_unknown_states_and_missing_statuses_are_drawn() -> None:
    graph = small()
    tasks = Summary({}, 3, None, None, False)
    root = parsed(picture(graph, {"t1": Status("purring")}, tasks, SESSION, layered(graph)))
    assert "· split" in texts(root)
    missing = replace(layered(graph), nodes={"t1": Box(20, 20, 60, 26)})
    assert len(texts(parsed(picture(graph, {}, tasks, SESSION, missing)), "ellipse")) == 2  # one in the legend


HOSTILE = [
    "<script>alert(1)</script>",
    "]]>",
    "<![CDATA[x]]>",
    '"onload="alert(1)',
    "' onload='alert(1)",
    "&lt;b&gt; &amp; &#0; &nope;",
    "<!--", "-->", "<?xml?>", "</text></svg>",
    "javascript:alert(1)",
    "\u202egnp.exe", "\u2066\u2067\u2068\u2069", "\u200f\u061c",
    "\udcff\ud800", "\ud83d", "\ufffe\uffff\ufeff",
    "a\nb\rc\td", "\\N \\G \\l", "%s %(x)s {x} {0}", "${x} `x` $(x)",
    "x" * 100_000, "\u0301" * 500, "数据" * 300, "😀" * 300, "",
    *map(chr, range(32)),
    *map(chr, range(127, 160)),
    *(f"<a{chr(code)}b>" for code in [*range(0x2028, 0x202F), *range(0x2060, 0x2070), *range(0xFFF0, 0x10000)]),
    *(f"{chr(code)}<i>" for code in range(0xDC80, 0xDCC0)),
    *(f'"{word}=x' for word in ("href", "style", "onclick", "xlink:href", "id", "class", "src", "onerror", "xmlns")),
    *(f"<{tag}>" for tag in ("image", "foreignObject", "style", "use", "iframe", "object", "animate", "set", "svg")),
]  # fmt: skip


def test_there_are_many_hostile_labels() -> None:
    assert len(HOSTILE) >= 200


@pytest.mark.parametrize("start", range(0, len(HOSTILE), 10))
def test_hostile_labels_stay_text(start: int) -> None:
    bad = HOSTILE[start : start + 10]
    for n, label in enumerate(bad):
        graph = topology(
            [task(1, label), data(1, label, "g9"), group(2, label, 7)],
            [["t1", "o1", label, 1], ["o1", "g2", bad[-n], 1]],
            [frame(9, label)],
        )
        session = SessionInfo(1, label, "lost", label)
        root = parsed(drawn(graph, session, t1=Status("failed", error=label)))
        plain = parsed(drawn(replace(graph, nodes=[replace(node, label="x", text=None) for node in graph.nodes])))
        assert len(list(root.iter(SVG + "rect"))) >= len(list(plain.iter(SVG + "rect"))) - 2
        for text in texts(root) + texts(root, "title") + texts(root, "desc"):
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", text)
            assert len(text) < 1000
        if len(label) < 20 and label.strip():
            assert any(visible(label) in text for text in texts(root))
        line = text_line(session, Summary({}, 0, None, None, False))
        assert line.encode().decode() == line
        assert "\n" not in line


def test_what_is_known_of_the_wire_only_is_harmless_elsewhere() -> None:
    graph = small()
    bad = "<script>"
    status = {"t1": Status(bad, "1.0 s", governor=bad, attempts=2), "o2": Status(bad, size="5 bytes", content_type=bad)}
    svg = picture(graph, status, Summary({bad: 3}, 1, 1.0, None, False), SESSION, layered(graph))
    parsed(svg)
    assert "script" not in svg


# -- size -----------------------------------------------------------------------------------------
def test_pictures_are_small() -> None:
    svg = drawn(scattered(500, 700))
    assert len(svg.encode()) <= PICTURE_BYTES_MAX
    root = parsed(svg)
    assert len(texts(root, "title")) == 501
    assert not re.search(r"\d\.\d{3}", svg.partition("scale(")[2].partition(")")[2])


@pytest.mark.parametrize(
    ("share", "said", "tips", "arcs", "names"),
    [
        (1.0, None, True, True, True),
        (0.9, "labels of arcs are left out", True, True, True),
        (0.75, "labels of arcs are left out", False, True, True),
        (0.5, "arcs are left out", False, False, True),
        (0.28, "arcs and labels are left out", False, False, False),
        (0.0, "too large to be drawn", False, False, False),
    ],
)
def test_too_large_pictures_leave_out_what_matters_least(
    monkeypatch: pytest.MonkeyPatch, share: float, said: str | None, tips: bool, arcs: bool, names: bool
) -> None:
    graph = scattered(120, 160)
    whole = drawn(graph)
    limit = max(round(len(whole.encode()) * share), 6000)
    monkeypatch.setattr(pictures, "PICTURE_BYTES_MAX", limit)
    svg = drawn(graph)
    root = parsed(svg)
    assert len(svg.encode()) <= limit
    assert (len(texts(root, "title")) > 1) == tips
    assert any(path.attrib["d"].count("M") == 160 for path in root.iter(SVG + "path")) == arcs
    assert any(text.endswith("task 1") for text in texts(root)) == names
    assert any(said in text for text in texts(root)) if said else svg == whole


def test_enormous_graphs_are_said_to_be() -> None:
    graph = topology([task(n, "x" * 28) for n in range(6000)], [])
    svg = drawn(graph)
    assert len(svg.encode()) <= PICTURE_BYTES_MAX
    assert "too large to be drawn" in svg


# -- text -----------------------------------------------------------------------------------------
def test_text_line() -> None:
    summary = Summary({"new": 0, "waiting": 3, "finished": 1}, 1, 1.5, 3.2, True)
    assert text_line(SESSION, summary) == "<Session 'words' closed, 4 tasks: 1 finished, 3 waiting; 1 object>"
    assert text_line(SESSION, Summary({}, 0, None, None, False)) == "<Session 'words' closed, no tasks; 0 objects>"
