"""What a value loses when JSON says it: told, because `json.dumps` says nothing."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from rain.common.errors import RainException, RainWarning
from rain.common.limits import JSON_CHECKED_BYTES_MAX

_SAME = frozenset({str, int, float, bool, type(None)})
_DEPTH_MAX = 200
_CURE = 'encode="pickle" (or @rain.task, which needs no encoding) keeps it'


def tell(value: Any, data: str) -> None:
    """Warn where `data`, the JSON of `value`, does not give back an equal value.

    Raises
    ------
    RainException
        If two keys of a dict become one, so that an item would be lost.
    """
    if type(value) in _SAME or len(data) > JSON_CHECKED_BYTES_MAX or _equal(value, data):
        return
    found = _change(value, "", 0)
    if found:
        _warn(f"as JSON this value changes: {found}; {_CURE}")


def _equal(value: Any, data: str) -> bool:
    try:
        return bool(json.loads(data) == value)
    except Exception:  # a class of the user's, whose comparison fails
        return False


def _change(value: Any, path: str, depth: int) -> str:
    """The first change inside `value`; empty where there is none (NaN is not equal to itself)."""
    if isinstance(value, tuple):
        return f"{_place(path)} is a {type(value).__name__}, which comes back as a list"
    found = ""
    if isinstance(value, dict):
        found = _of_keys(value, path)
    if found or depth > _DEPTH_MAX:
        return found
    for key, item in _items(value):
        found = _change(item, f"{path}[{key!r}]", depth + 1)
        if found:
            return found
    return ""


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _of_keys(value: dict[Any, Any], path: str) -> str:
    seen: dict[str, Any] = {}
    changed = ""
    for key in value:
        text = key if isinstance(key, str) else json.dumps(key)
        if text in seen:
            raise RainException(
                f"{_place(path)} has the keys {seen[text]!r} and {key!r}, which are one key in JSON: an item would be "
                f"lost; {_CURE}"
            )
        seen[text] = key
        if not isinstance(key, str) and not changed:
            changed = f"{_place(path)} has the key {key!r}, which comes back as {text!r}"
    return changed


def _place(path: str) -> str:
    return f"value{path}" if path else "it"


def _warn(text: str) -> None:
    """Warn about the line that asked for it: the innermost outside of Rain; in executors there is none."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "rain":
        frame, level = frame.f_back, level + 1
    warnings.warn(text, RainWarning, stacklevel=level)
