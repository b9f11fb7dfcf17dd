"""What tasks need of the governors on which they may run, and what is said of them whatever governors there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

MODULE, PROGRAM, PATH, FILE, EXECUTOR = "module", "program", "path", "file", "executor"
"""What is needed: a module; a program; a file that a text seems to name; a file that a builtin task loads; an
executor in another language."""


class Said(NamedTuple):
    """Something that was found without asking a governor."""

    level: str
    what: str
    cure: str


class Tally:
    """The first of the tasks that need something, and how many do.

    Attributes
    ----------
    first : int or None
        Its number.
    name : str
        How it is called in texts.
    count : int
    why : str
        What in the task needs it.
    """

    __slots__ = ("count", "first", "name", "why")

    def __init__(self, first: int | None, name: str, why: str) -> None:
        self.first = first
        self.name = name
        self.why = why
        self.count = 0


class Group:
    """Tasks of one line, function and set of resources; or a function, program or value before there is a task.

    Attributes
    ----------
    made : str
        Where they were made; empty: not known.
    resources : mapping of str to float
    nodes : int
    by_value : bool
        Whether code of this interpreter travels.
    needs : dict of (str, str, str or None) to Tally
        By kind, name and, of a program, the PATH of its own.
    said : dict of Said to Tally
    whole : Tally
        All of them.
    """

    def __init__(self, made: str, resources: Mapping[str, float], nodes: int = 1) -> None:
        self.made = made
        self.resources = resources
        self.nodes = nodes
        self.by_value = False
        self.needs: dict[tuple[str, str, str | None], Tally] = {}
        self.said: dict[Said, Tally] = {}
        self.whole = Tally(None, "", "")

    def begin(self, number: int | None, name: str, count: int = 1) -> None:
        """What follows is needed by this task, the first of `count`."""
        self._current = (number, name)
        if not self.whole.count:
            self.whole.first, self.whole.name = number, name
        self.whole.count += count

    def need(self, kind: str, name: str, why: str, path: str | None = None, count: int = 1) -> None:
        """The task needs something."""
        key = (kind, name, path)
        tally = self.needs.get(key)
        if tally is None:
            tally = self.needs[key] = Tally(*self._current, why)
        tally.count += count

    def say(self, level: str, what: str, cure: str, count: int = 1) -> None:
        """Something stands in the way of the task, wherever it runs."""
        said = Said(level, what, cure)
        tally = self.said.get(said)
        if tally is None:
            tally = self.said[said] = Tally(*self._current, "")
        tally.count += count
