"""The arguments of the calls that `map` makes, one tuple for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import Any

from rain.client.functions.call_sites import warn
from rain.common.errors import RainException


def rows(iterables: Sequence[Iterable[Any]], strict: bool | None, owner: str) -> list[tuple[Any, ...]]:
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
    if strict:
        try:
            return list(zip(*iterables, strict=True))
        except ValueError as error:
            raise RainException(
                f"{owner}.map(): the iterables are not of one length, and strict=True asks for that: {error}"
            ) from None
    lengths = [len(each) for each in iterables if isinstance(each, Sized)]
    if strict is None and len(set(lengths)) > 1:
        told = ", ".join(map(str, lengths))
        warn(
            f"{owner}.map(): the lengths of the iterables differ ({told}): only the first {min(lengths)} calls are "
            "made; strict=True makes that an error, strict=False says that it is meant"
        )
    return list(zip(*iterables, strict=False))
