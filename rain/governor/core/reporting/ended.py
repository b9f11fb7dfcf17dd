"""Results of attempts that ended with their executor."""

from __future__ import annotations

from rain.common.limits import EXECUTOR_START_S
from rain.common.protocol.messages import TaskResult
from rain.common.spec import TaskError, TaskInfo
from rain.governor.core.events import ExecutorExited
from rain.governor.core.records import Executor, State, Task
from rain.governor.core.reporting import error_texts
from rain.governor.states import End


def killed(state: State, task: Task, event: ExecutorExited, now: float, kind: str, text: str) -> TaskResult:
    """That of the attempt that the executor was on."""
    duration = None if task.seen_at is None else now - task.seen_at
    info = TaskInfo(error=text, duration=duration, governor=state.governor_id)
    error = TaskError(kind, text, end=event.end)
    return TaskResult(task.id, task.attempt, info, [], error, event.stdout, event.stderr, event.written)


def no_start(state: State, executor: Executor, task: Task, event: ExecutorExited) -> TaskResult:
    """That of an attempt for which no executor could be started."""
    times = task.group.failed_starts
    reason = event.reason
    if executor.end is End.START:
        reason = f"did not come up within {EXECUTOR_START_S:g} s (EXECUTOR_START_S)"
    text = error_texts.no_start(state.governor_id, task, times, reason, event.stdout, event.stderr)
    info = TaskInfo(error=text, governor=state.governor_id)
    return TaskResult(
        task.id, task.attempt, info, [], TaskError("rain", text), event.stdout, event.stderr, event.written
    )
