"""Content types: their names, which is a subtype of which, and merging.

An unspecified type is None (the empty string is accepted and becomes None). `encode_value` and `decode_value` can be
imported from here too, but live in `rain.objects.content_types.codecs`, which is loaded only when they are asked for.
"""

from __future__ import annotations

from typing import Any

from rain.common.errors import RainException

PLAIN_TYPES = frozenset({"pickle", "cloudpickle", "json", "cbor", "arrow", "text", "protobuf", "dir"})
"""Types whose name stands alone."""
PICKLES = frozenset({"pickle", "cloudpickle"})
"""Each is a subtype of the other: who reads one reads both."""
_PREFIXES = ("mime/", "user/", "protobuf/")


def check_content_type(name: str | None) -> str | None:
    """`name` as Rain reports it: None for the unspecified type.

    Raises
    ------
    ValueError
        If there is no such content type.

    Examples
    --------
    >>> check_content_type("text-latin-1")
    'text-latin-1'
    >>> check_content_type("") is None
    True
    """
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise ValueError(f"a content type is a str or None, not {type(name).__name__}")
    if name in PLAIN_TYPES or any(name.startswith(prefix) and len(name) > len(prefix) for prefix in _PREFIXES):
        return name
    if name.startswith("text-"):
        try:
            "".encode(name[5:])
        except (LookupError, ValueError):
            raise ValueError(f"content type {name!r}: {name[5:]!r} is not a text encoding that Python knows") from None
        return name
    raise ValueError(
        f"unknown content type {name!r}; known are pickle, cloudpickle, json, cbor, arrow, text, text-<ENCODING>, "
        "mime/<MIME>, user/<NAME>, protobuf, protobuf/<NAME>, dir, and None"
    )


def is_subtype(a: str | None, b: str | None) -> bool:
    """Whether data of type `a` may be used where type `b` is asked for.

    Raises
    ------
    ValueError
        If one of them is no content type.

    Examples
    --------
    >>> is_subtype("text-utf-8", "text"), is_subtype("text", "text-utf-8"), is_subtype("json", None)
    (True, False, True)
    """
    a, b = check_content_type(a), check_content_type(b)
    if a == b or b is None:
        return True
    if a is None:
        return False
    return (
        (b == "text" and a.startswith("text-"))
        or (b == "protobuf" and a.startswith("protobuf/"))
        or (a in PICKLES and b in PICKLES)
    )


def merge_content_types(a: str | None, b: str | None) -> str | None:
    """The more specific of two types; of `pickle` and `cloudpickle` the latter.

    Raises
    ------
    RainException
        If neither is a subtype of the other.
    ValueError
        If one of them is no content type.

    Examples
    --------
    >>> merge_content_types("text", "text-utf-8"), merge_content_types(None, "json")
    ('text-utf-8', 'json')
    """
    a, b = check_content_type(a), check_content_type(b)
    if a != b and a in PICKLES and b in PICKLES:
        return "cloudpickle"
    if is_subtype(a, b):
        return a
    if is_subtype(b, a):
        return b
    raise RainException(f"content types {a!r} and {b!r} do not fit together")


def text_encoding(name: str | None) -> str:
    """The encoding that a text type names; UTF-8 for all others.

    Examples
    --------
    >>> text_encoding("text-latin-1"), text_encoding("text"), text_encoding(None)
    ('latin-1', 'utf-8', 'utf-8')
    """
    return name[5:] if name and name.startswith("text-") else "utf-8"


def __getattr__(name: str) -> Any:
    if name in ("encode_value", "decode_value"):
        # By name at run time: this module is pure and must not load (un)picklers by being imported.
        import importlib

        return getattr(importlib.import_module("rain.objects.content_types.codecs"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
