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
    makes_files : bool
        Whether an output of it was too large for a message.
    given_up : int
        Previews of its results that took too long.
    """

    __slots__ = ("count", "given_up", "makes_files", "seconds")

    def __init__(self) -> None:
        self.seconds = -1.0
        self.count = 0
        self.given_up = 0
        self.makes_files = False

    def add(self, seconds: float, count: int = 1) -> None:
        """Take a measurement, or the mean of `count`. Down faster than up: the first call of a function imports and
        compiles."""
        if self.count > 1:
            self.seconds += (seconds - self.seconds) * (1 - (0.5 if seconds < self.seconds else 0.8) ** count)
        elif self.count == 1:
            self.seconds = min(self.seconds, seconds)
        else:
            self.seconds = seconds
        self.count += count
