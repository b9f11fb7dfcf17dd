"""When an elastic pool asks for places, and when it lets them go."""

from __future__ import annotations

from typing import Any

import pytest

from rain.common.protocol.messages import Capacity, Demand, Need
from rain.deploy.pools import scaling
from rain.deploy.pools.scaling import Decision, Rules, Scaling, Seen

GPU = {"cpus": 1.0, "gpus": 1.0}


def need(waiting: int, seconds: float | None, running: int = 0, resources: dict[str, float] | None = None) -> Need:
    """So many tasks wait that take so long each (None: not known), others run."""
    known = seconds is not None
    each = seconds or 0.0
    asked = {"cpus": 1.0} if resources is None else resources
    return Need(
        asked, None, waiting, 0 if known else waiting, waiting * each, running, 0 if known else running, running * each
    )


class Play:
    """A pool whose places come and go as a test says."""

    def __init__(self, resources: dict[str, float], **rules: Any) -> None:
        self.scaling = Scaling(resources, Rules(**{"minimum": 0, "maximum": 50, "idle_s": 60.0, **rules}))
        self.now = 0.0
        self.places: dict[int, Seen] = {}
        self.governors: dict[str, Capacity] = {}
        self.count = 0
        self.core_s = 0.0

    def look(self, *needs: Need, after: float = 1.0) -> Decision:
        self.now += after
        demand = Demand(0, list(needs), list(self.governors.values()))
        decision = self.scaling.look(self.now, demand, list(self.places.values()), self.core_s)
        for _ in range(decision.more):
            self.count += 1
            self.places[self.count] = Seen(self.count, "", False, self.now)
        for number in (*decision.cancel, *decision.leave):
            place = self.places.pop(number)
            self.governors.pop(place.governor, None)
        assert len(self.places) <= self.scaling.rules.maximum
        return decision

    def comes(self, number: int) -> None:
        place = self.places[number]
        self.places[number] = Seen(number, f"g{number}", True, place.asked_at)
        self.governors[f"g{number}"] = Capacity(f"g{number}", self.scaling.resources, 0, 0)

    def works(self, number: int, tasks: int) -> None:
        governor = self.governors[f"g{number}"]
        governor.given += max(0, tasks - governor.tasks)
        governor.tasks = tasks


def test_places_are_asked_for_at_once_as_many_as_have_work() -> None:
    play = Play(GPU)
    assert play.look(need(3, 600.0, resources=GPU)).more == 3
    assert play.look(need(3, 600.0, resources=GPU)) == Decision(), "they are on their way"
    assert play.look(need(80, 600.0, resources=GPU)).more == 47, "never more than the maximum"


def test_short_work_is_worth_one_place_and_what_the_present_ones_swallow_is_worth_none() -> None:
    play = Play({"cpus": 4.0})
    assert play.look(need(100, 0.1)).more == 1, "nothing else could run it"
    play.comes(1)
    assert play.look(need(100, 0.1)) == Decision()
    assert play.look(need(1000, 1.0)).more == 2, "(1000 s - 10 s x 4) / 65 s - 4 there, of 4 each"


def test_a_place_costs_waiting_time() -> None:
    """What the present ones do while a new one would wait for the engine needs no new one."""
    patient, prompt = Play({"cpus": 1.0}), Play({"cpus": 1.0})
    for play, wait in ((patient, 900.0), (prompt, 2.0)):
        play.look(need(1, 600.0))
        play.now += wait
        play.comes(1)
        play.works(1, 1)
        play.look()
    work = need(10, 60.0, running=1)
    assert patient.look(work).more == 0
    assert prompt.look(work).more > 4


def test_of_unknown_code_a_guess_is_made() -> None:
    assert Play(GPU).look(need(1, None, resources=GPU)).more == 1
    assert Play(GPU).look(need(10, None, resources=GPU)).more == 4, "10 x 30 s / 65 s"


def test_what_fits_no_place_asks_for_none() -> None:
    play = Play(GPU)
    assert play.look(need(5, 600.0, resources={"cpus": 8.0})) == Decision()
    foreign = need(5, 600.0)
    foreign.executor = "fortran"
    assert play.look(foreign) == Decision()


def test_idle_places_leave_after_a_while_and_not_below_the_minimum() -> None:
    play = Play(GPU, minimum=1)
    assert play.look().more == 1, "the minimum"
    assert play.look(need(3, 600.0, resources=GPU)).more == 2
    for number in (1, 2, 3):
        play.comes(number)
        play.works(number, 1)
    play.look(need(0, 600.0, running=3, resources=GPU), after=300)
    for number in (1, 2, 3):
        play.works(number, 0)
    left: list[int] = []
    for _ in range(200):
        left += play.look().leave
    assert sorted(left) == [2, 3]
    assert play.now < 300 + 200 + 70


def test_work_that_goes_round_does_not_keep_all_places() -> None:
    play = Play({"cpus": 1.0})
    play.look(need(4, 600.0))
    for number in (1, 2, 3, 4):
        play.comes(number)
    for second in range(200):
        for number in list(play.places):
            play.works(number, int(second % 4 + 1 == number))
        play.look()
    assert len(play.places) == 1


def test_short_tasks_between_the_looks_keep_one_place() -> None:
    play = Play({"cpus": 1.0})
    play.look(need(2, 600.0))
    play.comes(1)
    play.comes(2)
    for _ in range(200):
        play.governors[f"g{min(play.places)}"].given += 1
        play.look()
    assert len(play.places) == 1
    for _ in range(70):
        play.look()
    assert not play.places, "to zero"


def test_what_waits_and_is_not_needed_any_more_is_given_up_after_a_while_only() -> None:
    play = Play(GPU)
    play.look(need(3, 600.0, resources=GPU))
    for _ in range(20):
        assert play.look() == Decision()
    assert play.look(need(3, 600.0, resources=GPU)) == Decision(), "nothing was thrashed"
    given_up = [play.look().cancel for _ in range(40)]
    assert [numbers for numbers in given_up if numbers] == [(3, 2, 1)]


def test_a_refusal_pauses_longer_each_time_and_one_that_comes_ends_it() -> None:
    play = Play(GPU)
    work = need(10, 600.0, resources=GPU)
    pauses = []
    for _ in range(8):
        play.scaling.refused(play.now)
        pauses.append(play.scaling.paused_s(play.now))
        assert play.look(work) == Decision()
        decision = play.look(work, after=pauses[-1])
        assert decision.more == 1, "one, to see"
        play.places.clear()
    assert pauses == [15, 30, 60, 120, 240, 480, 600, 600]
    play.look(work, after=0)
    play.comes(max(play.places))
    assert play.look(work).more > 5


def test_core_hours_bound_what_is_asked_for_and_end_what_is_there() -> None:
    play = Play({"cpus": 4.0}, core_s=3600.0)
    assert play.look(need(400, 600.0)).more == 13, "3600 s / 4 cpus / 65 s"
    play.comes(1)
    play.core_s = 3599.0
    assert play.look(need(400, 600.0)) == Decision()
    play.core_s = 3601.0
    decision = play.look(need(400, 600.0))
    assert (len(decision.cancel), decision.leave) == (12, (1,))
    assert "1 core-hours are used up" in decision.why
    assert play.look(need(400, 600.0)) == Decision()
    play.core_s = 3590.0
    assert play.look(need(4, 600.0)).more == 1, "what is left is used"


def test_the_first_places_are_no_surplus_to_those_that_come() -> None:
    play = Play(GPU)
    play.look(need(2, 600.0, resources=GPU))
    play.comes(1)
    play.works(1, 1)
    assert play.look(need(1, 600.0, running=1, resources=GPU)) == Decision()
    assert len(play.places) == 2


def test_a_median_is_learned() -> None:
    play = Play(GPU)
    assert play.scaling.wait_s == scaling.WAIT_GUESS_S
    for wait in (5.0, 500.0, 6.0):
        play.look(need(50, 1e5, resources=GPU), after=0)
        number = max(number for number, place in play.places.items() if not place.governor)
        play.places[number] = Seen(number, "", False, play.now)
        play.now += wait
        play.comes(number)
        play.look(after=0)
    assert play.scaling.wait_s == pytest.approx(6.0)
