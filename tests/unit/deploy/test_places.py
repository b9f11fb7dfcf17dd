"""What becomes of places in a batch system: decided from its list of jobs and the word of governors."""

from __future__ import annotations

import pytest

from rain.deploy.engines.batch import Job, JobState
from rain.deploy.engines.places import Place, PlaceState, look, to_leave, wanted

WAITS = Job(JobState.PENDING, "PENDING", "Resources", "2026-11-27T20:00:00")
RUNS = Job(JobState.RUNNING, "RUNNING")
CANCELLED = Job(JobState.ENDED, "CANCELLED")
S = PlaceState


def after(*looks: tuple[Job | None, bool]) -> Place:
    place = Place(1, "7")
    for job, ready in looks:
        look(place, {} if job is None else {"7": job}, ready)
    return place


@pytest.mark.parametrize(
    ("looks", "state"),
    [
        ([], S.ASKED), ([(None, False)], S.ASKED), ([(WAITS, False)], S.PENDING), ([(RUNS, False)], S.STARTING),
        ([(RUNS, True)], S.UP), ([(CANCELLED, False)], S.ENDED), ([(WAITS, False), (RUNS, False)], S.STARTING),
        ([(WAITS, False), (RUNS, True)], S.UP), ([(WAITS, False), (CANCELLED, False)], S.ENDED),
        ([(RUNS, False), (RUNS, True)], S.UP), ([(RUNS, False), (WAITS, False)], S.PENDING),
        ([(RUNS, False), (None, False)], S.ENDED), ([(RUNS, True), (WAITS, False)], S.PENDING),
        ([(RUNS, True), (RUNS, False)], S.UP), ([(RUNS, True), (CANCELLED, True)], S.ENDED),
        ([(RUNS, True), (None, False), (RUNS, True)], S.ENDED),
    ],
)  # fmt: skip
def test_looks(looks: list[tuple[Job | None, bool]], state: PlaceState) -> None:
    assert after(*looks).state is state


def test_what_is_told() -> None:
    assert repr(after((WAITS, False))) == "<Place 1: pending, job 7 (Resources; expected at 2026-11-27T20:00:00)>"
    assert repr(after((WAITS, False), (RUNS, True))) == "<Place 1: up, job 7>"
    assert repr(after((RUNS, False), (CANCELLED, False))) == "<Place 1: ended, job 7 (CANCELLED)>"
    assert after((RUNS, True), (None, False)).registered
    assert not after((RUNS, False), (None, False)).registered


@pytest.mark.parametrize("looks", [[], [(WAITS, False)], [(RUNS, False)], [(RUNS, True)]])
def test_a_place_that_leaves_stays_so_until_it_has_ended(looks: list[tuple[Job | None, bool]]) -> None:
    place = after(*looks)
    place.state = S.LEAVING
    assert not wanted(place)
    look(place, {"7": RUNS}, True)
    look(place, {"7": WAITS}, False)
    assert place.state is S.LEAVING
    look(place, {"7": CANCELLED}, True)
    assert place.state is S.ENDED


def test_what_waits_is_given_up_first_then_the_youngest() -> None:
    places = [Place(number, str(number)) for number in range(1, 6)]
    for place, job in zip(places, (RUNS, WAITS, RUNS, CANCELLED, RUNS), strict=True):
        look(place, {place.job: job}, True)
    assert [place.number for place in to_leave(places, 3)] == [2]
    assert [place.number for place in to_leave(places, 1)] == [2, 5, 3]
    assert to_leave(places, 9) == []
