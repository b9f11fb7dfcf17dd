"""Runs Python tasks: unpickles function and arguments, calls, and takes what was returned."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec

from rain.common.attributes import check_user
from rain.common.errors import RainException
from rain.common.formatting import shorten
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import (
    Damage,
    ExecutorFamily,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    MemberResult,
    OutputResult,
    TaskResult,
)
from rain.common.spec import ObjectInfo, TaskError
from rain.common.task_configs import FunctionPayload, PyConfig, decode_function
from rain.executor.context import Context, Shared, executor_task
from rain.executor.progress import Teller
from rain.executor.python.attempt import Attempt, Call, MemberAttempt, Misuse
from rain.executor.python.exception_report import describe
from rain.executor.python.inputs import InputValues, Used
from rain.executor.python.later import LATER, run_to_end
from rain.executor.python.members import Member, as_member_result
from rain.executor.python.misuse import explain_misuse
from rain.executor.python.modules import Ask, Modules
from rain.executor.python.return_values import ReturnRefused, ReturnValues
from rain.executor.readonly import ReadOnly
from rain.executor.staging import Staging
from rain.objects import memory
from rain.objects.files import checksum
from rain.objects.lent_inputs import damaged, spoil
from rain.objects.pickling.buffers import small_pickle
from rain.objects.pickling.placeholders import resolving

_clock, _loads = time.perf_counter, pickle.loads
_CHAIN_MAX = 10
"""Causes of an exception that are looked at."""


class Stale(Exception):
    """A module that the function needs has changed on disk since this executor imported it."""


class Interrupted(KeyboardInterrupt):
    """The governor interrupted the task."""


class Function:
    """A function as it was unpickled here."""

    __slots__ = ("call", "name", "resolved")

    def __init__(self, call: Callable[..., Any], name: str, resolved: dict[ID, Used]) -> None:
        self.call = call
        self.name = name
        self.resolved = resolved
        """Data objects inside it, as they were."""


class Alike:
    """What members of a family have in common that run one right after the other."""

    __slots__ = ("call", "function", "infos", "shared")

    def __init__(self, call: Call, function: Function, shared: Shared) -> None:
        self.call = call
        self.function = function
        self.infos = call.infos
        self.shared = shared


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
        self._teller = teller or Teller()
        self._modules = Modules(setup.sys_path, setup.cwd, [setup.work_dir, setup.store_dir, setup.spill_dir], ask)
        self._functions: dict[ID, Function] = {}
        self._cache: dict[Any, Any] = {}
        self._read_only = ReadOnly()
        self._read_only.needed &= protect
        self._running: Call | None = None
        self._values: InputValues | None = None  # of the task that runs, once it asks for one
        self._family: tuple[ExecutorFamily, Call] | None = None  # of the member that ran last
        self._prefix = f"py-{setup.executor_id}"
        self._staging = Staging(setup, self._prefix)
        self._lingering: Any = None  # arguments of the task that ran last
        self._own_bytes = 0  # of memory.own_bytes, what outlives its task
        # Installed once and for good, in the main thread's context: cheaper than for each task.
        self._resolving = resolving(self._resolve)
        self._resolving.__enter__()

    def _resolve(self, id: ID) -> Any:
        return self._inputs_of(self._running, id).value(id)

    def _inputs_of(self, call: Call | None, id: ID | None = None) -> InputValues:
        if self._values is None:
            if call is None:
                raise RainException(f"data object {id} is used outside of a task")
            self._values = InputValues(call.inputs, call.config, self._read_only)
        return self._values

    def run(self, task: ExecutorTask | Member) -> TaskResult | MemberResult:
        """Run one task. Whatever its code does becomes part of the result.

        Returns
        -------
        TaskResult or MemberResult
            The latter of a member of a family that has ended plainly.

        Raises
        ------
        Stale
            Instead of running it.
        """
        staging = self._fresh_staging()
        staging.number = task.number
        attempt = Attempt(task, self._setup.governor_id)
        outputs: list[OutputResult] | MemberResult = []
        error = None
        try:
            outputs = self.attempt(attempt, staging)
        except Stale:
            self._running = self._values = None
            raise
        except BaseException as raised:
            outputs, error = self._failure(raised)
        return self._result(attempt, outputs, error, staging)

    def alike(self, member: Member) -> Alike | None:
        """What a member has in common with those that follow it, if `run_alike` may run it: its function is here, and
        no input is a file, which is to be looked at before and after each."""
        if any(type(value.location) is not Inline for value in member.inputs):
            return None
        call = self._call_of(member)
        function = None if call.function is None else self._functions.get(call.function)
        if function is None or function.resolved:
            return None
        return Alike(call, function, self._shared(call, function, self._fresh_staging()))

    def _fresh_staging(self) -> Staging:
        if self._staging.used:
            self._staging = Staging(self._setup, self._prefix)
        return self._staging

    def _shared(self, call: Call, function: Function, staging: Staging) -> Shared:
        return Shared(function.call, self._cache, staging, call.lent, self._teller)

    def run_alike(
        self, alike: Alike, attempt: MemberAttempt, number: int, pickled: bytes
    ) -> bytes | TaskResult | MemberResult:
        """Run a member of which `alike` is known, as `run`; `pickled` are its arguments.

        Returns
        -------
        bytes, TaskResult or MemberResult
            Bytes: of a member that has ended plainly its only output, of which ``alike.call.infos`` are.
        """
        shared, call = alike.shared, alike.call
        if shared.staging.used:
            shared = alike.shared = self._shared(call, alike.function, self._fresh_staging())
        staging = shared.staging
        staging.number = number
        self._running = call
        outputs: list[OutputResult] | MemberResult = []
        error = None
        try:
            memory.why_read_only = ""
            value = self._called(attempt, call.config, pickled, alike.function.name, shared)
            if alike.infos and not (staging.used or attempt.debug or attempt.told):
                data = small_pickle(value)
                if data is not None and len(data) <= INLINE_BYTES_MAX:
                    self._running = self._values = None
                    return data
            outputs = self._taken(attempt, call, alike.function, value, staging)
        except BaseException as raised:
            outputs, error = self._failure(raised)
        return self._result(attempt, outputs, error, staging)

    def _failure(self, raised: BaseException) -> tuple[list[OutputResult], TaskError]:
        """What an attempt that raised an error made, and what is told of the error."""
        if isinstance(raised, Interrupted):
            return [], TaskError("cancelled", "the task was interrupted")
        if isinstance(raised, ReturnRefused):
            return raised.outputs, TaskError("refused" if raised.outputs else "rain", shorten(str(raised)))
        if isinstance(raised, Misuse):
            return [], TaskError("rain", shorten(str(raised)))
        _explain_read_only(raised)
        explain_misuse(raised, self._running is not None and self._running.config.plain)
        return [], describe(raised, self._modules.shown)

    def _result(
        self,
        attempt: Attempt,
        outputs: list[OutputResult] | MemberResult,
        error: TaskError | None,
        staging: Staging,
    ) -> TaskResult | MemberResult:
        """How an attempt ended, once its inputs were looked at again."""
        task = attempt.task
        self._running = None
        values, self._values = self._values, None
        found = self._damaged(task, values) if task.inputs or values is not None else {}
        if type(outputs) is MemberResult:
            if not found:
                return outputs
            outputs = []
        result = TaskResult(
            attempt.spec.id, task.attempt, attempt.final_info(), cast("list[OutputResult]", outputs), error
        )
        if found:
            self._spoil(task, found, result)
        staging.discard(everything=not result.outputs)
        return result

    def _damaged(self, task: ExecutorTask | Member, values: InputValues | None) -> dict[ID, str]:
        """The inputs that are not what they were when the attempt began, and what is wrong with them."""
        found = damaged(task.inputs)
        if values is not None:
            found |= values.changed_inside()
        return found

    def _spoil(self, task: ExecutorTask | Member, found: dict[ID, str], result: TaskResult) -> None:
        guarded = [value.spec.id for value in task.inputs if value.path and self._read_only.guards(value.path)]
        damage = Damage(list(found), ran=True, suspect=not set(guarded).issuperset(found))
        spoil(result, task.inputs, found, damage)

    def attempt(self, attempt: Attempt, staging: Staging) -> list[OutputResult] | MemberResult:
        """Call the task's function, take what it returns; whatever it raises is raised.

        Returns
        -------
        list of OutputResult, or MemberResult
            The latter of a member of a family that has ended plainly.
        """
        task = attempt.task
        self._running = call = self._call_of(task)
        attempt.start_time = time.time()
        memory.why_read_only = ""
        function = self._function(call)
        pickled = task.args if type(task) is Member else call.config.args
        shared = self._shared(call, function, staging)
        value = self._called(attempt, call.config, pickled, function.name, shared)
        return self._taken(attempt, call, function, value, staging)

    def _called(self, attempt: Attempt, config: PyConfig, pickled: bytes, name: str, shared: Shared) -> Any:
        """What the function returns to these arguments; notes with the attempt how long it took, and what it noted."""
        try:
            args, kwargs = self._lingering = _loads(pickled)
        except Exception as error:
            if not isinstance(error, RainException):
                _note(error, f"The arguments of {name} could not be unpickled in the executor.")
            raise
        context = Context(shared, attempt)
        function, teller, running = shared.function, self._teller, executor_task
        teller.attempt = attempt
        running.context, running.seed = context, config.seed
        begin = _clock()
        try:
            value = function(*args, **kwargs) if config.plain else function(context, *args, **kwargs)
            if type(value) in LATER:
                value = run_to_end(value, config.plain)
            return value
        finally:
            attempt.ended = ended = _clock()
            attempt.duration = ended - begin
            running.context = teller.attempt = None
            if debug := context.debug_text():
                attempt.debug = debug

    def _taken(
        self, attempt: Attempt, call: Call, function: Function, value: Any, staging: Staging
    ) -> list[OutputResult] | MemberResult:
        """What the function returned as the task's outputs."""
        task = attempt.task
        told = attempt.told
        if told is not None:
            if told.user:
                attempt.user = _checked_user(told.user)
            if told.error is not None:
                raise Misuse(str(told.error))
        plain = type(task) is Member and not (attempt.debug or attempt.user)
        if call.infos and not staging.used:
            data = small_pickle(value)
            if data is not None and len(data) <= INLINE_BYTES_MAX:
                if plain:
                    return attempt.plain([data], [checksum(data)], call.infos)
                info = call.infos[0]
                known = ObjectInfo(size=len(data), content_type=info.content_type, encoded=True)
                return [OutputResult(task.outputs[0].id, known, Inline(data, checksum(data)))]
        config = call.config
        outputs = ReturnValues(function.name, task.outputs, config.encode, call.inputs, staging, config.plain).take(
            value
        )
        if plain:
            assert attempt.start_time is not None
            assert attempt.duration is not None
            return as_member_result(task.number, attempt.start_time, attempt.duration, outputs) or outputs
        return outputs

    def _call_of(self, task: ExecutorTask | Member) -> Call:
        """What the attempt has in common with those of equal calls."""
        if type(task) is not Member:
            call = Call(task.spec, task.inputs, task.outputs)
        elif self._family is not None and self._family[0] is task.family:
            return self._family[1]
        else:
            call = Call(task.family.spec, task.inputs, task.family.outputs)
            self._family = task.family, call
        self._modules.register(call.config.sources)
        return call

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
        own_bytes = memory.own_bytes()
        if own_bytes == self._own_bytes:
            return
        if own_bytes > self._own_bytes:
            gc.collect()  # they may be part of a cycle, as tracebacks are
        self._own_bytes = memory.own_bytes()

    def _function(self, call: Call) -> Function:
        """The task's function, unpickled at its first use."""
        id = call.function
        if id is None:
            raise Misuse(f"Python task {call.id} has no function")
        function = self._functions.get(id)
        if function is not None:
            resolved = function.resolved
            if not resolved or all(self._inputs_of(call).is_as(*used) for used in resolved.items()):
                return function
        payload = self._payload(id)
        if not self._modules.prepare(payload):
            raise Stale
        try:
            code = pickle.loads(payload.code)
        except RainException:
            raise
        except Exception as error:
            _note(error, f"The function {payload.name} could not be unpickled in the executor.")
            raise
        used = {} if self._values is None else dict(self._values.used)
        function = self._functions[id] = Function(code, payload.name, used)
        if not function.resolved:
            del self._came[id]  # it will not be unpickled again
        return function

    def _payload(self, id: ID) -> FunctionPayload:
        came = self._came.get(id)
        if came is None:
            raise Misuse(f"the function (object {id}) did not come to the executor")
        location = came.location
        if location is None:
            raise Misuse(f"the function (object {id}) came without its bytes")
        if isinstance(location, Inline):
            data = location.data
        else:
            with open(location.path, "rb") as file:
                data = file.read()
        try:
            return decode_function(data)
        except msgspec.MsgspecError as error:
            raise Misuse(f"the function (object {id}) cannot be read: {error}") from None


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
        raise Misuse(str(error)) from None
