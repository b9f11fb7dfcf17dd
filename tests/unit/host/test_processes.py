"""Starting processes, signals, and ending what was started."""

from __future__ import annotations

import os
import select
import signal
import sys

import pytest

from rain.common.errors import RainException
from rain.host import process_table, signals, starting
from rain.host.deaths import describe_exit
from rain.processes.guardian import describe_status
from tests.support.waiting import GUARD_S


def test_a_tree_is_killed_with_what_left_its_group(tmp_path):
    read, write = os.pipe()
    code = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[1]), b"%d\\n" % os.getpid())
time.sleep(1000)
"""
    top = starting.spawn([sys.executable, "-c", code, str(write)], keep=[write])
    said = b""
    while said.count(b"\n") < 2:
        said += os.read(read, 100)
    handles = [os.pidfd_open(int(pid)) for pid in said.split()]
    signals.kill_tree(top.pid)
    assert all(select.select([handle], [], [], 10)[0] for handle in handles)
    assert top.wait(GUARD_S) == -signal.SIGKILL
    for descriptor in (read, write, *handles):
        os.close(descriptor)


def test_no_secret_is_inherited(monkeypatch):
    monkeypatch.setenv("RAIN_TOKEN", "canary")
    environment = starting.clean_environment({"A": "b"})
    assert "RAIN_TOKEN" not in environment
    assert environment["A"] == "b"


def test_a_missing_program():
    with pytest.raises(RainException, match="cannot start /no/such/program"):
        starting.spawn(["/no/such/program"])


def test_every_signal_has_a_name():
    """Real-time signals have none in `signal.Signals`; telling of a death must not fail for that."""
    numbers = range(1, signal.SIGRTMAX + 1)
    assert len({signals.signal_name(number) for number in numbers}) == len(numbers)
    assert signals.signal_name(signal.SIGRTMIN + 6) == "SIGRTMIN+6"
    for number in numbers:
        name = signals.signal_name(number)
        assert name in describe_status(number)
        assert name in describe_exit(number)


def test_a_process_in_the_table():
    pid = os.getpid()
    assert process_table.is_alive(pid)
    assert process_table.state(pid) == "R"
    assert process_table.start_time(pid).isdigit()
    assert process_table.cpu_seconds(pid) > 0
    assert process_table.own_memory(pid) > 1 << 20
    assert process_table.parents()[pid] == os.getppid()
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    assert os.waitid(os.P_PID, gone, os.WEXITED | os.WNOWAIT)
    assert process_table.state(gone) == "Z"
    assert not process_table.is_alive(gone)
    os.waitpid(gone, 0)
    assert (process_table.start_time(gone), process_table.cpu_seconds(gone), process_table.own_memory(gone)) == (
        "",
        None,
        0,
    )
