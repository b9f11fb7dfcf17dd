"""What users read when an attempt ended badly on this governor.

The client puts the task's type, name and id above these texts, and where it was made below.
"""

from __future__ import annotations

from collections.abc import Sequence

from rain.common.formatting import quote_output, size_text
from rain.common.ids import ID
from rain.governor.core.records import Task


def crash(governor_id: str, task: Task, reason: str, stdout: bytes, stderr: bytes) -> str:
    """The executor died while it ran the task, and not by our hand."""
    attempt = f"attempt {task.attempt} of task {task.id} on governor {governor_id}"
    # Of Rain's own executors stdout is the task's; a foreign one logs where it likes.
    wrote = tail("stderr", stderr) if task.group.own else tail("stdout", stdout) + tail("stderr", stderr)
    if reason.startswith("could not be started"):
        return f"the executor for {attempt} {reason}{wrote}"
    how, line, known = reason.partition("\n")
    return f"the executor {how} while it ran {attempt}{line}{known}{wrote}"


def changed_inputs(governor_id: str, objects: Sequence[ID], suspects: Sequence[Task]) -> str:
    """Inputs were changed while several tasks had them."""
    those = ", ".join(map(_title, suspects))
    return (
        f"object {', '.join(map(str, objects))} was changed in the store of governor {governor_id} while it was read. "
        f"These tasks had it as an input then, and one of them did that: {those}. Other tasks read the same data: "
        "change a copy (write(path), or write=True for a program's input)"
    )


def _title(task: Task) -> str:
    name = task.assignment.spec.name
    return f"{name} ({task.id})" if name else str(task.id)


def timeout(governor_id: str, task: Task) -> str:
    """The task ran too long."""
    return (
        f"attempt {task.attempt} of task {task.id} was killed on governor {governor_id}: "
        f"it ran longer than its timeout of {task.timeout:g} s"
    )


def memory(governor_id: str, task: Task, used_bytes: int, written_bytes: int) -> str:
    """The task used too much memory, of which it took `written_bytes` by writing to its inputs."""
    limit = task.group.request.amounts.get("mem", 0)
    pages = f" ({size_text(written_bytes)} of it are pages of its inputs that it has written)" if written_bytes else ""
    return (
        f"attempt {task.attempt} of task {task.id} was killed on governor {governor_id}: it used "
        f'{size_text(used_bytes)} of memory{pages} and declared resources={{"mem": {limit:.0f}}}, '
        f"which is {size_text(limit)}"
    )


def no_start(governor_id: str, task: Task, times: int, reason: str, stdout: bytes, stderr: bytes) -> str:
    """Executors for this task do not live long enough to run it."""
    return (
        f"no executor of type {task.group.kind!r} could be had for task {task.id} on governor {governor_id}: "
        f"{times} in a row ended before they ran anything; the last one {reason}"
        + tail("stdout", stdout)
        + tail("stderr", stderr)
    )


def tail(name: str, output: bytes) -> str:
    """The end of what a process wrote, for an error's text; empty if it wrote nothing."""
    return f"\n{quote_output(name, output)}" if output.strip() else ""
