"""How tasks fail and are cancelled, with all that depends on them; how attempts are withdrawn."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rain.common.formatting import shorten
from rain.common.ids import ID
from rain.common.spec import TaskError, TaskInfo
from rain.common.state_styles import NOT_RUN, shown_task
from rain.common.states import TaskState
from rain.server.core.lifecycle import earlier
from rain.server.core.objects import abandon, fail_object, leave_queue, make_ready, not_needed, release_inputs, wanted
from rain.server.core.state import State
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.states import CANCELLED, FAILED, FINISHED, FIRST_RUN, FOLLOWER, OBJ_UNFINISHED, RECOMPUTING, WAITING

DEPENDENTS_WITH_TEXT_MAX = 1000
"""Dependents of one failure that quote all of its text; the others quote the beginning and the end."""
QUOTED_CHARS_MAX = 2000


def withdraw(state: State, task: Task) -> None:
    """Order the governor of an assigned task to end the attempt."""
    governor = task.governor
    assert governor is not None
    governor.cancels.append((task.id, task.attempt))
    state.graph.stop(task)


def withdraw_followers(state: State, task: Task, governor: Governor) -> None:
    """A task left a governor without finishing: what was to follow it there cannot."""
    stack = [task]
    while stack:
        for obj in stack.pop().outputs:
            if obj.state is not OBJ_UNFINISHED:
                continue
            for consumer in obj.waiting():
                if consumer.governor is governor and consumer.placement is FOLLOWER:
                    withdraw(state, consumer)
                    if consumer.state is not WAITING:
                        state.set_task(consumer, WAITING)
                    stack.append(consumer)


def back(state: State, task: Task, governor: Governor, delay: float = 0.0) -> None:
    """A task that is no longer assigned to `governor` waits again, or is ready again (after `delay` seconds)."""
    withdraw_followers(state, task, governor)
    if task.retention is RECOMPUTING:
        abandon(state, task)
        if task.state is FINISHED:
            return
    if not task.pending:
        make_ready(state, task, delay)
    elif task.state is not WAITING:
        state.set_task(task, WAITING)


def settle_as(state: State, task: Task, to: TaskState, error: TaskError) -> None:
    """Fail or cancel a task because of a task that did so before."""
    if to is CANCELLED:
        _spread(state, task, to, error, "cancelled", "was cancelled")
    else:
        fail(state, task, error)


def fail(state: State, task: Task, error: TaskError) -> None:
    """A task failed for good, and so does what depends on it; perhaps its session stops."""
    session = task.session
    _spread(state, task, FAILED, error, "dependency", "failed")
    if session.on_failure == "stop" and not session.over and session not in state.stops:
        state.stops[session] = task


def cancel(state: State, tasks: Iterable[Task]) -> None:
    """Cancel unsettled tasks and what depends on them."""
    for task in tasks:
        if task.unsettled:
            error = TaskError("cancelled", f"Task {task.title} was cancelled")
            _spread(state, task, CANCELLED, error, "cancelled", "was cancelled")


def _spread(state: State, cause: Task, to: TaskState, error: TaskError, kind: str, verb: str) -> None:
    _settle(state, cause, to, error)
    text, short = error.message, shorten(error.message, 2 * QUOTED_CHARS_MAX)
    count = 0
    stack = [cause]
    while stack:
        failed = stack.pop()
        for obj in failed.outputs:
            if obj.state is not OBJ_UNFINISHED:
                continue
            fail_object(state, obj)
            for task in obj.waiting():
                if not task.unsettled:
                    continue  # it was to run again for one before it alone, and is finished as before
                count += 1
                quoted = text if count <= DEPENDENTS_WITH_TEXT_MAX else short
                message = (
                    f"Task {task.title} did not run, because task {cause.title}, which it needs, {verb}:\n{quoted}"
                )
                origin = cause.id if error.cause is None else error.cause
                _settle(state, task, to, TaskError(kind, message, cause=origin))
                stack.append(task)


def _settle(state: State, task: Task, to: TaskState, error: TaskError) -> None:
    attempts = task.attempt
    if task.governor is not None:
        if task.state is WAITING:
            attempts -= 1  # it was given ahead of its inputs, and did not start
        withdraw(state, task)
    task.error = error
    if task.info is None:
        task.info = TaskInfo(error=error.message, attempts=attempts, earlier=earlier.of(task))
    else:
        task.info = msgspec.structs.replace(task.info, error=error.message, earlier=earlier.of(task))
    leave_queue(state, task)
    if task.retention is RECOMPUTING:
        task.retention = FIRST_RUN
    state.set_task(task, to)
    state.happened(
        "TaskFinished", task.id[0], task.id[1], {"state": to.value, "error": error.message[:QUOTED_CHARS_MAX]}
    )
    if to is CANCELLED:
        release_inputs(state, task)
        return
    # A failed task holds its inputs, so that it can be run again.
    task.session.not_run += shown_task(to, error) == NOT_RUN
    for obj in task.inputs:
        obj.remove_consumer(task)
        if obj.state is OBJ_UNFINISHED and not wanted(obj):
            not_needed(state, obj)


def dependency_error(task: Task, cause: Task) -> tuple[TaskState, TaskError]:
    """State and error of a task that needs what a failed or cancelled task did not make."""
    error = cause.error
    text = error.message if error is not None else ""
    origin: ID = cause.id
    if error is not None and error.cause is not None:
        origin = error.cause
        text = text.partition(":\n")[2]
    cancelled = cause.state is CANCELLED
    verb = "was cancelled" if cancelled else "failed"
    message = f"Task {task.title} did not run, because task {origin}, which it needs, {verb}:\n{text}"
    kind = "cancelled" if cancelled else "dependency"
    return (CANCELLED if cancelled else FAILED), TaskError(kind, message, cause=origin)
