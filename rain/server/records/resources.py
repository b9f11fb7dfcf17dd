"""What tasks ask of governors, in whole units, and what they are estimated to take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rain.server.records.session import Session

UNITS = 1_000_000
"""Resources are counted in whole units of a millionth, so that sums of fractions come back to zero."""
AMOUNT_MAX = 1e18
"""Largest amount of a resource."""
UNKNOWN_DURATION_US = 50_000
"""Estimate for a function that has not run yet."""
OVERHEAD_US = 100
"""What a task costs a cpu beside its own code."""


def to_units(amount: float) -> int:
    """A resource's amount in whole units; what is asked for is never rounded to nothing."""
    return max(1, round(min(amount, AMOUNT_MAX) * UNITS)) if amount > 0 else 0


class ResourceRequest:
    """What tasks of one session ask of a governor; equal requests share one record.

    Attributes
    ----------
    resources : dict of str to float
        As declared, shared by all specs.
    needs : tuple of (str, int)
        Names and units; an executor type of governors' configurations is a name with 0 units.
    executor : str or None
        That type.
    session : Session
    version : int
        The `Graph.version` at which a governor was here that could hold it.
    """

    __slots__ = ("cpus", "executor", "needs", "resources", "session", "version")

    def __init__(self, resources: dict[str, float], executor: str | None, session: Session) -> None:
        self.session = session
        self.resources = resources
        self.executor = executor
        needs = [(name, to_units(amount)) for name, amount in sorted(resources.items()) if amount > 0]
        if executor is not None:
            needs.append((f"executor {executor}", 0))
        self.needs = tuple(needs)
        self.cpus = resources.get("cpus", 0.0)
        self.version = -1


class DurationEstimate:
    """What tasks that run the same code have cost so far."""

    __slots__ = ("count", "us")

    def __init__(self) -> None:
        self.us = UNKNOWN_DURATION_US
        self.count = 0

    def add(self, seconds: float) -> None:
        """Take a measurement."""
        measured = int(min(max(seconds, 0.0), 1e6) * 1e6) + OVERHEAD_US
        self.count += 1
        # The average follows changes; the first measurements count fully.
        self.us += (measured - self.us) // min(self.count, 8)
