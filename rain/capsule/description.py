"""What a capsule's folder holds for the program that repeats its task; `rain.capsule.writer` writes it."""

from __future__ import annotations

import os

import msgspec

from rain.common.errors import RainException
from rain.common.protocol.encoding import encode, encode_json
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec

TASK_FILE = "task.json"
CONFIG_FILE = "config.msgpack"
FUNCTION_FILE = "function.msgpack"
INPUTS, OUTPUTS, MODULES, WORK = "inputs", "outputs", "modules", "work"
"""Folders: the inputs' data, what a run makes, modules of the user that the function needs, where a run takes place."""


class CapsuleInput(msgspec.Struct):
    """One input. `file` is relative to the capsule: a file, or a folder for a directory object."""

    file: str
    label: str | None
    spec: ObjectSpec
    info: ObjectInfo


class Description(msgspec.Struct):
    """A task with all that is needed to repeat it, but the data.

    Attributes
    ----------
    title : str
    spec : TaskSpec
        Without its config, which is in `CONFIG_FILE` as msgpack.
    inputs : list of CapsuleInput
        In the order of ``spec.inputs``.
    outputs : list of ObjectSpec
    sys_path : list of str
        Where the client looked for modules.
    """

    title: str
    spec: TaskSpec
    inputs: list[CapsuleInput]
    outputs: list[ObjectSpec]
    sys_path: list[str]


def write_description(folder: str, description: Description) -> None:
    """Write a capsule's description and config."""
    spec = msgspec.structs.replace(description.spec, config=None)
    text = msgspec.json.format(encode_json(msgspec.structs.replace(description, spec=spec)), indent=1)
    with open(os.path.join(folder, TASK_FILE), "wb") as file:
        file.write(text + b"\n")
    with open(os.path.join(folder, CONFIG_FILE), "wb") as file:
        file.write(encode(description.spec.config))


def read_description(folder: str) -> Description:
    """What `write_description` wrote.

    Raises
    ------
    RainException
        If it is not there or not readable.
    """
    try:
        with open(os.path.join(folder, TASK_FILE), "rb") as file:
            description = msgspec.json.decode(file.read(), type=Description)
        with open(os.path.join(folder, CONFIG_FILE), "rb") as file:
            description.spec.config = msgspec.msgpack.decode(file.read())
    except (OSError, msgspec.MsgspecError) as error:
        raise RainException(f"{folder} is not a capsule that can be read: {error}") from None
    return description
