"""Hours of a bursty day in simulated time: what is paid for has work, and places do not come and go in vain."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "scaling.py"
    spec = importlib.util.spec_from_file_location("bench_scaling", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("idle_s", [10.0, 60.0])
def test_places_used_over_places_paid(bench: ModuleType, idle_s: float) -> None:
    day = bench.make_day(1, 4.0, from_hour=10.0)
    account = bench.RainSystem(day, idle_s).run()
    told = account.told("rain", 0.0)
    assert account.done == sum(len(burst.seconds) for burst in day.bursts) > 200
    assert told["used_over_paid"] >= 0.85, told
    assert account.cancelled <= account.asked / 6, told
    assert account.places <= account.done, told


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whole_days_are_paid_for_no_worse_than_by_dask(bench: ModuleType, seed: int) -> None:
    day = bench.make_day(seed, 24.0)
    for idle_s in (10.0, 60.0):
        rain = bench.RainSystem(day, idle_s).run().told("rain", 0.0)
        dask = bench.DaskSystem(day, int(idle_s)).run().told("dask", 0.0)
        assert rain["used_over_paid"] >= max(0.85, dask["used_over_paid"]), (rain, dask)
        assert rain["burst_mean_s"] <= 1.1 * dask["burst_mean_s"], (rain, dask)


def test_a_recorded_log_is_played(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = Path(bench.__file__).parent / "traces" / "hpc2n-excerpt.swf"
    monkeypatch.syspath_prepend(log.parents[1])
    whole = bench.recorded_day(log)
    assert (len(whole.bursts), sum(len(burst.seconds) for burst in whole.bursts)) == (94, 2236)
    part = tmp_path / "part.swf"
    part.write_text("".join(line for line in log.open() if line.startswith(";") or line.split()[0] in ("7146", "7147")))
    day = bench.recorded_day(part)
    assert [day.queue(at) for at in (0.0, 1708.0, 1709.0)] == [1608, 1608, 370]
    account = bench.RainSystem(day, 10.0).run()
    assert account.done == 16 + 6
    assert account.used_s == 16 * 4 + 6 * 769
