"""For how long places that have nothing to do are held. Decisions only.

Theory of operation
-------------------
The places of a pool are alike, so they are told apart by *levels*: the place of level 3 is the one that is wanted when
work wants three or more. While it is not wanted it has a *gap*. Holding it through a gap costs the length of the gap;
letting it go costs what a new one does if it is wanted again: its start, and of its wait for the engine the part by
which the work of then is held up, which is all of it at level 1, and a third at level 3, as two others are there.

Two results are known of this problem (ski rental, one for each level): a strategy that knows nothing of gaps to come,
and holds for as long as a new one costs, pays at most twice the optimum; and one that knows how long gaps are can do
better, often by not holding at all. So the lengths of the last gaps of each level are remembered, also those through
which nothing was held, and that time is taken which would have cost least in them; what the user allows is the
longest. Until `GAPS_LEAST` gaps of a level are known, those of the next lower one that is known count: its gaps are
shorter, so the level above it is held no longer. Where none is known, what the user allows is right.
"""

from __future__ import annotations

from collections import deque

HOLD_LEAST_S = 2.0
"""Whatever was learned: a client may be about to submit what comes next."""
GAPS_LEAST = 3
GAPS_REMEMBERED = 8
SHARES = (1.0, 0.5, 0.25, 0.125)
"""Of the time that the user allows; those that are weighed against each other, and against `HOLD_LEAST_S`."""


class Holding:
    """The gaps of each level, and what follows from them.

    Parameters
    ----------
    start_s : float
        What a governor takes from the start of its job until it has its first task.

    Examples
    --------
    >>> holding = Holding()
    >>> for minute in range(0, 60, 10):  # every ten minutes three places are wanted for one
    ...     holding.note(minute * 60.0, 3)
    ...     holding.note(minute * 60.0 + 60.0, 0)
    >>> holding.hold_s(3, idle_s=120.0, wait_s=30.0)  # a place that is held would not be met by the next work
    2.0
    >>> holding.hold_s(3, idle_s=900.0, wait_s=3600.0)  # but where a new one waits for an hour it is worth it
    900.0
    """

    __slots__ = ("_gaps", "_since", "_start_s", "_wanted", "_watched_since")

    def __init__(self, start_s: float = 5.0) -> None:
        self._start_s = start_s
        self._watched_since: float | None = None
        self._wanted = 0
        self._since: dict[int, float] = {}  # of levels that were wanted and are not: when they last were
        self._gaps: dict[int, deque[float]] = {}

    def note(self, now: float, wanted: int) -> None:
        """So many places are wanted now: those with tasks, and those that waiting work is worth."""
        if self._watched_since is None:
            self._watched_since = now
        for level in range(wanted + 1, self._wanted + 1):
            self._since[level] = now
        for level in range(self._wanted + 1, wanted + 1):
            since = self._since.pop(level, None)
            if since is not None and now - since > HOLD_LEAST_S:  # through a shorter one it is held anyway
                self._gaps.setdefault(level, deque(maxlen=GAPS_REMEMBERED)).append(now - since)
        self._wanted = wanted

    def hold_s(self, level: int, idle_s: float, wait_s: float) -> float:
        """For how long the place of a level is held when it is not wanted.

        Parameters
        ----------
        level : int
            From 1.
        idle_s : float
            What the user allows.
        wait_s : float
            How long the engine lets a new place wait.
        """
        for lower in range(level, 0, -1):
            gaps = self._gaps.get(lower, ())
            if len(gaps) >= GAPS_LEAST:
                break
        else:
            return idle_s
        new_s = self._start_s + wait_s / level
        least = min(HOLD_LEAST_S, idle_s)
        times = [*(max(share * idle_s, least) for share in SHARES), least]
        return min(times, key=lambda held_s: sum(gap if gap <= held_s else held_s + new_s for gap in gaps))

    def held(self, now: float, up: int, idle_s: float, wait_s: float) -> int:
        """How many of the places that are up stay: the others have not been wanted for long enough."""
        level = up
        while level > self._wanted:
            since = self._since.get(level, self._watched_since)
            if since is None or now - since < self.hold_s(level, idle_s, wait_s):
                break
            level -= 1
        return level
