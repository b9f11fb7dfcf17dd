"""`StandIn`: a supplier of places whose engine does what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rain.common.errors import RainException
from rain.deploy.pools.supplier import Job, JobState


class StandIn:
    """An engine in this process. A place waits until a test lets it run.

    Parameters
    ----------
    name : str
    most : int

    Attributes
    ----------
    resources : dict of str to float
        Of each place.
    jobs : dict of str to Job
        What the engine shows, by id; a test may put in what it likes.
    governors : dict of int to str
        By number of the place.
    prints : dict of int to str
        What places print, by number.
    given_up : list of str
        Jobs, in the order in which they were given up.
    refuses : str
        What the engine says instead of doing anything; empty: it obeys.
    silent : str
        What it says instead of showing jobs; empty: it shows them.
    patient : bool
        Whether what was given up runs on until the test ends it.
    start : callable or None
        Called with the number of each place that is asked for.
    looks : int
        How often jobs were shown.
    token : str
        Of the governors; empty as long as their server is not up.
    closed : threading.Event
        Set when no further place will be asked for.
    """

    look_s = 0.02
    idle_look_s = 0.02

    def __init__(self, name: str = "stand-in", most: int = 1000) -> None:
        self.name = name
        self.most = most
        self.resources = {"cpus": 1.0}
        self.jobs: dict[str, Job] = {}
        self.governors: dict[int, str] = {}
        self.prints: dict[int, str] = {}
        self.given_up: list[str] = []
        self.refuses = ""
        self.silent = ""
        self.patient = False
        self.start: Callable[[int], None] | None = None
        self.looks = 0
        self.token = ""
        self.closed = threading.Event()

    def ask(self, number: int) -> str:
        self._obey()
        job = f"job-{number}"
        self.jobs[job] = Job(JobState.PENDING, "PENDING", "Resources")
        if self.start is not None:
            self.start(number)
        return job

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        self.looks += 1
        if self.silent:
            raise RainException(self.silent)
        return {job: self.jobs[job] for job in jobs if job in self.jobs}

    def governor(self, number: int) -> str:
        return self.governors.get(number, "")

    def give_up(self, jobs: Sequence[str]) -> None:
        self._obey()
        self.given_up += jobs
        for job in () if self.patient else jobs:
            self.jobs[job] = Job(JobState.ENDED, "CANCELLED")

    def printed(self, number: int) -> str:
        return self.prints.get(number, "")

    def admit(self, token: str) -> None:
        self.token = token

    def close(self) -> None:
        self.closed.set()

    def tidy(self, keep: bool) -> None:
        pass

    # -- what a test says -----------------------------------------------------------------------

    def waits(self, number: int, reason: str, starts_at: str = "") -> None:
        """Its job is pending, for this reason."""
        self.jobs[f"job-{number}"] = Job(JobState.PENDING, "PENDING", reason, starts_at)

    def runs(self, number: int, governor: str = "", left_s: float | None = None) -> None:
        """Its job runs; its governor, if one is named, is registered."""
        if governor:
            self.governors[number] = governor
        self.jobs[f"job-{number}"] = Job(JobState.RUNNING, "RUNNING", left_s=left_s)

    def ends(self, number: int, word: str, printed: str = "") -> None:
        """Its job has ended."""
        self.prints[number] = printed
        self.jobs[f"job-{number}"] = Job(JobState.ENDED, word)

    def _obey(self) -> None:
        if self.refuses:
            raise RainException(self.refuses)
