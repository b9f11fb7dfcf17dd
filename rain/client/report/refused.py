"""The values that a task returned and that were refused as its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.client.core.operations import locating
from rain.client.handles import inside, record_of
from rain.client.operations.fetch import refused_instance
from rain.common.errors import RainException
from rain.common.labeled_list import LabeledList

if TYPE_CHECKING:
    from rain.client.operations.operation import Operation
    from rain.client.session import Session
    from rain.client.task import Task
    from rain.objects.data_instance import DataInstance


def fetch_refused(session: Session, task: Task) -> Operation[LabeledList[DataInstance]]:
    """The values that the task returned, by the labels of its outputs.

    Raises
    ------
    RainException
        If nothing that the task returned was refused, or the values are gone.
    """
    error = record_of(task).error
    if session.client is None or error is None or error.kind != "refused":
        raise RainException(f"{task!r} did not fail because what it returned was refused: there is nothing to fetch")
    objects = list(task.outputs)
    ids = [obj.id for obj in objects]
    own = inside(session)
    located = yield from own.connection.drive(locating.locations(own.connection.core, own.mirror, ids, refused=True))
    found = [(obj, data) for obj, data in zip(objects, located, strict=True) if data is not None]
    if not found:
        raise RainException(
            f"what {task!r} returned is gone: it stays until the task is retried or forgotten, or its governor is lost"
        )
    instances = [refused_instance(session, obj, data) for obj, data in found]
    return LabeledList(instances, [obj.label for obj, _ in found])
