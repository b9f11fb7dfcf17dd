"""For how long places that have nothing to do are held: as long as it would have paid in the last gaps."""

from __future__ import annotations

import pytest

from rain.deploy.pools.holding import GAPS_LEAST, GAPS_REMEMBERED, HOLD_LEAST_S, Holding


def played(*gaps: float, wanted: int = 3, holding: Holding | None = None, now: float = 0.0) -> tuple[Holding, float]:
    """Work for so many places, then these gaps, each followed by such work again."""
    holding = Holding() if holding is None else holding
    for gap in gaps:
        holding.note(now, wanted)
        holding.note(now + 100.0, 0)
        now += 100.0 + gap
    holding.note(now, wanted)
    return holding, now


def test_what_the_user_allows_holds_until_gaps_are_known() -> None:
    holding, _ = played(*[1000.0] * (GAPS_LEAST - 1))
    assert holding.hold_s(1, idle_s=60.0, wait_s=30.0) == 60.0
    holding, _ = played(*[1000.0] * GAPS_LEAST)
    assert holding.hold_s(1, idle_s=60.0, wait_s=30.0) == HOLD_LEAST_S


def test_a_place_is_held_where_work_comes_back_in_time() -> None:
    holding, _ = played(*[40.0] * 6, wanted=9)
    assert holding.hold_s(1, idle_s=60.0, wait_s=100.0) == 60.0, "the gaps of 40 s are bridged"
    assert holding.hold_s(1, idle_s=30.0, wait_s=100.0) == HOLD_LEAST_S, "no time that is allowed bridges them"
    assert holding.hold_s(1, idle_s=60.0, wait_s=10.0) == HOLD_LEAST_S, "a new one is cheaper"
    assert holding.hold_s(1, idle_s=400.0, wait_s=100.0) == 400.0, "the same cost in all: the longest"
    assert holding.hold_s(9, idle_s=60.0, wait_s=100.0) == HOLD_LEAST_S, (
        "eight others are there, to do the work meanwhile"
    )


def test_it_is_held_for_the_short_gaps_only() -> None:
    holding, _ = played(*[10.0, 3000.0] * 4)
    assert holding.hold_s(2, idle_s=160.0, wait_s=200.0) == 20.0


@pytest.mark.parametrize("before", [30.0, 3000.0])
def test_habits_change(before: float) -> None:
    holding, now = played(*[before] * 20)
    assert (holding.hold_s(1, 60.0, 100.0) == 60.0) is (before == 30.0)
    holding, _ = played(*[3030.0 - before] * GAPS_REMEMBERED, holding=holding, now=now)
    assert (holding.hold_s(1, 60.0, 100.0) == 60.0) is (before == 3000.0)


def test_a_level_that_is_not_known_is_held_no_longer_than_the_one_below() -> None:
    holding, _ = played(*[3000.0] * 6, wanted=2)
    assert holding.hold_s(9, idle_s=60.0, wait_s=100.0) == HOLD_LEAST_S


def test_looks_between_two_tasks_are_no_gaps() -> None:
    holding, now = played(*[3000.0] * 6)
    holding, _ = played(*[1.0] * 50, holding=holding, now=now)
    assert holding.hold_s(1, idle_s=60.0, wait_s=100.0) == HOLD_LEAST_S


def test_levels_leave_one_by_one() -> None:
    holding = Holding()
    holding.note(0.0, 5)
    holding.note(10.0, 3)
    holding.note(20.0, 1)
    assert [holding.held(now, 5, 60.0, 30.0) for now in (69.0, 71.0, 79.0, 81.0)] == [5, 3, 3, 1]
    holding.note(90.0, 0)
    assert [holding.held(now, 1, 60.0, 30.0) for now in (149.0, 151.0)] == [1, 0]


def test_places_that_no_work_has_wanted_are_held_from_the_first_look_on() -> None:
    holding = Holding()
    holding.note(1000.0, 0)
    assert [holding.held(now, 4, 60.0, 30.0) for now in (1059.0, 1061.0)] == [4, 0]
