"""`Engine`: what Rain asks of a batch system, or of another system that supplies hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Engine(Protocol):
    """A batch system.

    Attributes
    ----------
    name : str
        What users call it, as in ``rain start --autoconf NAME``.
    job_variable : str
        An environment variable that its jobs have, and nothing else has.
    step_reads : bool
        Whether what `step` runs reads this side's standard input, and sees its end.
    """

    name: str
    job_variable: str
    step_reads: bool

    def hosts(self, environment: Mapping[str, str]) -> dict[str, int]:
        """The hosts that the engine gave to the job in which this process runs, each once, in the engine's order, with
        the numbers by which `step` knows them.

        Parameters
        ----------
        environment : mapping of str to str
            The process's environment variables.

        Raises
        ------
        RainException
            If this is not a job of that engine, or what it says cannot be read; names the variable or file.
        """
        ...

    def step(self, host: str, number: int, line: str) -> list[str]:
        """The command that runs a line for the shell on a host of the job, from another host of it.

        Parameters
        ----------
        host : str
        number : int
            The host's, as `hosts` gives it.
        line : str
        """
        ...
