"""`task.capsule(path)`: a folder with all that is needed to repeat a task on this machine.

Theory of operation
-------------------
The server says where the inputs are, `GetOutput` what the task wrote; the rest is known here. The folder is filled in a
thread under another name beside its place, and renamed when it is complete, so that it is there as a whole or not at
all. Names inside are made of a number and what is harmless of a label.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from rain.capsule import texts
from rain.capsule.description import FUNCTION_FILE, INPUTS, MODULES, CapsuleInput, Description, write_description
from rain.client.core.operations.waits import not_submitted
from rain.client.core.records import Record
from rain.client.handles import handle_of, inside, record_of
from rain.client.operations.fetch import RemoteObject, host_of
from rain.client.operations.operation import Operation
from rain.client.operations.session_operations import connected, locations, output_of
from rain.client.report.failures import text_of, title
from rain.common.errors import RainException
from rain.common.protocol.messages import ObjectData
from rain.common.states import DataObjectState
from rain.common.task_configs import (
    EXECUTE,
    IN_GOVERNOR,
    PYTHON,
    ExecuteConfig,
    FunctionPayload,
    decode_function,
    read_config,
)
from rain.objects.data_instance import DataInstance
from rain.objects.readers import open_nearest

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.client.task import Task


def capsule(session: Session, task: Task, path: Any) -> Operation[str]:
    """Write the capsule of `task`; gives its absolute path."""
    record = record_of(task)
    _, mirror = connected(session)
    if record.state is None:
        raise not_submitted(mirror, record)
    if record.reused and record.reuse is not None:
        raise RainException(
            f"{task!r} has no capsule, as it did not run in this session. It was {record.reuse.text}; with cache=False "
            "it runs"
        )
    target = _target(path)
    ids = list(dict.fromkeys(item.id for item in record.spec.inputs))
    if record.spec.function is not None:
        ids.append(record.spec.function)
    found: dict[Any, ObjectData] = {}
    if ids:
        located = yield from locations(session, ids)
        for id, data in zip(ids, located, strict=True):
            if data is None:
                raise _gone(task, mirror.records[id.id])
            found[id] = data
    stdout, stderr = yield from output_of(session, task)
    story = text_of(session, record) if record.failed else f"{title(record)} is {record.state.value}."
    writer = _Writer(session, task, found, texts.error_text(story, stdout, stderr))
    try:
        yield inside(session).connection.link.in_thread(lambda: writer.write(target))
    except BaseException:
        writer.given_up = True
        raise
    return target


def _target(path: Any) -> str:
    """Where the capsule is to be.

    Raises
    ------
    RainException
        If something is there already.
    """
    try:
        target = os.path.abspath(os.fspath(path))
    except TypeError:
        raise RainException(f"a capsule's path is a str or os.PathLike, not {type(path).__name__}") from None
    if os.path.lexists(target) and (os.path.islink(target) or not os.path.isdir(target)):
        raise RainException(f"{target} exists already and is not a folder: give the capsule another path")
    if os.path.isdir(target) and os.listdir(target):
        raise RainException(f"{target} exists already and is not empty: give the capsule another path")
    return str(target)


def _gone(task: Task, obj: Record) -> RainException:
    if obj.state is DataObjectState.UNFINISHED:
        return RainException(f"{task!r} has no capsule yet: its input {obj!r} is not finished")
    return RainException(
        f"the capsule of {task!r} cannot be made: its input {obj!r} is gone, because nothing needed it any more. Call "
        "its keep(), or session.keep_all(), before submit; inputs of failed tasks are held until session.forget()"
    )


class _Writer:
    """Fills the folder; in a thread."""

    def __init__(self, session: Session, task: Task, found: dict[Any, ObjectData], error: str) -> None:
        self._session = session
        self._task = task
        self._record = record_of(task)
        self._spec = self._record.spec
        self._found = found
        self._error = error
        self.given_up = False

    def write(self, target: str) -> None:
        parent, name = os.path.split(target)
        try:
            os.makedirs(parent, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=f".{name[: texts.NAME_CHARS_MAX]}.", dir=parent)
        except OSError as error:
            raise RainException(f"the capsule cannot be written to {target}: {error.strerror}") from None
        try:
            self._fill(folder)
            if not self.given_up:
                os.rename(folder, target)
        except OSError as error:
            raise RainException(f"the capsule cannot be written to {target}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fill(self, folder: str) -> None:
        spec, kind = self._spec, self._spec.task_type
        os.mkdir(os.path.join(folder, INPUTS), 0o700)
        inputs = self._inputs(folder)
        outputs = [output.spec for output in self._record.outputs]
        sys_path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
        write_description(folder, Description(title(self._record), spec, inputs, outputs, sys_path))
        self._text(folder, "error.txt", self._error)
        self._text(folder, "environment.txt", texts.environment_text(spec))
        code = self._python(folder, inputs) if kind == PYTHON else ""
        program: ExecuteConfig | None = None
        if kind == EXECUTE:
            program = read_config(spec.config, ExecuteConfig)
            self._text(folder, "run.sh", texts.run_script(title(self._record), spec, program, inputs, outputs), 0o700)
        if kind == PYTHON or kind in IN_GOVERNOR:
            self._text(folder, "debug.py", texts.debug_script(title(self._record)))
        self._text(folder, "README.txt", texts.readme(self._record, inputs, outputs, program, code))

    def _inputs(self, folder: str) -> list[CapsuleInput]:
        made = []
        places: dict[Any, str] = {}
        for number, item in enumerate(self._spec.inputs):
            if self.given_up:
                break
            data = self._found[item.id]
            if item.id not in places:
                places[item.id] = f"{INPUTS}/{number:02d}{texts.harmless(item.label or data.spec.label)}"
                self._instance(data).write(os.path.join(folder, places[item.id]))
            made.append(CapsuleInput(places[item.id], item.label, data.spec, data.info))
        return made

    def _instance(self, data: ObjectData) -> DataInstance:
        handle = handle_of(self._session, inside(self._session).mirror.records[data.spec.id.id])
        reader = open_nearest(data, host_of(self._session), lambda: RemoteObject(data, handle).reader())
        return DataInstance(reader, data.spec, data.info)

    def _python(self, folder: str, inputs: list[CapsuleInput]) -> str:
        """The function, its source, the user's modules; gives the arguments as text."""
        assert self._spec.function is not None
        data = self._instance(self._found[self._spec.function]).get_bytes()
        with open(os.path.join(folder, FUNCTION_FILE), "wb") as file:
            file.write(data)
        payload = decode_function(data)
        _write_modules(folder, payload)
        self._text(folder, "task.py", texts.source_text(title(self._record), payload, self._record.source))
        return texts.arguments_text(self._spec, inputs)

    def _text(self, folder: str, name: str, text: str, mode: int = 0o600) -> None:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text if text.endswith("\n") else f"{text}\n")
        os.chmod(path, mode)


def _write_modules(folder: str, payload: FunctionPayload) -> None:
    """The user's modules as they are now (or as they were sent), where `import` finds them."""
    for module in payload.modules:
        parts = module.name.split(".")
        if not all(part.isidentifier() for part in parts):
            continue
        source = module.source
        if source is None:
            try:
                with open(module.path, "rb") as file:
                    source = file.read()
            except OSError:
                continue
        path = os.path.join(folder, MODULES, *parts)
        path = os.path.join(path, "__init__.py") if module.is_package else f"{path}.py"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "wb") as file:
            file.write(source)
