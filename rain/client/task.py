"""`Task`: the handle of a task of a session."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rain.client.active_session import get_active_session
from rain.client.building.given import as_input, check_config, check_labels, check_task_type, items_of, outputs_of
from rain.client.building.options import Configured, Options, merged_options
from rain.client.building.records import new_task
from rain.client.core.records import TaskRecord
from rain.client.data import DataObject
from rain.client.functions import call_sites
from rain.client.functions.pickling import collect
from rain.client.handles import as_object, handle_of, inside, record_of, several
from rain.client.io_spec import OutputBase
from rain.client.operations import session_operations
from rain.client.operations.twins import DONE, awaitable, blocking, operation_of
from rain.client.plain.task_part import R, TaskValue
from rain.client.report.failures import attempts_of
from rain.client.report.refused import fetch_refused
from rain.client.reuse.results import reuse_program
from rain.client.reuse.task_part import ReuseOfTask
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.jupyter import display_hooks
from rain.common.labeled_list import LabeledList
from rain.common.spec import Attempt, TaskInfo, TaskSpec
from rain.common.states import TaskState

if TYPE_CHECKING:
    import os

    from rain.client.operations.operation import Operation
    from rain.client.session import Session
    from rain.objects.data_instance import DataInstance

__all__ = ["Task"]


class FrozenTaskSpec(TaskSpec, frozen=True):  # type: ignore[misc]
    """Spec of a submitted task."""


class FrozenTaskInfo(TaskInfo, frozen=True):  # type: ignore[misc]
    """Info of a task, which is the governor's and the executor's to set."""


class Task(TaskValue[R], ReuseOfTask, of=TaskRecord):
    """A task of a session.

    Parameters
    ----------
    inputs : sequence of (DataObject, single-output Task, Input, or (label, object))
    outputs : int or sequence of (Output, str, DataObject)
    config : any
        What the executor's method needs to know: values that JSON can say, and bytes.
    session : Session, optional
        The active one if not given.
    task_type : str, optional
        ``"executor/method"``; subclasses set `TASK_TYPE` instead.
    cpus : float
    name : str, optional
    user_spec : dict, optional
        JSON-serialisable values of your own.
    **options
        `resources`, `timeout` (seconds), `retries`, `retry_on`, `rerun`, `priority`, `env`.

    Raises
    ------
    RainException
        If an argument is of the wrong kind, or no session is active.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> class Double(Task):
    ...     TASK_TYPE = "mine/double"
    >>> with client.new_session("custom") as session:
    ...     doubled = Double([blob(b"2")], ["result"])
    """

    __slots__ = ()
    TASK_TYPE: ClassVar[str | None] = None

    def __init__(
        self,
        inputs: Iterable[Any] = (),
        outputs: int | Sequence[OutputBase | str | DataObject] = 0,
        *,
        config: Any = None,
        session: Session | None = None,
        task_type: str | None = None,
        cpus: float = 1,
        name: str | None = None,
        user_spec: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        owner = type(self).__name__
        kind = check_task_type(type(self).TASK_TYPE if task_type is None else task_type, owner)
        given = {
            "session": session,
            "name": name,
            "user_spec": user_spec,
            "cpus": None if cpus == 1 else cpus,
            **options,
        }
        self._build(kind, check_config(config), inputs, outputs, merged_options(given, owner, type(self)))

    @classmethod
    def options(cls, **options: Any) -> Configured:
        """This kind of task with other options.

        Parameters
        ----------
        **options
            Options of every task, and `cpus`, `name`, `session`, `user_spec`.

        Returns
        -------
        callable
            Takes what the class takes, and makes the task.

        Raises
        ------
        TypeError
            If there is no such option.

        Examples
        --------
        >>> with client.new_session("options") as session:
        ...     tasks.Concat.options(name="all", cpus=0)([blob("a")]).name
        'all'
        """
        return Configured(cls, Options(options, f"{cls.__name__}.options()").given)

    # -- building -------------------------------------------------------------------------------

    def _build(self, task_type: str, config: Any, inputs: Any, outputs: Any, options: Options) -> None:
        """Check what was given, then make records for this task and its outputs."""
        owner = type(self).__name__
        session = options.session or get_active_session()
        labels: list[str | None] = []
        objects: list[DataObject] = []
        for index, item in enumerate(items_of(inputs, owner)):
            label, obj = as_input(item, f"input {index} of {owner}")
            labels.append(label)
            objects.append(obj)
        check_labels(labels, f"inputs of {owner}")
        made = outputs_of(outputs, owner)
        self._create(session, task_type, config, list(zip(objects, labels, strict=True)), made, options.name, options)

    def _create(
        self,
        session: Session,
        task_type: str,
        config: Any,
        inputs: Sequence[tuple[DataObject, str | None]],
        outputs: Sequence[OutputBase | DataObject],
        name: str | None,
        options: Options,
        function: ID | None = None,
    ) -> None:
        """Be a new task; everything was checked but whether the objects belong to the session."""
        record = new_task(session, task_type, config, inputs, outputs, name, options, function)
        if function is None and (options.cache is not None or inside(session).results is not None):
            reuse_program(session, record, options)
        self._attach(session, record)
        inside(session).mirror.add_task(record)

    # -- what it is -----------------------------------------------------------------------------

    @property
    def id(self) -> ID:
        """The task's id."""
        return self._record.spec.id if self._family is None else self._family.id_of(self._place)

    @property
    def name(self) -> str | None:
        """The task's name; may be a path like ``"train/fold1"``."""
        return self._record.spec.name

    @property
    def task_type(self) -> str:
        """``"executor/method"``."""
        return self._record.spec.task_type

    @property
    def state(self) -> TaskState | None:
        """The task's state as far as this client knows; None before submit."""
        family = self._columns
        return self._record.state if family is None else family.state_of(self._place)

    @property
    def spec(self) -> TaskSpec:
        """What was declared; frozen by submit."""
        spec = self._record.spec
        if self._record.state is None:
            return spec
        return FrozenTaskSpec(
            spec.id, spec.task_type, spec.config, list(spec.inputs), list(spec.outputs), dict(spec.resources),
            spec.name, dict(spec.user), spec.function, spec.options, spec.environment,
        )  # fmt: skip

    @property
    def info(self) -> TaskInfo | None:
        """What is known of the task's last attempt; None until something is."""
        error, info = self._record.error, self._record.info
        if info is None:
            return None if error is None else FrozenTaskInfo(error.message)
        return FrozenTaskInfo(
            error.message if error is not None and info.error is None else info.error,
            info.start_time, info.duration, info.governor, info.debug, dict(info.user), info.attempts,
            None if info.transfers is None else list(info.transfers), info.host, list(info.earlier),
        )  # fmt: skip

    @property
    def attempts(self) -> list[Attempt]:
        """How its attempts went as far as is known, in order: where, for how long, how their processes ended."""
        return attempts_of(self._record)

    @property
    def inputs(self) -> LabeledList[DataObject]:
        """The task's inputs by number or label."""
        if self._inputs is None:
            session, spec = self._session, self._record.spec
            self._inputs = LabeledList(
                [session._object(item.id.id) for item in spec.inputs], [item.label for item in spec.inputs]
            )
        return self._inputs

    @property
    def outputs(self) -> LabeledList[DataObject]:
        """The task's outputs by number or label."""
        if self._outputs is None:
            labels = [output.spec.label for output in self._record.outputs]
            self._outputs = LabeledList(list(self._held()), labels)
        return self._outputs

    def _held(self) -> tuple[DataObject, ...]:
        """Handles of the outputs; from now on they live as long as this handle."""
        if self._handles is None:
            session = self._session
            self._handles = tuple([handle_of(session, output) for output in self._record.outputs])
        return self._handles

    @property
    def output(self) -> DataObject:
        """The task's only output.

        Raises
        ------
        RainException
            If it has none or several.
        """
        if len(self._record.outputs) != 1:
            raise RainException(f"{self!r} has {several(self._record.outputs)}; use task.outputs[label or number]")
        return self._held()[0]

    @property
    def stack(self) -> str:
        """Where the task was made: the innermost frames of your code, as a traceback shows them."""
        return call_sites.stack(self._record.made)

    # -- keeping, waiting, getting --------------------------------------------------------------

    @blocking
    def keep_outputs(self, timeout: float | None = None) -> Operation[None]:
        """Keep all outputs; see `DataObject.keep`.

        Parameters
        ----------
        timeout : float, optional
            Seconds.
            Needed once the task was submitted.

        Raises
        ------
        RainException
            If the data of an output are already gone.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        if self.state is None:
            self._session._check_open()
            family = self._columns
            if family is not None:
                family.kept[self._place] = 1
                return DONE
            for obj in self._held():
                record_of(obj).kept = True
            inside(self._session).mirror.note([self._record])
            return DONE
        return operation_of(self._session.keep)(self._held())

    keep_outputs_async = awaitable(keep_outputs)

    @blocking
    def unkeep_outputs(self, timeout: float | None = None) -> Operation[None]:
        """Let all outputs go; see `DataObject.unkeep`.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return operation_of(self._session.unkeep)(self._held())

    unkeep_outputs_async = awaitable(unkeep_outputs)

    @blocking
    def fetch_outputs(self, timeout: float | None = None) -> Operation[list[DataInstance]]:
        """Wait until the task is finished, and give access to the data of its outputs; see `DataObject.fetch`.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        list of DataInstance
            In the order of the outputs.

        Raises
        ------
        RainException
            If an output is not kept, or the task was not submitted.
        TaskException
            If the task failed (`TaskCancelled`: was cancelled).
        TimeoutError
            If it is not finished after `timeout`.
        """
        return operation_of(self._session.fetch)(self._held())

    fetch_outputs_async = awaitable(fetch_outputs)

    @blocking
    def fetch_refused(self, timeout: float | None = None) -> Operation[LabeledList[DataInstance]]:
        """What the task's function returned, if the task failed because that could not be taken as its outputs.

        A function whose result cannot be encoded as it was declared (a set as JSON, a mixed column as Arrow), or does
        not fit the number of outputs, fails; what it returned is kept, pickled, until the task is retried or forgotten
        or its session ends.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        LabeledList of DataInstance
            By the labels of the outputs: `load` gives each value. Values that did not fit the number of outputs come
            as one, in the place of the first.

        Raises
        ------
        RainException
            If the task did not fail for that, or the governor that held the returned data is lost.
        TimeoutError

        Examples
        --------
        >>> numbers = remote(auto_encode="json")(lambda ctx: {1, 2})
        >>> with client.new_session("refused") as session:
        ...     try:
        ...         session.run(numbers())
        ...     except TaskException as error:
        ...         print(error.task.fetch_refused()[0].load())
        {1, 2}
        """
        return self._session._checked(fetch_refused(self._session, self))

    fetch_refused_async = awaitable(fetch_refused)

    @blocking
    def wait(self, timeout: float | None = None) -> Operation[None]:
        """Wait until the task is finished.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If it was not submitted.
        TaskException
            If the task failed (`TaskCancelled`: was cancelled).
        TimeoutError
        """
        return operation_of(self._session.wait)([self])

    wait_async = awaitable(wait)

    def __await__(self) -> Generator[Any, Any, Task[R]]:
        yield from self.wait_async().__await__()
        return self

    @blocking
    def update(self, timeout: float | None = None) -> Operation[None]:
        """Bring `state` and `info` up to date; see `Session.update`.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the task was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return operation_of(self._session.update)([self])

    update_async = awaitable(update)

    @blocking
    def cancel(self, timeout: float | None = None) -> Operation[None]:
        """Cancel the task if it has not ended, and all tasks that depend on it.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the task was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return operation_of(self._session.cancel)([self])

    cancel_async = awaitable(cancel)

    @blocking
    def stdout(self, timeout: float | None = None) -> Operation[str]:
        """What the task's last attempt wrote to stdout, or a running one wrote so far; of much the last part.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        str

        Raises
        ------
        RainException
            If the task was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return (yield from self._session._output_of(self))[0]

    stdout_async = awaitable(stdout)

    @blocking
    def stderr(self, timeout: float | None = None) -> Operation[str]:
        """What the task's last attempt wrote to stderr and by `logging`; as `stdout`.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        str

        Raises
        ------
        RainException
            If the task was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return (yield from self._session._output_of(self))[1]

    stderr_async = awaitable(stderr)

    @blocking
    def explain(self, timeout: float | None = None) -> Operation[str]:
        """Why the task is in its state: what it waits for, where it runs, or why it failed.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        str

        Raises
        ------
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return self._session._checked(session_operations.explain(self._session, self))

    explain_async = awaitable(explain)

    @blocking
    def capsule(self, path: str | os.PathLike[str], timeout: float | None = None) -> Operation[str]:
        """Write a folder with all that is needed to repeat the task on this machine.

        It holds the inputs' data, the code or the command line, how the task ended and what it wrote, and a script:
        ``python debug.py`` (or ``python -m pdb debug.py``) for Python and builtin tasks, ``sh run.sh`` for programs.

        Parameters
        ----------
        path : str or os.PathLike
            A folder that does not exist, or is empty.
        timeout : float, optional
            Seconds.

        Returns
        -------
        str
            The folder's absolute path.

        Raises
        ------
        RainException
            If something is there already, the task was not submitted, or an input is gone: those of failed tasks are
            held, others are if they were kept.
        """
        from rain.capsule.writer import capsule

        return self._session._checked(capsule(self._session, self, path))

    capsule_async = awaitable(capsule)

    # -- being a value --------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __copy__(self) -> Task:
        return self

    def __deepcopy__(self, memo: Any) -> Task:
        return self

    def __reduce__(self) -> Any:
        return collect(as_object(self, "an argument"))

    def _ipython_display_(self) -> None:
        display_hooks.show("task", self)

    def _repr_html_(self) -> str | None:
        return display_hooks.html("task", self)

    def __repr__(self) -> str:
        return repr(self._record)
