"""What the places of a pool have used. Decisions only."""

from __future__ import annotations

from collections.abc import Iterable

from rain.deploy.pools.places import Place, PlaceState

_COSTS = (PlaceState.STARTING, PlaceState.UP, PlaceState.LEAVING)


class CoreSeconds:
    """Seconds times cpus of all places whose jobs run, also before their governors are up.

    A place that leaves counts until its job has ended. Between two looks what was seen at the first is what counts.

    Parameters
    ----------
    cpus : float
        Of each place.

    Examples
    --------
    >>> place = Place(1, "7")
    >>> count = CoreSeconds(cpus=4)
    >>> count.note([place], 100.0)
    >>> place.state = PlaceState.UP
    >>> count.note([place], 110.0)
    >>> count.until(130.0)
    80.0
    """

    __slots__ = ("_cpus", "_noted_at", "_running", "_used")

    def __init__(self, cpus: float) -> None:
        self._cpus = cpus
        self._running = 0
        self._noted_at = 0.0
        self._used = 0.0

    def note(self, places: Iterable[Place], now: float) -> None:
        """The places as they are seen at `now`, in seconds of a clock that does not go back."""
        self._used = self.until(now)
        self._running = sum(place.state in _COSTS for place in places)
        self._noted_at = now

    def until(self, now: float) -> float:
        """What was used until then, if nothing has changed since the last look."""
        return self._used + self._running * self._cpus * (now - self._noted_at)
