"""What is told of places while they are waited for, in lines of text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rain.deploy.pools.places import Place
    from rain.deploy.pools.pool import Pool

_LOTS_MAX = 4


def told_of(places: Sequence[Place]) -> str:
    """What places are doing, in a line.

    Parameters
    ----------
    places : sequence of Place

    Examples
    --------
    >>> from rain.deploy.pools.places import Place
    >>> told_of([Place(1, "17"), Place(2, "18")])
    '2 asked'
    """
    lots: Counter[tuple[str, str]] = Counter()
    for place in places:
        expected = f"expected at {place.starts_at}" if place.starts_at else ""
        lots[place.state.value, "; ".join(filter(None, (place.reason, expected, place.cause)))] += 1
    shown = [f"{count} {state}{f' ({why})' if why else ''}" for (state, why), count in lots.most_common(_LOTS_MAX)]
    others = lots.total() - sum(count for _, count in lots.most_common(_LOTS_MAX))
    return ", ".join(shown + ([f"{others} more"] if others else [])) or "none"


@contextmanager
def lines(pool: Pool) -> Iterator[None]:
    """While this is entered each change of what `told_of` says of a pool is a line on standard error."""
    before = ""

    def tell() -> None:
        nonlocal before
        text = f"places of {pool.engine}: {told_of(pool.places)}\n"
        if text != before:
            before = text
            sys.stderr.write(text)

    end = pool.watch(tell)
    try:
        yield
    finally:
        end()
