"""Which functions failed tasks would run now, if they were retried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rain.client.core.records import TaskRecord
from rain.client.functions.function import FUNCTION, Payload, function_constant, present
from rain.client.handles import inside
from rain.common.errors import RainException
from rain.common.ids import ID

if TYPE_CHECKING:
    from rain.client.session import Session


class Renewed(NamedTuple):
    """A task whose function has been redefined since, the object that holds the present function, and that itself."""

    record: TaskRecord
    id: ID
    payload: Payload


def present_functions(session: Session, failed: list[TaskRecord], named: list[TaskRecord] | None) -> list[Renewed]:
    """The tasks whose function has been redefined since."""
    mirror = inside(session).mirror
    payloads: dict[tuple[str, Any], Any] = {}
    renewed: list[Renewed] = []
    for record in failed:
        if record.spec.function is None:
            continue
        holder: Any = mirror.records.get(record.spec.function.id)
        path = holder.spec.user.get(FUNCTION, "") if holder is not None else ""
        key = (path, record.source)
        if key not in payloads:
            source = present(path, record.source)
            payloads[key] = None if source is None else source.payload(session)
        payload = payloads[key]
        if payload is None:
            continue
        inputs = {item.id for item in record.spec.inputs}
        strange = [obj for obj in payload.objects if obj.id not in inputs]
        if not strange:
            id = function_constant(session, payload)
            if id != record.spec.function:
                renewed.append(Renewed(record, id, payload))
        elif named is None or record in named:
            raise RainException(
                f"{record!r} cannot be retried: its function now uses {strange[0]!r}, which is not "
                "among its inputs; submit it as a new task"
            )
    return renewed
