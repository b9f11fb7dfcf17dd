"""What the view needs of the client's records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rain.common.protocol.messages import TaskProgress
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.states import DataObjectState, TaskState
from rain.notebook.drawing.text_metrics import visible

if TYPE_CHECKING:
    from rain.client.core.reuse.task import Reuse


class ObjectLike(Protocol):
    """A data object, as `rain.client.core.records.ObjectRecord` is one."""

    spec: ObjectSpec
    state: DataObjectState | None
    info: ObjectInfo | None
    kept: bool
    hidden: bool

    @property
    def task(self) -> TaskLike | None:
        """Who makes it; None of constants."""

    @property
    def shown(self) -> str:
        """What is shown of its state: a key of `rain.common.state_styles.LOOKS`."""


class TaskLike(Protocol):
    """A task, as `rain.client.core.records.TaskRecord` is one."""

    spec: TaskSpec
    state: TaskState | None
    info: TaskInfo | None
    error: TaskError | None
    stale: bool
    reuse: Reuse | None
    progress: TaskProgress | None

    @property
    def outputs(self) -> Sequence[ObjectLike]:
        """What it makes."""

    @property
    def shown(self) -> str:
        """What is shown of its state: a key of `rain.common.state_styles.LOOKS`."""


def reuse_of(record: TaskLike) -> str:
    """Why a task's result was reused, or why it was computed; empty if that was not asked for."""
    return "" if record.reuse is None else visible(record.reuse.text)


def title(record: TaskLike) -> str:
    """The name of a task, or of its type."""
    spec = record.spec
    return spec.name if spec.name is not None else spec.task_type.rpartition("/")[2] or spec.task_type
