"""The order of a run: each worker of pytest-xdist begins with long tests, and short ones are left for the end."""

from __future__ import annotations

import re
from typing import Protocol, TypeVar

LOTS = (
    ("browser",),
    ("test_lint.py", "test_public_names.py", "test_imports.py", "notebooks"),
    ("integration",),
    ("sim",),
)
"""Folders and files in `tests` that take longest. Those of one lot stay together: they share what is slow to start."""

_PLACES = {name: (number, place) for number, names in enumerate(LOTS) for place, name in enumerate(names)}


class Named(Protocol):
    """What is needed of a test."""

    @property
    def nodeid(self) -> str: ...


T = TypeVar("T", bound=Named)


def dealt(items: list[T], workers: int) -> list[T]:
    """`items` in the order in which they are to run.

    With ``--dist worksteal`` each worker gets a slice of the list. It runs that from its beginning, while others that
    have nothing left take from its end. So a slice begins with a lot, and what anyone can do fills it up.
    """
    lots: list[list[tuple[tuple[int, int], T]]] = [[] for _ in range(workers)]
    others: list[T] = []
    for item in items:
        top = re.split("/|::", item.nodeid.removeprefix("tests/"), maxsplit=1)[0]
        if top in _PLACES:
            place = _PLACES[top]
            lots[place[0] % workers].append((place, item))
        else:
            others.append(item)
    found: list[T] = []
    for number, lot in enumerate(lots):
        found += [item for _, item in sorted(lot, key=lambda pair: pair[0])]
        end = len(items) * (number + 1) // workers
        filling = max(0, end - len(found))
        found += others[:filling]
        del others[:filling]
    return found + others
