"""Logs are private and bounded."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rain.cli.daemon import _LogFile
from rain.governor.stdio_tails import read_tails, trim
from rain.processes.logs import bound_log, open_log

KIB = 1 << 10


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_log_is_private_also_one_of_an_older_version(tmp_path: Path) -> None:
    old = tmp_path / "old.log"
    old.write_text("before\n")
    old.chmod(0o644)
    for path in (tmp_path / "new.log", old):
        log = open_log(str(path))
        os.write(log, b"after\n")
        os.close(log)
        assert mode(path) == 0o600
    assert old.read_text() == "before\nafter\n"
    before = os.stat(os.devnull).st_mode
    os.close(open_log(os.devnull))
    assert os.stat(os.devnull).st_mode == before


def test_a_log_that_is_too_long_begins_anew_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    log = open_log(str(path))
    os.write(log, b"a" * KIB)
    assert not bound_log(str(path), KIB)
    os.write(log, b"b")
    assert bound_log(str(path), KIB)
    os.write(log, b"next")
    assert path.read_bytes() == b"next"
    assert (tmp_path / "server.log.1").read_bytes() == b"a" * (KIB - 1) + b"b"
    assert mode(tmp_path / "server.log.1") == 0o600
    os.write(log, b"c" * 3 * KIB)
    assert bound_log(str(path), KIB)
    assert (tmp_path / "server.log.1").read_bytes() == b"c" * KIB
    assert sorted(os.listdir(tmp_path)) == ["server.log", "server.log.1"]
    os.close(log)


def test_what_is_no_log_is_left(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(2 * KIB))
    (tmp_path / "link.log").symlink_to(big)
    os.mkfifo(tmp_path / "pipe.log")
    for name, number in (("link.log", errno.ELOOP), ("missing.log", errno.ENOENT)):
        with pytest.raises(OSError, match=rf"\[Errno {number}\]"):
            bound_log(str(tmp_path / name), KIB)
    assert not bound_log(str(tmp_path / "pipe.log"), KIB)
    assert not bound_log(os.devnull, KIB)
    assert big.stat().st_size == 2 * KIB


def test_a_daemons_own_log_is_private_and_bounded(tmp_path: Path) -> None:
    handler = _LogFile(str(tmp_path / "server.log"), maxBytes=KIB, backupCount=1)
    for number in range(100):
        handler.emit(logging.LogRecord("rain", logging.INFO, "", 0, f"{number} " + "x" * 100 + "\udc80", None, None))
    handler.close()
    assert sorted(os.listdir(tmp_path)) == ["server.log", "server.log.1"]
    assert all(path.stat().st_size <= KIB + 10 and mode(path) == 0o600 for path in tmp_path.iterdir())


def test_what_an_executor_writes_without_end_takes_little_room(tmp_path: Path) -> None:
    log = open_log(str(tmp_path / "stdout"), os.O_RDWR)
    for number in range(64):
        os.write(log, bytes([number]) * 16 * KIB)
        trim([log], 64 * KIB)
    assert os.fstat(log).st_blocks * 512 <= 160 * KIB
    out, _, written = read_tails([log, log])
    assert out == b"".join(bytes([number]) * 16 * KIB for number in range(60, 64))
    assert written[0] == KIB * KIB
    os.close(log)


def test_a_process_whose_log_is_on_a_full_disk_goes_on() -> None:
    code = (
        "import os, sys\n"
        "from rain.processes.logs import lose_what_cannot_be_written\n"
        "lose_what_cannot_be_written()\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
        "print('one', file=sys.stderr, flush=True)\n"
        "sys.stderr.write('two \\udc80\\n')\n"
        "os.dup2(1, 2)\n"
        "print('there is room', file=sys.stderr)\n"
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
        "print('three', file=sys.stderr)\n"
        "sys.exit(75)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "(15 bytes could not be written here)\nthere is room\n")
