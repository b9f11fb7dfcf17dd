"""`Supplier`: what a pool asks of an engine: start what a governor runs in, show what became of it, end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable


class JobState(Enum):
    """What an engine says of a job."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"


class Job(NamedTuple):
    """What an engine runs for one place, as the engine shows it: a batch job, a command over ssh, an actor.

    Attributes
    ----------
    state : JobState
    word : str
        The engine's own word for it, such as ``CANCELLED``.
    reason : str
        Why it waits; empty where that is not told.
    starts_at : str
        When it is expected to start; empty where that is not known.
    left_s : float or None
        Seconds that the engine leaves it from now on; None where there is no limit, or it is not told.
    """

    state: JobState
    word: str
    reason: str = ""
    starts_at: str = ""
    left_s: float | None = None


class Supplier(Protocol):
    """Places of one pool on one engine.

    A pool calls one method at a time; but its thread calls `show`, `governor` and `printed` beside the others.

    Attributes
    ----------
    name : str
        What users call the engine.
    look_s, idle_look_s : float
        Seconds between two looks at the jobs: while one of them is about to come or to go, and while none is.
    most : int
        How many places there can be at a time.
    resources : dict of str to float
        What the governor in each place has, such as ``{"cpus": 16}``; what is not known is left out.
    """

    @property
    def name(self) -> str: ...

    @property
    def look_s(self) -> float: ...

    @property
    def idle_look_s(self) -> float: ...

    @property
    def most(self) -> int: ...

    @property
    def resources(self) -> dict[str, float]: ...

    def ask(self, number: int) -> str:
        """Start place `number`, or ask the engine to; the id of its job.

        Raises
        ------
        RainException
            If the engine refuses; its words are in the text.
        """
        ...

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        """Jobs by id; one that is missing has ended, and is forgotten.

        Raises
        ------
        RainException
            If the engine does not tell.
        """
        ...

    def governor(self, number: int) -> str:
        """The id of the governor of place `number` (``host:port``); empty as long as none has registered."""
        ...

    def give_up(self, jobs: Sequence[str]) -> None:
        """End jobs; a governor that runs in one is told first, so that it can leave.

        Raises
        ------
        RainException
            If the engine refuses; its words are in the text.
        """
        ...

    def printed(self, number: int) -> str:
        """The last lines that place `number` wrote."""
        ...

    def close(self) -> None:
        """No further place will be asked for: what only those need, the token, is removed. Idempotent."""
        ...

    def tidy(self, keep: bool) -> None:
        """All jobs have ended. What they wrote stays if `keep`."""
        ...


@runtime_checkable
class SuppliesMany(Protocol):
    """A supplier that asks for many places by one word to the engine, as job arrays do.

    Attributes
    ----------
    many : int
        From how many on.
    """

    @property
    def many(self) -> int: ...

    def ask_many(self, numbers: Sequence[int]) -> list[str]:
        """Start these places, or ask the engine to; the ids of their jobs.

        All or none; the numbers follow one another.

        Raises
        ------
        RainException
            If the engine refuses; its words are in the text.
        """
        ...


@runtime_checkable
class AsksAhead(Protocol):
    """A supplier of which places may be asked while their server still starts."""

    def admit(self, token: str) -> None:
        """The server is up, and lets governors in by this token: those that have started wait for it.

        Raises
        ------
        RainException
            If they cannot be told.
        """
        ...


Supply = Callable[[str, str], Supplier]
"""Makes the supplier for a server, ``host:port``, and the token of its governors; its options are checked before. The
token is empty where places are asked for ahead; `AsksAhead.admit` brings it then."""
