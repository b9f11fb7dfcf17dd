"""What a client asks of what is around an executor (the view ``"surroundings"``), and what that answers."""

from __future__ import annotations

import msgspec

SURROUNDINGS = "surroundings"
"""The name of the view."""


class Wanted(msgspec.Struct, array_like=True, frozen=True):
    """What tasks need.

    Attributes
    ----------
    modules : list of str
        Top-level names.
    programs : list of (str, str or None)
        The first word of a command, and the PATH of its task if it has one of its own.
    paths : list of str
        Absolute ones.
    """

    modules: list[str] = []
    programs: list[tuple[str, str | None]] = []
    paths: list[str] = []


class Surroundings(msgspec.Struct, array_like=True, frozen=True):
    """What there is.

    Attributes
    ----------
    host_id, host, python : str
        The machine, what it calls itself, and the version of the interpreter.
    path : str
        PATH.
    without : Wanted
        The part of what is wanted that is not there.
    """

    host_id: str
    host: str
    python: str
    path: str
    without: Wanted


encode_wanted = msgspec.msgpack.Encoder().encode
decode_wanted = msgspec.msgpack.Decoder(Wanted).decode
encode_surroundings = msgspec.msgpack.Encoder().encode
decode_surroundings = msgspec.msgpack.Decoder(Surroundings).decode
