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


def test_places_used_over_places_paid(bench: ModuleType) -> None:
    day = bench.make_day(1, 2.0, from_hour=12.0)
    account = bench.RainSystem(day, idle_s=10.0).run()
    told = account.told("rain", 0.0)
    assert account.done == sum(len(burst.seconds) for burst in day.bursts) > 200
    assert told["used_over_paid"] >= 0.85, told
    assert account.cancelled <= account.asked / 10, told
    assert account.places <= account.done, told
