"""`ChangeFeed`: what a view of a session gets to see."""

from __future__ import annotations

from rain import Session, TaskState, blob, tasks
from rain.client.core.change_feed import ChangeFeed
from rain.client.core.records import TaskRecord
from rain.common.protocol.messages import TaskUpdate


def watched(session: Session) -> tuple[ChangeFeed, list[int]]:
    told: list[int] = []
    return ChangeFeed(session._inside.mirror, lambda: told.append(1)), told


def test_what_was_there_before_comes_first() -> None:
    session = Session(None, 1)
    with session.bind_only():
        joined = tasks.Concat([blob("a")])
    watch, told = watched(session)
    assert told == [1]
    assert {record.spec.id for record in watch.take()} == {
        joined.id, joined.output.id, *(obj.id for obj in joined.inputs),
    }  # fmt: skip
    assert watch.take() == []


def test_new_and_changed_records_are_noted_once_and_told_once() -> None:
    session = Session(None, 1)
    watch, told = watched(session)
    watch.take()
    with session.bind_only():
        joined = tasks.Concat([blob("a")])
    joined.output.keep()
    assert told == [1, 1]
    changed = watch.take()
    assert len(changed) == len(set(changed)) == 3
    task = next(record for record in changed if isinstance(record, TaskRecord))
    session._inside.mirror.submitting([task])
    session._inside.mirror.fold([TaskUpdate(joined.id, TaskState.RUNNING)], [])
    assert told == [1, 1, 1]
    assert task in watch.take()


def test_the_end_is_told() -> None:
    session = Session(None, 1)
    watch, told = watched(session)
    watch.take()
    session.close()
    assert told == [1, 1]
    assert watch.take() == []


def test_a_closed_watch_sees_nothing() -> None:
    session = Session(None, 1)
    watch, told = watched(session)
    watch.close()
    with session.bind_only():
        blob("a")
    assert told == [1]
    assert session._inside.mirror.feeds == {}
