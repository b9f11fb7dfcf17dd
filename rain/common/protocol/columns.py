"""Columns of numbers in messages: eight bytes each, little-endian, one after the other."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable

_FLOAT, _COUNT = struct.Struct("<d"), struct.Struct("<Q")
_SWAPPED = sys.byteorder != "little"


def floats(values: Iterable[float]) -> bytes:
    """A column of floats.

    Examples
    --------
    >>> list(floats_of(floats([0.5, 2.0])))
    [0.5, 2.0]
    """
    return _bytes(array("d", values))


def floats_of(column: bytes) -> array[float]:
    """The floats of a column.

    Raises
    ------
    ValueError
        If it is not one.
    """
    return _numbers("d", column)


def float_at(column: bytes, place: int) -> float:
    """One number of a column of floats.

    Raises
    ------
    ValueError
        If the column has no such place.
    """
    return float(_at(_FLOAT, column, place))


def count_at(column: bytes, place: int) -> int:
    """One number of a column that `counts` made.

    Raises
    ------
    ValueError
        If the column has no such place.
    """
    return int(_at(_COUNT, column, place))


def counts(values: Iterable[int]) -> bytes:
    """A column of numbers from 0 to 2⁶⁴ - 1: sizes, checksums.

    Raises
    ------
    OverflowError
        If a number is negative or larger.
    """
    return _bytes(array("Q", values))


def counts_of(column: bytes) -> array[int]:
    """The numbers of a column that `counts` made.

    Raises
    ------
    ValueError
        If it is not one.
    """
    return _numbers("Q", column)


def _at(kind: struct.Struct, column: bytes, place: int) -> float | int:
    try:
        (number,) = kind.unpack_from(column, 8 * place)
    except struct.error as error:
        raise ValueError(str(error)) from None
    return number  # type: ignore[no-any-return]


def _bytes(numbers: array[float] | array[int]) -> bytes:
    if _SWAPPED:
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(kind: str, column: bytes) -> array:  # type: ignore[type-arg]
    numbers = array(kind)
    numbers.frombytes(column)
    if _SWAPPED:
        numbers.byteswap()
    return numbers
