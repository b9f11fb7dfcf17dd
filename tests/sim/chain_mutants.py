"""Bugs to plant in what governors do with chains inside one executor, as those of `tests.sim.mutants`."""

from __future__ import annotations

from tests.sim.mutants import Mutant


def _governor(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"rain.governor.core.{module}", old, new)


CHAIN_MUTANTS = [
    _governor(
        "a follower that comes back runs without its input",
        "tasks",
        "    elif task.missing:  # it was to follow those that make them\n        task.phase = Phase.WAITING\n",
        "",
    ),
    _governor(
        "a follower in an executor is given out again when its input is there",
        "objects",
        "            if not task.missing and task.phase is Phase.WAITING:",
        "            if not task.missing:",
    ),
    _governor(
        "an executor's tasks make things after they have left",
        "chains.following",
        "        if makers.get(spec.id) is task:\n            del makers[spec.id]\n",
        "        pass\n",
    ),
    _governor(
        "a follower whose maker has ended well is never founded",
        "executor_lifecycle",
        "    left(executor, task, made=made)\n",
        "    left(executor, task)\n",
    ),
    _governor(
        "a follower that was recalled is still thought to follow",
        "executor_lifecycle",
        "            come_back(state, task)\n            left(executor, task)\n",
        "            come_back(state, task)\n",
    ),
]
