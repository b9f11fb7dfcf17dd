"""Whether a core tells all of its deadlines: in simulated lives, copies of it are told that the time before has passed.

``python -m tests.sim.deadlines FIRST LAST`` runs these seeds. It is a program of its own because copies of records are
made by pickle, which changes states as no core may.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
import sys
from math import inf, nextafter
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from rain.governor.core import GovernorCore
from rain.governor.core import events as ev
from rain.governor.core.records import State
from rain.governor.core.reporting.outbox import begun
from rain.governor.states import Presence, Stage
from tests.sim import world
from tests.sim.deadline_mutants import DEADLINE_MUTANTS
from tests.sim.mutants import plant

EVERY = 5
FOR_EVER_S = 1e6
STEP = GovernorCore.step


class Probe:
    """Steps governors' cores; after some turns what is left of a core is asked, and tried.

    Attributes
    ----------
    tried : int
        Turns after which time passed for copies.
    limited : int
        Those of them in which the core told of a deadline.
    """

    def __init__(self) -> None:
        self.turns = self.tried = self.limited = 0

    def step(self, core: GovernorCore, event: Any, now: float) -> list[Any]:
        effects = STEP(core, event, now)
        if type(event) is ev.TurnEnded and core._state.departure.stage is not Stage.LEFT:
            self.turns += 1
            if self.turns % EVERY == 0:
                self._try(core, now)
        return effects

    def _try(self, core: GovernorCore, now: float) -> None:
        due_at = core.due_at()
        self.tried += 1
        self.limited += now < due_at < inf
        lived = records(core._state)
        for at in times(now, due_at):
            copy = core.renewed()
            copy._state = pickle.loads(lived)
            before = records(copy._state)
            effects = [*STEP(copy, ev.Tick(), at), *STEP(copy, ev.TurnEnded(), at)]
            assert not effects, f"at {at}, before {due_at}: {effects}"
            assert records(copy._state) == before, f"something was changed at {at}, before {due_at}"


def times(now: float, due_at: float) -> list[float]:
    """Some between now and a deadline."""
    if due_at == inf:
        return [now + 0.3, now + FOR_EVER_S]
    last = nextafter(due_at, -inf)
    return [(now + last) / 2, last] if last > now else []


def records(state: State) -> bytes:
    """All that a core knows, but what it has just answered, and what is in lists of things to be looked at and will be
    passed over."""
    hungry, wanted, out = state.hungry, state.wanted, state.out
    started, members, following = state.started, state.started_members, state.following
    candidates = [(executor.chain, executor.chain.nexts) for executor in following]
    state.hungry, state.out = {group: None for group in hungry if group.ready}, []
    state.wanted = [entry for entry in wanted if entry[2].presence is Presence.WANTED]
    if not begun(state):
        state.started, state.started_members = [], []
    state.following = {}
    for chain, _ in candidates:
        chain.nexts = {}
    try:
        return pickle.dumps(state)
    finally:
        state.hungry, state.wanted, state.out = hungry, wanted, out
        state.started, state.started_members, state.following = started, members, following
        for chain, nexts in candidates:
            chain.nexts = nexts


def run(first: int, last: int) -> Probe:
    """Live these seeds."""
    probe = Probe()
    GovernorCore.step = lambda core, event, now: probe.step(core, event, now)  # type: ignore[method-assign]
    try:
        for seed in range(first, last):
            world.run_seed(seed, checks=False)
    finally:
        GovernorCore.step = STEP  # type: ignore[method-assign]
    return probe


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--mutant", type=int, help="the bug of `tests.sim.deadline_mutants` to plant")
    options = parser.parse_args()
    if options.mutant is not None:
        plant(DEADLINE_MUTANTS[options.mutant])
    probe = run(options.first, options.last)
    print(probe.tried, probe.limited)


if __name__ == "__main__":
    main()
