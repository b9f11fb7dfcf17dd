"""What foreign executors made, on its way to the store: nothing is taken from outside of an executor's own folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from rain.common.errors import RainException
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import SameAs
from rain.common.protocol.messages import ExecutorSetup, ExecutorTask, OutputResult
from rain.common.spec import ObjectInfo
from rain.governor.pools.cbor1.inputs import check_inputs
from rain.governor.pools.cbor1.locations import Location, Memory, OtherObject, Path
from rain.governor.pools.cbor1.results import ForeignResult
from rain.objects.dirtree import remove_tree
from rain.objects.intake import Folders, Intake, output_of
from rain.objects.lent_inputs import LentFile


def is_quick(location: Location) -> bool:
    """Whether taking such an output touches no file."""
    return not isinstance(location, Path) and not (
        isinstance(location, Memory) and len(location.data) > INLINE_BYTES_MAX
    )


def take_outputs(
    setup: ExecutorSetup, folder: str, task: ExecutorTask, result: ForeignResult, watched: Sequence[LentFile]
) -> list[OutputResult]:
    """What a task made, for the store; blocks while files are read or moved.

    Parameters
    ----------
    setup : ExecutorSetup
    folder : str
        The executor's own folder, where paths must be.
    task : ExecutorTask
    result : ForeignResult
        A successful one.
    watched : sequence of LentFile

    Raises
    ------
    RainException
        If an output is not what it should be, or (`InputsChanged`) an input was changed. The text continues a sentence
        that begins with the executor.
    OSError
        If a file cannot be read or moved.
    """
    with Intake(Folders.of(setup), f"foreign-{setup.executor_id}-{task.number}") as intake:
        check_inputs(watched)
        return [
            _take_output(folder, task, intake, index, info, location)
            for index, (info, location) in enumerate(result.outputs)
        ]


def _take_output(
    folder: str, task: ExecutorTask, intake: Intake, index: int, info: ObjectInfo, location: Location
) -> OutputResult:
    spec = task.outputs[index]
    is_dir = spec.data_type == "dir"
    if isinstance(location, OtherObject):
        same = next((value for value in task.inputs if value.spec.id == location.id), None)
        if same is None:
            raise RainException(f"returned object {location.id} as output {index}, which is not one of the inputs")
        if (same.spec.data_type == "dir") != is_dir:
            raise RainException(f"returned an input as output {index}, which is declared another data type")
        output = OutputResult(spec.id, ObjectInfo(size=same.info.size), SameAs(location.id))
    elif isinstance(location, Memory):
        if is_dir:
            raise RainException(f"returned output {index}, a directory, in memory; a directory is always a path")
        output = output_of(spec, intake.put(location.data))
    else:
        assert isinstance(location, Path)
        path = _checked_path(folder, location.path, index)
        mode = os.lstat(path).st_mode
        if not (stat.S_ISDIR(mode) if is_dir else stat.S_ISREG(mode)):
            wanted = "a directory" if is_dir else "a file"
            raise RainException(f"returned output {index} at {location.path}, which is not {wanted}")
        output = output_of(spec, intake.take_tree(path) if is_dir else intake.take_file(path))
        if os.path.lexists(path):
            remove_tree(path) if is_dir else os.unlink(path)
    output.info.content_type, output.info.debug, output.info.user = info.content_type, info.debug, info.user
    return output


def _checked_path(folder: str, path: str, index: int) -> str:
    """`path`, an output, seen to be inside of the executor's folder and not a link."""
    if not os.path.isabs(path) or "\0" in path:
        raise RainException(f"returned output {index} at {path!r}, which is not an absolute path")
    root = os.path.realpath(folder)
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if not real.startswith(f"{root}/") or os.path.basename(real) in ("", ".", ".."):
        raise RainException(f"returned output {index} at {path}, which is not inside of its folder {root}")
    if not os.path.lexists(real):
        raise RainException(f"returned output {index} at {path}, where nothing is")
    return real
