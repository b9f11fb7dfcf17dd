"""Which host this is, and its cpus and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from rain.common.errors import RainException
from rain.host import machine


def test_the_host_is_the_same_for_all_its_processes():
    code = "from rain.host.machine import host_id; print(host_id())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == machine.host_id()


def test_cpus(monkeypatch):
    monkeypatch.setattr(machine, "available_cpus", lambda: 4)
    assert [machine.parse_cpus(text) for text in ("1", 7, "-1", "-3", "detect", "0")] == [1, 7, 3, 1, 4, 0]
    with pytest.raises(RainException, match="cpus -4 leaves none of the 4 cpus"):
        machine.parse_cpus("-4")
    for wrong in ("many", "", "1.5", 1.5, True, [1]):
        with pytest.raises(RainException, match="must be a number"):
            machine.parse_cpus(wrong)


def test_detect_respects_the_affinity():
    code = "import os, rain.host.machine as p; os.sched_setaffinity(0, {0}); print(p.available_cpus())"
    code = code.replace("{0}", f"{{{min(os.sched_getaffinity(0))}}}")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_figures_are_those_of_other_tools():
    total, available = machine.memory_bytes()
    assert total == psutil.virtual_memory().total
    assert available == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    times = psutil.cpu_times()
    ticks = os.sysconf("SC_CLK_TCK")
    found = machine.cpu_times()
    assert found.idle / ticks == pytest.approx(times.idle + times.iowait, rel=0.01, abs=1)
    assert found.total / ticks == pytest.approx(sum(times) - times.guest - times.guest_nice, rel=0.01, abs=1)


def test_a_busy_cpu_is_seen():
    before = machine.cpu_times()
    busy = time.thread_time() + 0.2
    while time.thread_time() < busy:
        pass
    assert 0 < machine.cpu_times().busy_percent_since(before) <= 100
    assert before.busy_percent_since(before) == 0.0
