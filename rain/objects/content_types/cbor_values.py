"""CBOR in and out, the same with every release of cbor2 that Rain may meet.

Releases from 6 on make tuples and immutable maps of all arrays and maps inside any tag, also the one that only says
"this is CBOR", and write a `memoryview` as an array of integers. Here arrays are lists, maps are dicts and bytes-like
values are byte strings, whatever is installed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import cbor2

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SELF_DESCRIBED = b"\xd9\xd9\xf7"
"""Head of tag 55799, which may stand before an item, to show that it is CBOR."""
_MAYBE_TAGS = re.compile(rb"[\xc0-\xdb]")
"""Without such a byte there is no tag."""
_FROZEN_MAP: type | None = getattr(cbor2, "frozendict", None)
"""What maps inside tags are; None where the installed release leaves them dicts."""


def _bytes_of(encoder: Any, value: Any) -> None:
    if not isinstance(value, memoryview):
        raise cbor2.CBOREncodeError(f"cannot encode type {type(value)}")
    encoder.encode(value.tobytes())


_OPTIONS: dict[str, Any] = {"encoders": {memoryview: _bytes_of}} if _FROZEN_MAP else {"default": _bytes_of}


def dumps(value: Any) -> bytes:
    """`value` as CBOR.

    Raises
    ------
    cbor2.CBOREncodeError, ValueError, TypeError, RecursionError
        If it has no CBOR form.

    Examples
    --------
    >>> dumps([memoryview(b"ab"), 1]).hex()
    '8242616201'
    """
    data: bytes = cbor2.dumps(value, **_OPTIONS)
    return data


def loads(data: Buffer) -> Any:
    """The value that `data` says.

    Raises
    ------
    Exception
        If it is not CBOR: beside its own errors cbor2 lets those of the values' constructors through.

    Examples
    --------
    >>> loads(bytes.fromhex("d9d9f7a1016178")), loads(bytes.fromhex("d903e88101"))
    ({1: 'x'}, CBORTag(1000, [1]))
    """
    plain = bytes(data)
    start = 0
    while plain.startswith(_SELF_DESCRIBED, start):
        start += len(_SELF_DESCRIBED)
    plain = plain[start:]
    value = cbor2.loads(plain)
    if _FROZEN_MAP is not None and _MAYBE_TAGS.search(plain):
        value = _thawed(value, {})
    return value


def _thawed(value: Any, seen: dict[int, Any]) -> Any:
    """`value` with lists for tuples and dicts for immutable maps; keys of maps and items of sets have to stay so.

    `seen` has what was made of containers so far, because values may be shared, and hold themselves.
    """
    kind = type(value)
    if kind not in (list, tuple, dict, _FROZEN_MAP, cbor2.CBORTag):
        return value
    if id(value) in seen:
        return seen[id(value)][0]
    if kind is cbor2.CBORTag:
        made: Any = cbor2.CBORTag(value.tag, _thawed(value.value, seen))
    elif kind is list or kind is tuple:
        made = value if kind is list else []
        seen[id(value)] = (made, value)
        made[:] = [_thawed(item, seen) for item in value]
    else:
        made = value if kind is dict else {}
        seen[id(value)] = (made, value)
        made.update({key: _thawed(item, seen) for key, item in value.items()})
    seen[id(value)] = (made, value)
    return made
