"""How segments are written: in one write a commit, into room that was taken before; and what is done without room."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rain.common.limits import JOURNAL_AHEAD_BYTES, JOURNAL_RECORD_BYTES_MAX, JOURNAL_RESERVE_BYTES, MIB
from rain.server.journal import writer
from rain.server.journal.checking import records, survey
from rain.server.journal.journal import Journal


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "JOURNAL_RETRY_S", 0.0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def read(folder: Path) -> list[bytes]:
    journal = Journal(folder, "code")
    found = [payload for _, payload in journal.records()]
    journal.close()
    return found


def taken(folder: Path) -> int:
    """Bytes of the disk that the journal has."""
    return sum(path.stat().st_blocks * 512 for path in folder.glob("*.journal"))


def test_a_commit_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: written.append(at) or pwrite(file, data, at))
    journal = Journal(tmp_path / "journal", "code")
    written.clear()
    for _ in range(3):
        for _ in range(100):
            journal.add(1, b"x" * 100)
        journal.commit()
        journal.commit()
    assert len(written) == 3
    journal.close()


def test_a_kernel_that_takes_few_bytes_at_once_gets_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, write = os.pwrite, os.write
    journal = Journal(tmp_path / "journal", "code")
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, bytes(data[:7]), at))
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data[:5])))
    payloads = [bytes([number]) * 10 * number for number in range(30)]
    for payload in payloads:
        journal.add(1, payload)
        journal.commit()
    snapshot = journal.begin_segment()
    snapshot.write(b"image" * 30)
    monkeypatch.undo()
    assert read_beside(tmp_path / "journal") == payloads
    snapshot.done()
    journal.close()
    again = Journal(tmp_path / "journal", "code")
    assert again.image() == b"image" * 30
    again.close()


def read_beside(folder: Path) -> list[bytes]:
    """What is written of a journal that is in use."""
    return [record.payload for _, record in records(str(folder))]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = Journal(tmp_path / "journal", "code")
        journal.add(1, b"")
        snapshot = journal.begin_segment()
        snapshot.write(b"")
        snapshot.done()
        journal.add(1, b"")
        journal.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "journal").iterdir()} == {0o600}


@pytest.mark.parametrize(("kind", "size"), [(0, 0), (240, 0), (1, JOURNAL_RECORD_BYTES_MAX + 1)])
def test_what_no_reader_would_take_is_not_written(tmp_path: Path, kind: int, size: int) -> None:
    journal = Journal(tmp_path / "journal", "code")
    with pytest.raises(ValueError, match="cannot be in a journal"):
        journal.add(kind, bytes(size))
    journal.close()


def test_reading_takes_little_memory(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "code")
    for number in range(20):
        journal.add(1, bytes([number]) * MIB)
        for _ in range(100):
            journal.add(2, b"small" * number)
    journal.commit()
    journal.close()
    journal = Journal(tmp_path / "journal", "code")
    tracemalloc.start()
    try:
        sizes = sum(len(payload) for _, payload in journal.records())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    journal.close()
    assert sizes == 20 * MIB + 100 * 5 * sum(range(20))
    assert peak < 6 * MIB


# -- durable ------------------------------------------------------------------------------------------


def test_durable_is_on_the_disk_before_it_counts_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("pwrite", "fdatasync", "fsync"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, call=call: done.append(name) or call(*args))
    journal = Journal(tmp_path / "journal", "code", durable=True)
    done.clear()
    journal.add(1, b"")
    assert journal.commit()
    assert done == ["fsync", "pwrite", "fdatasync"]  # the folder, that the file's name lasts; the record
    done.clear()
    journal.add(1, b"")
    assert journal.commit()
    assert done == ["pwrite", "fdatasync"]
    journal.close()


def test_a_sync_that_fails_is_not_taken_for_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel forgets what it could not bring to the disk: it is written again before the next sync."""
    journal = Journal(tmp_path / "journal", "code", durable=True)
    journal.add(1, b"first")
    assert journal.commit()
    monkeypatch.setattr(os, "fdatasync", failing(errno.EIO))
    journal.add(1, b"second")
    assert not journal.commit()
    assert "Input/output error" in journal.full
    monkeypatch.undo()
    written: list[bytes] = []
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: written.append(bytes(data)) or pwrite(file, data, at))
    journal.add(1, b"third")
    assert journal.commit()
    assert b"second" in b"".join(written)
    journal.close()
    assert read(tmp_path / "journal") == [b"first", b"second", b"third"]


# -- without room ----------------------------------------------------------------------------------


def failing(number: int) -> Callable[..., Any]:
    def fail(*args: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("when", ["first", "later"])
def test_what_cannot_be_written_stays_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, when: str
) -> None:
    journal = Journal(tmp_path / "journal", "code")
    if when == "later":
        journal.add(1, b"before")
        assert journal.commit()
    monkeypatch.setattr(os, "pwrite", failing(number))
    for payload in (b"one", b"two"):
        journal.add(1, payload)
        assert not journal.commit()
        assert os.strerror(number) in journal.full
        assert str(tmp_path / "journal") in journal.full
    monkeypatch.undo()
    assert journal.commit()
    journal.add(1, b"three")
    assert journal.commit()
    journal.close()
    assert read(tmp_path / "journal") == [*([b"before"] if when == "later" else []), b"one", b"two", b"three"]


def test_a_file_that_may_not_become_larger_is_followed_by_another(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from rain.server.journal.journal import Journal\n"
        "journal = Journal(sys.argv[1], 'code')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "for number in range(100): journal.add(1, b'%d ' % number * 100); assert journal.commit(), journal.full\n"
        "journal.add(1, bytes(20_000)); assert not journal.commit(); print(journal.full)\n"
    )
    folder = tmp_path / "journal"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert read(folder)[:100] == [b"%d " % number * 100 for number in range(100)]
    assert len(list(folder.glob("*.journal"))) > 3


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(bytes(room.f_bavail * room.f_frsize - left))
    return filler


@pytest.mark.needs("mount")
@pytest.mark.parametrize("ahead", [True, False])
def test_a_full_disk_refuses_first_and_loses_nothing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, ahead: bool
) -> None:
    """The reserve is for what is under way; when it is used up too, what is gathered waits."""
    monkeypatch.setattr(writer, "is_memory", lambda file: not ahead)
    monkeypatch.setattr(writer, "JOURNAL_AHEAD_BYTES", MIB)
    monkeypatch.setattr(writer, "JOURNAL_RESERVE_SHARE", 0.25)
    monkeypatch.setattr(writer, "_LOOK_BYTES", MIB // 4)
    journal = Journal(small_disk / "journal", "code")
    payloads: list[bytes] = []

    def add() -> bool:
        payloads.append(bytes([len(payloads) % 251]) * 50_000)
        journal.add(1, payloads[-1])
        return journal.commit()

    assert add()
    assert journal.full == ""
    filler = fill(small_disk, MIB // 2)
    from_reserve = 0
    while add():
        from_reserve += bool(journal.full)
        assert len(payloads) < 200
    assert from_reserve * 50_000 > (MIB if ahead else MIB // 8)
    assert f"{small_disk}/journal" in journal.full
    assert "No space left on device" in journal.full
    assert not add()
    filler.unlink()
    assert add()
    assert journal.full == ""
    journal.close()
    assert read(small_disk / "journal") == payloads


@pytest.mark.needs("mount")
def test_an_image_without_room_leaves_the_journal_as_it_is(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal", "code")
    journal.add(1, b"before")
    snapshot = journal.begin_segment()
    with pytest.raises(OSError, match="No space left"):
        snapshot.write(bytes(MIB) for _ in range(20))
    snapshot.failed()
    assert os.statvfs(small_disk).f_bavail * 4096 > 7 * MIB
    journal.add(1, b"after")
    journal.close()
    assert read(small_disk / "journal") == [b"before", b"after"]


# -- room ahead -------------------------------------------------------------------------------------


def test_room_is_taken_ahead_and_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder, "code")
    journal.add(1, b"x" * 100)
    journal.commit()
    if not taken(folder) > MIB:
        pytest.skip("this file system takes no room ahead")
    assert taken(folder) >= JOURNAL_RESERVE_BYTES + 100
    assert taken(folder) <= JOURNAL_RESERVE_BYTES + 2 * JOURNAL_AHEAD_BYTES
    assert (folder / "00000001.journal").stat().st_size < 1000
    snapshot = journal.begin_segment()
    assert taken(folder) < MIB
    snapshot.failed()
    journal.add(1, b"")
    journal.close()
    assert taken(folder) < MIB


KILLED = """
import sys
from rain.server.journal.journal import Journal
journal = Journal(sys.argv[1], "code")
list(journal.records())
for number in range(10 ** 9):
    for part in range(number % 4 + 1):
        journal.add(1, b"%d %d" % (number, part) + b"." * (number * 37 % 5000))
    assert journal.commit()
    print(number, flush=True)
    if number % 100 == 99:
        snapshot = journal.begin_segment()
        snapshot.write(b"%d" % number)
        snapshot.done()
"""


@pytest.mark.parametrize("lines", [1, 57, 99, 230])
def test_what_was_written_outlives_its_writer(tmp_path: Path, lines: int) -> None:
    """Killed at any moment: what it said was written is there, whole and in order, and nothing is torn but the end."""
    folder = tmp_path / "journal"
    with subprocess.Popen([sys.executable, "-c", KILLED, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        said = lines - 1 + len(process.stdout.read().splitlines())
    journal = Journal(folder, "code")
    image = journal.image()
    found = [payload.split(b".")[0] for _, payload in journal.records()]
    first = 0 if image is None else int(image) + 1
    expected = [b"%d %d" % (number, part) for number in range(first, said + 3) for part in range(number % 4 + 1)]
    assert found == expected[: len(found)]
    assert first + len({payload.split()[0] for payload in found}) > said
    assert taken(folder) < MIB + sum(path.stat().st_size for path in folder.glob("*.journal"))
    journal.close()
    assert survey(str(folder)).damage is None
