"""The progress bar: it moves with the news, and is closed however the wait ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import tqdm.auto

from rain import Session, TaskException, TaskState, blob, tasks
from rain.common.spec import TaskError
from tests.support.waiting import GUARD_S, until
from tests.unit.client.fake import FakeLink


class Bar:
    """Records what it was told."""

    made: Any = None

    def __init__(self, **fields: Any) -> None:
        type(self).made = self
        self.total = fields["total"]
        self.n = 0
        self.postfix: dict[str, int] = {}
        self.open = True

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: Any) -> None:
        self.open = False

    def update(self, count: int) -> None:
        self.n += count

    def set_postfix(self, values: dict[str, int], refresh: bool) -> None:
        self.postfix = dict(values)

    def refresh(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _bars(monkeypatch: pytest.MonkeyPatch) -> None:
    Bar.made = None
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)


def submitted(session: Session, count: int) -> list[Any]:
    made = [tasks.Concat([blob("x")]) for _ in range(count)]
    session.submit()
    return made


def test_it_counts_what_ended_and_how(session: Session, link: FakeLink) -> None:
    made = [*submitted(session, 4), tasks.Concat([blob("y")])]
    session.submit()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(session.wait_all(False, progress=True)))
    thread.start()
    until(lambda: Bar.made is not None and session._inside.mirror.feeds, "the bar")
    link.finish(made[0])
    link.fail(made[1])
    link.fail(made[2], state=TaskState.CANCELLED)
    link.finish(made[3])
    link.fail(made[4], TaskError("dependency", "because of another", cause=made[1].id))
    thread.join(GUARD_S)
    assert found == [[made[1], made[2], made[4]]]
    bar = Bar.made
    assert (bar.total, bar.n, bar.postfix, bar.open) == (5, 5, {"failed": 1, "not run": 1, "cancelled": 1}, False)
    assert session._inside.mirror.feeds == {}


def test_it_counts_what_this_wait_is_about(session: Session, link: FakeLink) -> None:
    before = submitted(session, 4)
    for task in before[1:]:
        link.finish(task)
    link.fail(before[0])
    assert session.wait_all(False) == [before[0]]
    made = submitted(session, 2)
    link.move(before[3], TaskState.WAITING)  # what it made was lost: it is waited for too
    link.finish(made[0])
    thread = threading.Thread(target=lambda: session.wait_all(False, progress=True))
    thread.start()
    until(lambda: Bar.made is not None and session._inside.mirror.feeds, "the bar")
    bar = Bar.made
    assert bar.total == 3, "one of them is over already, but no wait was about it"
    link.fail(made[1])
    link.finish(before[3])
    thread.join(GUARD_S)
    assert (bar.total, bar.n, bar.postfix) == (3, 3, {"failed": 1})
    Bar.made = None
    assert session.wait_all(False, progress=True) == [before[0], made[1]]
    assert Bar.made is None, "there is nothing to wait for"


def test_it_is_closed_when_the_wait_is_given_up(session: Session, link: FakeLink) -> None:
    made = submitted(session, 2)
    with pytest.raises(TimeoutError, match="2 of 2 tasks are not finished"):
        session.wait_all(progress=True, timeout=0.05)
    assert not Bar.made.open
    link.fail(made[0])
    with pytest.raises(TaskException):
        session.wait_all(progress=True)
    assert (Bar.made.n, Bar.made.open) == (1, False)
    assert session._inside.mirror.feeds == {}
    assert not session._inside.mirror.gates
