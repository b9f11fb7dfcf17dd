"""Resource requests of tasks, in whole units, and estimates of how long tasks take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rain.server.records.session import Session

UNITS = 1_000_000
"""Resources are counted in whole units of a millionth, so that sums of fractions come back to zero."""
AMOUNT_MAX = 1e18
"""The largest amount of a resource that a task may ask for."""
UNKNOWN_DURATION_US = 50_000
"""Estimate for code that has not run yet, in microseconds."""
OVERHEAD_US = 100
"""How long a task occupies a cpu beside running its own code, in microseconds."""


def to_units(amount: float) -> int:
    """The amount of a resource in whole units; an amount that is not 0 is never rounded to 0."""
    return max(1, round(min(amount, AMOUNT_MAX) * UNITS)) if amount > 0 else 0


class ResourceRequest:
    """What tasks of one session ask a governor for; equal requests share one record.

    Attributes
    ----------
    resources : dict of str to float
        The amounts as declared; shared by all specs.
    needs : tuple of (str, int)
        Names of resources and units; an executor type that governors' configurations define is a name with 0 units.
    executor : str or None
        The executor type.
    estimates : dict of Any to DurationEstimate
        Estimates of tasks with this request, by the code that they run.
    session : Session
    version : int
        The last `Graph.version` at which some governor could hold the request.
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
    """How long tasks took that run the same code with the same resources, and how many of them are left.

    Parameters
    ----------
    known : DurationEstimate or None
        The estimate of the same code with other resources, which stands for the first measurement.

    Attributes
    ----------
    us : int
        The estimate, in microseconds.
    least_us, most_us : int
        The shortest and longest task that was measured with these resources; 0 if none was.
    measured : int
        How many tasks were measured with these resources.
    count : int
        Of how many measurements `us` is the average; one of them may be `known`.
    transfer_us : int
        Microseconds that the transfer of the tasks' inputs took.
    queued, assigned : int
        How many tasks are ready and have no governor, and how many have one.
    nodes : int
        On how many governors each task runs at once.
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
        """Add measurements of tasks that waited for no transfer."""
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
        """Add the measurement of one task."""
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
