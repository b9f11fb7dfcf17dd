"""One host's governor as its ssh connection comes and goes."""

from __future__ import annotations

import pytest

from rain.common.limits import HOST_PAUSE_S, HOST_START_S
from rain.deploy.hosts.link import Link, LinkState
from rain.host.signals import LEFT_STATUS

AWAY_S = 100.0


def link(*, again: bool = False, up: bool = True) -> Link:
    made = Link(0.0, AWAY_S, again)
    assert made.dial_at == 0.0
    made.dialed(0.0)
    if up:
        register(made, 1.0)
    return made


def register(made: Link, now: float) -> None:
    made.heard({"event": "held"}, now)
    made.heard({"event": "governor", "governor": "h:1"}, now)


def test_a_governor_comes_up() -> None:
    made = link()
    assert (made.state, made.governor, made.settled, made.start_by) == (LinkState.UP, "h:1", True, None)


def test_what_ssh_says_at_first_is_why_it_failed() -> None:
    made = link(up=False)
    made.closed("ssh was refused", 2.0)
    assert (made.state, made.why, made.failed, made.settled) == (LinkState.ENDED, "ssh was refused", True, True)
    assert made.dial_at is None
    made.give_up(3.0)
    assert (made.why, made.failed) == ("ssh was refused", True)


def test_a_governor_that_cannot_start_is_told_once() -> None:
    made = link(up=False)
    made.heard({"event": "held"}, 1.0)
    made.heard({"event": "ended", "status": 1, "reason": ""}, 2.0, "the token is wrong")
    made.closed("", 2.0)
    assert (made.state, made.why, made.failed, made.dial_at) == (LinkState.ENDED, "the token is wrong", True, None)


def test_a_lost_connection_is_had_again_after_growing_pauses() -> None:
    made = link()
    made.closed("no way", 10.0)
    assert (made.state, made.governor, made.dial_at) == (LinkState.LOST, "h:1", 10.5)
    assert made.why == "the ssh connection was lost: no way"
    pauses, now = [], 10.0
    for _ in range(8):
        now = made.dial_at or 0.0
        made.dialed(now)
        made.closed("no way", now)
        pauses.append((made.dial_at or 0.0) - now)
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert max(pauses) == HOST_PAUSE_S
    made.dialed(now)
    register(made, now)
    assert (made.state, made.why) == (LinkState.UP, "")


def test_a_host_that_is_away_for_too_long_has_ended() -> None:
    made = link()
    made.closed("", 10.0)
    made.dialed(11.0)
    made.closed("no way", 11.0 + AWAY_S)
    assert (made.state, made.failed) == (LinkState.ENDED, False)
    assert "within 101 s" in made.why


def test_a_connection_that_is_lost_before_the_governor_is_up_again_counts_from_the_first_time() -> None:
    made = link()
    made.closed("no way", 10.0)
    for now in (30.0, 60.0, 90.0):
        made.dialed(now)
        made.heard({"event": "held"}, now)
        assert made.state is LinkState.STARTING
        made.closed("no way", now)
        assert (made.state, made.lost_at) == (LinkState.LOST, 10.0)
    made.dialed(10.0 + AWAY_S)
    made.heard({"event": "held"}, 10.0 + AWAY_S)
    made.closed("no way", 10.0 + AWAY_S)
    assert made.state is LinkState.ENDED


@pytest.mark.parametrize("governor", ["h:1", ""])
def test_a_host_that_cannot_be_reached_after_a_restart_is_tried_further(governor: str) -> None:
    made = Link(0.0, AWAY_S, again=True, before=governor)
    assert (made.state, made.governor, made.settled, made.dial_at) == (LinkState.LOST, governor, bool(governor), 0.0)
    made.dialed(0.0)
    made.closed("no way", 5.0)
    assert (made.state, made.dial_at) == (LinkState.LOST, 5.5)
    made.dialed(5.5)
    register(made, 6.0)
    assert (made.state, made.governor) == (LinkState.UP, "h:1")


def test_a_governor_that_dies_is_started_again() -> None:
    made = link()
    made.heard({"event": "ended", "status": -9, "reason": ""}, 5.0)
    made.closed("", 5.0)
    assert (made.state, made.dial_at) == (LinkState.PAUSED, 5.5)
    assert made.why == "its governor was killed by signal 9, and is started again"
    made.dialed(5.5)
    made.closed("refused", 6.0)  # for as long as it takes
    assert (made.state, made.dial_at) == (LinkState.PAUSED, 7.0)
    made.dialed(7.0)
    made.heard({"event": "held"}, 7.0)
    made.heard({"event": "ended", "status": 1, "reason": ""}, 8.0)
    assert made.state is LinkState.PAUSED


@pytest.mark.parametrize(("status", "again", "ends"), [(0, True, True), (75, False, True), (75, True, False)])
def test_a_governor_that_leaves_on_purpose(status: int, again: bool, ends: bool) -> None:
    made = link(again=again)
    made.heard({"event": "ended", "status": status, "reason": "SIGTERM"}, 5.0)
    assert made.state is (LinkState.ENDED if ends else LinkState.PAUSED)
    if ends:
        assert (made.why, made.failed) == ("SIGTERM", False)


def test_a_connection_that_is_lost_before_the_governor_registered_is_tried_again() -> None:
    made = link(up=False)
    made.heard({"event": "held"}, 1.0)
    made.closed("", 2.0)
    assert made.state is LinkState.LOST
    made.dialed(3.0)
    made.heard({"event": "held"}, 3.0)
    assert made.state is LinkState.STARTING
    made.heard({"event": "ended", "status": 0, "reason": "alone"}, 3.0)  # its holder had waited in vain
    assert made.state is LinkState.ENDED


def test_a_start_that_takes_too_long_is_given_up() -> None:
    made = link(up=False)
    assert not made.too_late(HOST_START_S - 1)
    assert made.too_late(HOST_START_S)
    assert (made.state, made.failed) == (LinkState.ENDED, True)
    assert "HOST_START_S" in made.why
    found = link()
    found.closed("", 10.0)
    found.dialed(20.0)
    assert found.too_late(20.0 + HOST_START_S)
    assert found.state is LinkState.LOST  # another attempt follows


def test_a_place_that_is_given_up() -> None:
    waiting = Link(0.0, AWAY_S)
    waiting.give_up(0.0)
    assert (waiting.state, waiting.dial_at) == (LinkState.ENDED, None)
    there = link()
    there.give_up(2.0)
    assert there.state is LinkState.UP
    there.heard({"event": "ended", "status": LEFT_STATUS, "reason": "SIGTERM"}, 3.0)
    assert (there.state, there.why) == (LinkState.ENDED, "SIGTERM")
    lost = link()
    lost.closed("", 10.0)
    lost.give_up(10.1)
    assert lost.dial_at == 10.1  # once more, to tell it
    lost.dialed(10.1)
    lost.closed("no way", 11.0)
    assert lost.state is LinkState.ENDED
    paused = link()
    paused.heard({"event": "ended", "status": 1}, 5.0)
    paused.closed("", 5.0)
    paused.give_up(5.1)
    assert paused.state is LinkState.ENDED
