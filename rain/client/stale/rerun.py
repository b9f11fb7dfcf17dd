"""Stale tasks run again: what that takes, new tasks in the place of the old, and their submit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rain.client.core.operations import reruns
from rain.client.core.operations.reruns import Plan
from rain.client.core.operations.submits import to_upload
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.waiting import Operation as CoreOperation
from rain.client.core.waiting import Upload
from rain.client.functions.function import Source, function_constant
from rain.client.handles import handle_of, inside
from rain.client.operations import session_operations
from rain.client.operations.operation import Operation
from rain.client.operations.session_operations import Item
from rain.client.reuse.deciding import unsent_inputs
from rain.client.stale.edited import refresh
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.client.task import Task
    from rain.common.ids import ID


def plan_of(session: Session, chosen: list[TaskRecord] | None = None) -> tuple[Plan, dict[int, Source]]:
    """The plan to make stale results anew, and the functions that were edited."""
    functions = refresh(session)
    own = inside(session)
    with own.connection.lock:
        return reruns.plan(own.mirror, functions.keys(), chosen), functions


def chosen_of(session: Session, tasks: Item | Iterable[Item] | None) -> list[TaskRecord] | None:
    """The tasks that a user named; for an object, the task that makes it.

    Raises
    ------
    RainException
        If one is not stale, or was run again already.
    """
    if tasks is None:
        return None
    refresh(session)
    found = []
    for record in session_operations.records_of(session, tasks):
        task = record.task if isinstance(record, ObjectRecord) else record
        newest = task if task is None else reruns.newest(task)
        if newest is None or not newest.stale:
            why = "neither its function nor one before it was edited"
            if newest is not task:
                why = f"{newest!r} stands for it now"
            raise RainException(f"{record!r} is not stale: {why}")
        found.append(newest)
    return found


def rerun(session: Session, tasks: Item | Iterable[Item] | None, told: Any) -> Operation[dict[Task, Task]]:
    """Run stale tasks again under new ids.

    Parameters
    ----------
    told : callable
        Gets the plan before anything starts.
    """
    core, mirror = session_operations.connected(session)
    chosen = chosen_of(session, tasks)
    plan, functions = plan_of(session, chosen)
    told(plan)
    if chosen is not None and plan.blocked:
        raise RainException("; ".join(plan.lines()))
    if not plan.tasks:
        return {}
    encoder = inside(session).encoder
    with inside(session).connection.lock:
        made, constants = _renewed(session, plan, functions)
        constants += unsent_inputs(inside(session).mirror, made.values())

    def sending() -> CoreOperation[Any]:
        uploads = to_upload(constants)
        if uploads:
            yield Upload([record.value for record in uploads])
        records: list[Record] = [*constants, *made.values()]
        request = reruns.send(core, mirror, records, encoder)
        yield request

    try:
        yield from session_operations._drive(session, sending(), whole=True)
    except BaseException:
        for old, new in made.items():
            if new.state is None and old.renewed is new:  # it was not sent
                old.renewed = None
                _forget(session, new)
        raise
    return {handle_of(session, old): handle_of(session, new) for old, new in made.items()}


def _renewed(
    session: Session, plan: Plan, functions: dict[int, Source]
) -> tuple[dict[TaskRecord, TaskRecord], list[ObjectRecord]]:
    """New tasks in the place of those of the plan, and the constants that hold new functions."""
    mirror = inside(session).mirror
    payloads = {number: source.payload(session) for number, source in functions.items()}  # all, before any is made
    renewals = inside(session).renewals
    made: dict[TaskRecord, TaskRecord] = {}
    constants: dict[int, ObjectRecord] = {}
    consumed = {item.id for one in plan.tasks for item in one.spec.inputs}
    for record in plan.tasks:
        function: ID | None = record.spec.function
        objects: list[ID] = []
        payload = payloads.get(function.id) if function is not None else None
        if payload is not None:
            function = function_constant(session, payload)
            objects = [obj.id for obj in payload.objects]
            holder: Any = mirror.records[function.id]
            if holder.state is None:
                constants[function.id] = holder
        new = made[record] = reruns.renew(mirror, record, function, objects)
        if payload is not None:
            new.source = payload.source
        for old, output in zip(record.outputs, new.outputs, strict=True):
            output.kept = old.kept or old.spec.id not in consumed
        mirror.records[new.spec.id.id] = new
        for output in new.outputs:
            mirror.records[output.spec.id.id] = output
        # Only `renewals` holds the new handles, until the user asks for them by `Handle.renewed` of the old ones.
        renewals.pop(record.spec.id.id, None)
        renewals[new.spec.id.id] = (handle_of(session, new), *(handle_of(session, output) for output in new.outputs))
        mirror.note([new])
    return made, list(constants.values())


def _forget(session: Session, new: TaskRecord) -> None:
    refusals = inside(session).mirror.refusals
    for id in (new.spec.id, *new.spec.outputs):
        refusals[id.id] = "it was not submitted"
