"""A pool and Rain's server: what it offers, how it follows demand, how its governors leave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rain.common.errors import RainException, RainWarning
from rain.common.protocol.messages import Capacity, Demand, Need, Offer
from rain.deploy.pools import elastic
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.pool import Pool
from tests.support.supplier import StandIn
from tests.support.waiting import GUARD_S, until


class Server:
    """What a test says of it."""

    def __init__(self) -> None:
        self.offers: list[Offer | None] = []
        self.waiting = 0
        self.governors: list[Capacity] = []
        self.drained: list[str] = []
        self.error: Exception | None = None
        self.lost_because = ""
        self.asked = threading.Semaphore(0)

    def lost(self) -> str:
        return self.lost_because

    def offer(self, pool: Pool, offer: Offer | None) -> None:
        self.offers.append(offer)

    def demand(self) -> Demand:
        if self.error is not None:
            raise self.error
        need = Need({"cpus": 1.0}, None, self.waiting, 0, self.waiting * 600.0, 0, 0, 0.0)
        self.asked.release()
        return Demand(0, [need], list(self.governors))

    def drain(self, governors: list[str], within_s: float) -> None:
        self.drained += governors
        if self.error is not None:
            raise self.error


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(elastic, "DEMAND_LOOK_S", 0.02)
    return StandIn("paper")


@pytest.fixture
def pool(engine: StandIn, server: Server) -> Iterator[Pool]:
    made = Pool(engine, server)
    yield made
    engine.refuses = ""
    made.close()
    made._thread.join()


def _last(server: Server) -> Offer:
    offer = server.offers[-1]
    assert offer is not None
    return offer


def test_an_open_pool_offers_its_places_and_tells_what_becomes_of_them(
    pool: Pool, engine: StandIn, server: Server
) -> None:
    until(lambda: bool(server.offers))
    assert _last(server) == Offer(
        "paper", {"cpus": 1.0}, 1000, "none asked for beside the 0 that are up; pool.scale(1) asks for one"
    )
    pool.scale(2)
    until(lambda: _last(server).told == "2 asked for, pending (Resources)")
    engine.waits(1, "Priority", "2026-11-27T20:00:00")
    until(lambda: _last(server).told == "2 asked for, pending (Priority; Resources; expected at 2026-11-27T20:00:00)")
    pool.close()
    until(lambda: server.offers[-1] is None)


def test_it_follows_demand_up_and_down_to_zero(pool: Pool, engine: StandIn, server: Server) -> None:
    pool.adapt(0, 3, idle=0.1)
    until(lambda: _last(server).places == 3)
    server.waiting = 5
    until(lambda: len(pool.places) == 3)
    for number in (1, 2, 3):
        engine.runs(number, f"g{number}")
    server.governors = [Capacity(f"g{number}", {"cpus": 1.0}, 1, 1) for number in (1, 2, 3)]
    until(lambda: all(place.state is PlaceState.UP for place in pool.places))
    until(lambda: _last(server).told == "all 3 places that it may have are up")
    server.waiting = 0
    for governor in server.governors:
        governor.tasks = 0
    until(lambda: sorted(server.drained) == ["g1", "g2", "g3"])
    assert engine.given_up == [], "their jobs end by themselves"
    assert {place.state for place in pool.places} == {PlaceState.LEAVING}
    for number in (1, 2, 3):
        engine.ends(number, "COMPLETED")
    until(lambda: {place.state for place in pool.places} == {PlaceState.ENDED})
    server.governors = []
    server.waiting = 1
    until(lambda: len(pool.places) == 4)


def test_a_governor_that_cannot_be_asked_to_leave_is_ended_by_the_engine(
    pool: Pool, engine: StandIn, server: Server
) -> None:
    pool.scale(1)
    engine.runs(1, "g1")
    until(lambda: pool.places[0].state is PlaceState.UP)
    server.error = RainException("governor g1 is not here")
    pool.scale(0)
    until(lambda: engine.given_up == ["job-1"])
    assert server.drained == ["g1"]


def test_one_that_cannot_be_asked_keeps_no_other_from_being_asked(
    pool: Pool, engine: StandIn, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.scale(3)
    for number in (1, 2, 3):
        engine.runs(number, f"g{number}")
    until(lambda: all(place.state is PlaceState.UP for place in pool.places))
    asked: list[list[str]] = []

    def drain(governors: list[str], within_s: float) -> None:
        asked.append(governors)
        if "g2" in governors:
            raise RainException("there is no governor g2")

    monkeypatch.setattr(server, "drain", drain)
    pool.scale(0)
    until(lambda: engine.given_up == ["job-2"])
    assert sorted(map(len, asked)) == [1, 1, 1, 3]


@pytest.mark.parametrize("adapts", [False, True])
def test_a_pool_whose_server_is_lost_asks_for_nothing_more_and_says_so(
    pool: Pool, engine: StandIn, server: Server, adapts: bool
) -> None:
    server.waiting = 9
    pool.adapt(2, 3) if adapts else pool.scale(3)
    until(lambda: len(pool.places) == 3)
    engine.runs(1, "g1")
    until(lambda: pool.places[0].state is PlaceState.UP)
    server.lost_because = "it was started anew"
    server.error = RainException("the server is lost: it was started anew")
    assert "; its server is lost>" in repr(pool)
    assert pool.trouble.endswith("open another pool with a new client. it was started anew")
    with pytest.raises(RainException, match="cannot be scaled: its server is lost: no more"):
        pool.scale(5)
    with pytest.raises(RainException, match="cannot adapt: its server is lost"):
        pool.adapt(0, 5)
    with pytest.raises(RainException, match="2 places cannot come up: its server is lost"):
        pool.wait(2)
    until(lambda: sorted(engine.given_up) == ["job-2", "job-3"])  # they would come to nothing
    engine.ends(2, "CANCELLED")
    until(lambda: pool.places[1].state is PlaceState.ENDED)
    assert len(pool.places) == 3
    assert pool.places[0].state is PlaceState.UP, "its governor may finish what it runs"
    pool.close()
    assert "job-1" in engine.given_up


def test_governors_that_outlive_a_lost_server_are_ended_by_the_engine(
    pool: Pool, engine: StandIn, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic, "LEAVE_ASKED_S", 0.0)
    monkeypatch.setattr(elastic, "ENGINE_END_S", 0.01)
    pool.scale(1)
    engine.runs(1, "g1")
    until(lambda: pool.places[0].state is PlaceState.UP)
    server.lost_because = "it was started anew"
    until(lambda: engine.given_up == ["job-1"])


def test_core_hours_that_earlier_pools_have_used_up_are_told_at_once(
    pool: Pool, engine: StandIn, server: Server
) -> None:
    pool.used_before_core_s = 2 * 3600.0
    pool.name = "night"
    server.waiting = 3
    with pytest.warns(RainWarning, match=r"its 1.5 core-hours are used up, 2.00 of them by earlier pools .* 'night'"):
        pool.adapt(0, 3, core_hours=1.5)
    assert "a pool with another name= has a count of its own" in pool.trouble
    until(lambda: "none is asked for, because its 1.5 core-hours are used up" in _last(server).told)
    assert pool.places == []


def test_what_was_leaving_when_a_close_was_refused_is_ended_by_the_next(
    pool: Pool, engine: StandIn, server: Server
) -> None:
    pool.scale(1)
    engine.runs(1, "g1")
    until(lambda: pool.places[0].state is PlaceState.UP)
    pool.scale(0)
    until(lambda: server.drained == ["g1"])
    engine.refuses = "scancel: error: no"
    with pytest.raises(RainException, match="scancel: error: no"):
        pool.close()
    until(lambda: pool.trouble == "scancel: error: no")  # it tries by itself
    engine.refuses = ""
    pool.close()
    assert engine.given_up == ["job-1"]


def test_one_that_does_not_leave_in_time_is_ended_by_the_engine(
    pool: Pool, engine: StandIn, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic, "LEAVE_ASKED_S", 0.0)
    monkeypatch.setattr(elastic, "ENGINE_END_S", 0.01)
    pool.scale(1)
    engine.runs(1, "g1")
    until(lambda: pool.places[0].state is PlaceState.UP)
    pool.scale(0)
    until(lambda: engine.given_up == ["job-1"])
    assert server.drained == ["g1"]


def test_refusals_are_told_in_the_offer_and_nothing_is_hammered(pool: Pool, engine: StandIn, server: Server) -> None:
    engine.refuses = "sbatch: error: QOSMaxSubmitJobPerUserLimit"
    server.waiting = 5
    asked: list[int] = []
    ask = engine.ask
    engine.ask = lambda number: asked.append(number) or ask(number)  # type: ignore[method-assign]
    pool.adapt(0, 3)
    until(lambda: "QOSMaxSubmitJobPerUserLimit" in _last(server).told)
    for _ in range(5):
        assert server.asked.acquire(timeout=GUARD_S)
    assert len(asked) == 1


def test_scale_ends_adapting(pool: Pool, engine: StandIn, server: Server) -> None:
    server.waiting = 1
    pool.adapt(0, 3)
    until(lambda: len(pool.places) == 1)
    pool.scale(2)
    server.waiting = 50
    until(lambda: "2 asked for" in _last(server).told)
    assert _last(server).places == 1000
    assert len(pool.places) == 2


def test_a_server_that_does_not_answer_changes_nothing(pool: Pool, engine: StandIn, server: Server) -> None:
    server.waiting = 2
    pool.adapt(0, 3)
    until(lambda: len(pool.places) == 2)
    server.error = TimeoutError("not done after 30 s")
    engine.runs(1, "g1")
    until(lambda: pool.places[0].state is PlaceState.UP)
    assert [place.state for place in pool.places[1:]] == [PlaceState.PENDING]
    server.error = None
    server.waiting = 9
    until(lambda: len(pool.places) == 3)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"minimum": -1}, "the minimum of places on paper is a number from 0 to 1000, not -1"),
        ({"maximum": 1001}, "the maximum of places on paper is a number from 0 to 1000, not 1001"),
        ({"minimum": 3, "maximum": 2}, "the minimum of places on paper, 3, is more than the maximum, 2"),
        ({"minimum": True}, "not True"),
        ({"idle": "soon"}, "'soon' is not a time"),
        ({"idle": -1}, 'idle is a time, in seconds or as "5m", not -1'),
        ({"core_hours": 0}, "core_hours is a positive number, not 0"),
    ],
)
def test_what_has_no_meaning_is_refused(pool: Pool, words: dict[str, Any], text: str) -> None:
    with pytest.raises(RainException, match=text):
        pool.adapt(**words)


def test_without_a_server_or_when_closed_it_cannot_adapt(pool: Pool) -> None:
    alone = Pool(StandIn())
    with pytest.raises(RainException, match="cannot adapt"):
        alone.adapt()
    alone.close()
    pool.close()
    with pytest.raises(RainException, match="closed> cannot adapt"):
        pool.adapt()


def test_a_pool_that_is_closed_ends_what_was_leaving(pool: Pool, engine: StandIn, server: Server) -> None:
    pool.scale(2)
    for number in (1, 2):
        engine.runs(number, f"h:{number}")
    pool.wait(2)
    pool.scale(0)
    until(lambda: sorted(server.drained) == ["h:1", "h:2"])
    assert engine.given_up == []
    pool.close()
    assert len(engine.given_up) == 2


def test_an_error_that_nobody_foresaw_ends_no_pool(pool: Pool, server: Server) -> None:
    server.error = ZeroDivisionError("no such thing")
    pool.adapt(0, 2)
    until(lambda: "no such thing" in pool._elastic.trouble)  # type: ignore[union-attr]
    server.error = None
    server.waiting = 2
    until(lambda: pool.places != [])
