"""What the guardian decides when a process has ended."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rain.processes import guardian
from rain.processes.guardian import Guardian


@pytest.fixture
def report() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    signal.set_wakeup_fd(-1)
    os.close(read)


def _guarding(report: tuple[int, int], vital: bool) -> tuple[Guardian, Any]:
    spec = {"name": "p", "command": ["p"], "restart": True, "vital": vital}
    found = Guardian({"processes": [spec], "report": report[1], "log_bytes_max": 1 << 20, "look_at_logs_s": 60.0})
    (process,) = found._processes
    process.start_at = None
    process.was_ready = True
    return found, process


def test_what_is_not_vital_is_started_again_for_ever_after_longer_and_longer_pauses(report: Any) -> None:
    found, process = _guarding(report, vital=False)
    pauses = []
    for _ in range(20):
        found._ended(process, 1 << 8)
        pauses.append(process.start_at - time.monotonic())
    assert not found._stopping
    assert pauses[0] < 1
    assert 55 < pauses[-1] <= 60
    process.ready_at = time.monotonic() - 1000  # it had been up for long
    found._ended(process, 9)
    assert process.start_at - time.monotonic() < 1
    found._ended(process, 9)  # this time it did not even become ready
    assert process.failures == 2


def test_all_ends_when_what_is_vital_cannot_be_kept_running(report: Any) -> None:
    found, process = _guarding(report, vital=True)
    for _ in range(guardian._RESTARTS_MAX):
        found._ended(process, 9)
        assert not found._stopping
    process.pid = 7
    found._ended(process, 9)
    assert found._stopping
    assert found._gave_up
    assert found._why.startswith("the p failed 6 times in a row, the last time: p (process 7) ended (killed by SIGKILL")
    assert found._why.endswith("its log is /dev/null")


def test_what_had_settled_before_it_made_room_for_another_has_not_failed(
    report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, process = _guarding(report, vital=True)
    wanted: list[list[str]] = []
    monkeypatch.setattr(type(process.folders), "take_next", lambda _: wanted.pop() if wanted else [])
    for _ in range(2 * guardian._RESTARTS_MAX):
        process.ready_at = time.monotonic()
        found._ended(process, 9)
        assert not found._stopping, "each time it had come back"
        process.ready_at = time.monotonic() - 2 * guardian._SETTLED_S
        wanted.append(["another"])
        found._ended(process, 0)
        process.before = []  # the other one is ready


def test_what_ends_for_lack_of_room_is_started_again_until_there_is(report: Any) -> None:
    found, process = _guarding(report, vital=True)
    for _ in range(10 * guardian._RESTARTS_MAX):
        found._ended(process, os.EX_TEMPFAIL << 8)
        assert not found._stopping
        assert 0 < process.start_at - time.monotonic() <= guardian._NO_ROOM_S
    found._ended(process, 9)
    assert (process.failures, found._stopping) == (2, False)


@pytest.mark.parametrize("what", ["fork", "pipe"])
def test_a_restart_for_which_the_host_has_no_room_is_tried_again(
    report: Any, monkeypatch: pytest.MonkeyPatch, what: str, capfd: Any
) -> None:
    found, process = _guarding(report, vital=True)
    process.stdin = "hello"
    real, opened = os.pipe, []

    def refuse(*_: Any) -> Any:
        if what == "pipe" and not opened:
            opened.append(real())
            return opened[0]
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, what, refuse)
    for _ in range(guardian._RESTARTS_MAX):
        opened.clear()
        found._start(process)
        assert process.start_at > time.monotonic()
    assert len(os.listdir("/proc/self/fd")) == before
    assert "p cannot be started: [Errno 11] Resource temporarily unavailable" in capfd.readouterr().err
    assert not found._stopping
    found._start(process)
    assert found._stopping
    assert "the last time: p cannot be started" in found._why


def test_reports_that_nobody_reads_do_not_hold_it_up(report: Any) -> None:
    found, process = _guarding(report, vital=False)
    for _ in range(3000):
        found._report("started", process)
    assert len(os.read(report[0], 1 << 20)) > 10_000
