"""Records of tasks and data objects: what was declared of them, and what a client knows of them.

Handles (`Task`, `DataObject`) only point to records, so they can be dropped and made anew. Until a record is submitted
the thread that made it sets its fields; from then on the core does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from rain.common.location import Location
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.state_styles import LOOKS, NEW, shown_object, shown_task
from rain.common.states import DataObjectState, TaskState

if TYPE_CHECKING:
    from rain.client.core.families.family import Family
    from rain.client.core.gates import Gate
    from rain.client.core.reuse.task import Reuse
    from rain.client.functions.call_sites import Site
    from rain.client.functions.function import Source
    from rain.client.operations.constant_values import Value
    from rain.common.protocol.messages import TaskProgress

_FINISHED, _FAILED, _CANCELLED = TaskState.FINISHED, TaskState.FAILED, TaskState.CANCELLED
_O_UNFINISHED, _O_FAILED = DataObjectState.UNFINISHED, DataObjectState.FAILED


class ToldSite(tuple[str, str]):
    """Where a task was made that an earlier client made, as text: the line and the frames."""

    __slots__ = ()


class ObjectRecord:
    """One data object.

    Attributes
    ----------
    spec : ObjectSpec
    state : DataObjectState or None
        None before submit.
    info : ObjectInfo or None
    kept : bool
    hidden : bool
        Whether it holds a function or an argument, and was made by Rain: users do not see it.
    ephemeral : bool
        Whether it is an argument of one call, which the server drops with the call's task.
    task : TaskRecord or None
        The task that makes it; None for constants.
    value : Value or None
        The value of a constant that was not sent yet.
    location : Inline or Replicas or None
        Where the data are, once the object is kept and finished, as far as the server said.
    handle : weakref or None
    gates : list of Gate or None
    """

    __slots__ = (
        "ephemeral",
        "gates",
        "handle",
        "hidden",
        "info",
        "kept",
        "location",
        "spec",
        "state",
        "task",
        "value",
    )  # fmt: skip

    def __init__(self, spec: ObjectSpec, task: TaskRecord | None = None, value: Value | None = None) -> None:
        self.spec = spec
        self.task = task
        self.value = value
        self.state: DataObjectState | None = None
        self.info: ObjectInfo | None = None
        self.kept = False
        self.hidden = False
        self.ephemeral = False
        self.location: Location | None = None
        self.handle: Any = None
        self.gates: list[Gate] | None = None

    def __repr__(self) -> str:
        spec = self.spec
        parts = [f"DataObject {spec.id}"]
        if spec.label is not None:
            parts.append(repr(spec.label))
        info = self.info
        content_type = (info.content_type if info is not None else None) or spec.content_type
        if spec.data_type == "dir":
            parts.append("directory")
        elif content_type is not None:
            parts.append(content_type)
        parts.append(_word(self.shown))
        if self.kept:
            parts.append("kept")
        if self.task is not None and self.task.stale:
            parts.append("stale")
        return f"<{' '.join(parts)}>"

    @property
    def settled(self) -> bool:
        """Whether it no longer changes by itself."""
        return self.task.settled if self.task is not None else self.state not in (None, _O_UNFINISHED)

    @property
    def shown(self) -> str:
        """What is shown of its state: a key of `rain.common.state_styles.LOOKS`."""
        return shown_object(self.state)

    @property
    def failed(self) -> bool:
        """Whether its data will not be made."""
        return self.state is _O_FAILED


class TaskRecord:
    """One task.

    Attributes
    ----------
    spec : TaskSpec
    outputs : tuple of ObjectRecord
    made : Site
        Where in the user's code it was made.
    origin : any
        What `rain.client.functions.call_sites.origin` gave when it was made.
    echo : bool
        Whether it asked for its output to be shown (`rain.client.report.echo`).
    state : TaskState or None
        None before submit.
    info : TaskInfo or None
    error : TaskError or None
    forgotten : bool
        Whether it failed and cannot be retried, because what was held for that was let go.
    progress : TaskProgress or None
        What it last said of itself, while it runs.
    pins : tuple
        Handles of its inputs, which must not be released before the task is submitted.
    source : Source or None
        The function that it runs, if it was made here by a `Remote`.
    family : Family or None
        The family from which it was taken out.
    reuse : Reuse or None
        Of a task whose result may come from an earlier run.
    stale : bool
        Whether its function, or that of a task on which it depends, was edited since.
    renewed : TaskRecord or None
        The task that was made in its place when stale ones were run again.
    handle : weakref or None
    gates : list of Gate or None
    """

    __slots__ = (
        "echo",
        "error",
        "family",
        "forgotten",
        "gates",
        "handle",
        "info",
        "made",
        "origin",
        "outputs",
        "pins",
        "progress",
        "renewed",
        "reuse",
        "source",
        "spec",
        "stale",
        "state",
    )

    def __init__(self, spec: TaskSpec, made: Site, pins: Any) -> None:
        self.spec = spec
        self.made = made
        self.pins = pins
        self.outputs: tuple[ObjectRecord, ...] = ()
        self.state: TaskState | None = None
        self.info: TaskInfo | None = None
        self.error: TaskError | None = None
        self.source: Source | None = None
        self.stale = False
        self.renewed: TaskRecord | None = None
        self.progress: TaskProgress | None = None
        self.forgotten = False
        self.handle: Any = None
        self.origin: Any = None
        self.echo = False
        self.family: Family | None = None
        self.reuse: Reuse | None = None
        self.gates: list[Gate] | None = None

    def __repr__(self) -> str:
        spec = self.spec
        name = f" {spec.name!r}" if spec.name is not None else ""
        more = f"{', stale' if self.stale else ''}{', reused' if self.reused else ''}"
        return f"<Task {spec.id}{name} {spec.task_type} {_word(self.shown)}{more}>"

    @property
    def settled(self) -> bool:
        """Whether it no longer changes by itself."""
        state = self.state
        return state is _FINISHED or state is _FAILED or state is _CANCELLED

    @property
    def reused(self) -> bool:
        """Whether its result is that of an earlier run."""
        return self.reuse is not None and self.reuse.hit

    @property
    def failed(self) -> bool:
        """Whether it failed or was cancelled."""
        return self.state is _FAILED or self.state is _CANCELLED

    @property
    def shown(self) -> str:
        """What is shown of its state: a key of `rain.common.state_styles.LOOKS`."""
        return shown_task(self.state, self.error)


Record: TypeAlias = TaskRecord | ObjectRecord


def _word(shown: str) -> str:
    """The name of a state in a repr."""
    return LOOKS[NEW].word if shown == NEW else shown


def target(record: Record) -> Record:
    """Where a gate for `record` stands."""
    return record.task if isinstance(record, ObjectRecord) and record.task is not None else record
