"""Whether a task's inputs are what was stored, before it runs and afterwards."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.messages import Damage, ExecutorInput, TaskResult
from rain.common.spec import TaskError, TaskInfo, TaskSpec


class LentFile(NamedTuple):
    """A stored file that an attempt's process can reach while it runs, as it was when it was lent."""

    id: ID
    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, id: ID, path: str) -> LentFile:
        """The file at `path` as it is now."""
        seen = os.stat(path)
        return cls(id, path, seen.st_size, seen.st_mtime_ns)

    def problem(self) -> str:
        """What became of it: what follows its name in a sentence; empty if it is as it was."""
        try:
            seen = os.lstat(self.path)
        except OSError:
            return "was removed from the store of its governor"
        # A link: the store moved it to disk meanwhile, and checked its bytes.
        if stat.S_ISLNK(seen.st_mode) or (seen.st_size, seen.st_mtime_ns) == (self.size, self.mtime_ns):
            return ""
        return "was changed in the store of its governor (size or time differ)"


def damaged(inputs: Iterable[ExecutorInput]) -> dict[ID, str]:
    """The inputs that are not what was stored, and what is wrong with each: what follows its name in a sentence.

    Of a directory only the directory itself is compared, as by other readers.
    """
    found = {}
    for value in inputs:
        problem = _problem(value)
        if problem:
            found[value.spec.id] = problem
    return found


def _problem(value: ExecutorInput) -> str:
    file = value.location
    if file is None:
        return "is no longer in the store of its governor"
    if isinstance(file, Inline):
        return ""
    try:
        found = os.stat(file.path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    same = found.st_mtime_ns == file.mtime_ns and (value.spec.data_type == "dir" or found.st_size == file.size)
    # What the store moves to disk keeps its time, and leaves a link.
    if same and (found.st_ino == file.inode or os.path.islink(file.path)):
        return ""
    return "was changed in the store of its governor (inode, size or time differ)"


class Lent(Protocol):
    """What is asked of an attempt: as of `ExecutorTask`."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def attempt(self) -> int: ...

    @property
    def inputs(self) -> list[ExecutorInput]: ...

    @property
    def function(self) -> ExecutorInput | None: ...


def before(task: Lent, governor_id: str) -> TaskResult | None:
    """The result of an attempt that cannot start because of its inputs; None if it can."""
    inputs = task.inputs if task.function is None else [*task.inputs, task.function]
    found = damaged(inputs)
    if not found:
        return None
    info = TaskInfo(governor=governor_id, attempts=task.attempt)
    result = TaskResult(task.spec.id, task.attempt, info)
    spoil(result, inputs, found, Damage(list(found)))
    return result


def spoil(result: TaskResult, inputs: Iterable[ExecutorInput], found: Mapping[ID, str], damage: Damage) -> None:
    """Make `result` that of an attempt whose inputs were damaged."""
    problems = [f"input {_name(value)} {found[value.spec.id]}" for value in inputs if value.spec.id in found]
    text = "; ".join(dict.fromkeys(problems))
    if damage.suspect:
        text = (
            f"{text}. Only this task could write to it then, so it did this. Other tasks read the same data: change "
            "a copy (write(path), or write=True for a program's input)"
        )
    result.outputs = []
    result.error = TaskError("rain" if damage.suspect else "input", text)
    result.info.error = text
    result.damage = damage


def _name(value: ExecutorInput) -> str:
    label = value.label or value.spec.label
    return f"{label!r} ({value.spec.id})" if label else str(value.spec.id)
