"""What a governor learns of a function from its tasks."""

from __future__ import annotations


class Estimate:
    """What is known of one function.

    Attributes
    ----------
    seconds : float
        Exponential average of what it costs; negative while nothing is known.
    count : int
        Measurements of that.
    given_up : int
        Previews of its results that took too long.
    """

    __slots__ = ("count", "given_up", "seconds")

    def __init__(self) -> None:
        self.seconds = -1.0
        self.count = 0
        self.given_up = 0

    def add(self, seconds: float) -> None:
        """Take a measurement. Down faster than up: the first call of a function imports and compiles."""
        if self.count > 1:
            self.seconds += (seconds - self.seconds) * (0.5 if seconds < self.seconds else 0.2)
        elif self.count == 1:
            self.seconds = min(self.seconds, seconds)
        else:
            self.seconds = seconds
        self.count += 1
