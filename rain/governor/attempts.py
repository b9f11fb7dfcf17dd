"""Attempts of tasks: given to executors and builtin threads as the core wants it, their results taken into the store.

This is what lies between `rain.governor.core` and the pools. Nothing here decides anything about tasks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import SMAPS_BYTES_MAX
from rain.common.protocol.families import member_outputs, member_spec
from rain.common.protocol.messages import (
    Damage,
    ExecutorFamily,
    ExecutorInput,
    ExecutorTask,
    OwnPreview,
    Results,
    TaskOutput,
    TaskResult,
)
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.core import effects as do
from rain.governor.core import events as ev
from rain.governor.core.records import PROGRAM, PY
from rain.governor.damage import lose_damaged
from rain.governor.pools.builtin_threads import Builtins
from rain.governor.pools.foreign_executors import ForeignExecutors
from rain.governor.pools.pool import PoolEvents, Pools
from rain.governor.pools.python_executors import PythonExecutors
from rain.governor.pools.setups import if_here, setup_of
from rain.governor.pools.zygotes.process import ZygoteProcess
from rain.governor.results import failed, failure
from rain.governor.store import Store
from rain.host.gpus import VARIABLE as GPUS_VARIABLE
from rain.host.process_table import family
from rain.objects.memory import written_pages

log = logging.getLogger("rain.governor")


class Attempts:
    """All attempts that run on one governor.

    Parameters
    ----------
    governor_id : str
    host_id : str
        Of this host.
    work_dir : str
        In which executors get folders.
    store : Store
    commands : mapping of str to sequence of str
        The command of each type of foreign executors.
    gpus : sequence of str
        Names of GPUs by device number; empty where the host does not tell them.
    zygote : ZygoteProcess or None
        One of this interpreter that was started before.
    step, step_later : callable
        Called with an event for the core; `step_later` from inside of an effect.

    Attributes
    ----------
    pools : Pools
    builtins : Builtins
    extra_kinds : list of str
        The executor types that not every governor has.
    """

    def __init__(
        self,
        governor_id: str,
        host_id: str,
        work_dir: str,
        store: Store,
        commands: Mapping[str, Sequence[str]],
        gpus: Sequence[str],
        zygote: ZygoteProcess | None,
        step: Callable[[ev.AnyEvent], None],
        step_later: Callable[[ev.AnyEvent], None],
    ) -> None:
        self._governor_id = governor_id
        self._host_id = host_id
        self._work_dir = work_dir
        self._store = store
        self._gpus = gpus
        self._step = step
        self._step_later = step_later
        self.builtins = Builtins(governor_id, store, on_ended=self._builtin_ended)
        events = PoolEvents(
            results=self._results,
            recalled=lambda executor_id, numbers, unasked: step(ev.ExecutorRecalled(executor_id, numbers, unasked)),
            exited=self._exited,
            module_wanted=lambda executor_id, name: step(ev.ModuleWanted(executor_id, name)),
            progressed=lambda executor_id, tasks: step(ev.TasksProgressed(executor_id, tasks)),
            companion_ready=lambda executor_id, ready: step(ev.CompanionReady(executor_id, ready)),
            previewed=lambda executor_id, made: step(ev.PreviewMade(executor_id, made)),
            member_ended=lambda executor_id, result: step(ev.ExecutorResults(executor_id, [], members=[result])),
        )
        python = PythonExecutors(events, work_dir, zygote)
        python.warm()  # its interpreter starts while the governor connects
        foreign = ForeignExecutors(commands, events, work_dir)
        self.pools = Pools({PY: python, PROGRAM: python, **dict.fromkeys(commands, foreign)})
        self.extra_kinds = [kind for kind in self.pools.kinds if kind not in (PY, PROGRAM)]
        self._memory_max: dict[int, float] = {}
        self._written: dict[int, int] = {}  # what executors that were over it had written of their inputs
        self._seen: dict[int, int] = {}
        self._seen_again: dict[int, int] = {}

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What carries effects out, by their types."""
        return {
            do.StartExecutor: self._start_executor,
            do.RunOnExecutor: self._run_on_executor,
            do.RecallFromExecutor: self._recall_from_executor,
            do.InterruptExecutor: self._interrupt_executor,
            do.KillExecutor: self._kill_executor,
            do.GiveModule: self._give_module,
            do.MakePreview: self._make_preview,
            do.ReadOutputs: self._read_outputs,
            do.RunBuiltin: self.builtins.run,
            do.CancelBuiltin: lambda effect: self.builtins.cancel(effect.number),
        }

    def instead(self) -> dict[type, Callable[[Any, str], ev.AnyEvent | None]]:
        """What the core gets for effects that could not be carried out, as of `rain.governor.turns.Turns`."""
        return {
            do.StartExecutor: self._not_started,
            do.RunOnExecutor: self._not_run,
            do.RecallFromExecutor: lambda effect, why: ev.ExecutorRecalled(effect.executor_id, []),
            do.MakePreview: lambda effect, why: ev.PreviewMade(effect.executor_id, OwnPreview(effect.known.spec.id)),
            do.ReadOutputs: lambda effect, why: ev.OutputsRead(effect.request, []),
            do.RunBuiltin: self.builtins.failed,
        }

    @property
    def any(self) -> bool:
        """Whether anything of them is left."""
        return bool(self.pools.seen() or self.builtins.running)

    def end_all(self) -> None:
        """Kill all executors, ask all builtin tasks to end."""
        self.builtins.cancel_all()
        self.pools.kill_all()

    async def close(self) -> None:
        """End all; returns when all executors are gone."""
        await self.pools.close()
        self.builtins.close()

    # -- executors ------------------------------------------------------------------------------

    def _start_executor(self, effect: do.StartExecutor) -> None:
        here = if_here(effect.session_env, self._host_id)
        env = dict(effect.env)
        if "gpus" in effect.devices:
            names = self._gpus or [str(number) for number in range(max(effect.devices["gpus"]) + 1)]
            env[GPUS_VARIABLE] = ",".join(names[number] for number in effect.devices["gpus"])
        folder = os.path.join(self._work_dir, f"executor-{effect.executor_id}")
        setup = setup_of(
            effect.executor_id, effect.session_id, self._governor_id, folder, self._store, here, env, effect.resources
        )
        self.pools.start(effect.executor_id, effect.kind, setup, here)
        if effect.resources.get("mem"):
            self._memory_max[effect.executor_id] = effect.resources["mem"]

    def _recall_from_executor(self, effect: do.RecallFromExecutor) -> None:
        self.pools.of(effect.executor_id).recall(effect.executor_id, effect.numbers)

    def _interrupt_executor(self, effect: do.InterruptExecutor) -> None:
        self.pools.of(effect.executor_id).interrupt(effect.executor_id, effect.number)

    def _kill_executor(self, effect: do.KillExecutor | do.RunOnExecutor) -> None:
        self.pools.of(effect.executor_id).kill(effect.executor_id)

    def _give_module(self, effect: do.GiveModule) -> None:
        self.pools.of(effect.executor_id).give(effect.executor_id, effect.found)

    def _make_preview(self, effect: do.MakePreview) -> None:
        self.pools.of(effect.executor_id).preview(effect.executor_id, self._input(effect.known, None))

    def _not_started(self, effect: do.StartExecutor, why: str) -> ev.AnyEvent | None:
        pool = self.pools.of(effect.executor_id)
        if effect.executor_id in pool.seen():  # it is there all the same: its end is told when it is gone
            pool.kill(effect.executor_id)
            return None
        self.pools.forget(effect.executor_id)
        return ev.ExecutorExited(effect.executor_id, f"could not be started: {why}")

    def _not_run(self, effect: do.RunOnExecutor, why: str) -> ev.AnyEvent:
        attempts = [attempt for item in effect.items for attempt in _attempts_of(item)]
        results = [failed(id, attempt, why, self._governor_id) for id, attempt in attempts]
        self._kill_executor(effect)  # it may lack functions that later tasks count on
        return ev.ExecutorResults(effect.executor_id, results)

    def _run_on_executor(self, effect: do.RunOnExecutor) -> None:
        tasks = []
        families = []
        for item in effect.items:
            function = None
            if item.function is not None and not item.function_cached:
                function = self._input(item.function, None)
            if isinstance(item, do.MemberItems):
                families.append(self._members(item, function))
                continue
            assignment = item.assignment
            spec = assignment.spec
            tasks.append(
                ExecutorTask(
                    item.number,
                    assignment.attempt,
                    spec,
                    [
                        ExecutorInput(ObjectSpec(known.id), ObjectInfo(), wanted.label, None, awaited=True)
                        if isinstance(known, do.Awaited)
                        else self._input(known, wanted.label)
                        for known, wanted in zip(item.inputs, spec.inputs, strict=True)
                    ],
                    assignment.outputs,
                    function,
                    assignment.nodes,
                )
            )
        self.pools.of(effect.executor_id).run(effect.executor_id, tasks, families)

    def _members(self, item: do.MemberItems, function: ExecutorInput | None) -> ExecutorFamily:
        family, start = item.family, item.start
        spec, outputs = member_spec(family.spec, start, b""), member_outputs(family.outputs, start)
        inputs = [self._input(known, wanted.label) for known, wanted in zip(item.inputs, spec.inputs, strict=True)]
        args = family.args[start : item.stop]
        return ExecutorFamily(item.number, family.attempt, spec, inputs, outputs, args, function)

    def _input(self, known: do.Known, label: str | None) -> ExecutorInput:
        held = self._store.get(known.spec.id)
        # What is gone the executor reports as damage; the core hears of the loss by itself.
        return ExecutorInput(known.spec, known.info, label, None if held is None else held.location)

    # -- what they wrote, and how much memory they use ------------------------------------------

    def _read_outputs(self, effect: do.ReadOutputs) -> None:
        found = []
        for item in effect.items:
            had = item.had
            streams = self.pools.of(item.executor_id).read(item.executor_id, item.number, (had.stdout, had.stderr))
            if streams is not None:
                (stdout, out), (stderr, err) = streams
                found.append(TaskOutput(item.id, item.attempt, stdout, stderr, out, err, True))
        self._step_later(ev.OutputsRead(effect.request, found))

    def look(self) -> None:
        """Tell the core which tasks executors are on, and which executors use more memory than they may."""
        for executor_id, number in self.pools.seen().items():
            if self._seen.get(executor_id) != number:
                self._seen[executor_id] = number
                self._step(ev.ExecutorSeen(executor_id, number))
            elif number and self._seen_again.get(executor_id) != number:
                self._seen_again[executor_id] = number
                self._step(ev.ExecutorSeen(executor_id, number, again=True))
        for executor_id, allowed in list(self._memory_max.items()):
            pool = self.pools.of(executor_id)
            used = pool.memory(executor_id)
            if used > allowed:
                if executor_id not in self._written:
                    self._written[executor_id] = self._written_pages(pool.pid(executor_id), used)
                self._step(ev.OverMemory(executor_id, used, self._written[executor_id]))

    def _written_pages(self, pid: int, used: int) -> int:
        """Bytes of its inputs that an executor has written: of the `used` ones, which it has for itself."""
        if not pid or used > SMAPS_BYTES_MAX:
            return 0
        folders = tuple(os.path.realpath(folder) + os.sep for folder in self._store.objects_folders)
        return min(used, sum(written_pages(each, folders) for each in family(pid)))

    # -- ends -----------------------------------------------------------------------------------

    def _results(self, executor_id: int, message: Results) -> None:
        for result in message.results:
            if result.damage is not None:
                self._lose_damaged(result.damage)
        results = [self._adopt(result) for result in message.results]
        self._step(ev.ExecutorResults(executor_id, results, message.stale, message.families))

    def _lose_damaged(self, damage: Damage) -> None:
        """Tell the core of what is really damaged, and leave only that in `damage`."""
        lost = lose_damaged(self._store, damage)
        for id, reason in lost.items():
            self._step(ev.ObjectLost(id, reason))
        damage.objects = list(lost)

    def _adopt(self, result: TaskResult) -> TaskResult:
        """Take the outputs into the store; a result whose outputs cannot be taken is a failure."""
        store = self._store
        result.info.governor = self._governor_id
        try:
            for output in result.outputs:
                output.location = store.put(output.id, output.location)
        except Exception as error:
            if not isinstance(error, RainException | OSError):
                log.exception("outputs of task %s cannot be stored", result.id)
            store.drop([output.id for output in result.outputs])
            if result.error is not None:  # what it returned was refused, and now it is lost too
                message = f"{result.error.message}\nIt could not be kept on governor {self._governor_id}: {error}"
                return failure(result, message)
            return failure(result, f"an output could not be stored on governor {self._governor_id}: {error}")
        return result

    def _builtin_ended(self, number: int, result: TaskResult) -> None:
        if result.damage is not None:
            self._lose_damaged(result.damage)
        self._step(ev.BuiltinEnded(number, self._adopt(result)))

    def _exited(self, event: ev.ExecutorExited) -> None:
        self._memory_max.pop(event.executor_id, None)
        self._written.pop(event.executor_id, None)
        self._seen.pop(event.executor_id, None)
        self._seen_again.pop(event.executor_id, None)
        self._step(event)
        self.pools.forget(event.executor_id)


def _attempts_of(item: do.ExecutorItem | do.MemberItems) -> list[tuple[ID, int]]:
    """Ids and attempts of what an executor was to be given."""
    if isinstance(item, do.MemberItems):
        spec, stride = item.family.spec, len(item.family.outputs) + 1
        session_id, number = spec.id
        return [
            (ID(session_id, number + place * stride), item.family.attempt) for place in range(item.start, item.stop)
        ]
    return [(item.assignment.spec.id, item.assignment.attempt)]
