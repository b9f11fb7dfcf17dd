"""Which rows are wanted, as users write it: ``> 5``, ``= Paris``, ``~ ^a.*z$``, ``is null``, or a part of a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import compute

from rain.common.errors import RainException

_SIGNS = re.compile(r"\s*(>=|<=|!=|<>|==|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_COMPARE = {
    ">": "greater", ">=": "greater_equal", "<": "less", "<=": "less_equal", "=": "equal", "==": "equal",
    "!=": "not_equal", "<>": "not_equal",
}  # fmt: skip

Mask = Callable[[Any], Any]


def parse(text: str) -> tuple[str, str]:
    """A filter's sign and what follows it; ``""`` is the sign of a text that is contained.

    Examples
    --------
    >>> parse("> 5"), parse("Par"), parse("is null"), parse("~ ^P")
    (('>', '5'), ('', 'Par'), ('null', ''), ('~', '^P'))
    """
    words = " ".join(text.lower().split())
    if words in ("is null", "null"):
        return "null", ""
    if words in ("is not null", "not null"):
        return "not null", ""
    found = _SIGNS.fullmatch(text)
    return (found[1], found[2]) if found is not None else ("", text.strip())


def mask_of(text: str, name: str, kind: Any) -> Mask:
    """What says of a column's values which are wanted.

    Parameters
    ----------
    text : str
        As the user wrote it.
    name : str
        Of the column.
    kind : pyarrow.DataType

    Raises
    ------
    RainException
        If the filter does not fit the column.
    """

    sign, given = parse(text)
    if sign == "null":
        return lambda values: compute.is_null(values)
    if sign == "not null":
        return lambda values: compute.is_valid(values)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if sign == "~" or (sign == "" and is_text):
        if not is_text:
            raise RainException(f"column {name!r} is of type {kind}: ~ is for texts")
        try:
            if sign == "~":
                compute.match_substring_regex(pa.array([""]), given)
                return lambda values: compute.match_substring_regex(_text(values), given)
        except pa.ArrowInvalid as error:
            raise RainException(f"the filter of column {name!r} is no regular expression: {error}") from None
        return lambda values: compute.match_substring(_text(values), given, ignore_case=True)
    wanted, as_float = _value(given, name, kind)
    compare = getattr(compute, _COMPARE[sign or "="])
    return lambda values: compare(_plain(values).cast(pa.float64()) if as_float else _plain(values), wanted)


def _plain(values: Any) -> Any:

    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _text(values: Any) -> Any:

    values = _plain(values)
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values


def _value(given: str, name: str, kind: Any) -> tuple[Any, bool]:
    """What a column is compared with, and whether its whole numbers are compared as others."""

    try:
        if pa.types.is_integer(kind):
            try:
                return pa.scalar(int(given), kind), False
            except (ValueError, OverflowError):
                return pa.scalar(float(given)), True
        if pa.types.is_floating(kind):
            return pa.scalar(float(given), pa.float64()), True
        if pa.types.is_boolean(kind):
            return pa.scalar({"true": True, "false": False, "1": True, "0": False}[given.lower()]), False
        return pa.scalar(given).cast(kind), False
    except (pa.ArrowException, ValueError, KeyError, OverflowError):
        raise RainException(f"column {name!r} is of type {kind}: {given!r} cannot be compared with it") from None
