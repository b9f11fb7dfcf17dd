"""Whoever waits while nothing can go on is told so: once, in its own thread, about its own line."""

from __future__ import annotations

import asyncio
import threading
import warnings

import pytest

from rain import RainWarning, Session, blob, tasks
from rain.client.core import events as ev
from rain.client.core import stalls
from rain.common.limits import STALLED_S
from rain.common.protocol.messages import SessionUpdate
from tests.support.waiting import GUARD_S, until
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
    until(lambda: session._inside.mirror.gates, "it waits")
    link.say(SessionUpdate(session.session_id, [], [], TEXT))
    link.say(SessionUpdate(session.session_id, [], [], TEXT))
    until(lambda: session._inside.mirror.stall.said and session._inside.mirror.gates, "it has said it, and waits on")
    link.finish(task)
    thread.join(GUARD_S)
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
        link.say(SessionUpdate(session.session_id, [], [], TEXT))
        with pytest.warns(RainWarning, match="no governor is here") as caught, pytest.raises(TimeoutError):
            session.wait_all(timeout=0.01)
        assert len(caught) == 1
        with pytest.raises(TimeoutError):  # a warning would be an error here
            session.wait_all(timeout=0.01)
        link.say(SessionUpdate(session.session_id, [], [], ""))
        with pytest.raises(TimeoutError):
            session.wait_all(timeout=0.01)


@pytest.mark.parametrize(
    ("absence", "text"),
    [
        ("", r"has not been heard for 8 s: its host cannot be reached, .*waited for up to SERVER_AWAY_S \(75 s\)"),
        ("silent", r"has not answered for 8 s: it is being started again, or .*SERVER_RETURN_S \(300 s\)"),
        ("refused", r"has not been running for 8 s: it is being started again, .*all goes on where it was"),
    ],
)
def test_a_server_that_is_away_is_waited_for_aloud(link: FakeLink, session: Session, absence: str, text: str) -> None:
    core = link.client._connection.core
    tasks.Concat([blob("a")])
    session.submit()
    link.happens(ev.Away())
    link.happens(ev.Tick())
    with pytest.raises(TimeoutError):
        session.wait_all(timeout=0.01)
    assert core.away_since is not None
    core.away_since -= STALLED_S + 1
    link.happens(ev.Tick(absence))
    with pytest.warns(RainWarning, match=text), pytest.raises(TimeoutError):
        session.wait_all(timeout=0.01)
    link.happens(ev.Back())
    link.happens(ev.Tick())
    with pytest.raises(TimeoutError):
        session.wait_all(timeout=0.01)
    # What the server had said before still holds then.
    stalls.tell(core, session._inside.mirror, server=TEXT, away="away")
    assert session._inside.mirror.stall.text == "away"
    link.happens(ev.Back())
    assert session._inside.mirror.stall.text == TEXT
