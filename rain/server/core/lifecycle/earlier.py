"""What is kept of attempts that ended badly and were followed by others: for their task's user, who may ask why."""

from __future__ import annotations

from rain.common.formatting import shorten
from rain.common.spec import ATTEMPTS_TOLD_MAX, REASON_CHARS_MAX, Attempt, TaskError
from rain.server.records.task import Task

LEFT = "left"
"""Kind of an attempt that did not end by itself: its governor left on purpose."""


def note(task: Task, error: TaskError, host: str) -> None:
    """Keep how the present attempt of a task ended, which goes again: its info says where it was.

    Parameters
    ----------
    task : Task
    error : TaskError
    host : str
        What the host of the governor calls itself that had it.
    """
    info = task.info
    if info is None or info.governor is None or info.attempts != task.attempt:
        return  # it is not known to have begun
    ended = task.session.earlier.setdefault(task.id[1], [])
    if len(ended) == ATTEMPTS_TOLD_MAX:
        del ended[0]
    reason, start, duration = shorten(error.message, REASON_CHARS_MAX), info.start_time, info.duration
    ended.append(Attempt(info.attempts, info.governor, host, error.kind, reason, start, duration, error.end))


def unsay(task: Task) -> bool:
    """Forget that the present attempt of a task crashed with its governor: it goes on. Whether that was noted."""
    ended = task.session.earlier.get(task.id[1])
    if not ended or (ended[-1].number, ended[-1].kind) != (task.attempt, "crash"):
        return False
    del ended[-1]
    if not ended:
        del task.session.earlier[task.id[1]]
    return True


def of(task: Task) -> list[Attempt]:
    """What was kept of a task's attempts."""
    return list(task.session.earlier.get(task.id[1], ()))
