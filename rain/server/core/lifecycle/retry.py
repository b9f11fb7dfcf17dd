"""`Retry`: failed tasks run again under the same ids; `Forget`: they will not.

Failed tasks hold their inputs until then; cancelled ones do not, so they can only be run again while these are there,
or can be made again. Tasks stand in their session in an order in which inputs precede their users; what failed or was
cancelled has a record of its own.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol.messages import Done, Forget, Retry
from rain.server.core.lifecycle.cut import Cut, Refused, check_objects
from rain.server.core.lifecycle.recovery import revive
from rain.server.core.lifecycle.submit import discard_uploads, take_objects
from rain.server.core.modules import renew
from rain.server.core.objects import drop_refused, gone, let_go
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import CANCELLED, CONSTANT, FAILED, FORGOTTEN, FUNCTION, OBJ_FAILED


def retry(state: State, client: Client, session: Session, message: Retry, trouble: str = "") -> None:
    """Answer `Retry`: all of it or nothing. With a task go those that it needs and those that failed because of it."""
    try:
        if trouble:
            raise Refused(trouble)
        chosen = _chosen(session, message.tasks)
        cut = Cut(session)
        check_objects(cut, message.objects, message.constants)
        functions = _functions(session, cut, message)
    except Refused as refusal:
        discard_uploads(state, message.constants)
        state.refuse(client.id, message.request, str(refusal))
        return
    state.to_client(client.id, Done(message.request))
    take_objects(state, cut, message.constants)
    environment = renew(session, message.env, message.modules)
    for task in chosen:
        if task.spec.function is not None:
            task.spec.environment = environment
    for task, function in functions:
        if task in chosen:
            _replace_function(task, function)
    revive(state, sorted(chosen, key=lambda task: task.order))
    state.schedule_due = True


def forget(state: State, client: Client, session: Session, message: Forget) -> None:
    """Answer `Forget`. With a task go those that failed because of it: without it they could not run either."""
    try:
        named = None if message.tasks is None else {_named(session, id, "forgotten"): None for id in message.tasks}
    except Refused as refusal:
        state.refuse(client.id, message.request, str(refusal))
        return
    state.to_client(client.id, Done(message.request))
    chosen: dict[Task, None] = {}
    for task in session.tasks.own.values():
        if (task.state is FAILED or task.state is CANCELLED) and (
            named is None or task in named or any(producer in chosen for producer in _broken(task))
        ):
            chosen[task] = None
    for task in chosen:
        if task.retention is not FORGOTTEN:
            task.retention = FORGOTTEN
            if task.state is FAILED:
                let_go(state, task)
                for obj in task.outputs:
                    if obj.state is OBJ_FAILED:
                        drop_refused(state, obj)
            state.notify_task(task)


def _named(session: Session, id: ID, what: str) -> Task:
    task = session.tasks.get(id[1]) if id[0] == session.id else None
    if task is None or (task.state is not FAILED and task.state is not CANCELLED):
        raise Refused(f"task {id} cannot be {what}: it did not fail")
    return task


def _broken(task: Task) -> list[Task]:
    """The tasks because of which it has not all its inputs."""
    return [obj.producer for obj in task.inputs if obj.state is OBJ_FAILED and obj.producer is not None]


def _chosen(session: Session, ids: list[ID] | None) -> dict[Task, None]:
    """The tasks to run again: those that are named and what they need, and what failed because of these."""
    found: dict[Task, None] = {}
    stack = [] if ids is None else [_named(session, id, "retried") for id in ids]
    while stack:
        task = stack.pop()
        if task not in found:
            _check_retried(task)
            found[task] = None
            stack += _broken(task)
    for task in session.tasks.own.values():
        if task in found or not _follows(task):
            continue
        broken = _broken(task)
        root = ids is None and task.state is FAILED
        if (broken or root) and all(producer in found for producer in broken):
            found[task] = None
    return found


def _follows(task: Task) -> bool:
    """Whether it runs again when what it needs does: not what a client cancelled by its id."""
    if task.retention is FORGOTTEN:
        return False
    if task.state is CANCELLED:
        return task.error is not None and task.error.cause is not None and not any(map(gone, task.inputs))
    return task.state is FAILED


def _check_retried(task: Task) -> None:
    advice = "make and submit it anew"
    if task.retention is FORGOTTEN:
        raise Refused(
            f"task {task.title} cannot be retried: it was forgotten, and what was held for it was let go; {advice}"
        )
    if task.state is CANCELLED:
        lost = next(filter(gone, task.inputs), None)
        if lost is not None:
            raise Refused(
                f"task {task.title} cannot be retried: it was cancelled, and its input {lost.title} is gone, because "
                f"it was not kept; {advice}"
            )


def _functions(session: Session, cut: Cut, message: Retry) -> list[tuple[Task, Object]]:
    found = []
    for task_id, function_id in message.functions:
        task = session.tasks.get(task_id[1]) if task_id[0] == session.id else None
        number = function_id[1]
        function = cut.objects.get(number) or session.objects.get(number)
        if task is None or task.spec.function is None:
            raise Refused(f"the function of task {task_id} cannot be replaced: it has none")
        if function is None or function_id[0] != session.id or not function.constant:
            raise Refused(f"object {function_id} is not a constant: it cannot be a function")
        found.append((task, function))
    for obj in cut.objects.values():
        if not obj.constant:
            raise Refused(f"object {obj.id} is not a constant: a retry brings nothing else")
    return found


def _replace_function(task: Task, function: Object) -> None:
    old = next(obj for obj in task.inputs if obj.id == task.spec.function)
    if old is function:
        return
    held = task.state is FAILED
    listed = any(wanted.id == old.id for wanted in task.spec.inputs)
    task.spec.function = function.id
    if function.role is CONSTANT:
        function.role = FUNCTION
    inputs = [obj for obj in task.inputs if obj is not old or listed]
    if function not in inputs:
        inputs.append(function)
        function.needs += held
    if not listed:
        old.needs -= held
    task.inputs = tuple(inputs)
