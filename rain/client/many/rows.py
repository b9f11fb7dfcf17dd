"""The arguments of the calls that `map` makes, one tuple for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Sized
from itertools import zip_longest
from typing import Any

from rain.client.functions.call_sites import warn
from rain.common.errors import RainException

_MISSING = object()
_SEQUENCES = frozenset({list, tuple, range})


class Rows(Collection[tuple[Any, ...]]):
    """The rows of sequences that give the same items whenever they are gone through; they are made anew each time."""

    __slots__ = ("_sequences",)

    def __init__(self, sequences: Sequence[Sequence[Any]]) -> None:
        self._sequences = sequences

    @property
    def width(self) -> int:
        """How many items each row has."""
        return len(self._sequences)

    def __len__(self) -> int:
        return min(map(len, self._sequences))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self._sequences, strict=False)

    def __contains__(self, row: object) -> bool:
        return any(row == own for own in self)


def rows(iterables: Sequence[Iterable[Any]], strict: bool | None, owner: str) -> Collection[tuple[Any, ...]]:
    """The first items of all iterables, the second ones, and so on.

    Parameters
    ----------
    iterables : sequence of iterable
    strict : bool or None
        Whether their lengths must be equal; None: the shortest counts, with a warning where others are known to be
        longer.
    owner : str
        For errors.

    Raises
    ------
    TypeError
        If there is no iterable.
    RainException
        If lengths differ and must not.
    """
    if not iterables:
        raise TypeError(f"{owner}.map() needs at least one iterable")
    if strict not in (None, True, False):
        raise RainException(f"{owner}.map(): strict is True or False, not {strict!r}")
    for each in iterables:
        if not hasattr(each, "__iter__") and not hasattr(each, "__getitem__"):
            raise TypeError(f"{owner}.map() takes iterables, one for each argument, not {each!r}")
    if strict:
        return _of_one_length(iterables, owner)
    lengths = [len(each) for each in iterables if isinstance(each, Sized)]
    if strict is None and len(set(lengths)) > 1:
        told = ", ".join(map(str, lengths))
        warn(
            f"{owner}.map(): the lengths of the iterables differ ({told}): only the first {min(lengths)} calls are "
            "made; strict=True makes that an error, strict=False says that it is meant"
        )
    sequences: Any = iterables
    if _SEQUENCES.issuperset(map(type, sequences)):
        return Rows(sequences)
    return list(zip(*iterables, strict=False))


def _of_one_length(iterables: Sequence[Iterable[Any]], owner: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    # Not zip(strict=True): a ValueError that one of the iterables raises is the user's, and stays as it is.
    for row in zip_longest(*iterables, fillvalue=_MISSING):
        if any(item is _MISSING for item in row):
            ended = next(place for place, item in enumerate(row) if item is _MISSING)
            raise RainException(
                f"{owner}.map(): the iterables are not of one length, and strict=True asks for that: "
                f"number {ended + 1} has {len(found)} items, and another one has more"
            )
        found.append(row)
    return found
