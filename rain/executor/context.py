"""`Context`: what a remote Python function sees beside its arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from rain.common.errors import RainException
from rain.common.limits import DEBUG_BYTES_MAX
from rain.common.protocol.messages import Node
from rain.common.spec import TaskInfo, TaskSpec
from rain.executor.progress import Teller, checked_amount, checked_note
from rain.executor.staging import Staging
from rain.objects.content_types.registry import check_content_type
from rain.objects.content_types.text import text_encoding
from rain.objects.data_instance import DataInstance


class Attempted(Protocol):
    """What a context knows of the attempt that it belongs to."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def nodes(self) -> Sequence[Node]: ...

    @property
    def info(self) -> TaskInfo: ...


class Shared(NamedTuple):
    """What the contexts of equal calls have in common.

    Attributes
    ----------
    function : callable
    cache : dict
    staging : Staging
    lent : sequence of str
        Paths of the inputs: what the task makes may be, or hold, links to them.
    teller : Teller or None
    """

    function: Callable[..., Any]
    cache: dict[Any, Any]
    staging: Staging
    lent: Sequence[str] = ()
    teller: Teller | None = None


class Context:
    """The first argument of every remote function.

    Attributes
    ----------
    function : callable
        The function itself.
    spec : TaskSpec
    info : TaskInfo
        `info.user` may be filled with JSON-serialisable values; setting `info.error` fails the task with that text.
    cache : dict
        Lives as long as the executor: for models, connections and the like that several tasks can use.
    nodes : list of Node
        Of a task with ``nodes=`` its governors, the first of which is this one; each has `governor` (``host:port``) and
        `cpus`. Empty for any other task.

    Examples
    --------
    ::

        @remote(outputs=["report"])
        def summarise(ctx, table: Input(load=True)):
            ctx.debug("{} rows", len(table))
            ctx.info.user["rows"] = len(table)
            return ctx.blob(table.describe().to_csv())
    """

    __slots__ = ("_attempt", "_debug", "_debug_bytes", "_shared")

    def __init__(self, shared: Shared, attempt: Attempted) -> None:
        # Most tasks look at little of this: what they do not ask for is not made.
        self._shared = shared
        self._attempt = attempt
        self._debug: list[str] | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself.

        Returns
        -------
        callable
        """
        return self._shared.function

    @property
    def cache(self) -> dict[Any, Any]:
        """What tasks of this executor leave for each other; lives as long as the executor.

        Returns
        -------
        dict
        """
        return self._shared.cache

    @property
    def spec(self) -> TaskSpec:
        """What the task is, as its user declared it.

        Returns
        -------
        TaskSpec
        """
        return self._attempt.spec

    @property
    def info(self) -> TaskInfo:
        """What is known of this attempt; `user` in it may be filled.

        Returns
        -------
        TaskInfo
        """
        return self._attempt.info

    @property
    def nodes(self) -> list[Node]:
        """The task's governors.

        Returns
        -------
        list of Node
        """
        return list(self._attempt.nodes)

    def debug(self, fmt: Any, *args: Any, **kwargs: Any) -> None:
        """Add a line to ``task.info.debug``.

        More than `DEBUG_BYTES_MAX` characters in all are dropped.

        Parameters
        ----------
        fmt : any
            Taken as it is (as text) without further arguments.
        *args, **kwargs
            Filled in as `str.format` does.
        """
        if self._debug is None:
            self._debug = []
            self._debug_bytes = 0
        if self._debug_bytes > DEBUG_BYTES_MAX:
            return
        line = str(fmt).format(*args, **kwargs) if args or kwargs else str(fmt)
        self._debug_bytes += len(line) + 1
        if self._debug_bytes > DEBUG_BYTES_MAX:
            line = line[: DEBUG_BYTES_MAX - self._debug_bytes] + f" … (DEBUG_BYTES_MAX is {DEBUG_BYTES_MAX})"
        self._debug.append(line)

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far the task is: a bar in its node of the graph and in its details, while it runs.

        Costs less than a microsecond, so call it as often as you like; a few times a second the last is told. Bars of
        tqdm do this by themselves.

        Parameters
        ----------
        done : float
            How much is done.
        total : float, optional
            Of how much in all; without it there is a number and no bar.
        note : str, optional
            A line beside the bar.

        Raises
        ------
        RainException
            If one of them is something else.

        Examples
        --------
        ::

            @remote(auto_encode="json")
            def train(ctx, epochs):
                for epoch in range(epochs):
                    loss = ...
                    ctx.progress(epoch + 1, epochs, f"loss {loss:.3g}")
        """
        amounts = checked_amount(done, "done"), checked_amount(total, "total")
        text = checked_note(note, "ctx.progress: note")
        teller = self._shared.teller
        if teller is not None:
            teller.progress(self._attempt.spec.id, *amounts, text)

    def launch(self, args: Sequence[str], env: Mapping[str, str] | None = None, launcher: str = "rain") -> None:
        """Run a program once on each of the task's governors, and return when all have ended.

        What they write is the task's output, by whole lines. Each has ``RAIN_NODE_RANK`` (0 is this governor) and
        ``RAIN_NODES`` in its environment. When one fails, or the task is ended, all are killed.

        Parameters
        ----------
        args : sequence of str
            The program and its arguments.
        env : mapping of str to str, optional
            Further environment variables.
        launcher : str
            ``"rain"``: by Rain itself. ``"srun"``: as a step of the job of Slurm in which all governors are
            (``Client.on("allocation")``), so that Slurm binds and counts it, and it has Slurm's PMI.

        Raises
        ------
        RainException
            If the task has no ``nodes=``, the governors are in no common job (``"srun"``), a program fails (its node
            and status are in the text), or a governor is lost.

        Examples
        --------
        ::

            @remote(nodes=4, cpus=8)
            def train(ctx):
                first = ctx.nodes[0].governor.split(":")[0]
                ctx.launch(["torchrun", "--nnodes=4", f"--master-addr={first}", "train.py"])
        """
        from rain.executor.gangs.launchers import launch_all
        from rain.executor.gangs.launching import check_args

        launch_all(self.nodes, check_args(args), dict(env or {}), launcher)

    def show(self, value: Any, title: str | None = None) -> None:
        """Show a value while the task runs: a thumbnail in its node of the graph, and its preview in its details.

        The last that was shown stays until the task ends. It is made of the value as it is now, in at most a tenth of
        the task's time (`SHOW_SHARE`): what is shown more often than that allows is left out.

        Parameters
        ----------
        value : any
            A figure, an image, an array, a data frame, or anything else that has a preview.
        title : str, optional

        Raises
        ------
        RainException
            If `title` is no text.

        Examples
        --------
        ::

            @remote(auto_encode="pickle")
            def fit(ctx, steps):
                for step in range(steps):
                    ...
                    ctx.show(figure, f"after {step} steps")
        """
        text = checked_note(title, "ctx.show: title")
        teller = self._shared.teller
        if teller is not None:
            teller.show(self._attempt.spec.id, value, text)

    def blob(
        self, value: Any, label: str | None = None, content_type: str | None = None, encode: str | None = None
    ) -> DataInstance:
        """`value` as data that the task can return.

        Parameters
        ----------
        value : bytes, str, or with `encode` anything that can be encoded
        label : str, optional
            Ignored; here so that calls look like those of `rain.blob`.
        content_type : str, optional
            Of `bytes` or `str` (a `str` without one is ``"text"``).
        encode : str, optional
            Content type as which `value` is encoded.

        Returns
        -------
        DataInstance

        Raises
        ------
        RainException
            If `value` is something else, both types are given, or it cannot be encoded.
        """
        _check_label(label)
        if encode is not None:
            if content_type is not None:
                raise RainException("ctx.blob takes content_type (of bytes or str as they are) or encode, not both")
            staging = self._shared.staging
            return staging.instance(staging.store(value, encode), encode, encoded=True)
        content_type = check_content_type(content_type)
        if isinstance(value, str):
            content_type = content_type or "text"
            value = value.encode(text_encoding(content_type))
        elif not isinstance(value, bytes | bytearray | memoryview):
            raise RainException(
                f"ctx.blob takes bytes or str, not {type(value).__name__}; give encode= (for instance encode='pickle') "
                "to have other values encoded, or use ctx.pickled"
            )
        staging = self._shared.staging
        return staging.instance(staging.store_bytes(value), content_type)

    def pickled(self, value: Any, label: str | None = None) -> DataInstance:
        """`value` pickled, as data that the task can return.

        Parameters
        ----------
        value : any
        label : str, optional
            Ignored; here so that calls look like those of `rain.pickled`.

        Returns
        -------
        DataInstance

        Raises
        ------
        RainException
            If `value` cannot be pickled.
        """
        return self.blob(value, label, encode="pickle")

    def stage_file(self, path: str | os.PathLike[str], content_type: str | None = None) -> DataInstance:
        """Move a file out of the current directory into data that the task can return.

        Parameters
        ----------
        path : str or os.PathLike
            Relative, inside the task's directory.
        content_type : str, optional
            What the file holds.

        Returns
        -------
        DataInstance

        Raises
        ------
        RainException
            If there is no such file, `path` or a link there leads out of the directory, or the disk is full.
        """
        shared = self._shared
        return shared.staging.move_file(os.fspath(path), check_content_type(content_type), shared.lent)

    def stage_directory(self, path: str | os.PathLike[str]) -> DataInstance:
        """Move a directory out of the current directory into data that the task can return as a directory output.

        Parameters
        ----------
        path : str or os.PathLike
            Relative, inside the task's directory.

        Returns
        -------
        DataInstance

        Raises
        ------
        RainException
            As `stage_file`; and if the directory holds pipes, devices, or links that lead out of it.
        """
        return self._shared.staging.move_directory(os.fspath(path), self._shared.lent)

    def debug_text(self) -> str:
        """All lines of `debug`.

        Returns
        -------
        str
        """
        return "\n".join(self._debug) if self._debug else ""


class Drawing:
    """Where a task's random numbers come from.

    Attributes
    ----------
    seed : int or None
        The session's.
    task : int
        The task's number.
    count : int
        How many generators it has asked for.
    """

    __slots__ = ("count", "seed", "task")

    def __init__(self, seed: int | None, task: int) -> None:
        self.seed = seed
        self.task = task
        self.count = 0


class _Running:
    """The context of the task that this executor runs, and its session's seed; a task's own threads see them too."""

    __slots__ = ("context", "drawing", "seed")

    def __init__(self) -> None:
        self.context: Context | None = None
        self.seed: int | None = None
        self.drawing: tuple[Context, Drawing] | None = None


executor_task = _Running()
_local: ContextVar[Context | None] = ContextVar("rain_local_task", default=None)


@contextmanager
def running(context: Context) -> Iterator[None]:
    """While this is open, a function is called here with that context, beside whatever else this process does."""
    token = _local.set(context)
    try:
        yield
    finally:
        _local.reset(token)


def current_task() -> Context:
    """The context of the task that is running here, for functions that have it as no argument.

    Returns
    -------
    Context

    Raises
    ------
    RainException
        If no task runs here.

    Examples
    --------
    ::

        @rain.task
        def train(epochs):
            for epoch in range(epochs):
                ...
                rain.current_task().progress(epoch + 1, epochs)
    """
    context = executor_task.context or _local.get()
    if context is None:
        raise RainException(
            "no task runs here: current_task() and rng() are for functions that are called by a task; to try one "
            "without, call fn.local(...), which gives it a context of its own"
        )
    return context


def current_drawing() -> Drawing:
    """Where the random numbers of the task come from that is running here.

    Raises
    ------
    RainException
        If no task runs here.
    """
    context = current_task()
    known = executor_task.drawing
    if known is None or known[0] is not context:
        seed = executor_task.seed if executor_task.context is context else None
        known = executor_task.drawing = (context, Drawing(seed, context.spec.id.id))
    return known[1]


def _check_label(label: str | None) -> None:
    if label is not None and not isinstance(label, str):
        raise RainException(f"a label is a str, not {type(label).__name__}")
