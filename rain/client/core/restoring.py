"""The records of a session that another client made, as the server tells them."""

from __future__ import annotations

from typing import Any, cast

from rain.client.core.families.record_table import RecordTable
from rain.client.core.records import ObjectRecord, TaskRecord, ToldSite
from rain.client.core.session_mirror import SessionMirror
from rain.common.ids import ID
from rain.common.protocol.messages import Attached
from rain.common.spec import ObjectSpec
from rain.common.states import DataObjectState
from rain.common.task_configs import PYTHON, PyConfig, read_config


def restore(mirror: SessionMirror, pieces: list[Attached]) -> None:
    """Take in what the server tells of a session to which this client has attached."""
    hidden = {id.id for piece in pieces for id in piece.hidden}
    kept = {id.id for piece in pieces for id in piece.keep}
    for piece in pieces:
        for object_spec in piece.objects:
            record = ObjectRecord(object_spec)
            record.hidden = object_spec.id.id in hidden
            record.kept = object_spec.id.id in kept
            record.state = DataObjectState.UNFINISHED
            mirror.records[object_spec.id.id] = record
    tasks = []
    for piece in pieces:
        sites = [ToldSite(site) if site[0] else () for site in piece.sites]
        for spec, place in zip(piece.tasks, piece.made, strict=True):
            task = TaskRecord(spec, sites[place], None)
            task.outputs = tuple([_record(mirror, id) for id in spec.outputs])
            for output in task.outputs:
                output.task = task
            for item in spec.inputs:
                _record(mirror, item.id, item.label)
            mirror.records[spec.id.id] = task
            tasks.append(task)
    mirror.records = RecordTable(sorted(mirror.records.items()))
    mirror.submitting(tasks)
    for piece in pieces:
        mirror.fold(piece.states, piece.object_states)
    last_function = next((task.spec for task in reversed(tasks) if task.spec.task_type == PYTHON), None)
    if last_function is not None and last_function.config is not None:
        mirror.seed = read_config(last_function.config, PyConfig).seed
    last = max(pieces[-1].last_number, max(mirror.records, default=0))
    mirror.count_from(last + 1)


def _record(mirror: SessionMirror, id: ID, label: str | None = None) -> ObjectRecord:
    """The record of an object; for one that the server no longer knows, a hidden stand-in."""
    record: Any = mirror.records.get(id.id)
    if record is None:
        record = mirror.records[id.id] = ObjectRecord(ObjectSpec(id, label))
        record.hidden = True
        record.state = DataObjectState.REMOVED
    return cast(ObjectRecord, record)
