"""Previews of results: which ones executors make of what they made themselves, when, and how long they may take.

Theory of operation
-------------------
No task pays for a preview. An executor is asked for one after the result has been told, when it has had nothing to do
for `PREVIEW_REST_S`, and while no task is ready: so neither the tasks of a long queue nor those that a user runs one
after the other meet one. It is asked for one at a time, the newest result first, and makes it of what is stored.

A task that comes meanwhile is given to such an executor all the same: the executor gives the preview up for it. One
that does not come back (a `repr` in C that does not return) is ended here; so its death, like any other in a preview,
is no task's, and what was queued behind it goes elsewhere. For a client that looks at a result without a preview one
is made on demand (`rain.governor.views.viewing`).
"""

from __future__ import annotations

from math import inf

from rain.common.limits import (
    PREVIEW_BYTES_MAX,
    PREVIEW_LATE_S,
    PREVIEW_REST_S,
    PREVIEW_SLOW_S,
    PREVIEWED_TASK_S,
    PREVIEWED_TASKS_MAX,
    PREVIEWS_DUE_MAX,
    PREVIEWS_GIVEN_UP_MAX,
)
from rain.common.protocol.messages import OutputResult, TaskResult
from rain.common.spec import ObjectSpec
from rain.governor.core.effects import KeepPreview, MakePreview
from rain.governor.core.events import PreviewMade
from rain.governor.core.families.ranges import Range
from rain.governor.core.records import PY, DuePreview, Executor, State, Task
from rain.governor.states import ExecutorState, Presence, Stage

LOADED_TYPES = ("pickle", "cloudpickle")
"""Content types whose values have to be loaded to be shown, beside those of plug-ins; others are shown as they lie."""
_PLUGIN = "plugin/"


def worthwhile(tasks: int, task_s: float) -> bool:
    """Whether results of a task have previews before they are looked at.

    Parameters
    ----------
    tasks : int
        Tasks of the session that came to this governor so far.
    task_s : float
        How long the task took.

    Examples
    --------
    >>> worthwhile(10, 0.0001), worthwhile(10_000, 0.0001), worthwhile(10_000, 2.0)
    (True, False, True)
    """
    return tasks <= PREVIEWED_TASKS_MAX or task_s >= PREVIEWED_TASK_S


def note(state: State, executor: Executor, task: Task, result: TaskResult) -> None:
    """A task that has outputs to be kept ended well: its executor owes previews of them, if they are worthwhile."""
    task_s = result.info.duration or 0.0
    session, assignment = task.session, task.assignment
    if not worthwhile(session.tasks_seen, task_s) or executor.devices or executor.group.kind != PY:
        return  # what a value takes of a device is the next task's
    env = session.envs.get(assignment.spec.environment)
    if (env is not None and not env.previews) or task.estimate.given_up >= PREVIEWS_GIVEN_UP_MAX:
        return
    due = executor.previews_due
    for number in assignment.kept:
        if number < len(result.outputs) and _is_loaded(assignment.outputs[number], result.outputs[number]):
            obj = session.objects.get(result.outputs[number].id)
            if obj is not None and obj.known is not None:
                due.append(DuePreview(obj, obj.known, task.estimate, task_s))
    del due[:-PREVIEWS_DUE_MAX]
    if due:
        state.previews_due[executor] = None


def _is_loaded(spec: ObjectSpec, output: OutputResult) -> bool:
    content_type = output.info.content_type or spec.content_type or ""
    return output.info.encoded and (content_type in LOADED_TYPES or content_type.startswith(_PLUGIN))


def ask(state: State, now: float) -> None:
    """On a tick: executors that have rested make the newest preview that they owe."""
    for executor in state.previews_due:
        if executor.preview is None and _rested_at(executor) <= now:
            _ask_next(state, executor, now)


def due_at(state: State) -> float:
    """When `ask` will ask an executor if nothing else happens."""
    if not state.previews_due or _put_off(state):
        return inf
    owing = [executor for executor in state.previews_due if executor.preview is None and _newest_due(executor) >= 0]
    return min(map(_rested_at, owing), default=inf)


def _rested_at(executor: Executor) -> float:
    return executor.idle_since + PREVIEW_REST_S if executor.state is ExecutorState.IDLE else inf


def _put_off(state: State) -> bool:
    """Whether none is made now, as a waiting task goes first."""
    return state.departure.stage is not Stage.STAYING or any(group.ready for group in state.hungry)


def _newest_due(executor: Executor) -> int:
    """The place of the newest preview that it owes and that is still wanted; -1: there is none."""
    due = executor.previews_due
    for place in range(len(due) - 1, -1, -1):
        preview = due[place]
        wanted = worthwhile(executor.session.tasks_seen, preview.task_s) and _is_there(preview)
        if wanted and preview.estimate.given_up < PREVIEWS_GIVEN_UP_MAX:
            return place
    return -1


def _ask_next(state: State, executor: Executor, now: float) -> None:
    if _put_off(state):
        return
    place = _newest_due(executor)
    if place >= 0:
        executor.preview = executor.previews_due[place]
        del executor.previews_due[place:]
        executor.preview_since = now
        state.out.append(MakePreview(executor.id, executor.preview.known))


def _is_there(preview: DuePreview) -> bool:
    """Whether the object is here as it was made then: it may have been dropped, or lost and made anew."""
    obj = preview.object
    present = obj.presence is Presence.PRESENT and obj.known is preview.known
    return present and obj.session.objects.get(obj.id) is obj


def made(state: State, event: PreviewMade, now: float) -> None:
    """`PreviewMade`: kept beside its object; and the next one."""
    executor = state.executors.get(event.executor_id)
    preview = None if executor is None else executor.preview
    answer = event.made
    if executor is None or preview is None or preview.object.id != answer.id:
        return
    executor.preview = None
    if answer.given_up:
        preview.estimate.given_up += 1
    elif answer.put_off:
        executor.previews_due.append(preview)
    elif 0 < len(answer.data) <= PREVIEW_BYTES_MAX and _is_there(preview):
        state.out.append(KeepPreview(answer.id, answer.data))
    if executor.state is ExecutorState.IDLE:
        _ask_next(state, executor, now)


def may_run(executor: Executor, task: Task | Range, now: float) -> bool:
    """Whether an idle executor may get a task although it makes a preview: not if that has taken long, and not what may
    run once, as the executor may be ended just when the task has begun."""
    return executor.preview is None or (now - executor.preview_since <= PREVIEW_SLOW_S and not task.solo)


def late_at(executor: Executor) -> float:
    """When an executor is to be ended, as it does not come back from a preview. One that is on a task has."""
    if executor.preview is None:
        return inf
    head = executor.head
    return executor.preview_since + PREVIEW_LATE_S if head is None or head.seen_at is None else inf


def executor_gone(state: State, executor: Executor, wanted: bool) -> None:
    """An executor has exited; `wanted`: it was ended for another reason than a preview."""
    state.previews_due.pop(executor, None)
    if executor.preview is not None and not wanted:
        executor.preview.estimate.given_up = PREVIEWS_GIVEN_UP_MAX
