"""What becomes of places in an engine: decided from its list of jobs and the word of governors."""

from __future__ import annotations

import pytest

from rain.deploy.pools.places import Place, PlaceState, look, registered, settled, to_leave, wanted
from rain.deploy.pools.supplier import Job, JobState

WAITS = Job(JobState.PENDING, "PENDING", "Resources", "2026-11-27T20:00:00")
RUNS = Job(JobState.RUNNING, "RUNNING")
CANCELLED = Job(JobState.ENDED, "CANCELLED")
S = PlaceState


def after(*looks: tuple[Job | None, str]) -> Place:
    place = Place(1, "7")
    for job, governor in looks:
        look(place, {} if job is None else {"7": job}, governor, 0.0)
    return place


@pytest.mark.parametrize(
    ("looks", "state"),
    [
        ([], S.ASKED), ([(None, "")], S.ASKED), ([(WAITS, "")], S.PENDING), ([(RUNS, "")], S.STARTING),
        ([(RUNS, "h:1")], S.UP), ([(CANCELLED, "")], S.ENDED), ([(WAITS, ""), (RUNS, "")], S.STARTING),
        ([(WAITS, ""), (RUNS, "h:1")], S.UP), ([(WAITS, ""), (CANCELLED, "")], S.ENDED),
        ([(RUNS, ""), (RUNS, "h:1")], S.UP), ([(RUNS, ""), (WAITS, "")], S.PENDING),
        ([(RUNS, ""), (None, ""), (None, "")], S.ENDED), ([(RUNS, "h:1"), (WAITS, "")], S.PENDING),
        ([(RUNS, "h:1"), (RUNS, "")], S.UP), ([(RUNS, "h:1"), (CANCELLED, "h:1")], S.ENDED),
        ([(RUNS, "h:1"), (None, ""), (None, ""), (RUNS, "h:1")], S.ENDED),
        ([(RUNS, "h:1"), (None, "")], S.UP), ([(RUNS, "h:1"), (None, ""), (RUNS, "h:1"), (None, "")], S.UP),
        ([(WAITS, ""), (None, "")], S.PENDING),
    ],
)  # fmt: skip
def test_looks(looks: list[tuple[Job | None, str]], state: PlaceState) -> None:
    assert after(*looks).state is state


def test_what_is_told() -> None:
    assert repr(after((WAITS, ""))) == "<Place 1: pending, job 7 (Resources; expected at 2026-11-27T20:00:00)>"
    assert repr(after((WAITS, ""), (RUNS, "h:1"))) == "<Place 1: up, job 7>"
    assert repr(after((RUNS, ""), (CANCELLED, ""))) == "<Place 1: ended, job 7 (CANCELLED)>"
    assert after((RUNS, "h:1"), (None, ""), (None, "")).governor == "h:1"
    assert after((RUNS, ""), (None, ""), (None, "")).governor == ""


@pytest.mark.parametrize("looks", [[], [(WAITS, "")], [(RUNS, "")], [(RUNS, "h:1")]])
def test_a_place_that_leaves_stays_so_until_it_has_ended(looks: list[tuple[Job | None, str]]) -> None:
    place = after(*looks)
    place.state = S.LEAVING
    assert not wanted(place)
    look(place, {"7": RUNS}, "h:1", 0.0)
    look(place, {"7": WAITS}, "", 0.0)
    assert place.state is S.LEAVING
    look(place, {"7": CANCELLED}, "h:1", 0.0)
    assert place.state is S.ENDED


def test_a_governor_s_own_word_is_enough_and_an_older_list_does_not_undo_it() -> None:
    place = after()
    registered(place, "h:1")
    assert (place.state, place.governor) == (S.UP, "h:1")
    look(place, {"7": WAITS}, "h:1", 0.0)
    assert place.state is S.UP
    look(place, {"7": WAITS}, "h:1", 0.0)
    assert place.state is S.PENDING, "its job was put back into the queue"


def test_what_waits_is_given_up_first_then_the_youngest() -> None:
    places = [Place(number, str(number)) for number in range(1, 6)]
    for place, job in zip(places, (RUNS, WAITS, RUNS, CANCELLED, RUNS), strict=True):
        look(place, {place.job: job}, "h:1", 0.0)
    assert [place.number for place in to_leave(places, 3)] == [2]
    assert [place.number for place in to_leave(places, 1)] == [2, 5, 3]
    assert to_leave(places, 9) == []


def test_when_its_time_is_over() -> None:
    place = Place(1, "7")
    left = RUNS._replace(left_s=100.0)
    for job, now, ends_at in (
        (WAITS._replace(left_s=100.0), 10.0, None),
        (left, 20.0, 120.0),
        (left, 24.0, 120.0),  # told a little late
        (left._replace(left_s=500.0), 30.0, 530.0),  # it was given more
        (RUNS, 40.0, None),
        (left, 50.0, 150.0),
        (CANCELLED, 60.0, None),
    ):
        look(place, {"7": job}, "h:1", now)
        assert place.ends_at == ends_at, (job, now)


def test_a_place_whose_time_is_nearly_over_is_about_to_go() -> None:
    there = after((RUNS._replace(left_s=100.0), "h:1"))
    assert there.ends_at is not None
    assert settled([there], there.ends_at - 100)
    assert not settled([there], there.ends_at - 10)
    assert settled([after((RUNS, "h:1")), after((CANCELLED, ""))], 0.0)
    assert not settled([after((WAITS, ""))], 0.0)
    assert not settled([after((RUNS, "h:1"), (None, "h:1"))], 0.0), "whether it was forgotten is soon known"
