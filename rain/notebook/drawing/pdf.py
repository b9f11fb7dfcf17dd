"""A picture of `rain.notebook.drawing.svg` as a PDF of one page, for programs that take neither HTML nor SVG: LaTeX.

Only what our own pictures are made of is understood. Letters are those of the fonts that every PDF reader has
(Helvetica, Symbol, ZapfDingbats: Western European and Greek), so that no font has to be found or embedded; a letter
that they lack is a box.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from xml.etree import ElementTree

from rain.notebook.drawing.text_metrics import text_width

_SVG = "{http://www.w3.org/2000/svg}"
_POINTS = 0.75
"""Of a pixel."""
_FONTS = ("Helvetica", "Helvetica-Bold", "Symbol", "ZapfDingbats")
_PLAIN, _BOLD, _SYMBOL, _DINGBATS, _OWN = range(5)
_BOLDER = 1.06
"""How much wider Helvetica-Bold is."""
_GREEK = dict(
    zip("ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖαβχδεφγηιϕκλμνοπθρστυϖωξψζ", [*range(65, 91), *range(97, 123)], strict=True)
)
_SYMBOLS = {**_GREEK, "∅": 0xC6, "→": 0xAE, "←": 0xAC, "↔": 0xAB, "≤": 0xA3, "≥": 0xB3, "∞": 0xA5, "≠": 0xB9, "≈": 0xBB,
            "∑": 0xE5, "√": 0xD6, "∈": 0xCE}  # fmt: skip
_MARKS = {"✓": 0x33, "✗": 0x37, "✔": 0x34, "✘": 0x38, "★": 0x48, "●": 0x6C, "■": 0x6E, "▲": 0x73, "▼": 0x74}
_ROUND = ".7 -.35 m .7 -.16 .54 0 .35 0 c .16 0 0 -.16 0 -.35 c 0 -.54 .16 -.7 .35 -.7 c .54 -.7 .7 -.54 .7 -.35 c h"
_DRAWN = {
    "▶": ".06 0 m .06 -.7 l .66 -.35 l h f",
    "◔": f"{_ROUND} S .35 -.35 m .35 -.7 l .54 -.7 .7 -.54 .7 -.35 c h f",
    "⊘": f"{_ROUND} S .1 -.6 m .6 -.1 l S",
}
"""Marks that no such font has, in units of the letters' size."""
_WIDE = dict.fromkeys("…—™‰ÆŒœæ", 1.0)
_BOX = ".05 0 m .05 -.7 l .5 -.7 l .5 0 l h S"
_UNSEEN = "\ufe0e"
_CURVE = 0.5523
"""How far the handles of a quarter of a circle are away, in its radius."""
_INHERITED = ("fill", "stroke", "stroke-width", "font-size", "font-weight", "text-anchor")
_COMMAND = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")

Style = Mapping[str, str]


def pdf(svg: str) -> bytes:
    """The picture as PDF; the same for the same picture.

    Parameters
    ----------
    svg : str
        By `rain.notebook.drawing.svg.picture`.

    Raises
    ------
    ValueError
        If there is something else in it.
    """
    root = ElementTree.fromstring(svg)
    width, height = (float(root.get(name, "0")) * _POINTS for name in ("width", "height"))
    turned = f"{_POINTS} 0 0 -{_POINTS} 0 {_number(height)} cm"
    content = "\n".join([turned, *_element(root, {"stroke": "none", "stroke-width": "1"})])
    return _file(width, height, content.encode("ascii"))


def _file(width: float, height: float, content: bytes) -> bytes:
    packed = zlib.compress(content)
    fonts = [f"<</Type/Font/Subtype/Type1/BaseFont/{name}{_encoding(name)}>>" for name in _FONTS]
    named = " ".join(f"/F{number} {5 + number} 0 R" for number in range(len(fonts)))
    page = f"/MediaBox[0 0 {_number(width)} {_number(height)}]/Contents 4 0 R/Resources<</Font<<{named}>>>>"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R{page}>>".encode(),
        b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed),
        *map(str.encode, fonts),
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)


def _encoding(font: str) -> str:
    return "/Encoding/WinAnsiEncoding" if font.startswith("Helvetica") else ""


# -- elements --------------------------------------------------------------------------------------


def _element(element: ElementTree.Element, above: Style) -> Iterator[str]:
    """The operators that draw an element and what is inside."""
    name = element.tag.removeprefix(_SVG)
    style = _style(element, above)
    if name in ("svg", "g"):
        moved = [
            _matrix(step, numbers) for step, numbers in re.findall(r"(\w+)\(([^)]*)\)", element.get("transform", ""))
        ]
        yield " ".join(["q", *moved])
        for child in element:
            yield from _element(child, style)
        yield "Q"
    elif name == "text":
        yield from _text(element, style)
    elif name in _SHAPES:
        yield f"q {_paint(_SHAPES[name](element), style)} Q"
    elif name not in ("title", "desc"):
        raise ValueError(f"a picture of ours has no <{name}>")


def _style(element: ElementTree.Element, above: Style) -> Style:
    own = {name: value for name in _INHERITED if (value := element.get(name)) is not None}
    return {**above, **own} if own else above


def _matrix(step: str, numbers: str) -> str:
    x, y = ([float(one) for one in _NUMBER.findall(numbers)] * 2)[:2]
    if step == "translate":
        return f"1 0 0 1 {_number(x)} {_number(y)} cm"
    if step == "scale":
        return f"{x:.4f} 0 0 {x:.4f} 0 0 cm"
    raise ValueError(f"a picture of ours has no {step}()")


def _paint(path: str, style: Style) -> str:
    fill, line = style["fill"], style["stroke"]
    color = " ".join([_color(fill, "rg"), _color(line, "RG"), f"{style['stroke-width']} w"])
    return f"{color} {path} {('n', 'S', 'f', 'B')[2 * (fill != 'none') + (line != 'none')]}"


def _color(text: str, operator: str) -> str:
    if text == "none":
        return ""
    return " ".join([*(_number(int(text[at : at + 2], 16) / 255) for at in (1, 3, 5)), operator])


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"


# -- shapes ----------------------------------------------------------------------------------------


def _rect(element: ElementTree.Element) -> str:
    x, y, width, height, r = (float(element.get(name, "0")) for name in ("x", "y", "width", "height", "rx"))
    if not r:
        return " ".join([*map(_number, (x, y, width, height)), "re"])
    return _rounded(x, y, x + width, y + height, min(r, width / 2), min(r, height / 2))


def _ellipse(element: ElementTree.Element) -> str:
    x, y, rx, ry = (float(element.get(name, "0")) for name in ("cx", "cy", "rx", "ry"))
    return _rounded(x - rx, y - ry, x + rx, y + ry, rx, ry)


def _rounded(left: float, top: float, right: float, bottom: float, rx: float, ry: float) -> str:
    """A rectangle whose corners are quarters of an ellipse."""
    words = [f"{_number(left + rx)} {_number(top)} m"]
    # Each corner: where its straight line ends, the corner itself, where the curve ends.
    for ends, corner, begins in (
        ((right - rx, top), (right, top), (right, top + ry)),
        ((right, bottom - ry), (right, bottom), (right - rx, bottom)),
        ((left + rx, bottom), (left, bottom), (left, bottom - ry)),
        ((left, top + ry), (left, top), (left + rx, top)),
    ):
        handles = [
            (end[0] + (corner[0] - end[0]) * _CURVE, end[1] + (corner[1] - end[1]) * _CURVE) for end in (ends, begins)
        ]
        words.append(f"{_number(ends[0])} {_number(ends[1])} l")
        words.append(" ".join(_number(one) for point in (*handles, begins) for one in point) + " c")
    return " ".join([*words, "h"])


def _path(element: ElementTree.Element) -> str:
    """Lines and curves; small letters are steps from where the last one ended."""
    out: list[str] = []
    x = y = start_x = start_y = 0.0
    for letter, numbers in _commands(element.get("d", "")):
        if letter in "zZ":
            out.append("h")
            x, y = start_x, start_y
            continue
        if letter in "hHvV":  # as a line to a point
            along = [(number, y if letter == "H" else 0.0) for number in numbers]
            across = [(x if letter == "V" else 0.0, number) for number in numbers]
            numbers = [one for point in (along if letter in "hH" else across) for one in point]
            letter = "l" if letter.islower() else "L"
        size = 6 if letter in "cC" else 2
        for first in range(0, len(numbers), size):
            steps = numbers[first : first + size]
            if letter.islower():
                steps = [number + (y if place % 2 else x) for place, number in enumerate(steps)]
            x, y = steps[-2:]
            out.append(" ".join([*map(_number, steps), letter.lower()]))
        if letter in "mM":
            start_x, start_y = x, y
    return " ".join(out)


def _commands(path: str) -> Iterator[tuple[str, list[float]]]:
    for command in _COMMAND.finditer(path):
        if command[1] not in "mMlLhHvVcCzZ":
            raise ValueError(f"a picture of ours has no path with {command[1]!r}")
        yield command[1], [float(number) for number in _NUMBER.findall(command[2])]


_SHAPES = {"rect": _rect, "ellipse": _ellipse, "path": _path}


# -- texts -----------------------------------------------------------------------------------------


def _text(element: ElementTree.Element, style: Style) -> Iterator[str]:
    """A line of letters, parts of which may look in another way."""
    parts = [(element.text or "", style)]
    for child in element:
        parts += [(child.text or "", _style(child, style)), (child.tail or "", style)]
    runs = [run for text, look in parts for run in _runs(text, look)]
    whole = sum(width for *_, width in runs)
    x, y = (float(element.get(name, "0")) for name in ("x", "y"))
    x -= {"middle": whole / 2, "end": whole}.get(style.get("text-anchor", ""), 0)
    for font, text, look, width in runs:
        size = float(look["font-size"])
        if font == _OWN:
            color = f"{_color(look['fill'], 'rg')} {_color(look['fill'], 'RG')} .08 w"
            yield f"q {color} {_number(size)} 0 0 {_number(size)} {_number(x)} {_number(y)} cm {text} Q"
        else:
            shown = f"BT /F{font} {_number(size)} Tf 1 0 0 -1 {_number(x)} {_number(y)} Tm"
            if look["stroke"] != "none":  # around the letters, below them
                yield f"q {_color(look['stroke'], 'RG')} {look['stroke-width']} w 1 j {shown} 1 Tr <{text}> Tj ET Q"
            yield f"{_color(look['fill'], 'rg')} {shown} 0 Tr <{text}> Tj ET"
        x += width


def _runs(text: str, style: Style) -> Iterator[tuple[int, str, Style, float]]:
    """Letters of one font: the font, what is written there, how it looks, and how wide it is."""
    bold, size = style.get("font-weight") == "bold", float(style["font-size"])
    if text.isascii():
        if text:
            wide = text_width(text, size) * (_BOLDER if bold else 1)
            yield _BOLD if bold else _PLAIN, text.encode("ascii").hex(), style, wide
        return
    letters = [_letter(char) for char in unicodedata.normalize("NFC", text) if char != _UNSEEN]
    for font, same in groupby(letters, lambda letter: letter[0]):
        listed = list(same)
        if font == _OWN:
            for _, drawn, wide in listed:
                yield font, drawn, style, wide * size
        else:
            code, wide = "".join(code for _, code, _ in listed), sum(wide for *_, wide in listed) * size
            yield (_BOLD, code, style, wide * _BOLDER) if bold and font == _PLAIN else (font, code, style, wide)


def _letter(char: str) -> tuple[int, str, float]:
    """The font that has a letter, its code there in hexadecimal digits (or how it is drawn), and its width."""
    base = unicodedata.normalize("NFD", char)[0]
    for shown in (char, base):  # without an accent it is better than not at all
        try:
            return (
                _PLAIN,
                shown.encode("cp1252").hex(),
                text_width(base, 1) if base.isascii() else _WIDE.get(base, 0.556),
            )
        except UnicodeEncodeError:
            pass
        if shown in _SYMBOLS:
            return _SYMBOL, f"{_SYMBOLS[shown]:02x}", 0.6
    if char in _MARKS:
        return _DINGBATS, f"{_MARKS[char]:02x}", 0.78
    return _OWN, _DRAWN.get(char, _BOX), 0.74 if char in _DRAWN else 0.58
