"""Locations of cbor-1: where the bytes of an input or an output are."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple, TypeAlias

import msgspec

from rain.common.ids import ID

BUILTIN_TYPES = (bytes, datetime.datetime, datetime.date)
"""What a CBOR item may hold beside the types of JSON; without `bytes` here a string would be taken for base64."""


class _LocationStruct(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A location other than ``"cached"``: an array that begins with its kind."""


class Memory(_LocationStruct, tag="memory"):
    """Bytes inside of the message."""

    data: bytes


class Path(_LocationStruct, tag="path"):
    """A file or directory."""

    path: str


class OtherObject(_LocationStruct, tag="other_object"):
    """A result that is one of the inputs."""

    id: ID


class Cached(NamedTuple):
    """An input that the executor holds."""


Location: TypeAlias = Memory | Path | OtherObject | Cached


def location_item(location: Location) -> Any:
    """A location as the protocol has it."""
    if isinstance(location, Cached):
        return "cached"
    return msgspec.to_builtins(location, builtin_types=BUILTIN_TYPES)
