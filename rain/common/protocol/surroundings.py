"""What a client asks of what is around an executor (the view ``"surroundings"``), and what that answers."""

from __future__ import annotations

import msgspec

SURROUNDINGS = "surroundings"
"""The name of the view."""
EXECUTORS_VARIABLE = "RAIN_EXECUTORS"
"""Tells the executor that makes this view the governor's executors in other languages: JSON, a program by type."""


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
    executors : list of str
        Types of executors in other languages.
    """

    modules: list[str] = []
    programs: list[tuple[str, str | None]] = []
    paths: list[str] = []
    executors: list[str] = []


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
    executors : list of str
        The types of executors in other languages that the governor has.
    no_program : dict of str to str
        Those of them that are wanted and cannot be started, because this program is not there.
    """

    host_id: str
    host: str
    python: str
    path: str
    without: Wanted
    executors: list[str] = []
    no_program: dict[str, str] = {}


encode_wanted = msgspec.msgpack.Encoder().encode
decode_wanted = msgspec.msgpack.Decoder(Wanted).decode
encode_surroundings = msgspec.msgpack.Encoder().encode
decode_surroundings = msgspec.msgpack.Decoder(Surroundings).decode
