"""What a value looks like, as plain data: made by an executor, shown by processes that never load the value.

All texts come from the value (a class may have any name) and are bounded. They must be shown as plain text.
"""

from __future__ import annotations

import msgspec


class Histogram(msgspec.Struct, array_like=True, frozen=True):
    """How the numbers of an array are distributed.

    Attributes
    ----------
    counts : list of int
        In bins of the same width.
    low, high : str
        Where the first bin begins and the last one ends.
    of : str
        What was counted: ``"all values"``, or how many of them.
    """

    counts: list[int]
    low: str
    high: str
    of: str


class Head(msgspec.Struct, array_like=True, frozen=True):
    """The first rows and columns of a table.

    Attributes
    ----------
    columns : list of (str, str)
        Name and type.
    index : list of str
        Labels of the rows.
    rows : list of list of str
    """

    columns: list[tuple[str, str]]
    index: list[str]
    rows: list[list[str]]


class Field(msgspec.Struct, array_like=True, frozen=True):
    """A part of a value that has a name."""

    name: str
    type: str
    text: str


class Picture(msgspec.Struct, array_like=True, frozen=True):
    """A value drawn, as a PNG."""

    data: bytes
    width: int
    height: int


class Preview(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A value in few bytes (`rain.common.limits.PREVIEW_BYTES_MAX`).

    Attributes
    ----------
    type : str
        The value's class, ``"numpy.ndarray"``.
    summary : list of (str, str)
        Facts such as shape, dtype and length.
    text : str
        The value written.
    head : Head or None
        Of arrays and tables.
    histogram : Histogram or None
        Of arrays of numbers.
    fields : list of Field
        Of dataclasses, estimators, dictionaries and other values with parts.
    picture : Picture or None
        Of figures and images.
    note : str
        What could not be shown, and why.
    """

    type: str
    summary: list[tuple[str, str]] = []
    text: str = ""
    head: Head | None = None
    histogram: Histogram | None = None
    fields: list[Field] = []
    picture: Picture | None = None
    note: str = ""


_decoder = msgspec.msgpack.Decoder(Preview)


def decode_preview(data: bytes) -> Preview:
    """What an executor encoded.

    Raises
    ------
    msgspec.MsgspecError
        If that is no preview.
    """
    return _decoder.decode(data)
