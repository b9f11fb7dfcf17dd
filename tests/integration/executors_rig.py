"""Drives `rain.governor.pools.python_executors.PythonExecutors` with real processes, without a governor."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import pickle
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from rain.client.functions.pickling import dumps
from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.families import results
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    MemberResult,
    ModuleFound,
    OwnPreview,
    Results,
    SessionEnv,
    TaskProgress,
    TaskResult,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec
from rain.common.task_configs import PYTHON, FunctionPayload, PyConfig, encode_function
from rain.governor.core.events import ExecutorExited
from rain.governor.core.records import PY
from rain.governor.pools.pool import PoolEvents
from rain.governor.pools.python_executors import PythonExecutors
from rain.objects.content_types.codecs import decode_value, encode_value
from rain.objects.pickling.placeholders import placeholder
from tests.support.waiting import Changes, until_async


class Obj:
    """Stands for a data object in arguments; pickled as clients do."""

    def __init__(self, number: int) -> None:
        self.id = ID(1, number)

    def __reduce__(self) -> Any:
        return placeholder, (self.id.session_id, self.id.id)


class Rig:
    """Executors, and what they told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.spill = folder / "spill"
        self.store.mkdir()
        self.spill.mkdir()
        self.results: dict[tuple[int, int], TaskResult] = {}  # (executor, id.id) -> result
        self.batches: list[tuple[int, Results]] = []
        self.progress: list[TaskProgress] = []
        self.recalled: list[tuple[int, list[int]]] = []
        self.exited: dict[int, tuple[str, int, bytes, bytes]] = {}
        self.members: list[MemberResult] = []  # which executors that died had not told
        self._changes = Changes()
        self.previews: dict[ID, OwnPreview] = {}
        events = PoolEvents(
            self._on_results,
            self._on_recalled,
            self._on_exited,
            self._on_module_wanted,
            self._on_progressed,
            previewed=self._on_previewed,
            member_ended=self._on_member_ended,
        )
        self.executors = PythonExecutors(events, str(folder))
        self._numbers: dict[int, int] = {}
        self._sent: dict[int, set[ID]] = {}
        self._functions: dict[bytes, ID] = {}
        self._id = 1000

    def _on_results(self, executor_id: int, message: Results) -> None:
        self.batches.append((executor_id, message))
        for result in [*message.results, *(one for part in message.families for one in results(part))]:
            self.results[executor_id, result.id.id] = result
        self._changes.tell()

    def _on_member_ended(self, executor_id: int, result: MemberResult) -> None:
        self.members.append(result)
        self._changes.tell()

    def _on_recalled(self, executor_id: int, numbers: list[int], _unasked: bool) -> None:
        self.recalled.append((executor_id, numbers))
        self._changes.tell()

    def _on_exited(self, event: ExecutorExited) -> None:
        self.exited[event.executor_id] = (event.reason, event.number, event.stdout, event.stderr)
        self._changes.tell()

    def _on_progressed(self, executor_id: int, tasks: list[TaskProgress]) -> None:
        self.progress += tasks
        self._changes.tell()

    def _on_previewed(self, executor_id: int, made: OwnPreview) -> None:
        self.previews[made.id] = made
        self._changes.tell()

    def _on_module_wanted(self, executor_id: int, name: str) -> None:
        self.executors.give(executor_id, ModuleFound(0, name))

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something told makes `condition` true; its value."""
        return await self._changes.until(condition)

    def start(self, executor_id: int = 1, python: str | None = None, **changes: Any) -> int:
        values: dict[str, Any] = {
            "executor_id": executor_id,
            "session_id": 1,
            "governor_id": "127.0.0.1:7",
            "work_dir": str(self.folder / f"executor-{executor_id}"),
            "store_dir": str(self.store),
            "spill_dir": str(self.spill),
            "store_bytes_max": 1 << 40,
            "sys_path": list(sys.path),
            "cwd": os.getcwd(),
            "env": {},
            "resources": {"cpus": 1.0},
        }
        here = None if python is None else SessionEnv("here", python, "3", [], "/")
        self.executors.start(executor_id, PY, ExecutorSetup(**(values | changes)), here)
        return executor_id

    def task(
        self,
        function: Callable[..., Any],
        *args: Any,
        executor_id: int = 1,
        outputs: Any = 1,
        encode: Any = None,
        load: Any = False,
        inputs: tuple[ExecutorInput, ...] = (),
        payload: FunctionPayload | None = None,
        **kwargs: Any,
    ) -> ExecutorTask:
        """A Python task; `outputs` is a number or a list of `ObjectSpec` without ids."""
        if payload is None:
            payload = FunctionPayload(dumps(function), function.__qualname__)
        data = encode_function(payload)
        function_id = self._functions.setdefault(data, ID(1, len(self._functions) + 1))
        sent = self._sent.setdefault(executor_id, set())
        came = None if function_id in sent else ExecutorInput(ObjectSpec(function_id), ObjectInfo(), None, Inline(data))
        sent.add(function_id)
        self._id += 100
        if isinstance(outputs, int):
            outputs = [ObjectSpec(ID(0, 0), f"out{number}") for number in range(outputs)]
        specs = [
            ObjectSpec(ID(1, self._id + 1 + number), spec.label, spec.content_type, spec.data_type)
            for number, spec in enumerate(outputs)
        ]
        if isinstance(encode, str):
            encode = [encode] * len(specs)
        config = PyConfig(pickle.dumps((args, kwargs)), load, encode or [])
        spec = TaskSpec(
            ID(1, self._id), PYTHON, config, [], [spec.id for spec in specs], {"cpus": 1.0}, "test", {}, function_id
        )
        self._numbers[executor_id] = self._numbers.get(executor_id, 0) + 1
        return ExecutorTask(self._numbers[executor_id], 1, spec, list(inputs), specs, came)

    def family(self, function: Callable[..., Any], arguments: Sequence[Any], **options: Any) -> ExecutorFamily:
        """The same task for each of `arguments`."""
        executor_id = options.get("executor_id", 1)
        task = self.task(function, encode="pickle", **options)
        stride = len(task.outputs) + 1
        self._id += stride * len(arguments)
        self._numbers[executor_id] += len(arguments) - 1
        task.spec.config.args = b""
        args = [pickle.dumps(((argument,), {})) for argument in arguments]
        return ExecutorFamily(task.number, 1, task.spec, task.inputs, task.outputs, args, task.function)

    async def result(self, task: ExecutorTask, executor_id: int = 1) -> TaskResult:
        """The task's result, when it is there."""
        return await self.until(lambda: self.results.get((executor_id, task.spec.id.id)))

    async def run(self, function: Callable[..., Any], *args: Any, executor_id: int = 1, **options: Any) -> TaskResult:
        """Run one task to its end."""
        task = self.task(function, *args, executor_id=executor_id, **options)
        self.executors.run(executor_id, [task])
        return await self.result(task, executor_id)

    async def value(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What a function that returns any value returned."""
        result = await self.run(function, *args, encode="pickle", **options)
        assert result.error is None, result.error.message
        return decode_value(result.outputs[0].location.data, "pickle")

    async def preview(self, value: ExecutorInput, executor_id: int = 1) -> OwnPreview:
        """What the executor makes as the preview of one of its results."""
        self.previews.pop(value.spec.id, None)
        self.executors.preview(executor_id, value)
        made: OwnPreview = await self.until(lambda: self.previews.get(value.spec.id))
        return made

    async def running(self, number: int, executor_id: int = 1) -> None:
        """Wait until the executor is on task `number`."""
        await until_async(lambda: self.executors.seen().get(executor_id) == number)


def with_rig(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is an async function of a `Rig` and, by their names, of fixtures."""

    def run(tmp_path: Path, **fixtures: Any) -> None:
        async def main() -> None:
            rig = Rig(tmp_path)
            try:
                await test(rig, **fixtures)
            finally:
                await rig.executors.close()

        asyncio.run(main())

    functools.update_wrapper(run, test)
    wanted = list(inspect.signature(test).parameters.values())[1:]
    path = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([path, *wanted])  # type: ignore[attr-defined]
    return run


def blob(number: int, value: Any, content_type: str | None = None, **info: Any) -> ExecutorInput:
    """An input that came as bytes."""
    data = value if isinstance(value, bytes) else encode_value(value, content_type or "pickle")
    spec = ObjectSpec(ID(1, number), f"in{number}", content_type)
    return ExecutorInput(spec, ObjectInfo(size=len(data), **info), f"in{number}", Inline(data))
