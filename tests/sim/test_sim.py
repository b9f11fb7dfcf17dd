"""The simulator: thousands of seeds, each a whole life of a cluster on a bad network.

``RAIN_SIM_SEEDS`` sets how many, ``RAIN_SIM_FIRST`` the first one. A seed that fails is repeated by
``python tests/sim/replay.py SEED --trace ""``.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pathlib
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from rain.governor.core import GovernorCore
from tests.sim import world
from tests.sim.armed import ARMED
from tests.sim.deadlines import records
from tests.sim.governor import QUIET, is_quiet

SEEDS = int(os.environ.get("RAIN_SIM_SEEDS", "3000"))
FIRST = int(os.environ.get("RAIN_SIM_FIRST", "0"))
SOAK_SEEDS = 300_000
CHUNK = 25
SHARES = 35
"""The workers of pytest-xdist divide tests, not what one test does. A seed depends on its rests by 2, 3 and 4:
with an odd number that 3 does not divide either, all shares cost the same."""
COLLECT_EVERY = 20
HERE = pathlib.Path(__file__).parent


def run_chunk(first: int) -> tuple[int, str] | None:
    """The first failure among the seeds of a chunk."""
    for seed in range(first, first + CHUNK):
        try:
            world.run_seed(seed, quiet_steps=True)
        except Exception:
            return seed, traceback.format_exc()
    return None


def collected(seeds: Iterable[int]) -> Iterator[int]:
    """Seeds, with the garbage collector at work between them only: a life is short, and nearly all of it is garbage."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for number, seed in enumerate(seeds):
            if number % COLLECT_EVERY == 0:
                gc.collect()
            yield seed
    finally:
        gc.enable()
        gc.unfreeze()


def failure_text(seed: int, text: str) -> str:
    """What went wrong, and how to see it again."""
    return f"seed {seed}: repeat with python tests/sim/replay.py {seed} --trace ''\n{text}"


def run_many(first: int, count: int) -> None:
    """Run seeds on all cpus; fails with the first bad one, saying how to repeat it."""
    chunks = range(first, first + count, CHUNK)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for failure in pool.imap(run_chunk, chunks):
            if failure is not None:
                pool.terminate()
                pytest.fail(failure_text(*failure), False)


@pytest.mark.parametrize("share", range(SHARES))
def test_seeds(share: int) -> None:
    """Every `SHARES`-th seed."""
    for seed in collected(range(FIRST + share, FIRST + SEEDS, SHARES)):
        try:
            world.run_seed(seed)
        except Exception:
            pytest.fail(failure_text(seed, traceback.format_exc()), False)


def test_quiet_steps_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_seeds` need not check a governor's invariants after them: all its records are as they were."""
    step = GovernorCore.step
    quiet = 0

    def compared(core: Any, event: Any, now: float) -> Any:
        nonlocal quiet
        if type(event) not in QUIET:
            return step(core, event, now)
        before = records(core._state)
        effects = step(core, event, now)
        if is_quiet(core, event, effects):
            quiet += 1
            assert records(core._state) == before, event
        return effects

    monkeypatch.setattr(GovernorCore, "step", compared)
    for seed in range(FIRST, FIRST + SEEDS, 100):
        world.run_seed(seed, quiet_steps=True)
    assert quiet > 150


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_many_seeds() -> None:
    run_many(SEEDS, SOAK_SEEDS)


def test_same_seed_same_trace() -> None:
    """Nothing depends on the order of sets, on hashes or on addresses."""
    script = """
from tests.sim import world
from tests.sim.armed import ARMED
from tests.sim.deadlines import records
for seed in range(700, 725):
    print(seed, world.run_seed(seed, digested=True))
"""
    traces = set()
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(HERE.parents[1])}
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout)
    assert len(traces) == 1


def test_cores_may_not_touch_the_world() -> None:
    """The hook that the simulator relies on does what it is for."""
    with ARMED, pytest.raises(AssertionError, match="touched the world"):
        os.close(os.open(os.devnull, os.O_RDONLY))
