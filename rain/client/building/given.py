"""Inputs, outputs and further parts of a task as users give them, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rain.client.data import DataObject
from rain.client.handles import Handle, as_object
from rain.client.io_spec import InputBase, OutputBase, as_output, check_label, check_output_count, listed
from rain.common.errors import RainException
from rain.common.labeled_list import LabeledList


def as_input(item: Any, of: str) -> tuple[str | None, DataObject]:
    """The label and object of an input as users may give it.

    Raises
    ------
    RainException
        If `item` is no input.
    """
    if isinstance(item, tuple) and len(item) == 2 and (item[0] is None or isinstance(item[0], str)):
        return check_label(item[0], of), as_object(item[1], of)
    if isinstance(item, InputBase):
        if item.dataobj is None:
            raise RainException(f"{of}: {item!r} has no dataobj=")
        return item.label, item.dataobj
    return None, as_object(item, of)


def check_labels(labels: Iterable[str | None], of: str) -> None:
    """Check that no label comes twice.

    Raises
    ------
    RainException
    """
    seen = set()
    for label in labels:
        if label is None:
            continue
        if label in seen:
            raise RainException(f"{of}: the label {label!r} is used twice")
        seen.add(label)


def check_task_type(task_type: Any, owner: str) -> str:
    """`task_type` if it is a text; its form is checked at submit.

    Raises
    ------
    RainException
    """
    if not isinstance(task_type, str) or not task_type:
        raise RainException(
            f"{owner}: a task type is a text of the form 'executor/method', not {task_type!r}; "
            "give task_type=, or set TASK_TYPE in a subclass"
        )
    return task_type


def check_config(config: Any) -> Any:
    """`config` if it can be sent in a message.

    Raises
    ------
    RainException
    """
    if config is None or isinstance(config, msgspec.Struct):
        return config
    try:
        msgspec.msgpack.encode(config)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RainException(
            f"config holds a value that cannot be sent (use values of JSON, and bytes): {error}"
        ) from None
    return config


def items_of(inputs: Any, owner: str) -> Iterable[Any]:
    """The inputs of a task one by one; users may give them alone, in a list, or by label.

    Raises
    ------
    RainException
        If `inputs` are none of these.
    """
    if isinstance(inputs, LabeledList):
        return [(label, value) for label, value in inputs.items()]
    if isinstance(inputs, str | bytes):
        raise RainException(f"{owner}: inputs are a list of data objects, not {type(inputs).__name__}; use [blob(...)]")
    if isinstance(inputs, Handle | InputBase):
        return [inputs]
    if isinstance(inputs, dict):
        return list(inputs.items())
    return listed(inputs, f"inputs of {owner}")


def outputs_of(outputs: Any, owner: str) -> list[OutputBase | DataObject]:
    """The outputs of a task one by one; users may give a number, labels, declarations, or objects that are to be made.

    Raises
    ------
    RainException
        If `outputs` are none of these, or one comes twice.
    """
    if isinstance(outputs, bool):
        raise RainException(f"{owner}: outputs are a number or a list, not {outputs}")
    if isinstance(outputs, int):
        return [as_output(f"out{index}", owner) for index in range(check_output_count(outputs, owner))]
    if isinstance(outputs, str | OutputBase | DataObject):
        outputs = [outputs]
    items = listed(outputs, f"outputs of {owner}")
    made = [item if isinstance(item, DataObject) else as_output(item, owner) for item in items]
    check_labels([item.label for item in made], f"outputs of {owner}")
    if len({id(item) for item in made if isinstance(item, DataObject)}) < sum(isinstance(i, DataObject) for i in made):
        raise RainException(f"{owner}: the same object is given as an output twice")
    return made
