"""Whether two plain values are the same to code that uses them, and the error of those that would not come back so."""

from __future__ import annotations

from typing import Any, NoReturn

from rain.common.errors import RainException


def refuse(reason: str) -> NoReturn:
    """Raise the error that says that a value would not come back as it is."""
    raise RainException(f'content type "arrow" would not give this value back as it is: {reason}; use "pickle"')


def same(a: Any, b: Any) -> bool:
    """Whether `b` can stand for `a`: they are equal, and of the same types all the way down.

    Stricter than ``==``: ``1``, ``1.0`` and ``True`` are three things, the order of a dict's keys counts, NaN is NaN
    and not None, and decimals and times also agree in their digits and zones.

    Examples
    --------
    >>> same([1, float("nan")], [1, float("nan")]), same([1], [1.0]), same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    (True, False, False)
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a, b)) and all(map(same, a.values(), b.values()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if a is b:
        return True
    if isinstance(a, float):
        return a == b or (a != a and b != b)
    try:
        return bool(a == b) and _detail(a) == _detail(b)
    except Exception:  # values that cannot be compared, as arrays
        return False


def _detail(value: Any) -> Any:
    """What ``==`` passes over."""
    if hasattr(value, "as_tuple"):  # the digits of a decimal number
        return value.as_tuple()
    if hasattr(value, "tzinfo"):
        zone = value.tzinfo
        name = str(zone)
        return getattr(value, "fold", 0), name, None if name == "UTC" else type(zone)
    return None
