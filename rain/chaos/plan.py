"""What is done to which kind of process, and when; all of it follows from a seed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from rain.common.errors import RainException

KINDS = ("server", "governor", "executor", "zygote")
"""Processes of a cluster, as the kernel calls them behind ``rain-``; a zygote is what executors are forked from."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class Fault(NamedTuple):
    """One fault.

    Attributes
    ----------
    at_s : float
        Seconds from the start of the script.
    kind : str
        Of process.
    choice : float
        From 0 to 1: which of the processes of that kind, in the order of their pids.
    pause_s : float
        0: it is killed; else it is stopped for so long.
    """

    at_s: float
    kind: str
    choice: float
    pause_s: float = 0.0

    def number_of(self, count: int) -> int:
        """Which one of `count` processes."""
        return min(int(self.choice * count), count - 1)


def faults(seed: int, kill: Sequence[str], pause: Sequence[str], every_s: float, pause_s: float) -> Iterator[Fault]:
    """All faults of a run, which never end.

    Parameters
    ----------
    seed : int
    kill, pause : sequence of str
        Kinds of processes.
    every_s : float
        Mean seconds between two faults; each time is between a half and one and a half of it.
    pause_s : float
        The longest pause.

    Examples
    --------
    >>> from itertools import islice
    >>> [fault.kind for fault in islice(faults(7, ["server", "executor"], [], 5.0, 0.0), 4)]
    ['server', 'server', 'server', 'executor']
    """
    random = Random(seed)
    choices = [(kind, False) for kind in kill] + [(kind, True) for kind in pause]
    now = 0.0
    while True:
        now += every_s * random.uniform(0.5, 1.5)
        kind, pauses = random.choice(choices)
        choice, length = random.random(), random.uniform(0.1, 1.0) * pause_s
        yield Fault(now, kind, choice, length if pauses else 0.0)


def parse_kinds(text: str) -> list[str]:
    """Kinds of processes, from ``server,governor``.

    Raises
    ------
    RainException
        If one is none.
    """
    kinds = [word.strip() for word in text.split(",") if word.strip()]
    for kind in kinds:
        if kind not in KINDS:
            raise RainException(f"{kind!r} is no kind of process of a cluster: {', '.join(KINDS)}")
    return kinds


def parse_seconds(text: str) -> float:
    """Seconds, from ``5s``, ``500ms``, ``2m`` or ``1.5``.

    Raises
    ------
    RainException
        If it is no time above 0.

    Examples
    --------
    >>> parse_seconds("500ms"), parse_seconds("2m"), parse_seconds("1.5")
    (0.5, 120.0, 1.5)
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m)?", text.strip())
    seconds = 0.0 if found is None else float(found[1]) * _UNITS[found[2] or "s"]
    if seconds <= 0.0:
        raise RainException(f"{text!r} is no time: 5s, 500ms, 2m")
    return seconds
