"""Whatever a governor does because time has passed, it has told before, as the simulator lets no other time pass.

Governors tick there when their core's next deadline has come (`GovernorCore.due_at`), servers and clients all the time.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from tests.sim.deadline_mutants import DEADLINE_MUTANTS

ROOT = pathlib.Path(__file__).parents[2]


def probed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tests.sim.deadlines`."""
    command = [sys.executable, "-m", "tests.sim.deadlines", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=ROOT)


def test_nothing_happens_before_the_deadline_that_a_governor_tells() -> None:
    done = probed("0", "24")
    assert done.returncode == 0, done.stderr
    tried, limited = map(int, done.stdout.split())
    assert tried - limited > 50
    assert limited > 100


@pytest.mark.soak
@pytest.mark.parametrize("number", range(len(DEADLINE_MUTANTS)))
def test_a_deadline_that_is_not_told_is_missed(number: int) -> None:
    done = probed("0", "100", "--mutant", str(number))
    assert done.returncode == 1, DEADLINE_MUTANTS[number].name
