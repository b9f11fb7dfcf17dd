"""A session that goes on with another client: its records, as the server tells them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

from rain.client.core.session_mirror import ObjectRecord, TaskRecord
from rain.client.functions.call_sites import Told
from rain.common.ids import ID
from rain.common.protocol.messages import Attached
from rain.common.spec import ObjectSpec
from rain.common.states import DataObjectState

if TYPE_CHECKING:
    from rain.client.session import Session


def restore(session: Session, pieces: list[Attached]) -> None:
    """Take in all that the server tells of a session that goes on here."""
    mirror = session._mirror
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
        sites = [Told(site) if site[0] else () for site in piece.sites]
        for spec, place in zip(piece.tasks, piece.made, strict=True):
            task = TaskRecord(spec, sites[place], None)
            task.outputs = tuple([_record(session, id) for id in spec.outputs])
            for output in task.outputs:
                output.task = task
            for item in spec.inputs:
                _record(session, item.id, item.label)
            mirror.records[spec.id.id] = task
            tasks.append(task)
    mirror.records = dict(sorted(mirror.records.items()))
    mirror.submitting(tasks)
    for piece in pieces:
        mirror.fold(piece.states, piece.object_states)
    last = max(pieces[-1].last_number, max(mirror.records, default=0))
    session._numbers = itertools.count(last + 1)
    session._next = session._numbers.__next__


def _record(session: Session, id: ID, label: str | None = None) -> ObjectRecord:
    """The record of an object; of one that the server has forgotten a hidden stand-in."""
    record: Any = session._mirror.records.get(id.id)
    if record is None:
        record = session._mirror.records[id.id] = ObjectRecord(ObjectSpec(id, label))
        record.hidden = True
        record.state = DataObjectState.REMOVED
    return cast(ObjectRecord, record)
