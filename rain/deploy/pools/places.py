"""Places: what an engine runs for a pool, in each of which one governor runs. Decisions only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from rain.common.limits import ENGINE_IDLE_LOOK_S
from rain.common.state_tables import StateTable, states
from rain.deploy.pools.supplier import Job, JobState

_END_S_TOLD = 5.0
"""Engines tell what is left in whole seconds, some time after they looked."""


class PlaceState(Enum):
    """Where a place is between being asked for and its end."""

    ASKED = "asked"  # submitted, and not yet seen in the engine's list
    PENDING = "pending"  # the engine has not started its job
    STARTING = "starting"  # its job runs, its governor has not registered
    UP = "up"  # its governor is registered
    LEAVING = "leaving"  # it was told to end
    ENDED = "ended"


_S = PlaceState
PLACES = StateTable(
    PlaceState,
    "A place on an engine",
    {
        (None, _S.ASKED): "its job was submitted",
        (_S.ASKED, _S.PENDING): "the engine lists it as waiting",
        (_S.ASKED, _S.STARTING): "its job began before it was seen waiting",
        (_S.ASKED, _S.UP): "its governor registered before the pool's first look at the list",
        (_S.ASKED, _S.ENDED): "its job has ended before it was seen running",
        (_S.ASKED, _S.LEAVING): "it is not wanted any more",
        (_S.PENDING, _S.STARTING): "its job began",
        (_S.PENDING, _S.UP): "its governor registered since the pool's last look",
        (_S.PENDING, _S.ENDED): "its job was cancelled, or ended between two looks",
        (_S.PENDING, _S.LEAVING): "it is not wanted any more",
        (_S.STARTING, _S.UP): "its governor registered",
        (_S.STARTING, _S.PENDING): "the engine put its job back into the queue",
        (_S.STARTING, _S.ENDED): "its job ended before its governor registered",
        (_S.STARTING, _S.LEAVING): "it is not wanted any more",
        (_S.UP, _S.PENDING): "the engine put its job back into the queue",
        (_S.UP, _S.LEAVING): "it is not wanted any more",
        (_S.UP, _S.ENDED): "its job ended: cancelled, out of time, preempted",
        (_S.LEAVING, _S.ENDED): "its job has ended",
    },
)


@states(state=PLACES)
class Place:
    """One place.

    Parameters
    ----------
    number : int
    job : str
        The id of its job.
    asked_at : float
        When it was asked for, in monotonic seconds.

    Attributes
    ----------
    given_up : bool
        Whether the pool has ended it, and not the engine.
    state : PlaceState
    reason : str
        Why its job waits, or how it ended, in the engine's words.
    starts_at : str
        When its job is expected to start; empty if that is not known.
    governor : str
        The id of its governor, ``host:port``; empty if none ever registered.
    ends_at : float or None
        When its time is over, in seconds since the epoch; None if that is not known.
    printed : str
        Its last lines, if it ended before its governor was up.
    cause : str
        What they mean, in one sentence; empty if nothing in them is known.
    early : bool
        Whether its governor has said that it is there, and the engine has told nothing since.
    missed : bool
        Whether the engine's list lacked it at the pool's last look.
    """

    __slots__ = (
        "asked_at",
        "cause",
        "early",
        "ends_at",
        "given_up",
        "governor",
        "job",
        "missed",
        "number",
        "printed",
        "reason",
        "starts_at",
        "state",
    )

    def __init__(self, number: int, job: str, asked_at: float = 0.0) -> None:
        self.number = number
        self.asked_at = asked_at
        self.given_up = False
        self.job = job
        self.state = PlaceState.ASKED
        self.reason = ""
        self.starts_at = ""
        self.governor = ""
        self.ends_at: float | None = None
        self.printed = ""
        self.cause = ""
        self.early = False
        self.missed = False

    def __repr__(self) -> str:
        told = "; ".join(filter(None, (self.reason, self.starts_at and f"expected at {self.starts_at}")))
        return f"<Place {self.number}: {self.state.value}, job {self.job}{f' ({told})' if told else ''}>"


def look(place: Place, jobs: Mapping[str, Job], governor: str, now: float) -> None:
    """What the engine's list, and the word of the governor itself, say of a place.

    Parameters
    ----------
    place : Place
    jobs : mapping of str to Job
        By id; a job that is missing there twice in turn has ended, and been forgotten.
    governor : str
        The id of its governor; empty as long as none has registered.
    now : float
        Seconds since the epoch.
    """
    job = jobs.get(place.job)
    if place.state is PlaceState.ENDED:
        return
    early, place.early = place.early, False
    if early and job is not None and job.state is JobState.PENDING:
        return  # this list is older than its governor's word; the next is not
    if job is None or job.state is JobState.ENDED:
        if job is None and not place.missed:
            # One list may be older than what was submitted, or lack something; two in turn do not.
            place.missed = True
            return
        place.governor = governor or place.governor
        _become(place, PlaceState.ENDED)
        place.reason, place.starts_at, place.ends_at = ("" if job is None else job.word), "", None
        return
    place.missed = False
    place.ends_at = _end(place.ends_at, job, now)
    if place.state is PlaceState.LEAVING:
        return
    place.reason, place.starts_at = job.reason, ""
    if job.state is JobState.PENDING:
        place.starts_at = job.starts_at
        _become(place, PlaceState.PENDING)
        return
    place.reason = ""
    place.governor = governor or place.governor
    _become(place, PlaceState.UP if governor else PlaceState.STARTING)


def registered(place: Place, governor: str) -> None:
    """The governor of a place that was about to come is there, by its own word; the engine's list is not waited for."""
    place.governor, place.reason, place.starts_at, place.early = governor, "", "", True
    _become(place, PlaceState.UP)


def _end(before: float | None, job: Job, now: float) -> float | None:
    """When the time of a job is over; the same as before but for what two looks differ by anyway."""
    if job.state is not JobState.RUNNING or job.left_s is None:
        return None
    told = now + job.left_s
    return before if before is not None and abs(told - before) < _END_S_TOLD else told


def _become(place: Place, state: PlaceState) -> None:
    if place.state is not state and not (place.state is PlaceState.UP and state is PlaceState.STARTING):
        place.state = state


def settled(places: Iterable[Place], now: float) -> bool:
    """Whether no place is about to come or to go, as far as is known.

    Parameters
    ----------
    places : iterable of Place
    now : float
        Seconds since the epoch.
    """
    for place in places:
        ends = place.ends_at is not None and place.ends_at - now < ENGINE_IDLE_LOOK_S
        if place.state is not PlaceState.ENDED and (place.state is not PlaceState.UP or ends or place.missed):
            return False
    return True


def is_coming(place: Place) -> bool:
    """Whether its governor may register at any time."""
    return place.state in (PlaceState.ASKED, PlaceState.PENDING, PlaceState.STARTING)


def wanted(place: Place) -> bool:
    """Whether a place counts towards the number that is asked for."""
    return place.state not in (PlaceState.LEAVING, PlaceState.ENDED)


def to_leave(places: list[Place], count: int) -> list[Place]:
    """Which places are given up so that `count` are left: those that wait first, then the youngest.

    Examples
    --------
    >>> old, young = Place(1, "10"), Place(2, "11")
    >>> old.state = PlaceState.UP
    >>> to_leave([old, young], 1)
    [<Place 2: asked, job 11>]
    """
    there = [place for place in places if wanted(place)]
    order = sorted(there, key=lambda place: (place.state is PlaceState.UP, -place.number))
    return order[: max(0, len(there) - count)]
