"""What a governor tells of its host."""

from __future__ import annotations

import time

from rain.governor.surroundings.host_load import HostLoad


def test_figures_of_the_host() -> None:
    meter = HostLoad()
    first = meter.read()
    assert "cpu_percent" not in first  # nothing has been measured yet
    assert 0 < first["host_used_bytes"] < first["host_max_bytes"]
    assert 0 < first["memory_percent"] < 100
    busy = time.thread_time() + 0.1
    while time.thread_time() < busy:
        pass
    second = meter.read()
    assert 0 <= second["cpu_percent"] <= 100
    assert second["own_cpus"] > 0
    assert second["host_cpus"] >= 1
    assert second["load"] >= 0
