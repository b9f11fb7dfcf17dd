"""`FrameworkSupplier`: what suppliers on Dask and on Ray have in common: places that advance at each look."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import ENGINE_LOOK_S, FRAMEWORK_LOOK_S, FRAMEWORK_WAIT_LOOK_S, PLACES_MAX
from rain.deploy.frameworks.held import HeldState
from rain.deploy.pools.supplier import Job, JobState

_NOTHING = HeldState(False, "", "", "")


@dataclass(slots=True, eq=False)
class Spot:
    """One place in a framework's process.

    Attributes
    ----------
    number : int
        Of the place.
    at : object
        The framework's process, or None as long as there is none.
    begun : bool
        Whether its governor was started.
    told : HeldState
        What was last heard of that.
    waits_for : str
        Why it has no process yet.
    unwanted : bool
        Whether it was given up.
    """

    number: int
    at: Any = None
    begun: bool = False
    told: HeldState = _NOTHING
    waits_for: str = ""
    unwanted: bool = False

    def over(self, word: str, printed: str = "") -> None:
        """It has ended."""
        self.told = self.told._replace(ended=True, word=word, printed=printed or self.told.printed)

    @property
    def job(self) -> Job:
        """As the pool is shown it."""
        if self.told.ended:
            return Job(JobState.ENDED, self.told.word)
        if not self.begun:
            return Job(JobState.PENDING, "WAITING", self.waits_for)
        return Job(JobState.RUNNING, "RUNNING")


class FrameworkSupplier(ABC):
    """Places in processes of a framework.

    A subclass says in `advance` what it does at each look; one call of it, or of `leave`, runs at a time.

    Parameters
    ----------
    name : str
        What users call the framework.
    token : str
        For governors.
    """

    most = PLACES_MAX
    idle_look_s = ENGINE_LOOK_S

    def __init__(self, name: str, token: str) -> None:
        self.name = name
        self._token = token
        self._spots: dict[int, Spot] = {}
        self._acting = threading.RLock()
        self._closed = False

    @property
    def look_s(self) -> float:
        spots = [spot for spot in list(self._spots.values()) if not spot.told.ended]
        if self._closed or any(spot.begun and (spot.unwanted or not spot.told.governor) for spot in spots):
            return FRAMEWORK_LOOK_S
        return FRAMEWORK_WAIT_LOOK_S if any(not spot.begun for spot in spots) else ENGINE_LOOK_S

    def ask(self, number: int) -> str:
        if self._closed:
            raise RainException(f"the pool on {self.name} is closed")
        self._spots[number] = Spot(number)
        return str(number)

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        with self._acting:
            self.advance([spot for spot in list(self._spots.values()) if not spot.told.ended])
        return {str(spot.number): spot.job for spot in list(self._spots.values())}

    def governor(self, number: int) -> str:
        return self._spots[number].told.governor

    def printed(self, number: int) -> str:
        return self._spots[number].told.printed

    def give_up(self, jobs: Sequence[str]) -> None:
        spots = [self._spots[int(job)] for job in jobs]
        for spot in spots:
            spot.unwanted = True
        with self._acting:
            for spot in spots:
                if not spot.begun and not spot.told.ended:
                    spot.over("CANCELLED")
            self.leave([spot for spot in spots if not spot.told.ended])

    def close(self) -> None:
        self._closed = True
        self._token = ""

    def tidy(self, keep: bool) -> None:
        with self._acting:
            self.finish()

    @abstractmethod
    def advance(self, spots: list[Spot]) -> None:
        """Look at what these, which have not ended, have become, and take each a step further."""

    @abstractmethod
    def leave(self, spots: list[Spot]) -> None:
        """Tell the governors of these to leave."""

    @abstractmethod
    def finish(self) -> None:
        """All have ended: let the framework go."""


def check_counts(**counts: int) -> None:
    """Raise RainException if one of these is no number of at least 0."""
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise RainException(f"{name} of a place is a number of at least 0, not {number!r}")


def check_words(arguments: Sequence[str]) -> None:
    """Raise RainException if `arguments` is one text, or holds something else."""
    if isinstance(arguments, str) or not all(isinstance(word, str) for word in arguments):
        raise RainException(f"arguments is a sequence of texts, not {arguments!r}")
