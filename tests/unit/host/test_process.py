"""Hosts, cpus, lifelines, process trees."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from rain.common.errors import RainException
from rain.host import process
from rain.host.deaths import describe_exit
from rain.processes.guardian import describe_status


def test_the_host_is_the_same_for_all_its_processes():
    code = "from rain.host.process import host_id; print(host_id())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == process.host_id()


def test_cpus(monkeypatch):
    monkeypatch.setattr(process, "available_cpus", lambda: 4)
    assert [process.parse_cpus(text) for text in ("1", 7, "-1", "-3", "detect", "0")] == [1, 7, 3, 1, 4, 0]
    with pytest.raises(RainException, match="cpus -4 leaves none of the 4 cpus"):
        process.parse_cpus("-4")
    for wrong in ("many", "", "1.5", 1.5, True, [1]):
        with pytest.raises(RainException, match="must be a number"):
            process.parse_cpus(wrong)


def test_detect_respects_the_affinity():
    code = "import os, rain.host.process as p; os.sched_setaffinity(0, {0}); print(p.available_cpus())"
    code = code.replace("{0}", f"{{{min(os.sched_getaffinity(0))}}}")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_a_lifeline_ends_with_its_holder():
    read, write = os.pipe()
    ended = threading.Event()
    holder = os.fork()
    if holder == 0:
        os.close(read)
        signal.pause()
        os._exit(0)
    os.close(write)
    process.watch_lifeline(read, ended.set)
    assert not ended.is_set()
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert ended.wait(10)
    os.close(read)


def test_ready_files(tmp_path):
    path = tmp_path / "deep" / "ready"
    process.write_ready_file(path)
    assert path.read_text() == "ready\n"
    assert os.listdir(path.parent) == ["ready"]
    process.write_ready_file("")
    with pytest.raises(RainException, match="cannot write the ready file"):
        process.write_ready_file("/proc/no/ready")
    read, write = os.pipe()
    process.write_ready_file(f"fd:{write}")
    assert os.read(read, 100) == b"ready\n"
    assert os.read(read, 100) == b""  # it let go, though the number stays taken
    os.close(read)
    os.close(write)


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
    top = process.spawn([sys.executable, "-c", code, str(write)], keep=[write])
    said = b""
    while said.count(b"\n") < 2:
        said += os.read(read, 100)
    handles = [os.pidfd_open(int(pid)) for pid in said.split()]
    process.kill_tree(top.pid)
    assert all(select.select([handle], [], [], 10)[0] for handle in handles)
    assert top.wait(10) == -signal.SIGKILL
    for descriptor in (read, write, *handles):
        os.close(descriptor)


def test_no_secret_is_inherited(monkeypatch):
    monkeypatch.setenv("RAIN_TOKEN", "canary")
    environment = process.clean_environment({"A": "b"})
    assert "RAIN_TOKEN" not in environment
    assert environment["A"] == "b"


def test_a_missing_program():
    with pytest.raises(RainException, match="cannot start /no/such/program"):
        process.spawn(["/no/such/program"])


def test_every_signal_has_a_name():
    """Real-time signals have none in `signal.Signals`; whoever tells of a death must not die of that."""
    numbers = range(1, signal.SIGRTMAX + 1)
    assert len({process.signal_name(number) for number in numbers}) == len(numbers)
    assert process.signal_name(signal.SIGRTMIN + 6) == "SIGRTMIN+6"
    for number in numbers:
        name = process.signal_name(number)
        assert name in describe_status(number)
        assert name in describe_exit(number)
