"""A finding: one line of what `rain doctor` prints."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Level(enum.Enum):
    """How good or bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(NamedTuple):
    """One line about one part of a machine. It never holds a key or token.

    Attributes
    ----------
    what : str
        The part that was checked.
    found : str
        What was found of it.
    level : Level
    cure : str
        What to do; empty if nothing is to be done, or if `found` says it.
    """

    what: str
    found: str
    level: Level = Level.OK
    cure: str = ""


def warning(what: str, found: str, cure: str) -> Finding:
    """A finding of a part that works, but not as well as it could."""
    return Finding(what, found, Level.WARNING, cure)


def failure(what: str, found: str, cure: str) -> Finding:
    """A finding because of which Rain, or a part of it, does not work."""
    return Finding(what, found, Level.FAILURE, cure)
