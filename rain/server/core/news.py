"""Batches: what clients and governors are told at the end of a turn.

A message is never larger than a frame may be: a batch is closed when it has grown past `BATCH_BYTES_TARGET`.
"""

from __future__ import annotations

from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.messages import (
    Assign,
    CancelTasks,
    DropObjects,
    EndSession,
    ObjectData,
    ObjectUpdate,
    OpenSession,
    SessionNews,
    TakeBack,
    TaskAssignment,
    TaskUpdate,
)
from rain.server.core.objects import used_at
from rain.server.core.run import object_data, places
from rain.server.core.sizes import ITEM_BYTES, rough_bytes, spec_bytes
from rain.server.core.state import State, task_update
from rain.server.records import OBJ_FINISHED, Copy, Governor, Object, Session, Task

BATCH_ITEMS_MAX = 20_000


def flush_news(state: State) -> None:
    """Tell clients what changed in their sessions."""
    tasks, objects = state.task_news, state.object_news
    if not tasks and not objects:
        return
    state.task_news, state.object_news = [], []
    by_session: dict[Session, tuple[list[Task], list[Object]]] = {}
    for task in tasks:
        by_session.setdefault(task.session, ([], []))[0].append(task)
        task.news = False
    for obj in objects:
        by_session.setdefault(obj.session, ([], []))[1].append(obj)
        obj.news = False
    for session, (session_tasks, session_objects) in by_session.items():
        if not session.over:
            _tell(state, session, session_tasks, session_objects)


def flush_session(state: State, session: Session) -> None:
    """Tell a client at once what changed in one session."""
    tasks = [task for task in state.task_news if task.session is session and task.news]
    objects = [obj for obj in state.object_news if obj.session is session and obj.news]
    _tell(state, session, tasks, objects)
    state.task_news = [task for task in state.task_news if task.session is not session]
    state.object_news = [obj for obj in state.object_news if obj.session is not session]
    for task in tasks:
        task.news = False
    for obj in objects:
        obj.news = False


def _tell(state: State, session: Session, tasks: list[Task], objects: list[Object]) -> None:
    client_id = state.client_of(session)
    if client_id is None:
        return
    size = 0
    told: list[ObjectUpdate] = []
    for obj in objects:
        update = object_update(state, obj)
        told.append(update)
        size += ITEM_BYTES + (len(update.data) if update.data is not None else 0)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client_id, SessionNews(session.id, [], told))
            told, size = [], 0
    updates: list[TaskUpdate] = []
    for task in tasks:
        updates.append(task_update(task))
        size += update_bytes(task)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client_id, SessionNews(session.id, updates, told))
            told, updates, size = [], [], 0
    if told or updates:
        state.to_client(client_id, SessionNews(session.id, updates, told))


def update_bytes(task: Task) -> int:
    """About what the news of a task take."""
    size = ITEM_BYTES
    error, info = task.error, task.info
    if error is not None:
        size += 2 * len(error.message) + len(error.exception or b"")
    if info is not None and (info.debug or info.user):
        size += len(info.debug) + rough_bytes(info.user)
    return size


def object_update(state: State, obj: Object) -> ObjectUpdate:
    """The present state of an object, for its client; where it is only if the client keeps it."""
    if obj.kept and obj.state is OBJ_FINISHED:
        if obj.data is not None:
            return ObjectUpdate(obj.id, obj.state, obj.info, obj.data, [], obj.checksum)
        return ObjectUpdate(obj.id, obj.state, obj.info, None, places(state, obj), obj.checksum)
    return ObjectUpdate(obj.id, obj.state, obj.info)


# -- governors ------------------------------------------------------------------------------------


def flush_orders(state: State) -> None:
    """Tell governors what to end and to drop. This precedes all assignments of the turn."""
    for governor in state.graph.governors.values():
        if governor.cancels:
            state.to_governor(governor, CancelTasks(governor.cancels))
            governor.cancels = []
        if governor.drops:
            state.to_governor(governor, DropObjects(governor.drops))
            governor.drops = []
        if governor.ends:
            for session_id in governor.ends:
                state.to_governor(governor, EndSession(session_id))
            governor.ends = []


def flush_resends(state: State) -> None:
    """Tell governors of the present places of objects for which tasks there wait."""
    for governor in state.graph.governors.values():
        if not governor.resends:
            continue
        objects = []
        size = 0
        for obj in governor.resends:
            # Whoever waited for it may have gone meanwhile, and the object with it.
            stale = governor.objects.get(obj, Copy.STALE) is Copy.STALE
            if stale and obj.state is OBJ_FINISHED and not obj.session.over and used_at(governor, obj):
                state.graph.add_site(governor, obj, Copy.TOLD)
                objects.append(object_data(state, obj))
                size += ITEM_BYTES + (len(obj.data) if obj.data is not None else 0)
                if size > BATCH_BYTES_TARGET:
                    state.to_governor(governor, Assign([], objects))
                    objects, size = [], 0
        governor.resends = []
        if objects:
            state.to_governor(governor, Assign([], objects))


def assign(state: State, governor: Governor, tasks: list[Task]) -> None:
    """Send a governor its new tasks, and the inputs that it has not been told of."""
    known = governor.objects
    sent: list[TaskAssignment] = []
    objects: list[ObjectData] = []
    size = 0
    for task in tasks:
        session = task.session
        if session.id not in governor.sessions:
            governor.sessions[session.id] = session
            session.governors[governor.id] = governor
            state.to_governor(governor, OpenSession(session.id, session.env))
        for obj in task.inputs:
            if obj.state is OBJ_FINISHED and known.get(obj, Copy.STALE) is Copy.STALE:
                state.graph.add_site(governor, obj, Copy.TOLD)
                objects.append(object_data(state, obj))
                size += ITEM_BYTES + (len(obj.data) if obj.data is not None else 0)
        spec = task.spec
        options = spec.options
        priority = 0 if options is None else -options.priority
        sent.append(
            TaskAssignment(spec, task.attempt, [obj.spec for obj in task.outputs], [priority, -task.rank, task.order])
        )
        size += ITEM_BYTES + spec_bytes(spec)
        if size > BATCH_BYTES_TARGET or len(sent) >= BATCH_ITEMS_MAX:
            state.to_governor(governor, Assign(sent, objects))
            sent, objects, size = [], [], 0
    if sent:
        state.to_governor(governor, Assign(sent, objects))


def take_back(state: State) -> None:
    """Ask governors for work that others could do sooner."""
    for governor, tasks in state.scheduler.take_back():
        governor.recalling = True
        state.to_governor(governor, TakeBack([(task.id, task.attempt) for task in tasks]))
