"""One line of what `rain doctor` found."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Level(enum.Enum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(NamedTuple):
    """One line of what was looked at. It never holds a key or token.

    Attributes
    ----------
    what, found : str
    level : Level
    cure : str
        What to do; empty if it is well, or `found` says it.
    """

    what: str
    found: str
    level: Level = Level.OK
    cure: str = ""


def warning(what: str, found: str, cure: str) -> Finding:
    """Something that works, but not as well as it could."""
    return Finding(what, found, Level.WARNING, cure)


def failure(what: str, found: str, cure: str) -> Finding:
    """Something without which Rain, or a part of it, does not work."""
    return Finding(what, found, Level.FAILURE, cure)
