"""When which task ran on which governor: one lane for each cpu that was in use at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

_TOLERANCE_S = 0.002
"""Tasks on one cpu may seem to overlap by so much."""


class Lane:
    """The bars of one cpu, in the order in which they ended."""

    __slots__ = ("bars", "ends")

    def __init__(self) -> None:
        self.bars: list[tuple[float, float, str, int]] = []
        self.ends: list[float] = []

    @property
    def free_from(self) -> float:
        """When its last bar ended (seconds since the epoch)."""
        return self.ends[-1] if self.ends else 0.0

    def add(self, start: float, seconds: float, state: str, number: int) -> None:
        """Append a bar."""
        self.bars.append((start, seconds, state, number))
        self.ends.append(max(start + seconds, self.free_from))

    def seen(self, begin: float, end: float, shortest: float) -> Iterable[list[Any]]:
        """Bars between two times; neighbours that are too short to be seen are drawn as one.

        Yields
        ------
        list
            ``[start, seconds, state, number, count]``; of several the number of the first, and the worst state.
        """
        joined: list[Any] | None = None
        for start, seconds, state, number in self.bars[bisect_left(self.ends, begin) :]:
            if start > end:
                break
            if joined is not None:
                close = start - (joined[0] + joined[1]) < shortest
                if (
                    close
                    and (seconds < shortest or joined[1] < shortest)
                    and start + seconds - joined[0] < 4 * shortest
                ):
                    joined[1] = max(joined[1], start + seconds - joined[0])
                    joined[4] += 1
                    if state == "failed":
                        joined[2] = state
                    continue
                yield joined
            joined = [start, seconds, state, number, 1]
        if joined is not None:
            yield joined


class Lanes:
    """The lanes of all governors.

    Attributes
    ----------
    begin, end : float or None
        Seconds since the epoch: of the first start and the last end.
    """

    def __init__(self) -> None:
        self.of: dict[str, list[Lane]] = {}
        self.begin: float | None = None
        self.end: float | None = None

    def add(self, governor: str, start: float, seconds: float, state: str, number: int) -> None:
        """A task ran there."""
        self._lane(self.of.setdefault(governor, []), start).add(start, seconds, state, number)
        self.begin = start if self.begin is None else min(self.begin, start)
        self.end = start + seconds if self.end is None else max(self.end, start + seconds)

    def _lane(self, lanes: list[Lane], start: float) -> Lane:
        """The lane that became free last before `start`, so that the others stay free for what is longer."""
        best = None
        for lane in lanes:
            if lane.free_from <= start + _TOLERANCE_S and (best is None or lane.free_from > best.free_from):
                best = lane
        if best is None:
            best = Lane()
            lanes.append(best)
        return best

    def free_slots(self, governor: str, starts: Iterable[float]) -> list[int]:
        """Slots for tasks that run now, which are in no lane yet."""
        lanes = self.of.get(governor, [])
        taken: list[int] = []
        for start in sorted(starts):
            free = [n for n, lane in enumerate(lanes) if n not in taken and lane.free_from <= start + _TOLERANCE_S]
            slot = (
                free[0] if free else next(n for n in range(len(lanes), len(lanes) + len(taken) + 1) if n not in taken)
            )
            taken.append(slot)
        return taken
