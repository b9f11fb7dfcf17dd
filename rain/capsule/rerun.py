"""Repeats the task of a capsule (`rain.capsule.writer`) in this process: what ``debug.py`` calls."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

from rain.capsule.description import FUNCTION_FILE, INPUTS, MODULES, OUTPUTS, WORK, Description, read_description
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import Inline, LocalFile, SameAs
from rain.common.protocol.messages import ExecutorInput, ExecutorSetup, ExecutorTask, OutputResult, TaskAssignment
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.task_configs import PYTHON, PyConfig, decode_function, read_config
from rain.executor.python.attempt import Attempt
from rain.executor.python.exception_report import traceback_text
from rain.executor.python.tasks import PythonTasks
from rain.executor.staging import Staging
from rain.governor.core.effects import Known
from rain.governor.pools.builtin_tasks import run_builtin
from rain.governor.store import Store
from rain.objects.data_instance import DataInstance
from rain.objects.files import local_file
from rain.objects.held import Held
from rain.objects.readers import BytesReader

_SHOWN_CHARS_MAX = 2000


def main(folder: str) -> None:
    """Run the capsule in `folder`, print what it makes, put that into its ``outputs``.

    Raises
    ------
    Exception
        Whatever the task raises; it is shown as a failed task shows it.
    """
    description = read_description(folder)
    work, outputs = os.path.join(folder, WORK), os.path.join(folder, OUTPUTS)
    for path in (work, outputs):
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path, 0o700)
    options = description.spec.options
    if options is not None:
        os.environ.update(options.env)
    with tempfile.TemporaryDirectory(prefix="rain-capsule-") as store:
        if description.spec.task_type == PYTHON:
            results = _python(description, folder, work, store)
        else:
            results = _builtin(description, folder, store)
        for number, (result, spec) in enumerate(zip(results, description.outputs, strict=True)):
            _show(description, folder, number, result, spec)
    if not description.outputs:
        _say("It finished; it has no outputs.")


def _python(description: Description, folder: str, work: str, store: str) -> list[OutputResult]:
    known = set(sys.path)
    sys.path[1:1] = [os.path.join(folder, MODULES)]
    sys.path += [entry for entry in description.sys_path if entry not in known]
    os.chdir(work)
    spec = description.spec
    assert spec.function is not None
    with open(os.path.join(folder, FUNCTION_FILE), "rb") as file:
        function = file.read()
    _show_cells(function, read_config(spec.config, PyConfig))
    setup = ExecutorSetup(0, 0, "local", store, store, store, sys.maxsize, [], work, {}, spec.resources)
    came = {spec.function: ExecutorInput(ObjectSpec(spec.function), ObjectInfo(), None, Inline(function))}
    inputs = []
    for item in description.inputs:
        path = os.path.join(folder, item.file)
        inputs.append(ExecutorInput(item.spec, item.info, item.label, local_file(path, item.info.size)))
    task = ExecutorTask(1, 1, spec, inputs, description.outputs)
    runner = PythonTasks(setup, came, protect=False)
    outputs = runner.attempt(Attempt(task, "local"), Staging(setup, "capsule"))
    assert isinstance(outputs, list)
    return outputs


def _show_cells(function: bytes, config: PyConfig) -> None:
    """Show an uncaught exception as a failed task shows it."""
    sources = [*decode_function(function).sources, *config.sources]
    shown = {source.file_name: source.shown for source in sources if source.shown}

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.stderr.write(f"{traceback_text(error, shown)}\n")

    sys.excepthook = show


def _builtin(description: Description, folder: str, store: str) -> list[OutputResult]:
    inputs = []
    for item in description.inputs:
        # Outputs may be links to inputs' files: the capsule's own shall stay as they are.
        path = os.path.join(store, item.file.replace(INPUTS, "copies", 1))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        source = os.path.join(folder, item.file)
        is_dir = item.spec.data_type == "dir"
        if not os.path.exists(path):
            shutil.copytree(source, path, symlinks=True) if is_dir else shutil.copyfile(source, path)
        inputs.append(Held(local_file(path, item.info.size), is_dir))
    known = [Known(item.spec, item.info) for item in description.inputs]
    assignment = TaskAssignment(description.spec, 1, description.outputs)
    result = run_builtin(assignment, inputs, known, Store(store, memory_bytes_max=0), threading.Event())
    if result.error is not None:
        raise RainException(result.error.message)
    for output in result.outputs:
        if isinstance(output.location, LocalFile):  # the store goes with its folder
            target = os.path.join(store, f"made-{output.id.id}")
            os.rename(output.location.path, target)
            output.location = local_file(target)
    return result.outputs


def _show(description: Description, folder: str, number: int, result: OutputResult, spec: ObjectSpec) -> None:
    """Put an output into its place, and print what it is."""
    name = spec.label or str(number)
    kind = result.info.content_type or spec.content_type
    location = result.location
    if isinstance(location, SameAs):
        _say(f"output {name!r}: the same as {_file_of(description, location.id)}")
        return
    place = f"{OUTPUTS}/{number:02d}"
    path = os.path.join(folder, place)
    if isinstance(location, Inline):
        with open(path, "wb") as file:
            file.write(location.data)
    else:
        shutil.move(location.path, path)
    _say(f"output {name!r}: {place}, {kind or 'no content type'}, {result.info.size} bytes")
    if isinstance(location, Inline) and spec.data_type != "dir":
        _say(f"    {_value(location.data, kind)}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _value(data: bytes, kind: str | None) -> str:
    instance = DataInstance(BytesReader(data), None, ObjectInfo(size=len(data), content_type=kind))
    value: Any = data if kind is None else instance.load()
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]} …"


def _file_of(description: Description, id: ID) -> str:
    return next((item.file for item in description.inputs if item.spec.id == id), str(id))
