"""The picture as PDF: a file that readers take, with the same shapes and letters in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zlib

import pytest

from rain.common.state_styles import LOOKS
from rain.notebook.drawing.layout import layered
from rain.notebook.drawing.pdf import pdf
from rain.notebook.drawing.svg import picture
from rain.notebook.protocol.graph import SessionInfo, Topology
from tests.unit.notebook.graphs import mixed, scattered, size_of, small, status_of, summary_of, task, topology

SVG = "{http://www.w3.org/2000/svg}"


def drawn(graph: Topology, name: str = "words") -> str:
    status = status_of(graph)
    return picture(graph, status, summary_of(graph, status), SessionInfo(3, name, "closed"), layered(graph))


def content(data: bytes) -> str:
    """The operators of the page; the table of objects is right."""
    table = int(data.rpartition(b"startxref\n")[2].split()[0])
    assert data[table:].startswith(b"xref\n")
    for number, place in enumerate(re.findall(rb"(\d{10}) 00000 n", data[table:]), 1):
        assert data[int(place) :].startswith(b"%d 0 obj\n" % number)
    (length,) = re.findall(rb"/Length (\d+)", data)
    start = data.index(b"stream\n") + len(b"stream\n")
    return zlib.decompress(data[start : start + int(length)]).decode("ascii")


def letters(operators: str) -> str:
    found = re.findall(r"/F([01]) .*? 0 Tr <([0-9a-f]*)> Tj", operators)
    return "".join(bytes.fromhex(code).decode("cp1252") for _, code in found)


@pytest.mark.parametrize("graph", [small(), mixed(), scattered(60, 90, 3), topology([], [])], ids=size_of)
def test_each_shape_and_letter_is_drawn(graph: Topology) -> None:
    svg = drawn(graph)
    operators = content(pdf(svg))
    root = ET.fromstring(svg)
    shapes = [element for name in ("rect", "ellipse", "path") for element in root.iter(SVG + name)]
    assert len(re.findall(r"^q .* (?:[SfB]|n) Q$", operators, re.MULTILINE)) >= len(shapes)
    assert operators.count("q ") + operators.count("q\n") == len(re.findall(r"\bQ\b", operators))
    written = "".join("".join(text.itertext()) for text in root.iter(SVG + "text"))
    plain = [char for char in written if char.isascii() and not char.isspace()]
    assert [char for char in letters(operators) if char.isascii() and not char.isspace()] == plain
    assert not re.search(r"nan|inf|\d{7}|\de-", re.sub("<.*?>", "", operators))


def test_the_same_picture_is_the_same_file() -> None:
    assert pdf(drawn(mixed())) == pdf(drawn(mixed()))


def test_letters_are_in_the_fonts_that_have_them() -> None:
    operators = content(pdf(drawn(topology([task(1, "Größe (\\) 5 € Ω ő 漢")], []), "naïve … —")))
    assert "naïve … —" in letters(operators)
    assert "Größe (\\) 5 € " in letters(operators)
    assert re.search(r"/F2 .* <57> Tj", operators), "a Greek letter"
    assert "o" in letters(operators).partition("€")[2], "without its accent, as no font has it with it"
    assert ".05 0 m .05 -.7 l" in operators, "a box"


@pytest.mark.parametrize("mark", sorted({look.mark for look in LOOKS.values()}))
def test_each_mark_of_a_state_has_a_letter_or_a_drawing(mark: str) -> None:
    text = f'<text x="1" y="2" font-size="9" fill="#000000">{mark}</text>'
    operators = content(pdf(f'<svg xmlns="{SVG[1:-1]}" width="9" height="9">{text}</svg>'))
    assert re.search(r"Tj|[fS] Q", operators)
    assert ".05 0 m .05 -.7 l" not in operators


@pytest.mark.parametrize(
    "odd", ["<image/>", '<path d="M0 0A1 1 0 0 0 2 2" fill="none"/>', '<g transform="rotate(3)"/>']
)
def test_what_is_in_no_picture_of_ours_is_refused(odd: str) -> None:
    with pytest.raises(ValueError, match="a picture of ours has no"):
        pdf(f'<svg xmlns="{SVG[1:-1]}" width="9" height="9">{odd}</svg>')
