"""The pump that brings widgets forward, and what happens to displays when a session ends."""

from __future__ import annotations

import json
import logging
import threading
import weakref
from typing import Any

import pytest

from rain import RainException, Session
from rain.client.core import events as ev
from rain.client.core import sessions
from rain.notebook import displays
from rain.notebook.protocol.requests import GetCard, Picture
from rain.notebook.widget_base import LiveWidget, Pump
from tests.support.waiting import GUARD_S


class Follower:
    """Has news, or trouble with them."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.advanced = threading.Event()

    def advance(self) -> None:
        self.advanced.set()
        if self.trouble is not None:
            raise self.trouble


def test_trouble_with_one_widget_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    pump = Pump()
    bad, good = Follower(RuntimeError("no comm")), Follower()
    with caplog.at_level(logging.CRITICAL, "rain"):
        for follower in (bad, good):
            pump.wake(weakref.WeakMethod(follower.advance))
            assert follower.advanced.wait(GUARD_S)


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[str]]]:
    """What is displayed and updated: ("display" or "update", id, MIME types)."""
    seen: list[tuple[str, str, list[str]]] = []
    for name in ("display", "update"):
        monkeypatch.setattr(displays, f"_{name}", lambda bundle, id, name=name: seen.append((name, id, sorted(bundle))))
    return seen


STILL = ["application/pdf", "text/html", "text/plain"]


def test_a_session_that_ends_leaves_its_picture(displayed: list[Any]) -> None:
    session = Session(None, 1)
    displays.displays_of(session).show(session)
    session.close()
    (_, id, kinds), last = displayed
    assert kinds == ["application/pdf", "application/vnd.rain.view+json", "text/html", "text/plain"]
    assert last == ("update", id, STILL)


def test_a_session_that_ends_while_it_is_displayed(displayed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(None, 1)
    display = displays._display

    def late(bundle: Any, id: Any) -> None:
        session.close()
        display(bundle, id)

    monkeypatch.setattr(displays, "_display", late)
    displays.displays_of(session).show(session)
    assert displayed[-1][2] == STILL


def end(session: Session, word: str, text: str) -> None:
    own = session._inside
    sessions.end(own.connection.core, own.mirror, word, text)
    own.connection.step(ev.Tick())


def test_trouble_at_the_end_of_a_session_is_not_its_own(caplog: pytest.LogCaptureFixture) -> None:
    session, called = Session(None, 1), []

    def trouble() -> None:
        raise RuntimeError("no comm")

    session._inside.at_end += [trouble, lambda: called.append(1)]
    with caplog.at_level(logging.CRITICAL, "rain"):
        end(session, "closed", "closed")
    assert called == [1]


def test_whoever_tells_of_the_end_is_not_held_up(displayed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(None, 1)
    found = displays.displays_of(session)
    found.show(session)
    go = threading.Event()
    freeze = found.freeze
    frozen = threading.Event()

    def slowly() -> None:
        assert go.wait(GUARD_S)
        freeze()
        frozen.set()

    monkeypatch.setattr(found, "freeze", slowly)
    link = threading.Thread(target=lambda: end(session, "stopped", "a task failed"))
    link.start()
    link.join(GUARD_S)
    assert not link.is_alive()
    go.set()
    assert frozen.wait(GUARD_S)
    assert displayed[-1][2] == STILL


def test_an_answer_that_cannot_be_sent_is_an_error(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = LiveWidget("session")
    widget._handlers[GetCard] = lambda _: Picture("x", {"value": object()})
    send = widget.send

    def as_json(content: Any, buffers: Any = None) -> None:
        json.dumps(content)
        send(content, buffers)

    monkeypatch.setattr(widget, "send", as_json)
    assert "objects of type object is unsupported" in browser(widget).refused("card")


def test_text_that_is_not_unicode_reaches_the_browser(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Any) -> None:
        raise RainException("no file caf\udce9")

    widget = LiveWidget("session")
    widget._handlers[GetCard] = fails
    send = widget.send

    def as_text(content: Any, buffers: Any = None) -> None:
        json.dumps(content, ensure_ascii=False).encode()
        send(content, buffers)

    monkeypatch.setattr(widget, "send", as_text)
    assert browser(widget).refused("card") == "no file caf\\udce9"
