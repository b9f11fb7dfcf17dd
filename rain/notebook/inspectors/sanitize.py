"""Texts of anywhere, made fit to be sent: what a page holds is valid JSON and of bounded size."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from rain.common.formatting import is_unicode
from rain.notebook.inspectors.limits import CELL_CHARS, OVERVIEW_DEPTH_MAX, OVERVIEW_ITEMS_MAX, OVERVIEW_TEXT_CHARS

CUT = "…"
_INTEGER_BITS_MAX = 4096
"""Longer integers are not turned into digits, which takes time that grows with the square."""


def clean(text: str) -> str:
    """`text` without lone surrogates, which JSON on the wire cannot hold.

    Examples
    --------
    >>> clean("a\\udcffb")
    'a\\ufffdb'
    """
    if is_unicode(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cut(text: str, chars: int = CELL_CHARS) -> str:
    """At most `chars` characters of `text`, cleaned.

    Examples
    --------
    >>> cut("abcdef", 4)
    'abc…'
    """
    return clean(text) if len(text) <= chars else clean(text[: chars - 1]) + CUT


def visible(text: str) -> str:
    """`text` for a terminal or a saved notebook: control characters and those that turn the direction are escaped.

    Examples
    --------
    >>> visible("a\\x1b[31mb\\u202ec")
    'a\\\\x1b[31mb\\\\u202ec'
    """
    if text.isascii() and text.isprintable():
        return text

    def shown(char: str) -> str:
        if char.isprintable():
            return char
        if unicodedata.category(char) == "Zs":  # spaces of all widths
            return " "
        return char.encode("unicode_escape").decode("ascii")

    return "".join(map(shown, clean(text)))


_ESCAPE = re.compile(r"\\\\|\\x[89a-f][0-9a-f]")


def escape_name(name: str) -> str:
    """A file's name as it is sent: bytes that are not UTF-8 are written ``\\xNN``; see `unescape_name`.

    Examples
    --------
    >>> escape_name("da\\udcdf"), escape_name("plain")
    ('da\\\\xdf', 'plain')
    """
    if is_unicode(name) and not _ESCAPE.search(name):
        return name
    escaped = name.replace("\\", "\\\\")
    return clean(re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", escaped))


def unescape_name(text: str) -> str:
    """The file's name that `escape_name` wrote as `text`."""
    return _ESCAPE.sub(lambda match: "\\" if match[0] == "\\\\" else chr(0xDC00 + int(match[0][2:], 16)), text)


def number_text(value: int | float) -> str:
    """A number in digits, unless those would be too many.

    Examples
    --------
    >>> number_text(17), number_text(1 << 100_000)
    ('17', 'an integer of 100001 bits')
    """
    if isinstance(value, int) and value.bit_length() > _INTEGER_BITS_MAX:
        return f"{'a negative' if value < 0 else 'an'} integer of {value.bit_length()} bits"
    return repr(value)


def jsonable(value: Any, depth: int = OVERVIEW_DEPTH_MAX) -> Any:
    """`value` as what JSON can say, of bounded size; what JSON cannot say becomes text."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if abs(value) < 1 << 53 else number_text(value)
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if kind is str:
        return cut(value, OVERVIEW_TEXT_CHARS)
    if kind in (dict, list, tuple):
        if depth == 0:
            return CUT
        if kind is dict:
            shown: dict[str, Any] = {}
            for key in value:
                if len(shown) == OVERVIEW_ITEMS_MAX:
                    shown[CUT] = f"{len(value) - OVERVIEW_ITEMS_MAX} more"
                    break
                shown[cut(key if type(key) is str else f"{type(key).__name__}")] = jsonable(value[key], depth - 1)
            return shown
        items = [jsonable(item, depth - 1) for item in value[:OVERVIEW_ITEMS_MAX]]
        return items + [f"{CUT} {len(value) - OVERVIEW_ITEMS_MAX} more"] * (len(value) > OVERVIEW_ITEMS_MAX)
    return f"a {kind.__name__}"
