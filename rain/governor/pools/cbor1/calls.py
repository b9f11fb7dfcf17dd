"""What a governor says in cbor-1: calls, and which cached objects an executor may drop.

Specs and infos hold no empty values and no fields but the protocol's, since existing executors refuse others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rain.common.ids import ID
from rain.common.protocol.messages import ExecutorTask
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec
from rain.governor.pools.cbor1.frames import encode_frame
from rain.governor.pools.cbor1.locations import Location, location_item


def encode_call(task: ExecutorTask, locations: Sequence[Location], hints: Sequence[bool]) -> bytes:
    """The ``call`` frame of a task.

    Parameters
    ----------
    task : ExecutorTask
    locations : sequence of Location
        Where each input is.
    hints : sequence of bool
        For each input, whether the executor should cache it.

    Raises
    ------
    Cbor1Error
        If the task's config or the user's values cannot be sent, or it is too long.
    """
    inputs = [
        {
            "spec": object_spec_fields(value.spec),
            "info": object_info_fields(value.info),
            "location": location_item(location),
            "cache_hint": hint,
        }
        for value, location, hint in zip(task.inputs, locations, hints, strict=True)
    ]
    outputs = [{"spec": object_spec_fields(spec)} for spec in task.outputs]
    return encode_frame("call", {"spec": task_spec_fields(task.spec), "inputs": inputs, "outputs": outputs})


def encode_drop_cached(objects: Sequence[ID]) -> bytes:
    """The ``drop_cached`` frame of these objects."""
    return encode_frame("drop_cached", {"objects": [list(id) for id in objects]})


def task_spec_fields(spec: TaskSpec) -> dict[str, Any]:
    """A task's spec as the protocol has it."""
    return _filled(
        id=list(spec.id),
        task_type=spec.task_type,
        config=spec.config,
        inputs=[_filled(id=list(wanted.id), label=wanted.label) for wanted in spec.inputs],
        outputs=[list(id) for id in spec.outputs],
        resources={name: int(amount) if amount == int(amount) else amount for name, amount in spec.resources.items()},
        name=spec.name,
        user=spec.user,
    )


def object_spec_fields(spec: ObjectSpec) -> dict[str, Any]:
    """An object's spec as the protocol has it."""
    return _filled(
        id=list(spec.id),
        label=spec.label,
        content_type=spec.content_type,
        data_type=spec.data_type,
        size_hint=spec.size_hint,
        user=spec.user,
    )


def object_info_fields(info: ObjectInfo) -> dict[str, Any]:
    """An object's info as the protocol has it."""
    return _filled(error=info.error, size=info.size, content_type=info.content_type, debug=info.debug, user=info.user)


def _filled(**fields: Any) -> dict[str, Any]:
    """The fields that are not empty; numbers and False are never empty."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and not (isinstance(value, (str, bytes, list, tuple, dict)) and not value)
    }
