"""`Retry`: failed tasks run again under the same ids."""

from __future__ import annotations

from rain.common.messages import Done, Retry
from rain.server.core.lost import revive
from rain.server.core.state import State
from rain.server.core.submit import Cut, Refused, check_objects, discard_uploads, take_objects
from rain.server.records import CANCELLED, FAILED, OBJ_FAILED, Client, Object, Session, Task


def retry(state: State, client: Client, session: Session, message: Retry) -> None:
    """Answer `Retry`: all of it or nothing. With a task go the failed tasks that it needs and that need it."""
    try:
        chosen = _chosen(session, message)
        cut = Cut(session)
        check_objects(cut, message.objects, message.constants)
        functions = _functions(session, cut, message)
    except Refused as refusal:
        discard_uploads(state, message.constants)
        state.refuse(client.id, message.request, str(refusal))
        return
    state.to_client(client.id, Done(message.request))
    take_objects(state, cut, message.constants)
    for task, function in functions:
        _replace_function(state, task, function)
    revive(state, chosen)
    state.schedule_due = True


def _chosen(session: Session, message: Retry) -> list[Task]:
    """The failed tasks to run again, in the order of their submission."""
    if message.tasks is None:
        return [task for task in session.tasks.values() if task.state is FAILED]
    found: dict[Task, None] = {}
    stack: list[Task] = []
    for id in message.tasks:
        task = session.tasks.get(id[1]) if id[0] == session.id else None
        if task is None or task.state is not FAILED:
            raise Refused(f"task {id} cannot be retried: it did not fail")
        stack.append(task)
    dependents: dict[Object, list[Task]] = {}
    for task in session.tasks.values():
        if task.state is FAILED:
            for obj in task.inputs:
                if obj.state is OBJ_FAILED:
                    dependents.setdefault(obj, []).append(task)
    while stack:
        task = stack.pop()
        if task in found or task.state is not FAILED:
            continue
        found[task] = None
        for obj in task.outputs:
            stack.extend(dependents.get(obj, ()))
        for obj in task.inputs:
            producer = obj.producer
            if obj.state is OBJ_FAILED and producer is not None:
                if producer.state is CANCELLED:
                    raise Refused(
                        f"task {task.id} cannot be retried: task {producer.id}, which it needs, was cancelled"
                    )
                stack.append(producer)
    return sorted(found, key=lambda task: task.order)


def _functions(session: Session, cut: Cut, message: Retry) -> list[tuple[Task, Object]]:
    found = []
    for task_id, function_id in message.functions:
        task = session.tasks.get(task_id[1]) if task_id[0] == session.id else None
        number = function_id[1]
        function = cut.objects.get(number) or session.objects.get(number)
        if task is None or task.state is not FAILED or task.spec.function is None:
            raise Refused(f"the function of task {task_id} cannot be replaced: it has none, or did not fail")
        if function is None or function_id[0] != session.id or not function.constant:
            raise Refused(f"object {function_id} is not a constant: it cannot be a function")
        found.append((task, function))
    for obj in cut.objects.values():
        if not obj.constant:
            raise Refused(f"object {obj.id} is not a constant: a retry brings nothing else")
    return found


def _replace_function(state: State, task: Task, function: Object) -> None:
    old = next(obj for obj in task.inputs if obj.id == task.spec.function)
    if old is function:
        return
    listed = any(wanted.id == old.id for wanted in task.spec.inputs)
    task.spec.function = function.id
    function.is_function = True
    inputs = [obj for obj in task.inputs if obj is not old or listed]
    if function not in inputs:
        inputs.append(function)
        function.needs += 1
    if not listed:
        old.needs -= 1
    task.inputs = tuple(inputs)
