"""What stands around the core when a server comes back: files of constants, rows of the event log, private folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import Upload
from rain.common.protocol.messages import NewSession, Retry, SessionEnv, Submit
from rain.processes import scratch
from rain.processes.scratch import CONSTANTS, Scratch, clean, remove_left
from rain.server.core.effects import Happened
from rain.server.event_log.event_log import EventLog
from rain.server.event_log.queries import Query
from rain.server.journal.files import remove_journal
from rain.server.recovery import records as r
from rain.server.uploads import ConstantFiles

NAMES = ["upload-one", "upload-two", "upload-three"]


def bring(files: ConstantFiles, name: str, data: bytes = b"12345") -> Upload:
    Path(files.incoming, name).write_bytes(data)
    return Upload(name, len(data))


def test_constants_are_counted_and_claimed_once_more_after_a_death(tmp_path: Path) -> None:
    """One was claimed and recorded, one claimed and not recorded, one merely brought."""
    before = ConstantFiles(str(tmp_path / "memory"), str(tmp_path / "disk"), 100)
    first, second, third = (bring(before, name) for name in NAMES)
    kept = before.claim(ID(1, 1), first)
    lost = before.claim(ID(1, 2), second)
    after = ConstantFiles(str(tmp_path / "memory"), str(tmp_path / "disk"), 10)
    after.take_over({"upload-one", "upload-three"})
    assert after.claim(ID(1, 2), Upload("upload-two", 5)) == lost, "the client repeats its submit"
    assert after.claim(ID(1, 3), third).size == 5
    after.drop_unknown()
    assert {path.name for path in Path(after.folder, "constants").iterdir()} == set(NAMES)
    after.discard(["upload-one"])
    assert not os.path.exists(kept.path)
    with pytest.raises(RainException, match="did not arrive"):
        after.claim(ID(1, 4), Upload("upload-one", 5))


def test_what_nobody_claims_after_a_death_goes(tmp_path: Path) -> None:
    before = ConstantFiles(str(tmp_path / "memory"))
    before.claim(ID(1, 1), bring(before, NAMES[0]))
    bring(before, NAMES[1])
    after = ConstantFiles(str(tmp_path / "memory"))
    after.take_over(set())
    Path(after.incoming, NAMES[1]).unlink()
    bring(after, NAMES[1])
    after.drop_unknown()
    assert list(Path(after.folder, "constants").iterdir()) == []
    assert after.claim(ID(1, 2), Upload(NAMES[1], 5)).size == 5, "a file of the same name is another one"


def test_events_that_come_again_are_rows_once(tmp_path: Path) -> None:
    path = str(tmp_path / "events.sqlite")
    log = EventLog(path)
    for number in range(3):
        log.add(Happened("TaskStarted", 1, number, {}))
    log.close()
    log = EventLog(path)
    log.rewind(2)
    for number in range(1, 5):
        log.add(Happened("TaskStarted", 1, number, {}), at=100.0)
    assert log.next == 6
    log.push()
    log.flush()
    found = list(log.query(Query()))
    assert [record.id for record in found] == [1, 2, 3, 4, 5]
    assert [record.item for record in found] == [0, 1, 2, 3, 4]
    assert [record.time == 100.0 for record in found] == [False, False, False, True, True]
    log.close()


def test_events_wait_for_the_commit(tmp_path: Path) -> None:
    room = [False]
    log = EventLog(str(tmp_path / "events.sqlite"), commit=lambda: room[0])
    log.add(Happened("TaskStarted", 1, 1, {}))
    log.push()
    log.flush()
    assert list(log.query(Query())) == []
    room[0] = True
    log.push()
    log.flush()
    assert len(list(log.query(Query()))) == 1
    log.close()


MAKE = """
import os, sys
from rain.processes.scratch import Scratch
made = Scratch(sys.argv[1], "rain-constants-", needed_by=sys.argv[2])
open(os.path.join(made.path, "file"), "w").close()
print(made.path)
os._exit(0)
"""


def left_by_a_dead_process(parent: Path, needed_by: Path) -> Path:
    words = [sys.executable, "-c", MAKE, str(parent), str(needed_by)]
    return Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())


def test_a_folder_that_a_journal_needs_is_taken_over_and_not_removed(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    path = left_by_a_dead_process(tmp_path, journal)
    clean(str(tmp_path), CONSTANTS)
    assert not remove_left(str(path))
    assert Scratch.needed(str(path), str(tmp_path / "another")) is None
    assert (path / "file").exists()
    taken = Scratch.needed(str(path), str(journal))
    assert taken is not None
    assert (path / "file").exists()
    assert Scratch.needed(str(path), str(journal)) is None, "it has an owner that lives"
    taken.close()
    assert not path.exists()


def test_it_goes_with_the_journal_that_needed_it(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    journal = tmp_path / "own" / "journal"
    journal.mkdir()
    first, second = left_by_a_dead_process(tmp_path, journal), left_by_a_dead_process(tmp_path, journal)
    assert remove_left(str(first), within=str(tmp_path / "own")), "a guardian removes both"
    journal.rmdir()
    clean(str(tmp_path), CONSTANTS)
    assert not second.exists()
    assert scratch._left == []


def test_only_what_is_the_journals_is_removed(tmp_path: Path) -> None:
    for name in ("00000001.journal", "00000001.image", "00000002.image.part", "lock", "connection.json"):
        (tmp_path / name).touch()
    (tmp_path / "thesis.tex").touch()
    remove_journal(str(tmp_path), "connection.json")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "thesis.tex").unlink()
    remove_journal(str(tmp_path), "connection.json")
    assert not tmp_path.exists()


def test_of_what_is_refused_all_that_its_answer_needs_is_left() -> None:
    env = SessionEnv("h", "p", "3.11", [], "/")
    session = NewSession(1, "s", "continue", False, env)
    assert r.without_work(session) is session
    small = r.without_work(Submit(2, 3, [], [], [], [ID(3, 1)], True, [("a", "b")], [0], env))
    assert small == Submit(2, 3, [], [], [], [], True)
    assert r.without_work(Retry(4, 3, None, env=env)) == Retry(4, 3, [])
