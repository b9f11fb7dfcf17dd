"""Columns of numbers in messages: eight bytes each, little-endian, one after the other."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

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
