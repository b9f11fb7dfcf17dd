"""Requests that a page says again, because no answer came."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rain import Session, tasks
from rain.notebook import widget_of
from rain.notebook.protocol.requests import ANSWERS, ONCE, Done, GetAsset
from rain.notebook.repeats import KEPT_MAX, ON_ITS_WAY_S, Repeats
from tests.support.waiting import GUARD_S

ANSWER = {"type": "reply", "request": 7}


def test_one_that_is_being_answered_is_not_answered_twice() -> None:
    repeats = Repeats()
    assert repeats.take(7, 0.0) == (True, None)
    assert repeats.take(7, 100.0) == (False, None)
    assert repeats.take(8, 100.0) == (True, None)


def test_what_changed_something_is_done_once_and_its_answer_said_again() -> None:
    repeats = Repeats()
    repeats.take(7, 0.0)
    repeats.answered(7, ANSWER, 1.0)
    assert repeats.take(7, 1.0 + ON_ITS_WAY_S / 2) == (False, None)
    for now in (1.0 + ON_ITS_WAY_S, 60.0, 1000.0):
        assert repeats.take(7, now) == (False, ANSWER)


def test_what_only_tells_is_asked_anew_unless_the_answer_has_just_left() -> None:
    repeats = Repeats()
    repeats.take(7, 0.0)
    repeats.answered(7, None, 1.0)
    assert repeats.take(7, 1.0 + ON_ITS_WAY_S / 2) == (False, None)
    assert repeats.take(7, 1.0 + ON_ITS_WAY_S) == (True, None)
    assert repeats.take(7, 100.0) == (False, None)


def test_what_was_refused_may_be_asked_again() -> None:
    repeats = Repeats()
    repeats.take(7, 0.0)
    repeats.forget(7)
    assert repeats.take(7, 0.0) == (True, None)


def test_it_does_not_grow() -> None:
    repeats = Repeats()
    for number in range(3 * KEPT_MAX):
        repeats.take(number, 0.0)
        repeats.answered(number, ANSWER, 0.0)
    assert len(repeats._known) == KEPT_MAX
    assert repeats.take(3 * KEPT_MAX - 1, 9.0) == (False, ANSWER)


def test_all_that_answers_nothing_changes_something() -> None:
    """What a page is told of no result for is done for its effect; files alone come beside an empty answer."""
    assert {kind for kind, answer in ANSWERS.items() if answer is Done} - {GetAsset} <= ONCE


def test_a_widget_does_once_what_a_page_says_twice(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(None, 3, "shown")
    widget = widget_of(session)
    page = browser(widget)
    began, go_on = threading.Event(), threading.Event()
    done = []

    def cancel(chosen: Any, timeout: float) -> None:
        done.append(chosen)
        began.set()
        assert go_on.wait(GUARD_S)

    with session.bind_only():
        tasks.Concat([])
    monkeypatch.setattr(session, "cancel", cancel)
    page.say({"type": "cancel", "request": 1_000_001})
    assert began.wait(GUARD_S)
    page.say({"type": "cancel", "request": 1_000_001})
    go_on.set()
    while (answer := page.messages.get(timeout=GUARD_S))["type"] == "push":
        pass
    monkeypatch.setattr("rain.notebook.repeats.ON_ITS_WAY_S", 0.0)
    page.say({"type": "cancel", "request": 1_000_001})
    while (again := page.messages.get(timeout=GUARD_S))["type"] == "push":
        pass
    assert answer == again == {"type": "reply", "request": 1_000_001, "data": {}, "buffers": []}
    assert done == [None]


def test_a_page_can_tell_that_it_missed_a_delta(browser: Any) -> None:
    session = Session(None, 3, "shown")
    page = browser(widget_of(session))
    version = page.ask("snapshot")["version"]
    assert page.ask("version")["version"] >= version
    with session.bind_only():
        task = tasks.Concat([])
    told = page.wait_for(lambda told: f"t{task.id.id}" in told["status"])
    assert page.ask("version")["version"] >= told["version"] > version
