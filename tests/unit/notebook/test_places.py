"""What is shown of pools and places: boxes, folds, texts, and the widgets that tell of changes."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rain import RainException, Session
from rain.client.places.pool_list import PoolList
from rain.common.jupyter import display_hooks
from rain.common.protocol.messages import Demand
from rain.common.state_styles import PLACES
from rain.deploy.pools.places import Place, PlaceState
from rain.deploy.pools.pool import Pool
from rain.notebook import displays, plain_forms, stills, widget_of
from rain.notebook.places import live, progress
from rain.notebook.places.boxes import BOXES_MAX, ENDED_MAX, ROWS_MAX, box_of, folded, pools_of, rows_of
from rain.notebook.places.widget import PoolsWidget
from rain.notebook.protocol.lookups import Governor, Measure
from rain.notebook.protocol.places import PlaceBox
from tests.support.supplier import StandIn
from tests.support.waiting import until
from tests.unit.notebook.test_stills import HOSTILE, harmless

S = PlaceState
NOW = 1_700_000_000.0


def place(number: int, state: PlaceState, **what: Any) -> Place:
    made = Place(number, f"job-{number}")
    made.state = state
    for name, value in what.items():
        setattr(made, name, value)
    return made


def governor(id: str, leaves: str = "") -> Governor:
    return Governor(id, 4, 1, 0, 0.5, None, Measure("x", id, "50 % of 4 cpus · 1 task", 0.5), [], leaves)


@pytest.fixture
def engine() -> StandIn:
    return StandIn("slurm")


@pytest.fixture
def pool(engine: StandIn) -> Iterator[Pool]:
    with Pool(engine) as made:
        yield made


@pytest.mark.parametrize(
    ("what", "state", "words"),
    [
        (place(1, S.ASKED), "asked", ""),
        (place(1, S.PENDING, reason="Resources", starts_at="2027-11-27T20:00:00"), "pending",
         "Resources · expected on 27 Nov at 20:00"),
        (place(1, S.PENDING, starts_at="after lunch"), "pending", "expected after lunch"),
        (place(1, S.STARTING), "starting", ""),
        (place(1, S.UP, governor="h:1"), "up", ""),
        (place(1, S.UP, governor="h:2"), "draining", "its time is over at 12:00:00"),
        (place(1, S.UP, governor="h:3"), "up", ""),
        (place(1, S.LEAVING, governor="h:1"), "draining", ""),
        (place(1, S.LEAVING), "given up", ""),
        (place(1, S.ENDED, reason="CANCELLED", given_up=True), "given up", "CANCELLED"),
        (place(1, S.ENDED, reason="FAILED"), "never up", "FAILED"),
        (place(1, S.ENDED, reason="TIMEOUT", governor="h:1"), "ended", "TIMEOUT"),
        (place(1, S.ENDED, reason="COMPLETED", governor="h:1", given_up=True), "ended", "COMPLETED"),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_place(what: Place, state: str, words: str) -> None:
    governors = {"h:1": governor("h:1"), "h:2": governor("h:2", "its time is over at 12:00:00")}
    found = box_of(what, governors, NOW)
    assert (found.state, found.words) == (state, words)
    assert state in PLACES
    assert (found.load is not None) == (state in ("up", "draining") and what.governor != "h:3")
    assert found.wanted == (what.state not in (S.LEAVING, S.ENDED))


def box(number: int, state: str, words: str = "", cause: str = "") -> PlaceBox:
    return PlaceBox(number, state, f"{number}", words, "", None, None, cause, "", False)


def test_what_ended_as_it_should_is_one_line() -> None:
    boxes = [box(1, "ended"), *(box(n, "up") for n in range(2, 6)), box(6, "ended"), box(7, "never up")]
    assert folded(boxes) == (boxes, [])
    more = [*boxes, *(box(n, "ended") for n in range(8, 8 + ENDED_MAX - 1))]
    left, (fold,) = folded(more)
    assert [one.number for one in left] == [2, 3, 4, 5, 7]
    assert (fold.key, fold.state, fold.count) == ("ended", "ended", ENDED_MAX + 1)


def test_many_places_become_few_lines_by_what_is_to_be_said_of_them() -> None:
    boxes = [
        *(box(n, "pending", "Resources") for n in range(600)),
        *(box(n, "pending", "Priority") for n in range(600, 900)),
        box(901, "pending", "QOSMaxJobs"),
        *(box(n, "up") for n in range(902, 930)),
        *(box(n, "never up", "FAILED", "no rain there") for n in range(930, 935)),
    ]
    left, folds = folded(boxes)
    assert [one.number for one in left] == [901, *range(930, 935)]
    assert [(fold.state, fold.words, fold.count) for fold in folds] == [
        ("pending", "Resources", 600),
        ("pending", "Priority", 300),
        ("up", "", 28),
    ]
    each = [box(n, "pending", f"reason {n}") for n in range(1000)]
    left, folds = folded(each)
    assert (left, [(fold.key, fold.words, fold.count) for fold in folds]) == ([], [("pending", "", 1000)])


def test_nothing_is_lost_and_lines_are_few_whatever_there_is() -> None:
    draw = random.Random(5)
    for _ in range(200):
        words, states = draw.choice((1, 3, 50)), draw.sample(list(PLACES), draw.randint(1, len(PLACES)))
        boxes = [
            box(n, draw.choice(states), f"because {draw.randrange(words)}")
            for n in range(draw.choice((5, 25, 90, 999)))
        ]
        left, folds = folded(boxes)
        assert len(left) + sum(fold.count for fold in folds) == len(boxes)
        assert len(left) <= BOXES_MAX
        assert len(folds) <= 5 * len(PLACES)
        assert len({fold.key for fold in folds}) == len(folds)


def test_a_fold_is_read_in_pages(engine: StandIn, pool: Pool) -> None:
    pool.scale(150)
    for number in range(1, 150):
        engine.waits(number, "Resources")
    engine.waits(150, "Priority")
    until(lambda: pool.places[149].reason == "Priority")
    shown = pools_of([pool], lambda _: "p1", {}, NOW).pools[0]
    assert (shown.counts, shown.wanted, shown.most) == ({"pending": 150}, 150, 1000)
    assert [one.number for one in shown.boxes] == [150]
    (fold,) = shown.folds
    first = rows_of(pool, fold.key, 0, {}, NOW)
    rest = rows_of(pool, fold.key, ROWS_MAX, {}, NOW)
    assert (first.total, len(first.rows), len(rest.rows)) == (149, ROWS_MAX, 49)
    assert [one.number for one in [*first.rows, *rest.rows]] == list(range(1, 150))
    assert rows_of(pool, "other", 0, {}, NOW).rows == []


def test_saved_forms_of_hostile_texts(engine: StandIn, pool: Pool) -> None:
    engine.name = HOSTILE
    pool.scale(3)
    engine.ends(1, HOSTILE, f"{HOSTILE}\nModuleNotFoundError: No module named 'rain'")
    engine.waits(2, HOSTILE, HOSTILE)
    engine.runs(3, f"{HOSTILE}:1", left_s=3600)
    until(lambda: [one.state for one in pool.places] == [S.ENDED, S.PENDING, S.UP])
    engine.silent = HOSTILE
    until(lambda: bool(pool.trouble))
    html = display_hooks.html("pools", [pool])
    assert html is not None
    seen = harmless(html)
    assert "Rain is not installed in the Python that runs there" in seen.text
    assert "● up" in seen.text
    assert "No module named" in seen.text
    text = plain_forms.text_of_pools(pools_of([pool], lambda _: "", {}, NOW))
    assert "\u202e" not in text
    assert "1: never came up" in text
    assert "3: up" in text
    assert "until" in text
    assert (
        stills.pools(pools_of([], lambda _: "", {}, NOW), "") == '<figure style="margin:0"><div>no pools</div></figure>'
    )


def test_a_list_of_pools_is_shown_unless_it_is_empty(pool: Pool) -> None:
    assert PoolList()._repr_html_() is None
    with pytest.raises(NotImplementedError):
        PoolList()._ipython_display_()
    for item in (PoolList([pool]), pool):
        assert "Places on slurm" in (item._repr_html_() or "")
        with pytest.raises(NotImplementedError):  # in a terminal
            item._ipython_display_()


def test_the_browser_is_told_of_changes_while_it_looks(engine: StandIn, pool: Pool, browser: Any) -> None:
    widget = PoolsWidget([pool])
    pool.scale(1)
    until(lambda: pool.places[0].state is S.PENDING)
    assert widget.comm.sent.empty(), "no browser looks"
    page = browser(widget)
    first = page.ask("pools")
    assert set(first["looks"]) == set(PLACES)
    (shown,) = first["pools"]
    assert [(one["number"], one["state"], one["words"]) for one in shown["boxes"]] == [(1, "pending", "Resources")]
    engine.runs(1, "h:1", left_s=600)
    told = page.wait_for(lambda told: told["pools"][0]["counts"] == {"up": 1})
    assert told["pools"][0]["boxes"][0]["governor"] == "h:1"
    assert 500 < told["pools"][0]["boxes"][0]["ends_at"] - told["now"] <= 600
    page.ask("scale", pool=shown["key"], count=3)
    page.wait_for(lambda told: told["pools"][0]["counts"] == {"up": 1, "pending": 2})
    page.ask("giveup", pool=shown["key"], number=2)
    page.wait_for(lambda told: told["pools"][0]["counts"].get("given up") == 1)
    assert engine.given_up == ["job-2"]
    assert page.refused("giveup", pool=shown["key"], number=9) == (
        "<Pool on slurm: 1 up, 1 ended, 1 pending> has no place 9"
    )
    assert "there is no pool 'p7' here" in page.refused("scale", pool="p7", count=1)
    assert "from 0 to" in page.refused("scale", pool=shown["key"], count=100_000)
    engine.refuses = "sbatch: error: no"
    assert page.refused("scale", pool=shown["key"], count=5) == "sbatch: error: no"
    engine.refuses = ""
    bundle = widget.still()
    assert "Places on slurm" in bundle["text/html"]
    assert bundle["text/plain"].startswith("places on slurm: 1 pending, 1 up, 1 given up")


def test_places_that_are_waited_for_are_shown_without_waiting_for_the_server(
    engine: StandIn, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer must not hold up what is shown of all other widgets, nor an interrupted cell."""
    asked: list[str] = []
    told: list[str] = []
    monkeypatch.setattr(live, "governors_by_id", lambda *_: asked.append(threading.current_thread().name) or {})
    monkeypatch.setattr(displays, "_display", lambda bundle, id: None)
    monkeypatch.setattr(displays, "_update", lambda bundle, id: told.append(bundle["text/plain"]))
    with progress._boxes(pool, timed=True):
        pool.scale(1)
        until(lambda: any("1 pending" in text for text in told))
    assert len(asked) <= 1, "when it is displayed first"
    assert "rain-notebook" not in asked


def test_a_session_without_a_client_has_no_pools(browser: Any) -> None:
    assert browser(widget_of(Session(None, 1, "detached"))).ask("pools")["pools"] == []


class Server:
    """Waits for nothing, and drains nobody."""

    lost_because = ""

    def lost(self) -> str:
        return self.lost_because

    def offer(self, pool: Pool, offer: Any) -> None: ...

    def demand(self) -> Demand:
        return Demand(0, [], [])

    def drain(self, governors: list[str], within_s: float) -> None: ...


def test_a_pool_whose_server_is_lost_says_so(engine: StandIn) -> None:
    server = Server()
    with Pool(engine, server) as pool:
        server.lost_because = "it was started anew"
        (shown,) = pools_of([pool], lambda _: "p1", {}, NOW).pools
        assert shown.trouble.startswith("its server is lost: no more places are asked for")
        assert "with a new client. it was started anew" in (pool._repr_html_() or "")
        assert repr(pool) == "<Pool on slurm: no places; its server is lost>"


def test_an_elastic_pool_says_by_which_rules_it_goes(engine: StandIn) -> None:
    with Pool(engine, Server()) as pool:
        pool.scale(1)
        (shown,) = pools_of([pool], lambda _: "p1", {}, NOW).pools
        assert (shown.adapts, shown.rules) == (False, "")
        pool.adapt(1, 50, idle="5m", core_hours=1000)
        (shown,) = pools_of([pool], lambda _: "p1", {}, NOW).pools
        assert shown.adapts
        assert shown.rules == (
            "1 to 50 places as work needs them, idle ones leave after 5 min 0 s · 0 of 1,000 core hours used"
        )
        assert "1 to 50 places as work needs them" in (pool._repr_html_() or "")


def test_a_closed_pool_can_be_read(engine: StandIn, pool: Pool, browser: Any) -> None:
    page = browser(PoolsWidget([pool]))
    page.ask("pools")
    pool.scale(1)
    pool.close()
    page.wait_for(lambda told: told["pools"][0]["closed"] and told["pools"][0]["counts"] == {"given up": 1})
    with pytest.raises(RainException, match="closed> cannot be scaled"):
        pool.scale(1)
