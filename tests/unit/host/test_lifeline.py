"""Lifelines and ready notes."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from rain.common.errors import RainException
from rain.host import lifeline
from tests.support.waiting import GUARD_S


def test_a_lifeline_ends_with_its_holder():
    read, write = os.pipe()
    ended = threading.Event()
    holder = os.fork()
    if holder == 0:
        os.close(read)
        signal.pause()
        os._exit(0)
    os.close(write)
    lifeline.watch_lifeline(read, ended.set)
    assert not ended.is_set()
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert ended.wait(GUARD_S)
    os.close(read)


def test_ready_files(tmp_path):
    path = tmp_path / "deep" / "ready"
    lifeline.write_ready_file(path)
    assert path.read_text() == "ready\n"
    assert os.listdir(path.parent) == ["ready"]
    lifeline.write_ready_file("")
    with pytest.raises(RainException, match="cannot write the ready file"):
        lifeline.write_ready_file("/proc/no/ready")
    read, write = os.pipe()
    lifeline.write_ready_file(f"fd:{write}")
    assert os.read(read, 100) == b"ready\n"
    assert os.read(read, 100) == b""  # it let go, though the number stays taken
    os.close(read)
    os.close(write)
