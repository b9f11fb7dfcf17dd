"""The journal as its server sees it: what was added comes back, after an end at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.server.journal.format import JournalInUse
from rain.server.journal.journal import Journal


def records(folder: Path) -> list[tuple[int, bytes]]:
    journal = Journal(folder, "code")
    found = list(journal.records())
    journal.close()
    return found


def test_what_was_committed_comes_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "code")
    assert journal.empty
    for number in range(50):
        journal.add(1 + number % 3, bytes(number * 7))
        journal.add(9, b"second of its commit")
        assert journal.commit()
    journal.close()
    expected = [
        item for number in range(50) for item in ((1 + number % 3, bytes(number * 7)), (9, b"second of its commit"))
    ]
    assert records(tmp_path / "journal") == expected


def test_what_was_not_committed_is_not_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "code")
    journal.add(1, b"written")
    journal.commit()
    journal.add(2, b"gathered")
    os.link(tmp_path / "journal" / "00000001.journal", tmp_path / "seen")
    assert b"gathered" not in (tmp_path / "seen").read_bytes()
    journal.close()


def test_a_successor_goes_on_and_reads_all(tmp_path: Path) -> None:
    for number in range(4):
        journal = Journal(tmp_path / "journal", "code")
        assert [payload for _, payload in journal.records()] == [b"%d" % before for before in range(number)]
        journal.add(1, b"%d" % number)
        journal.commit()
        assert journal.tail_bytes == sum(path.stat().st_size for path in (tmp_path / "journal").glob("*.journal"))
        journal.close()


def test_an_image_takes_the_place_of_what_came_before(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, "code")
    journal.add(1, b"before")
    snapshot = journal.begin_segment()
    journal.add(2, b"meanwhile")
    journal.commit()
    snapshot.write(b"state" * 700_000)
    journal.add(3, b"after")
    journal.commit()
    snapshot.done()
    assert journal.tail_bytes == (folder / "00000002.journal").stat().st_size
    journal.close()
    assert sorted(path.name for path in folder.iterdir()) == ["00000002.image", "00000002.journal", "lock"]
    again = Journal(folder, "code")
    assert again.image() == b"state" * 700_000
    assert list(again.records()) == [(2, b"meanwhile"), (3, b"after")]
    again.close()


def test_without_its_image_a_segment_follows_those_before(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, "code")
    for number in range(3):
        journal.add(1, b"%d" % number)
        snapshot = journal.begin_segment()
        snapshot.write(b"half")
        if number == 1:
            snapshot.failed()
    journal.add(1, b"3")
    journal.close()
    again = Journal(folder, "code")
    assert again.image() is None
    assert [payload for _, payload in again.records()] == [b"0", b"1", b"2", b"3"]
    assert not list(folder.glob("*.part"))
    again.close()


def test_a_successor_with_other_code_is_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "code")
    journal.add(1, b"")
    journal.close()
    other = Journal(tmp_path / "journal", "other code")
    assert not other.same_code
    other.close()
    same = Journal(tmp_path / "journal", "code")
    assert same.same_code
    same.close()


def test_two_servers_cannot_have_one_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "code")
    with pytest.raises(JournalInUse, match=f"in use by process {os.getpid()} on "):
        Journal(tmp_path / "journal", "code")
    journal.close()
    Journal(tmp_path / "journal", "code").close()


def test_a_child_does_not_hold_the_folder(tmp_path: Path) -> None:
    """A server killed while its child writes an image: the successor need not wait for the child."""
    code = (
        "import os, sys; from rain.server.journal.journal import Journal; journal = Journal(sys.argv[1], 'code')\n"
        "if os.fork() == 0: sys.stdin.read(); os._exit(0)\n"
        "print('forked', flush=True); os.kill(os.getpid(), 9)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "journal")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"forked\n"
        process.wait()
        Journal(tmp_path / "journal", "code").close()


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(RainException, match="open to other users"):
        Journal(tmp_path / "open", "code")


@pytest.mark.parametrize("wrong", ["link", "open", "fifo"])
def test_a_file_that_is_not_the_servers_own_is_refused(tmp_path: Path, wrong: str) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, "code")
    journal.add(1, b"")
    journal.close()
    file = folder / "00000001.journal"
    if wrong == "link":
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    elif wrong == "open":
        file.chmod(0o644)
    else:
        file.unlink()
        os.mkfifo(file)
    with pytest.raises(RainException, match=r"00000001\.journal"):
        Journal(folder, "code")
