"""Values as short texts, whatever they hold: `reprlib`'s limits, and none of its sorting of large dictionaries."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from datetime import date, time, timedelta
from itertools import islice
from typing import Any

from rain.common.formatting import size_text

CUT = "…"
CELL_CHARS = 60
TEXT_CHARS = 3000
TYPE_CHARS = 100
OF_VALUES = (Exception, SystemExit, GeneratorExit)
"""What a value's own code may raise without ending the view."""
_LIBRARIES = ("numpy", "pandas", "polars", "pyarrow", "torch", "scipy")
_INTEGER_BITS_MAX = 2048
"""Longer integers are not turned into digits, which takes time that grows with the square."""


class _Repr(reprlib.Repr):
    """As `reprlib.Repr`; arrays and tables by type and shape."""

    def __init__(self, items: int, chars: int) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = items
        self.maxarray = items
        self.maxstring = self.maxother = chars
        self.maxlong = 60

    def repr1(self, x: Any, level: int) -> str:
        kind = type(x)
        if kind.__module__.partition(".")[0] in _LIBRARIES and getattr(x, "shape", None):
            dtype = getattr(x, "dtype", None)
            return f"<{kind.__name__} {shape_text(x.shape)}{'' if dtype is None else f' {dtype}'}>"
        return super().repr1(x, level)

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return super().repr_int(x, level) if bits <= _INTEGER_BITS_MAX else f"<an integer of {bits} bits>"

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            text = repr(x)
        except OF_VALUES as error:
            return f"<its repr raises {error_text(error)}>"
        return text if len(text) <= self.maxother else f"{text[: self.maxother - 1]}{CUT}"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        shown = [
            f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
            for key, value in islice(x.items(), self.maxdict)
        ]
        return "{" + ", ".join(shown + ["..."] * (len(x) > self.maxdict)) + "}"

    def repr_set(self, x: set[Any], level: int) -> str:
        return f"{{{self._members(x, level)}}}" if x else "set()"

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        return f"frozenset({{{self._members(x, level)}}})" if x else "frozenset()"

    def _members(self, x: set[Any] | frozenset[Any], level: int) -> str:
        if level <= 0:
            return "..."
        shown = [self.repr1(item, level - 1) for item in islice(x, self.maxset)]
        return ", ".join(shown + ["..."] * (len(x) > self.maxset))


_short = _Repr(6, CELL_CHARS)
_long = _Repr(40, 400)


def cut(text: str, chars: int = CELL_CHARS) -> str:
    """At most `chars` characters of `text`."""
    return text if len(text) <= chars else text[: chars - 1] + CUT


def short_text(value: Any) -> str:
    """A value in a cell or a field; text as it is, times as they are printed, else its `repr`, within limits."""
    if type(value) is str:
        return cut(value)
    if type(value) is float:
        return f"{value:.6g}"
    if isinstance(value, date | time | timedelta):  # pandas' own are these too
        return cut(_tried(str, value))
    return cut(_tried(_short.repr, value))


def long_text(value: Any) -> str:
    """A value alone; text as it is, else its `repr`, within limits."""
    if type(value) is str:
        return cut(value, TEXT_CHARS)
    return cut(_tried(_long.repr, value), TEXT_CHARS)


def _tried(written: Callable[[Any], str], value: Any) -> str:
    try:
        return written(value)
    except OF_VALUES as error:
        return f"<its repr raises {error_text(error)}>"


def error_text(error: BaseException) -> str:
    """What was raised, and its text if it has one."""
    try:
        return cut(f"{type(error).__name__}: {error}", 200)
    except OF_VALUES:
        return type(error).__name__


def type_text(kind: type) -> str:
    """A class's name with its module."""
    module, name = (str(getattr(kind, key, "")) for key in ("__module__", "__qualname__"))
    return cut(name if module in ("builtins", "__main__", "") else f"{module}.{name}", TYPE_CHARS)


def shape_text(shape: Iterable[Any]) -> str:
    """``(3, 4)`` as ``"3 x 4"``."""
    return " x ".join(f"{extent:,}" if isinstance(extent, int) else str(extent) for extent in shape) or "a single value"


def bytes_text(size: Any) -> str:
    """A number of bytes in words."""
    return size_text(int(size))
