"""What Rain asks of a batch system that runs jobs: text in, text out; nothing here runs a command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rain.common.errors import RainException
from rain.deploy.pools.supplier import Job
from rain.governor.surroundings.leaving import parse_duration


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
        What users call it.
    index : str
        The variable with the number of an element of an array, from 1, in its job.
    index_in_path : str
        What stands for that number in the path of a log.
    gone : str
        A pattern of what its commands say of jobs that have ended already, and of those that they were right to name.
    """

    @property
    def name(self) -> str: ...

    @property
    def index(self) -> str: ...

    @property
    def index_in_path(self) -> str: ...

    @property
    def gone(self) -> str: ...

    def script(self, order: Order, name: str, lines: str, log: str, elements: int) -> str:
        """A job script.

        Parameters
        ----------
        order : Order
        name : str
            Of the job, at most 15 characters.
        lines : str
            For the shell, ``/bin/sh``.
        log : str
            Absolute path of a file for what it prints.
        elements : int
            How many jobs it is, as an array; 1: no array.
        """
        ...

    def submit(self, order: Order, path: str) -> list[str]:
        """The command that submits the script at `path`."""
        ...

    def submitted(self, output: str, elements: int) -> list[str]:
        """The ids of the jobs, from what that command printed.

        Raises
        ------
        RainException
            If there is none.
        """
        ...

    def show(self, jobs: Sequence[str]) -> list[str]:
        """The command that shows jobs by their ids, perhaps others too; it does not fail for those that have ended."""
        ...

    def shown(self, output: str) -> dict[str, Job]:
        """Jobs by id, from what that command printed; those that the batch system has forgotten are not there."""
        ...

    def why(self, job: str) -> list[str]:
        """The command that tells why a job waits; empty if `shown` has told it."""
        ...

    def reason(self, output: str) -> str:
        """Why a job waits, from what that command printed; empty if that is not told."""
        ...

    def lingers(self, job: Job) -> bool:
        """Whether the batch system keeps a job that has ended in its list until it is cancelled."""
        ...

    def cancel(self, jobs: Sequence[str]) -> list[str]:
        """The command that ends jobs; what runs in them gets a signal first, if the batch system has one for that."""
        ...

    def cancel_named(self, name: str) -> list[str]:
        """The command that ends the user's jobs of that name, if there are any."""
        ...


def job_ids(found: str | None, elements: int, element: str, command: str, output: str) -> list[str]:
    """The ids of what was submitted.

    Parameters
    ----------
    found : str or None
        The id that `command` printed.
    elements : int
        How many elements it has, as an array; 1: it is none.
    element : str
        How an element's id is made of the array's and its number, as ``"{}_{}"``.
    command, output : str
        For the error.

    Examples
    --------
    >>> job_ids("17", 2, "{}_{}", "sbatch", "")
    ['17_1', '17_2']
    >>> job_ids("17", 1, "{}_{}", "sbatch", "")
    ['17']
    """
    if not found:
        raise RainException(f"{command} printed no job id but {output.strip()!r}")
    return [found] if elements == 1 else [element.format(found, number) for number in range(1, elements + 1)]


def seconds_of(text: str) -> float | None:
    """A time as batch systems print it; None where they print something else, such as ``UNLIMITED``.

    Examples
    --------
    >>> seconds_of("1-00:00:10"), seconds_of("2:30"), seconds_of("UNLIMITED")
    (86410.0, 150.0, None)
    """
    try:
        return parse_duration(text) if ":" in text else None
    except RainException:
        return None


def job_script(mark: str, options: Sequence[Sequence[str]], lines: str) -> str:
    """A script whose first comments are options of the batch system.

    Parameters
    ----------
    mark : str
        What such a comment begins with.
    options : sequence of (sequence of str)
        The words of each.
    lines : str
        For the shell.

    Examples
    --------
    >>> print(job_script("#SBATCH", [["--output=/a b"]], "exec true"))
    #!/bin/sh
    #SBATCH '--output=/a b'
    <BLANKLINE>
    exec true
    <BLANKLINE>
    """
    return "\n".join(["#!/bin/sh", *(f"{mark} {shlex.join(words)}" for words in options), "", lines, ""])


def clock_time(seconds: int) -> str:
    """Seconds as batch systems read them.

    Examples
    --------
    >>> clock_time(93_784)
    '26:03:04'
    """
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
