"""What Rain asks of a batch system that runs jobs: text in, text out; nothing here runs a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rain.common.errors import RainException
from rain.deploy.pools.supplier import Job


class Order(NamedTuple):
    """What one place, a job of one host, is to have.

    Attributes
    ----------
    cpus : int
    gpus : int
    memory_bytes : int
        0: what the batch system gives by itself.
    time_s : int
        After which the job ends; 0: what the batch system gives by itself.
    partition : str
        Partition or queue; empty: the batch system's default.
    arguments : tuple of str
        Further options of the batch system, as its command takes them.
    """

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 0
    time_s: int = 0
    partition: str = ""
    arguments: tuple[str, ...] = ()


class BatchSystem(Protocol):
    """A batch system, by the words of its commands.

    Attributes
    ----------
    name : str
    """

    name: str

    def script(self, order: Order, name: str, command: str, log: str) -> str:
        """A job script.

        Parameters
        ----------
        order : Order
        name : str
            Of the job.
        command : str
            A line for the shell, which the script ends with.
        log : str
            Absolute path of a file for what it prints.
        """
        ...

    def submit(self, path: str) -> list[str]:
        """The command that submits the script at `path`."""
        ...

    def submitted(self, output: str) -> str:
        """The job's id, from what that command printed.

        Raises
        ------
        RainException
            If there is none.
        """
        ...

    def show(self, jobs: Sequence[str]) -> list[str]:
        """The command that shows jobs by their ids."""
        ...

    def shown(self, output: str) -> dict[str, Job]:
        """Jobs by id, from what that command printed; those that the batch system has forgotten are not there."""
        ...

    def cancel(self, jobs: Sequence[str]) -> list[str]:
        """The command that ends jobs; what runs in them gets SIGTERM first."""
        ...


def qtoolkit_of(name: str) -> object:
    """qtoolkit's writer and reader of what the commands of a batch system take and print.

    Raises
    ------
    RainException
        If it is not installed.
    """
    try:
        if name == "slurm":
            from qtoolkit.io.slurm import SlurmIO

            return SlurmIO()
    except ImportError:
        raise RainException("jobs of batch systems need the library qtoolkit: pip install 'rain[batch]'") from None
    raise RainException(f"no jobs can be submitted to {name!r}")
