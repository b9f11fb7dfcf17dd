"""A task on several governors that loses one of them: the whole attempt is ended and goes again.

It is charged like that of any other task: a crash if a governor or companion died, nothing if it left on purpose.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.spec import TaskError
from rain.server.core.lifecycle import earlier
from rain.server.core.lifecycle.recovery import crashed
from rain.server.core.lifecycle.settle import back, fail, withdraw
from rain.server.core.state import State
from rain.server.records.gang import Gang
from rain.server.records.governor import Governor
from rain.server.records.task import Task
from rain.server.states import RUNNING


def member_ended(state: State, governor: Governor, id: ID, attempt: int, error: TaskError | None) -> bool:
    """A companion is gone although nothing ended it (`error`), or its governor took it back (None); False if the
    governor had none of this attempt."""
    if (id, attempt) not in governor.hosting:
        return False
    graph = state.graph
    gang = graph.unhost(governor, id, attempt)
    task = graph.task(id)
    if task is not None and graph.gangs.get(task) is gang:
        _attempt_lost(state, task, gang, error)
    return True


def governor_lost(state: State, governor: Governor, reason: str) -> None:
    """The attempts of which a lost governor was a member are lost; those of which it was the first are so anyway."""
    graph = state.graph
    for id, attempt in list(governor.hosting):
        gang = graph.unhost(governor, id, attempt)
        task = graph.task(id)
        if task is None or graph.gangs.get(task) is not gang:
            continue
        text = f"Task {task.title} was running on {task.nodes} governors, of which {governor.id} was lost ({reason})"
        _attempt_lost(state, task, gang, None if governor.leaving is not None else TaskError("crash", text))


def _attempt_lost(state: State, task: Task, gang: Gang, error: TaskError | None) -> None:
    """End what is left of the attempt; the task goes again. `error` is charged, if it was running.

    One that may run once does not: where its first governor has it, it may run although that was not heard of yet.
    """
    first, was_running = task.governor, task.state is RUNNING
    assert first is not None
    withdraw(state, task)
    state.schedule_due = True
    if task.session.over or not task.unsettled:
        return
    if task.runs_once and gang.sent:
        why = "" if error is None else f": {error.message}"
        text = f'A governor of task {task.title} was lost{why}, and the task may not run a second time (rerun="never")'
        fail(state, task, TaskError("lost", text))
    elif error is None or not was_running or not crashed(state, task, error):
        if was_running:
            earlier.note(task, error or TaskError(earlier.LEFT, "a governor of it leaves"), first.host)
        back(state, task, first)
