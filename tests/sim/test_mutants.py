"""Planted bugs are found within the seeds that every commit runs (looking for all of them takes minutes)."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from tests.sim.chain_mutants import CHAIN_MUTANTS
from tests.sim.deadline_mutants import DEADLINE_MUTANTS
from tests.sim.family_mutants import FAMILY_MUTANTS
from tests.sim.inheritance_mutants import INHERITANCE_MUTANTS
from tests.sim.mutants import MUTANTS as OTHERS
from tests.sim.mutants import mutated, plant
from tests.sim.restart_mutants import RESTART_MUTANTS
from tests.sim.test_sim import collected
from tests.sim.world import run_seed

MUTANTS = [*OTHERS, *RESTART_MUTANTS, *FAMILY_MUTANTS, *CHAIN_MUTANTS, *INHERITANCE_MUTANTS]

SEEDS = int(os.environ.get("RAIN_MUTANT_SEEDS", "3000"))


def seeds_to_find(number: int) -> int | None:
    """Which seed finds a bug; runs in a process of its own."""
    plant(MUTANTS[number])
    for seed in collected(range(SEEDS)):
        try:
            run_seed(seed)
        except Exception:
            return seed
    return None


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_all_are_found() -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        found = pool.map(seeds_to_find, range(len(MUTANTS)), chunksize=1)
    survivors = [mutant.name for mutant, seed in zip(MUTANTS, found, strict=True) if seed is None]
    for mutant, seed in zip(MUTANTS, found, strict=True):
        print(f"{seed!s:>6}  {mutant.name}")
    assert not survivors, f"nobody noticed: {survivors}"


def test_there_are_enough_and_each_can_be_planted() -> None:
    assert len(OTHERS) >= 20
    assert len(RESTART_MUTANTS) >= 20
    assert len(FAMILY_MUTANTS) >= 20
    for mutant in (*MUTANTS, *DEADLINE_MUTANTS):
        compile(mutated(mutant), mutant.module, "exec")
