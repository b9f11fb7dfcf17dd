"""Waiting for what another process or thread does, with a limit that only guards against hangs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

GUARD_S = 180.0
"""How long tests wait for what should come at once; only a broken system takes that long, a loaded one does not."""


def at_this_load(seconds: float) -> float:
    """A limit on how long something may take, which a machine with nothing else to do keeps with room to spare."""
    return seconds * max(1.0, 2 * os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def until(condition: Callable[[], T], what: str = "", guard_s: float = GUARD_S) -> T:
    """Return what `condition()` gives as soon as that is true.

    Raises
    ------
    AssertionError
        If it is not within `guard_s` seconds.
    """
    deadline = time.monotonic() + guard_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {guard_s} s: {what or condition}"
        time.sleep(0.01)
    return value


async def until_async(condition: Callable[[], T], what: str = "", guard_s: float = GUARD_S) -> T:
    """`until` for a test whose own event loop has work to do meanwhile."""
    deadline = time.monotonic() + guard_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {guard_s} s: {what or condition}"
        await asyncio.sleep(0.005)
    return value


class Changes:
    """Wakes coroutines that wait for what callbacks make true."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self, *_: object) -> None:
        """Something has changed."""
        self._event.set()

    async def until(self, condition: Callable[[], T]) -> T:
        """What `condition()` gives as soon as a change made it true.

        Raises
        ------
        TimeoutError
            If it is not true within `GUARD_S` seconds.
        """
        async with asyncio.timeout(GUARD_S):
            while not (value := condition()):
                self._event.clear()
                await self._event.wait()
        return value
