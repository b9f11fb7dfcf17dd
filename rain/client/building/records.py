"""Records of a new task and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rain.client.building.options import Options
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.data import DataObject, value_of
from rain.client.functions import call_sites
from rain.client.handles import inside, record_of, session_of
from rain.client.io_spec import OutputBase
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.spec import ObjectSpec, TaskSpec, TaskSpecInput

if TYPE_CHECKING:
    from rain.client.session import Session


def own_id(obj: DataObject, session: Session) -> ID:
    """The id of `obj`, which must be of `session`.

    Raises
    ------
    RainException
        If `obj` belongs to another session.
    """
    other = session_of(obj)
    if other is not session and inside(other).mirror is not inside(session).mirror:
        raise RainException(
            f"{obj!r} belongs to session {other.name!r} and cannot be used in session {session.name!r}; "
            "fetch it there and make a blob of it here"
        )
    spec_id: ID = record_of(obj).spec.id
    return spec_id


def adopt_output(obj: DataObject, session: Session, task: TaskRecord) -> ObjectRecord:
    """Make `obj` an output of `task`.

    Raises
    ------
    RainException
        If `obj` is a constant or another task's output.
    """
    own_id(obj, session)
    record: ObjectRecord = record_of(obj)
    if record.task is not None:
        raise RainException(f"{obj!r} is already an output of task {record.task.spec.id}")
    if value_of(obj) is not None or record.state is not None:
        raise RainException(f"{obj!r} is a constant and cannot be the output of a task")
    record.task = task
    inside(session).mirror.adopted = True
    return record


def new_task(
    session: Session,
    task_type: str,
    config: Any,
    inputs: Sequence[tuple[DataObject, str | None]],
    outputs: Sequence[OutputBase | DataObject],
    name: str | None,
    options: Options,
    function: ID | None,
) -> TaskRecord:
    """The record of a new task. The caller has checked all arguments but that the objects belong to the session.

    Raises
    ------
    RainException
        If an object belongs to another session, or cannot be an output; if the session is closed.
    """
    session._check_open()
    number = inside(session).mirror.next_number
    session_id = session.session_id
    spec = TaskSpec(
        ID(session_id, number()),
        task_type,
        config,
        [TaskSpecInput(own_id(obj, session), label) for obj, label in inputs],
        [],
        options.resources.copy(),
        name,
        options.user.copy(),
        function,
        options.rare,
    )
    record = TaskRecord(spec, call_sites.capture(3), inputs)
    if call_sites.origin is not None:
        record.origin = call_sites.origin()
    record.outputs = tuple(
        [
            _new_output(output, ID(session_id, number()), record)
            if isinstance(output, OutputBase)
            else adopt_output(output, session, record)
            for output in outputs
        ]
    )
    spec.outputs = [output.spec.id for output in record.outputs]
    return record


def _new_output(output: OutputBase, id: ID, task: TaskRecord) -> ObjectRecord:
    spec = ObjectSpec(id, output.label, output.declared_type, output.data_type.value, output.size_hint)
    return ObjectRecord(spec, task)
