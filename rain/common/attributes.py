"""Users' own attributes (`spec.user`), JSON-serialisable values only, and sizes that users guess."""

from __future__ import annotations

import math
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import is_unicode

_DEPTH_MAX = 100


def check_user(values: Any, of: str = "user_spec") -> dict[str, Any]:
    """`values` as a new dict of plain values, which messages can hold: NumPy's ``float64``, for instance, is a float.

    Raises
    ------
    RainException
        If it is not a dict of JSON-serialisable values; the text names the key.

    Examples
    --------
    >>> check_user({"fold": 3, "tags": ["a", "b"]})
    {'fold': 3, 'tags': ['a', 'b']}
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise RainException(f"{of} is a dict of JSON-serialisable values, not {type(values).__name__}")
    return _plain_dict(values, of, -1)


def _plain_dict(values: dict[Any, Any], where: str, depth: int) -> dict[str, Any]:
    plain = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise RainException(f"{where}: keys are str, but {key!r} is {type(key).__name__}")
        plain[_plain(key, f"{where}: the key {key!r}", 0)] = _plain(value, f"{where}[{key!r}]", depth + 1)
    return plain


def _plain(value: Any, where: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not is_unicode(value):
            raise RainException(f"{where} is no valid Unicode text ({value!r})")
        return str(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise RainException(f"{where} is an integer of more than 64 bits")
        return int(value)
    if depth > _DEPTH_MAX:
        raise RainException(f"{where} is nested more than {_DEPTH_MAX} levels deep")
    if isinstance(value, list | tuple):
        items = [_plain(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return _plain_dict(value, where, depth)
    raise RainException(f"{where} is {type(value).__name__}, which is not JSON-serialisable")


def check_size_hint(hint: Any, of: str) -> int | None:
    """`hint` in whole bytes.

    Raises
    ------
    RainException
        If it is no number of bytes.

    Examples
    --------
    >>> check_size_hint(1.5e6, "Output")
    1500000
    """
    if hint is None:
        return None
    try:
        sound = not isinstance(hint, bool | str | bytes) and 0 <= hint < 1 << 63
        whole = math.ceil(hint) if sound else -1
    except (TypeError, ValueError, OverflowError):
        whole = -1
    if whole < 0:
        raise RainException(f"size_hint of {of} is a number of bytes, not {hint!r}")
    return whole
