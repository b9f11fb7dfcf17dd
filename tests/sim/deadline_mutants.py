"""Bugs to plant in what a governor tells of its deadlines, as those of `tests.sim.mutants`; `tests.sim.deadlines` finds
them."""

from __future__ import annotations

from tests.sim.mutants import Mutant


def _forgotten(name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(f"{name} is not told", f"rain.governor.core.{module}", old, new)


DEADLINE_MUTANTS = [
    _forgotten(
        "until when a result is held",
        "departure",
        "    at = min([until for _, until in state.held.values()], default=inf)\n",
        "    at = inf\n",
    ),
    _forgotten(
        "when what runs is ended by a departure",
        "departure",
        "        return min(at, departure.tasks_until, departure.until)\n",
        "        return min(at, departure.until)\n",
    ),
    _forgotten(
        "when a governor leaves",
        "departure",
        "    return min(at, departure.until) if departure.stage is Stage.HANDING_BACK else at\n",
        "    return at\n",
    ),
    _forgotten(
        "when a preview has taken too long",
        "executor_lifecycle",
        "    ends = [_ends_at(executor) for executor in state.executors.values()]\n",
        "    ends = [_ends_at(executor) for executor in state.executors.values() if executor.preview is None]\n",
    ),
    _forgotten(
        "when an interrupted executor is killed",
        "executor_lifecycle",
        "    ends = [_ends_at(executor) for executor in state.executors.values()]\n",
        "    ends = [_ends_at(executor) for executor in state.executors.values() if executor.kill_at == inf]\n",
    ),
    _forgotten(
        "when a task has taken too long",
        "executor_lifecycle",
        "    ends = [_ends_at(executor) for executor in state.executors.values()]\n",
        "    ends = [_ends_at(executor) for executor in state.executors.values() if not executor.seen]\n",
    ),
    _forgotten(
        "when a builtin task has taken too long",
        "executor_lifecycle",
        "    ends += [_builtin_until(builtin) for builtin in state.builtins.values()]\n",
        "",
    ),
    _forgotten(
        "when an executor has rested",
        "previews",
        "    return min(map(_rested_at, owing), default=inf)\n",
        "    return inf if owing else min(map(_rested_at, owing), default=inf)\n",
    ),
    _forgotten(
        "when an idle executor ends",
        "dispatch",
        "    ends = [_idle_until(executor) for executor in islice(state.idle.values(), 1)]\n",
        "    ends: list[float] = []\n",
    ),
    _forgotten(
        "that a task may pass another one",
        "dispatch",
        "            return -inf  # whether",
        "            pass  # whether",
    ),
    _forgotten(
        "when a running task holds up others",
        "dispatch",
        "for executor, head in heads if head is not None]\n",
        "for executor, head in heads[:0] if head is not None]\n",
    ),
]
