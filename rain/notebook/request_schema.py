"""What a browser may ask for, checked: anything may come."""

from __future__ import annotations

import math
from typing import Any

from rain.common.errors import RainException
from rain.notebook.graph_model import queries

KEY_CHARS_MAX = 100
NUMBER_MAX = 1 << 53


def key(value: Any) -> str:
    """A key.

    Raises
    ------
    RainException
        If it is none.
    """
    if not isinstance(value, str) or len(value) > KEY_CHARS_MAX or not value.isascii():
        raise RainException(f"a key is a text of at most KEY_CHARS_MAX ({KEY_CHARS_MAX}) ASCII characters")
    return value


def number(value: Any, least: int = 0) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= NUMBER_MAX:
        raise RainException(f"a whole number of at least {least} is needed, not {value!r}")
    return value


def seconds(value: Any) -> float | None:
    """A time in seconds, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RainException(f"a time is a number of seconds, not {value!r}")
    return float(value)


def table(
    offset: Any = 0,
    count: Any = 100,
    sort: Any = "id",
    descending: Any = False,
    filter: Any = "",
    states: Any = None,
) -> dict[str, Any]:
    """The arguments of `rain.notebook.graph_model.queries.table`."""
    if states is not None and not (isinstance(states, list) and all(isinstance(state, str) for state in states)):
        raise RainException("states are a list of texts, or null")
    return {
        "offset": number(offset),
        "count": number(count),
        "sort": str(sort),
        "descending": bool(descending),
        "pattern": queries.pattern_of(filter),
        "states": states,
    }
