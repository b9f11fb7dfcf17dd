"""Texts in pictures of graphs: made harmless, shortened, measured.

Every layout takes the sizes of nodes from here, so that a graph looks the same in all of them.
"""

from __future__ import annotations

import re
from unicodedata import east_asian_width

from rain.notebook.protocol.graph import Node

FONT = "Helvetica,Arial,Liberation Sans,sans-serif"
FONT_SIZE = 11
"""Points; of nodes."""
SMALL_SIZE = 10
"""Points; of arcs' labels and groups' counts."""

NODE_LABEL_CHARS_MAX = 28
ARC_LABEL_CHARS_MAX = 20
FRAME_LABEL_CHARS_MAX = 40

NODE_HEIGHT = 26
GROUP_HEIGHT = 54
GROUP_WIDTH_MIN = 150
"""Points; room for a line of counts."""
ROOM = 1.1
"""Fonts that stand in for Helvetica are wider."""

# What XML forbids, what a line cannot hold, and what turns the order of the letters around it.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\uffff]"
)
_SPACE = re.compile(r"[\t\n\r\f\v ]+")
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})

# Widths of ASCII from 32 on, in thousandths of the size (Adobe's metrics of Helvetica).
_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, 278),
)


def visible(text: str) -> str:
    r"""`text` on one line, with what cannot be seen (or turns around what can) written as an escape.

    Examples
    --------
    >>> print(visible("a\nb"), visible("\u202egpj.exe"), visible("\udcff"))
    a b \u202egpj.exe \udcff
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(_escape, _SPACE.sub(" ", text))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def shortened(text: str, chars: int) -> str:
    """`text`, `visible` and with at most `chars` characters: the middle is left out.

    Examples
    --------
    >>> shortened("prepare/a-very-long-name/part-17", 16)
    'prepare/…part-17'
    """
    if len(text) > 4 * chars:
        # Escapes only make it longer; no need to look at all of a megabyte.
        text = text[: 2 * chars] + text[-2 * chars :]
        cut = True
    else:
        cut = False
    text = visible(text)
    if len(text) <= chars and not cut:
        return text
    end = (chars - 1) // 2
    return text[: chars - 1 - end] + "…" + text[len(text) - end :]


def markup(text: str) -> str:
    """`visible` text for the content or an attribute of an XML element.

    Examples
    --------
    >>> markup('<b onload="x">]]>')
    '&lt;b onload=&quot;x&quot;&gt;]]&gt;'
    """
    return visible(text).translate(_MARKUP)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """About how wide a text is in Helvetica, in the unit of `size`."""
    total = 0
    for character in text:
        code = ord(character) - 32
        if 0 <= code < 95:
            total += _WIDTHS[code]
        else:
            total += 1000 if east_asian_width(character) in "WF" else 600
    return total * size / 1000


def node_text(name: str, after: str = "", label: str | None = None) -> str | None:
    """What is written in a node that is called `name` where it is, and `after` behind it; None if that is its label."""
    text = shortened(name, NODE_LABEL_CHARS_MAX) + after
    return None if text == (name if label is None else label) else text


def frame_text(name: str, label: str | None = None) -> str | None:
    """What is written at a frame that is called `name` where it is; None if that is its label."""
    text = shortened(name, FRAME_LABEL_CHARS_MAX)
    return None if text == (name if label is None else label) else text


def arc_text(label: str, count: int) -> str:
    """What is written on an arc that stands for `count` arcs of the whole graph."""
    return shortened(label, ARC_LABEL_CHARS_MAX) if label else f"\u00d7{count:,}" if count > 1 else ""


def node_size(node: Node) -> tuple[int, int]:
    """Width and height of a node, in points: its text, a mark before it, and some room."""
    wide = text_width(node.written) * ROOM
    if node.kind == "group":
        return _even(max(wide * ROOM + 24, GROUP_WIDTH_MIN)), GROUP_HEIGHT  # bold
    return (_even(max(wide + 42, 64)) if node.kind == "task" else _even(max(wide + 34, 52))), NODE_HEIGHT


def _even(width: float) -> int:
    return 2 * round(width / 2)
