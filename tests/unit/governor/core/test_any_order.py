"""Any order of events: the invariants hold after each step, and everything comes to an end."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.governor.core.play import Play

chances = st.randoms(use_true_random=False)
MOVES = [move.__name__ for move, _ in Play(Random(0)).moves]


class AnyOrder(RuleBasedStateMachine):
    """Hypothesis draws the moves and what they need, and shrinks what fails."""

    @initialize(chance=chances)
    def begin(self, chance: Random) -> None:
        self.play = Play(chance)

    @rule(name=st.sampled_from(MOVES), chance=chances)
    def move(self, name: str, chance: Random) -> None:
        self.play.chance = chance
        getattr(self.play, name)()

    def teardown(self) -> None:
        if hasattr(self, "play"):
            self.play.world.come_to_rest()


AnyOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase


@pytest.mark.parametrize("block", range(2))
def test_seeds(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        try:
            Play(Random(seed)).run(80)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.soak
def test_many_seeds() -> None:
    for seed in range(1000, 30_000):
        try:
            Play(Random(seed)).run(200)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
