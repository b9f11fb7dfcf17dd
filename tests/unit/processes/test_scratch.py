"""Private folders: what is removed is Rain's own and nobody's any more; all that only looks like it stays."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rain.processes import scratch as module
from rain.processes.scratch import GOVERNOR, MARK, Scratch, clean, name_others, remove_left
from tests.support.waiting import GUARD_S, until

LEAVE = """
import os, sys
from rain.processes.scratch import Scratch
made = Scratch(sys.argv[1], sys.argv[2])
open(os.path.join(made.path, "file"), "w").close()
os.mkdir(os.path.join(made.path, "inner"))
print(made.path, flush=True)
os.kill(os.getpid(), 9)
"""


def leave(parent: Path, prefix: str = GOVERNOR) -> Path:
    """What a process left that was killed."""
    ended = subprocess.run([sys.executable, "-c", LEAVE, str(parent), prefix], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return Path(ended.stdout.strip())


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return leave(tmp_path_factory.mktemp("left"))


def copied(pattern: Path, parent: Path, called: str = "", **changes: object) -> Path:
    """A folder whose mark fits it, but for `changes`."""
    path = parent / (called or pattern.name)
    shutil.copytree(pattern, path)
    path.chmod(0o700)
    mark = json.loads((path / MARK).read_text()) | {"name": path.name, "inode": path.stat().st_ino} | changes
    (path / MARK).write_text(json.dumps(mark))
    return path


def test_a_folder_is_private_and_marked_while_it_lives(tmp_path: Path) -> None:
    made = Scratch(str(tmp_path), GOVERNOR)
    path = Path(made.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    mark = json.loads((path / MARK).read_text())
    assert (mark["pid"], mark["uid"], mark["inode"]) == (os.getpid(), os.geteuid(), path.stat().st_ino)
    clean(str(tmp_path), GOVERNOR)
    assert not remove_left(made.path)
    assert path.exists()
    made.close()
    made.close()
    assert not path.exists()


def test_what_the_dead_left_goes_when_the_next_is_made(tmp_path: Path) -> None:
    left = [leave(tmp_path), leave(tmp_path)]
    other_kind = leave(tmp_path, "rain-store-")
    made = Scratch(str(tmp_path), GOVERNOR)
    assert not any(path.exists() for path in left)
    assert other_kind.exists()
    assert remove_left(str(other_kind))
    made.close()
    assert os.listdir(tmp_path) == []


def open_to_others(path: Path) -> None:
    path.chmod(0o755)


def without_mark(path: Path) -> None:
    (path / MARK).unlink()


def linked_mark(path: Path) -> None:
    (path / MARK).rename(path / "mark")
    (path / MARK).symlink_to("mark")


def nonsense(path: Path) -> None:
    (path / MARK).write_text("[1]")


def given_away(path: Path) -> None:
    os.chown(path, 65534, 65534)


def mark_given_away(path: Path) -> None:
    os.chown(path / MARK, 65534, 65534)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize(
    "change",
    [
        open_to_others,
        without_mark,
        linked_mark,
        nonsense,
        pytest.param(given_away, marks=root_only),
        pytest.param(mark_given_away, marks=root_only),
    ],
)
def test_what_is_not_provably_ours_stays(tmp_path: Path, pattern: Path, change: Callable[[Path], None]) -> None:
    path = copied(pattern, tmp_path)
    change(path)
    stays(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"inode": 1},  # a copy
        {"name": "rain-governor-otherone"},  # it was renamed
        {"uid": 12345},
        {"pid": os.getppid(), "started": "", "boot": "another", "machine": "another"},
        {"boot": None, "machine": None},
        {"pid": "1"},
        {"pid": None},
    ],
)
def test_marks_that_do_not_fit(tmp_path: Path, pattern: Path, changes: dict[str, object]) -> None:
    stays(copied(pattern, tmp_path, **changes))


@pytest.mark.parametrize(
    "name", ["rain-governor-results", "rain-governor-Results1", "rain-governor-results.1", "rain-x"]
)
def test_names_that_nobody_makes_up(tmp_path: Path, pattern: Path, name: str) -> None:
    stays(copied(pattern, tmp_path, name))


def stays(path: Path) -> None:
    before = sorted(os.listdir(path))
    os.utime(path, (1, 1))
    clean(str(path.parent), GOVERNOR)
    Scratch(str(path.parent), GOVERNOR).close()
    remove_left(str(path))
    assert sorted(os.listdir(path)) == before


def test_a_mark_that_fits_is_believed(tmp_path: Path, pattern: Path) -> None:
    path = copied(pattern, tmp_path)  # what the tests above change one thing of
    clean(str(tmp_path), GOVERNOR)
    assert not path.exists()


def test_after_a_restart_of_the_machine_numbers_of_processes_mean_nothing(tmp_path: Path, pattern: Path) -> None:
    path = copied(pattern, tmp_path, boot="an earlier one", pid=os.getpid(), started=module.start_time(os.getpid()))
    assert remove_left(str(path))


def test_one_that_is_locked_or_whose_owner_lives_stays(tmp_path: Path, pattern: Path) -> None:
    path = copied(pattern, tmp_path)
    held = os.open(path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    stays(path)
    os.close(held)
    mark = json.loads((path / MARK).read_text())
    alive = {"pid": os.getpid(), "started": module.start_time(os.getpid())}
    (path / MARK).write_text(json.dumps(mark | alive))
    stays(path)
    (path / MARK).write_text(json.dumps(mark | alive | {"started": "1"}))  # another process had the number
    assert remove_left(str(path))


def test_links_and_files_of_such_names_stay(tmp_path: Path, pattern: Path) -> None:
    target = copied(pattern, tmp_path, "target")
    link = tmp_path / pattern.name
    link.symlink_to(target)
    (tmp_path / "rain-governor-abcdefgh").touch()
    clean(str(tmp_path), GOVERNOR)
    remove_left(str(link))
    assert len(os.listdir(tmp_path)) == 3
    assert (target / "file").exists()


def test_logs_stay_for_a_while(tmp_path: Path, pattern: Path) -> None:
    path = copied(pattern, tmp_path)
    Scratch(str(tmp_path), GOVERNOR, kept_s=3600).close()
    assert path.exists()
    for name in os.listdir(path):
        os.utime(path / name, (1, 1))
    Scratch(str(tmp_path), GOVERNOR, kept_s=3600).close()
    assert not path.exists()


def test_what_is_not_touched_is_named_once_in_the_log(
    tmp_path: Path, pattern: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, young, own = tmp_path / "rain-store-abcdefgh", tmp_path / "rain-store-abcdefgi", copied(pattern, tmp_path)
    for path in (old, young, tmp_path / "rain-results"):
        path.mkdir()
    for path in (old, own, tmp_path / "rain-results"):
        os.utime(path, (1, 1))
    with caplog.at_level(logging.INFO, "rain"):
        name_others((str(tmp_path), str(tmp_path), str(tmp_path / "missing")))
    (record,) = caplog.records
    assert str(old) in record.getMessage()
    assert not any(str(path) in record.getMessage() for path in (young, own, tmp_path / "rain-results"))


def test_a_forked_child_neither_holds_nor_removes_it(tmp_path: Path) -> None:
    made = Scratch(str(tmp_path), GOVERNOR)
    gate, open_gate = os.pipe()
    begun, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(open_gate)
        made.close()
        os.write(begin, b"x")
        os.read(gate, 1)
        os._exit(0)
    assert os.read(begun, 1) == b"x"
    os.close(made.lock)  # as if this process were dead
    made._lock = os.open(made.path, os.O_RDONLY)
    try:
        fcntl.flock(made.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        for descriptor in (open_gate, gate, begun, begin):
            os.close(descriptor)
        os.waitpid(child, 0)
        made.close()
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_marked_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_mark", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space left"):
        Scratch(str(tmp_path), GOVERNOR)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before


AWAITING = """
import os, sys
from rain.processes.scratch import STORE, Scratch
made = Scratch(sys.argv[1], STORE)
made.await_heir(float(sys.argv[2]))
print(made.path, flush=True)
os.kill(os.getpid(), 9)
"""
LEAVING = """
import sys
from rain.processes.keeper import Folders, remove_later
folders = Folders()
folders._left[sys.argv[1]] = None
print(folders.remove(heirs=True), folders.awaited(), flush=True)
remove_later(folders)
"""


def test_what_waits_for_an_heir_is_left_to_a_keeper(tmp_path: Path) -> None:
    """The process that learned of the death need not stay for it."""
    ended = subprocess.run([sys.executable, "-c", AWAITING, str(tmp_path), "60"], capture_output=True, text=True)
    path = ended.stdout.strip()
    with module.inherit(path) as held:
        assert held == path
        with module.inherit(path) as second:
            assert second is None, "two have it"
    leaving = subprocess.run([sys.executable, "-c", LEAVING, path], capture_output=True, text=True, timeout=GUARD_S)
    assert leaving.stdout == "False True\n"
    os.utime(os.path.join(path, MARK), (0, 0))
    until(lambda: not os.path.exists(path))
