"""Whoever waits while nothing can go on is told so: once, in its own thread, about its own line."""

from __future__ import annotations

import asyncio
import threading
import warnings

import pytest

from rain import Client, RainWarning, Session, blob, tasks
from rain.client.report import stall
from rain.common.limits import STALLED_S
from rain.common.protocol.messages import SessionNews
from tests.support.waiting import until
from tests.unit.client.fake import FakeLink

TEXT = "1 task of session 1 'test' cannot go on: no governor is here"


def _wait_in_a_thread(session: Session, wait: str) -> tuple[threading.Thread, list[warnings.WarningMessage]]:
    found: list[warnings.WarningMessage] = []

    def work() -> None:
        (task,) = session.tasks
        if wait == "as_completed":
            list(session.as_completed([task]))
        elif wait == "wait_async":
            asyncio.run(session.wait_async([task]))
        elif wait == "wait_all":
            session.wait_all()
        else:
            getattr(session, wait)([task])

    def watched() -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
        found.extend(caught)

    thread = threading.Thread(target=watched)
    thread.start()
    return thread, found


@pytest.mark.parametrize("wait", ["wait", "wait_all", "wait_some", "as_completed", "wait_async"])
def test_a_wait_says_once_that_nothing_can_run(link: FakeLink, session: Session, wait: str) -> None:
    task = tasks.Concat([blob("a")])
    session.submit()
    thread, found = _wait_in_a_thread(session, wait)
    until(lambda: session._mirror.gates, "it waits")
    link.say(SessionNews(session.session_id, [], [], TEXT))
    link.say(SessionNews(session.session_id, [], [], TEXT))
    until(lambda: session._stall._said and session._mirror.gates, "it has said it, and waits on")
    link.finish(task)
    thread.join(20)
    (warning,) = found
    assert warning.category is RainWarning
    assert str(warning.message).startswith(TEXT)
    assert "interrupting the wait does no harm" in str(warning.message)
    if wait not in ("wait_async",):
        assert warning.filename == __file__


def test_a_wait_that_begins_later_says_it_too_and_again_the_next_time(link: FakeLink, session: Session) -> None:
    tasks.Concat([blob("a")])
    session.submit()
    for _ in range(2):
        link.say(SessionNews(session.session_id, [], [], TEXT))
        with pytest.warns(RainWarning, match="no governor is here") as caught, pytest.raises(TimeoutError):
            session.wait_all(timeout=0.01)
        assert len(caught) == 1
        with pytest.raises(TimeoutError):  # a warning would be an error here
            session.wait_all(timeout=0.01)
        link.say(SessionNews(session.session_id, [], [], ""))
        with pytest.raises(TimeoutError):
            session.wait_all(timeout=0.01)


def test_a_server_that_is_away_is_waited_for_aloud(
    link: FakeLink, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Client = link.client
    tasks.Concat([blob("a")])
    session.submit()
    client._away()
    client._tick()
    with pytest.raises(TimeoutError):
        session.wait_all(timeout=0.01)
    assert client._away_since is not None
    client._away_since -= STALLED_S + 1
    client._tick()
    with (
        pytest.warns(RainWarning, match=r"has not been heard for 8 s; .*SERVER_AWAY_S \(75 s\)"),
        pytest.raises(TimeoutError),
    ):
        session.wait_all(timeout=0.01)
    client._back()
    client._tick()
    with pytest.raises(TimeoutError):
        session.wait_all(timeout=0.01)
    # What the server had said before still holds then.
    stall.tell(session, server=TEXT, away="away")
    assert session._stall.text == "away"
    client._back()
    assert session._stall.text == TEXT
