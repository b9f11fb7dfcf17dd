"""Runs Python tasks: unpickles function and arguments, calls, and takes what was returned."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.attributes import check_user
from rain.common.errors import RainException
from rain.common.formatting import shorten
from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.messages import Damage, ExecutorInput, ExecutorSetup, ExecutorTask, OutputResult, TaskResult
from rain.common.spec import TaskError, TaskInfo
from rain.common.task_configs import FunctionPayload, PyConfig, decode_function, read_config
from rain.executor.context import Context, executor_task
from rain.executor.progress import Teller
from rain.executor.python.exception_report import describe
from rain.executor.python.inputs import InputValues, Used
from rain.executor.python.later import LATER, run_to_end
from rain.executor.python.modules import Ask, Modules
from rain.executor.python.return_values import ReturnRefused, ReturnValues
from rain.executor.readonly import ReadOnly
from rain.executor.staging import Staging
from rain.objects import memory
from rain.objects.lent_inputs import damaged, spoil
from rain.objects.pickling.placeholders import resolving

_CHAIN_MAX = 10
"""Causes of an exception that are looked at."""


class Stale(Exception):
    """A module that the function needs has changed on disk since this executor imported it."""


class Interrupted(KeyboardInterrupt):
    """The governor interrupted the task."""


class _Function:
    """A function as it was unpickled here."""

    __slots__ = ("call", "name", "resolved")

    def __init__(self, call: Callable[..., Any], name: str, resolved: dict[ID, Used]) -> None:
        self.call = call
        self.name = name
        self.resolved = resolved
        """Data objects inside it, as they were."""


class PythonTasks:
    """Runs the Python tasks of one executor, one at a time.

    Parameters
    ----------
    setup : ExecutorSetup
    functions : dict of ID to ExecutorInput
        Functions as they came from the governor, by id of their constant objects; taken out once they are unpickled.
    protect : bool
        Whether to keep tasks that may do so from writing to their inputs' files.
    ask : callable or None
        Where to ask for modules of the client's that are missing here.
    teller : Teller or None
        Where tasks say how far they are.
    """

    def __init__(
        self,
        setup: ExecutorSetup,
        functions: dict[ID, ExecutorInput],
        protect: bool = True,
        ask: Ask | None = None,
        teller: Teller | None = None,
    ) -> None:
        self._setup = setup
        self._came = functions
        self._teller = teller
        self._modules = Modules(setup.sys_path, setup.cwd, [setup.work_dir, setup.store_dir, setup.spill_dir], ask)
        self._functions: dict[ID, _Function] = {}
        self._cache: dict[Any, Any] = {}
        self._read_only = ReadOnly()
        self._read_only.needed &= protect
        self._values: InputValues | None = None  # of the task that runs
        self._lingering: Any = None  # arguments of the task that ran last
        self._own_bytes = 0  # of memory.own_bytes, what outlives its task
        # Installed once and for good, in the main thread's context: cheaper than for each task.
        self._resolving = resolving(self._resolve)
        self._resolving.__enter__()

    def _resolve(self, id: ID) -> Any:
        if self._values is None:
            raise RainException(f"data object {id} is used outside of a task")
        return self._values.value(id)

    def run(self, task: ExecutorTask) -> TaskResult:
        """Run one task. Whatever its code does becomes part of the result.

        Raises
        ------
        Stale
            Instead of running it.
        """
        info = TaskInfo(governor=self._setup.governor_id, attempts=task.attempt)
        staging = Staging(self._setup, f"py-{self._setup.executor_id}-{task.number}")
        result = TaskResult(task.spec.id, task.attempt, info)
        try:
            result.outputs = self.attempt(task, info, staging)
        except Stale:
            raise
        except Interrupted:
            result.error = TaskError("cancelled", "the task was interrupted")
        except ReturnRefused as refusal:
            result.outputs = refusal.outputs
            result.error = TaskError("refused" if refusal.outputs else "rain", shorten(str(refusal)))
        except _Misuse as misuse:
            result.error = TaskError("rain", shorten(str(misuse)))
        except BaseException as error:
            _explain_read_only(error)
            result.error = describe(error, self._modules.shown)
        finally:
            values, self._values = self._values, None
        self._check_inputs(task, values, result)
        staging.discard(everything=not result.outputs)
        return result

    def _check_inputs(self, task: ExecutorTask, values: InputValues | None, result: TaskResult) -> None:
        """See that the inputs still are what they were when the attempt began."""
        found = damaged(task.inputs)
        if values is not None:
            found |= values.changed_inside()
        if found:
            guarded = [value.spec.id for value in task.inputs if value.path and self._read_only.guards(value.path)]
            damage = Damage(list(found), ran=True, suspect=not set(guarded).issuperset(found))
            spoil(result, task.inputs, found, damage)

    def attempt(self, task: ExecutorTask, info: TaskInfo, staging: Staging) -> list[OutputResult]:
        """Call the task's function, fill `info`, take what it returns; whatever it raises is raised."""
        spec = task.spec
        config = _checked(task)
        inputs = {value.spec.id: value for value in task.inputs}
        values = InputValues(inputs, config, self._read_only)
        info.start_time = time.time()
        self._values = values
        memory.why_read_only = ""
        function = self._function(task, values)
        self._modules.register(config.sources)
        args, kwargs = self._lingering = _unpickled_arguments(config.args, function.name)
        # What the task makes may be, or hold, links to its inputs.
        lent = [value.path for value in task.inputs if value.path is not None]
        seen = TaskInfo(start_time=info.start_time, governor=info.governor, attempts=task.attempt)
        context = Context(function.call, spec, seen, self._cache, staging, lent, self._teller, task.nodes)
        if self._teller is not None:
            self._teller.begin(task)
        executor_task.context = context
        begin = time.perf_counter()
        try:
            value = function.call(*args, **kwargs) if config.plain else function.call(context, *args, **kwargs)
            if type(value) in LATER:
                value = run_to_end(value, config.plain)
        finally:
            info.duration = time.perf_counter() - begin
            executor_task.context = None
            if self._teller is not None:
                self._teller.end()
            info.debug = context.debug_text()
        if seen.user:
            info.user = _checked_user(seen.user)
        if seen.error is not None:
            raise _Misuse(str(seen.error))
        return ReturnValues(function.name, task.outputs, config.encode, inputs, staging, config.plain).take(value)

    def arrived(self) -> bool:
        """New tasks are here; False if they must not run in this executor, because the user's code has changed."""
        self._modules.arrived()
        return not self._modules.outdated()

    def let_go(self) -> None:
        """Let go of the last task's arguments, which outlive it so that its result need not wait until large mappings
        among them are undone.

        What it wrote to them goes too, and is not counted to the next task; unless the task kept them, in `ctx.cache`.
        """
        self._lingering = None
        if memory.own_bytes() > self._own_bytes:
            gc.collect()  # they may be part of a cycle, as tracebacks are
        self._own_bytes = memory.own_bytes()

    def _function(self, task: ExecutorTask, values: InputValues) -> _Function:
        """The task's function, unpickled at its first use."""
        id = task.spec.function
        if id is None:
            raise _Misuse(f"Python task {task.spec.id} has no function")
        function = self._functions.get(id)
        if function is not None and all(values.is_as(*used) for used in function.resolved.items()):
            return function
        payload = self._payload(id)
        if not self._modules.prepare(payload):
            raise Stale
        try:
            call = pickle.loads(payload.code)
        except RainException:
            raise
        except Exception as error:
            _note(error, f"The function {payload.name} could not be unpickled in the executor.")
            raise
        function = self._functions[id] = _Function(call, payload.name, dict(values.used))
        if not function.resolved:
            del self._came[id]  # it will not be unpickled again
        return function

    def _payload(self, id: ID) -> FunctionPayload:
        came = self._came.get(id)
        if came is None:
            raise _Misuse(f"the function (object {id}) did not come to the executor")
        location = came.location
        if location is None:
            raise _Misuse(f"the function (object {id}) came without its bytes")
        if isinstance(location, Inline):
            data = location.data
        else:
            with open(location.path, "rb") as file:
                data = file.read()
        try:
            return decode_function(data)
        except msgspec.MsgspecError as error:
            raise _Misuse(f"the function (object {id}) cannot be read: {error}") from None


class _Misuse(RainException):
    """What is wrong is the task, not code of the user: the text is all there is to tell."""


def _checked(task: ExecutorTask) -> PyConfig:
    try:
        config = read_config(task.spec.config, PyConfig)
    except RainException as error:
        raise _Misuse(str(error)) from None
    if config.encode and len(config.encode) != len(task.outputs):
        raise _Misuse(f"the task's config encodes {len(config.encode)} outputs, but it has {len(task.outputs)}")
    return config


def _unpickled_arguments(data: bytes, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        args, kwargs = pickle.loads(data)
    except Exception as error:
        if not isinstance(error, RainException):
            _note(error, f"The arguments of {name} could not be unpickled in the executor.")
        raise
    return args, kwargs


def _explain_read_only(error: BaseException) -> None:
    """Let the error of a task that wrote to what is read-only say why that is so, and what to do."""
    if not memory.why_read_only:
        return
    # pandas says something else of columns of times, with NumPy's error as the context.
    part: BaseException | None = error
    meant = False
    for _ in range(_CHAIN_MAX):
        if part is None or meant:
            break
        try:
            meant = isinstance(part, ValueError | TypeError) and "read-only" in str(part)
        except Exception:  # the class of an exception may be the user's
            return
        part = part.__cause__ or part.__context__
    if meant:
        _note(
            error,
            f"Loaded inputs of this task are read-only, because {memory.why_read_only}. To change one, load it with "
            "writable=True, which is the default, or change a copy (array.copy()).",
        )


def _note(error: BaseException, text: str) -> None:
    try:
        error.add_note(text)
    except Exception:  # an exception class without __dict__, or worse
        pass


def _checked_user(user: Any) -> dict[str, Any]:
    try:
        return check_user(user, "ctx.info.user")
    except RainException as error:
        raise _Misuse(str(error)) from None
