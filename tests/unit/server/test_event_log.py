"""The event log: what is written can be queried, now and after a restart."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import msgspec
import pytest

from rain.common.errors import NoRoom, RainException
from rain.common.protocol.encoding import encode
from rain.server.core.effects import Happened, ObjectsUnkept, TasksFinished, TasksStarted
from rain.server.event_log.batches import EventRecord
from rain.server.event_log.event_log import BATCH_EVENTS_MAX, EventLog
from rain.server.event_log.queries import EVENT_TYPES, Comparison, Query, TypeFilter, as_json


@pytest.fixture
def log(tmp_path: Path):
    log = EventLog(str(tmp_path / "events.sqlite"))
    yield log
    log.close()


def ids(log: EventLog, query: Query) -> list[int]:
    log.push()
    log.flush()
    return [record.id for record in log.query(query)]


def fill(log: EventLog) -> None:
    log.add(Happened("SessionNew", 1, None, {"name": "one"}))
    log.add(Happened("TaskFinished", 1, 7, {}))
    log.add(Happened("SessionNew", 2, None, {"name": "two"}))
    log.add(Happened("GovernorNew", None, None, {"governor": "127.0.0.1:1"}))


def test_an_empty_query_gives_everything_in_order(log: EventLog) -> None:
    fill(log)
    assert ids(log, Query()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(event_types=[TypeFilter("SessionNew")]), [1, 3]),
        (Query(event_types=[TypeFilter("SessionNew"), TypeFilter("GovernorNew")]), [1, 3, 4]),
        (Query(event_types=[TypeFilter("SessionNew", "!=")]), [2, 4]),
        (Query(session=1), [1, 2]),
        (Query(session=Comparison(1, ">")), [3]),
        (Query(id=Comparison(2, "<=")), [1, 2]),
        (Query(limit=2), [1, 2]),
        (Query(event_types=[]), []),
    ],
)
def test_queries(log: EventLog, query: Query, expected: list[int]) -> None:
    fill(log)
    assert ids(log, query) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (Query(event_types=[TypeFilter("Nonsense")]), "unknown event type 'Nonsense'"),
        (Query(event_types=[TypeFilter("SessionNew", "~")]), "unknown mode '~'"),
        (Query(id=Comparison(1, "=~")), "unknown mode '=~'"),
    ],
)
def test_what_a_query_may_not_say(query: Query, text: str) -> None:
    with pytest.raises(RainException, match=text):
        query.matcher()


def test_the_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = str(tmp_path / "events.sqlite")
    first = EventLog(path)
    fill(first)
    first.close()
    second = EventLog(path)
    second.add(Happened("SessionClosed", 1, None, {}))
    assert ids(second, Query(session=1)) == [1, 2, 5]
    second.close()


def test_many_events_are_written_in_batches(log: EventLog) -> None:
    for number in range(2 * BATCH_EVENTS_MAX + 5):
        log.add(Happened("TaskFinished", 1, number, {}))
    assert len(ids(log, Query())) == 2 * BATCH_EVENTS_MAX + 5
    assert len(ids(log, Query(id=Comparison(BATCH_EVENTS_MAX, ">")))) == BATCH_EVENTS_MAX + 5


def test_the_form_of_the_answer(log: EventLog) -> None:
    log.add(Happened("SessionNew", 3, None, {"name": "x"}))
    log.push()
    log.flush()
    (record,) = log.query(msgspec.json.decode(b'{"session": 3}', type=Query))
    shown = as_json(record)
    assert shown["id"] == 1
    assert shown["event"] == {"type": "SessionNew", "session": 3, "name": "x"}


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"this is not a database, and it is long enough to be looked at" * 20)
    with pytest.raises(RainException, match=r"the event log .* cannot be opened"):
        EventLog(str(path))


def test_a_file_for_which_there_is_no_room_is_opened_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = EventLog(path := str(tmp_path / "events.sqlite"))
    fill(before)
    before.close()
    opened, full = EventLog._open, [True]

    def open_(log: EventLog) -> int:
        if full:
            raise NoRoom("database or disk is full")
        return opened(log)

    monkeypatch.setattr(EventLog, "_open", open_)
    with pytest.raises(NoRoom):
        EventLog(path)
    log = EventLog(path, numbered=True)
    log.rewind(3)
    fill(log)
    log.push()
    log.flush()
    assert log.error == "database or disk is full"
    full.clear()
    log.rewind(3)
    fill(log)
    assert ids(log, Query()) == [1, 2, 3, 4]
    fill(log)
    assert ids(log, Query()) == [1, 2, 3, 4, 7, 8, 9, 10]
    assert log.error is None
    log.close()


def test_the_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    log = EventLog(str(path), bytes_max=600_000)
    sizes = []
    for round in range(8):
        for number in range(BATCH_EVENTS_MAX):
            log.add(Happened("TaskFinished", 1, number, {"round": round}))
        log.flush()
        sizes.append(path.stat().st_size)
    assert max(sizes) < 1_200_000
    found = ids(log, Query())
    assert found[-1] == 8 * BATCH_EVENTS_MAX
    assert found == list(range(found[0], found[-1] + 1))
    assert 2 * BATCH_EVENTS_MAX <= len(found) < 5 * BATCH_EVENTS_MAX
    log.close()


def test_the_log_of_an_older_version_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    old = EventLog(str(path))
    for number in range(10 * BATCH_EVENTS_MAX):
        old.add(Happened("TaskFinished", 1, number, {}))
    old.close()
    before = path.stat().st_size
    log = EventLog(str(path), bytes_max=50_000)
    log.add(Happened("SessionNew", 1, None, {}))
    assert ids(log, Query())[-1] == 10 * BATCH_EVENTS_MAX + 1
    log.close()
    assert path.stat().st_size < before / 2


def test_events_of_many_tasks_are_told_one_by_one(log: EventLog) -> None:
    log.add(TasksStarted("g:1", [(1, 2, 1)]), at=5.0)
    finished = [
        (1, 2, 1, False, 4.0, 0.5, [(3, 60)]),
        (1, 4, 2, True, None, None, [(5, None), (6, 7)]),
    ]
    log.add(TasksFinished("g:1", finished), at=6.0)
    log.add(ObjectsUnkept(1, [3, 5]), at=7.0)
    log.push()
    log.flush()
    shown = [as_json(record) for record in log.query(Query())]
    assert [event["id"] for event in shown] == list(range(1, 10))
    assert [event["time"] for event in shown] == [5.0] + 6 * [6.0] + 2 * [7.0]
    assert [event["event"] for event in shown] == [
        {"type": "TaskStarted", "session": 1, "id": 2, "governor": "g:1", "attempt": 1},
        {
            "type": "TaskFinished", "session": 1, "id": 2, "state": "finished", "governor": "g:1", "start_time": 4.0,
            "duration": 0.5,
        },
        {"type": "DataObjectFinished", "session": 1, "id": 3, "size": 60, "governor": "g:1"},
        {"type": "TaskStarted", "session": 1, "id": 4, "governor": "g:1", "attempt": 2},
        {
            "type": "TaskFinished", "session": 1, "id": 4, "state": "finished", "governor": "g:1", "start_time": None,
            "duration": None,
        },
        {"type": "DataObjectFinished", "session": 1, "id": 5, "size": None, "governor": "g:1"},
        {"type": "DataObjectFinished", "session": 1, "id": 6, "size": 7, "governor": "g:1"},
        {"type": "ClientUnkeep", "session": 1, "id": 3},
        {"type": "ClientUnkeep", "session": 1, "id": 5},
    ]  # fmt: skip
    assert {event["event"]["type"] for event in shown} <= EVENT_TYPES
    assert ids(log, Query(event_types=[TypeFilter("TaskFinished")], id=Comparison(3, ">="))) == [5]


def test_events_that_come_again_are_not_added_twice(log: EventLog) -> None:
    fill(log)
    log.add(ObjectsUnkept(1, [3, 5]))
    log.push()
    log.rewind(4)
    log.add(Happened("GovernorNew", None, None, {"governor": "127.0.0.1:1"}))
    log.add(ObjectsUnkept(1, [3, 5]))
    log.add(ObjectsUnkept(1, [7]))
    assert ids(log, Query()) == [1, 2, 3, 4, 5, 6, 7]


def old_log(path: Path) -> None:
    """A log as it was written before batches had a mark."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE batches (first_id INTEGER PRIMARY KEY, last_id INTEGER, records BLOB)")
        records = [
            EventRecord(1, 3.0, "SessionNew", 1, None, {"name": "one"}),
            EventRecord(2, 4.0, "TaskFinished", 1, 7, {"state": "finished"}),
        ]
        database.execute("INSERT INTO batches VALUES (?, ?, ?)", (1, 2, encode(records)))
    database.close()


def test_an_older_version_s_log_is_read_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    old_log(path)
    log = EventLog(str(path))
    log.add(TasksStarted("g:1", [(2, 9, 1)]))
    assert ids(log, Query()) == [1, 2, 3]
    (first, *_) = log.query(Query(limit=1))
    assert as_json(first) == {"id": 1, "time": 3.0, "event": {"type": "SessionNew", "session": 1, "name": "one"}}
    log.close()


def test_a_newer_version_s_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    old_log(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(RainException, match=r"written by a newer version of Rain, in format 99"):
        EventLog(str(path))


def test_a_damaged_batch_is_named(log: EventLog) -> None:
    fill(log)
    log.push()
    log.flush()
    with sqlite3.connect(log.path) as database:
        database.execute("UPDATE batches SET records = substr(records, 1, 20)")
    database.close()
    with pytest.raises(RainException, match=r"cannot be read from event 1 on"):
        list(log.query(Query()))


def test_the_log_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = EventLog(str(tmp_path / "events.sqlite"))
        fill(log)
        log.push()
        log.flush()
        modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)}
        assert modes == dict.fromkeys(("events.sqlite", "events.sqlite-wal", "events.sqlite-shm"), 0o600)
        log.close()
    finally:
        os.umask(before)
