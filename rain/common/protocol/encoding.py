"""Messages and values as bytes, whatever text is in them.

Text on the wire is UTF-8. A `str` can hold what has no UTF-8 form: lone surrogates, as Python makes them of file names
and outputs that are not UTF-8 themselves, and as any program may put them into an exception's text. Such a character
becomes its escape sequence (``\\udce9``), here and nowhere else, so that no message is lost because of its text. What
must arrive as it is, like a path, is checked where it is made (`rain.common.formatting.is_unicode`) or travels as
bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.formatting import safe_text
from rain.common.protocol.blobs import Blobs


def _as_list(value: Any) -> Any:
    if type(value) is Blobs:
        return value[:]
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


_encode = msgspec.msgpack.Encoder(enc_hook=_as_list).encode
_encode_json = msgspec.json.Encoder().encode


def encode(value: Any) -> bytes:
    """`value`, a message or a list of them, as msgpack.

    Raises
    ------
    TypeError, OverflowError, RecursionError
        If there is something in it that msgpack does not have.

    Examples
    --------
    >>> msgspec.msgpack.decode(encode(["caf\\udce9"]))
    ['caf\\\\udce9']
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(safe(value))


def encode_json(value: Any) -> bytes:
    """`value` as JSON.

    Raises
    ------
    TypeError, RecursionError
        If there is something in it that JSON does not have.
    """
    try:
        return _encode_json(value)
    except UnicodeEncodeError:
        return _encode_json(safe(value))


def sendable(value: Any) -> Any:
    """`value` itself if all its text can be encoded, else `safe`; for encoders that are not ours."""
    try:
        _encode_json(value)
    except UnicodeEncodeError:
        return safe(value)
    except Exception:  # that encoder may know what to do with it
        pass
    return value


def safe(value: Any) -> Any:
    """A copy of `value` in which all text can be encoded; what holds no text is shared with the original.

    Examples
    --------
    >>> safe({"name\\ud800": ["ok", ("\\udfff", 1)]})
    {'name\\\\ud800': ['ok', ('\\\\udfff', 1)]}
    """
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, dict):
        return {safe(key): safe(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(safe, value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map(safe, value)) if type(value) in _CONTAINERS else [safe(item) for item in value]
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **{name: safe(item) for name, item in fields.items()})
    return value


_CONTAINERS = {list, tuple, set, frozenset}
