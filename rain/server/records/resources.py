"""What tasks ask of governors, in whole units, and what they are estimated to take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    estimates : dict of Any to DurationEstimate
        What tasks took that ask for this, by the code that they run.
    session : Session
    version : int
        The `Graph.version` at which a governor was here that could hold it.
    """

    __slots__ = ("cpus", "estimates", "executor", "needs", "resources", "session", "version")

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
        self.estimates: dict[Any, DurationEstimate] = {}


class DurationEstimate:
    """What tasks that run the same code with the same resources have cost so far, and how many of them are left.

    Parameters
    ----------
    known : DurationEstimate or None
        What the same code took with other resources: it stands for the first measurement.

    Attributes
    ----------
    us : int
        Microseconds.
    least_us, most_us : int
        Of all that were measured with these resources; 0 if none was.
    measured : int
        How many these are.
    count : int
        How many the average is of: also one that is known of tasks of the same code with other resources.
    transfer_us : int
        Microseconds that the transfer of their inputs took.
    queued, assigned : int
        How many are ready and have no governor, and how many have one.
    nodes : int
        On how many governors each of them runs at once.
    """

    __slots__ = ("assigned", "count", "least_us", "measured", "most_us", "nodes", "queued", "transfer_us", "us")

    def __init__(self, known: DurationEstimate | None = None) -> None:
        self.us: int = UNKNOWN_DURATION_US if known is None else known.us
        self.least_us = self.most_us = self.measured = 0
        self.count: int = 0 if known is None else min(known.count, 1)
        self.transfer_us: int = 0 if known is None else known.transfer_us
        self.nodes = 1
        self.queued = 0
        self.assigned = 0

    def add_all(self, seconds: Sequence[float]) -> None:
        """Take measurements of tasks that waited for no transfer."""
        if len(seconds) < 8:
            for one in seconds:
                self.add(one)
            return
        count = len(seconds)
        measured = int(min(max(sum(seconds) / count, 0.0), 1e6) * 1e6) + OVERHEAD_US
        least, most = (int(min(max(one, 0.0), 1e6) * 1e6) + OVERHEAD_US for one in (min(seconds), max(seconds)))
        self.count += count
        self.measured += count
        self.most_us = max(self.most_us, most)
        self.least_us = min(self.least_us, least) if self.least_us else least
        self.us = measured  # so many outweigh what came before
        self.transfer_us -= self.transfer_us * min(count, 8) // 8

    def add(self, seconds: float, transfer: float | None = None) -> None:
        """Take a measurement."""
        measured = int(min(max(seconds, 0.0), 1e6) * 1e6) + OVERHEAD_US
        self.count += 1
        self.measured += 1
        if measured > self.most_us:
            self.most_us = measured
        if measured < self.least_us or not self.least_us:
            self.least_us = measured
        # The average follows changes; the first measurements count fully.
        self.us += (measured - self.us) // min(self.count, 8)
        if transfer or self.transfer_us:
            self.transfer_us += (int((transfer or 0.0) * 1e6) - self.transfer_us) // min(self.count, 8)
