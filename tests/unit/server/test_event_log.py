"""The event log: what is written can be queried, now and after a restart."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from rain.common.errors import RainException
from rain.server.event_log import BATCH_EVENTS_MAX, Comparison, EventLog, Query, TypeFilter, as_json


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
    log.add("SessionNew", 1, None, {"name": "one"})
    log.add("TaskFinished", 1, 7, {})
    log.add("SessionNew", 2, None, {"name": "two"})
    log.add("GovernorNew", None, None, {"governor": "127.0.0.1:1"})


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
    second.add("SessionClosed", 1, None, {})
    assert ids(second, Query(session=1)) == [1, 2, 5]
    second.close()


def test_many_events_are_written_in_batches(log: EventLog) -> None:
    for number in range(2 * BATCH_EVENTS_MAX + 5):
        log.add("TaskFinished", 1, number, {})
    assert len(ids(log, Query())) == 2 * BATCH_EVENTS_MAX + 5
    assert len(ids(log, Query(id=Comparison(BATCH_EVENTS_MAX, ">")))) == BATCH_EVENTS_MAX + 5


def test_the_form_of_the_answer(log: EventLog) -> None:
    log.add("SessionNew", 3, None, {"name": "x"})
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


def test_the_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    log = EventLog(str(path), bytes_max=100_000)
    sizes = []
    for round in range(8):
        for number in range(BATCH_EVENTS_MAX):
            log.add("TaskFinished", 1, number, {"round": round})
        log.flush()
        sizes.append(path.stat().st_size)
    assert max(sizes) < 200_000
    found = ids(log, Query())
    assert found[-1] == 8 * BATCH_EVENTS_MAX
    assert found == list(range(found[0], found[-1] + 1))
    assert 2 * BATCH_EVENTS_MAX <= len(found) < 5 * BATCH_EVENTS_MAX
    log.close()


def test_the_log_of_an_older_version_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    old = EventLog(str(path))
    for number in range(10 * BATCH_EVENTS_MAX):
        old.add("TaskFinished", 1, number, {})
    old.close()
    before = path.stat().st_size
    log = EventLog(str(path), bytes_max=50_000)
    log.add("SessionNew", 1, None, {})
    assert ids(log, Query())[-1] == 10 * BATCH_EVENTS_MAX + 1
    log.close()
    assert path.stat().st_size < before / 2


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
