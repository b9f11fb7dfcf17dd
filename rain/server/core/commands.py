"""Requests that change little or nothing: keep, unkeep, cancel, update, locate, explanations, summaries."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.protocol.messages import (
    Attach,
    Attached,
    Cancel,
    Done,
    ExpectGovernors,
    Explain,
    GetServerInfo,
    GovernorBrief,
    GovernorSummary,
    Info,
    Keep,
    Locate,
    Located,
    ObjectData,
    ObjectUpdate,
    ServerBrief,
    ServerInfo,
    SessionStopped,
    SessionSummary,
    TaskUpdate,
    Unkeep,
    Update,
    Updated,
)
from rain.common.states import DataObjectState, TaskState
from rain.server.core.lifecycle.attempts import is_refused, object_data
from rain.server.core.lifecycle.settle import cancel
from rain.server.core.lifecycle.submit import can_be_kept
from rain.server.core.modules import client_left
from rain.server.core.objects import not_needed
from rain.server.core.reporting.explain import explain_task
from rain.server.core.reporting.updates import object_update, release, update_bytes
from rain.server.core.sizes import ITEM_BYTES, info_bytes, rough_bytes, spec_bytes
from rain.server.core.state import State, task_update
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.session import RELEASED_OBJECT, RELEASED_TASK, Session
from rain.server.states import OBJ_FINISHED, Role, SessionState

NO_SITE = ("", "")


def _unknown(session: Session, id: ID, what: str) -> str:
    if id[0] != session.id:
        return f"{what} {id} is not of session {session.id}"
    return f"{what} {id} was never submitted"


def keep(state: State, client: Client, session: Session, message: Keep) -> None:
    """Answer `Keep`: all of it or nothing."""
    objects: list[Object] = []
    for id in message.objects:
        obj = state.graph.object(id) if id[0] == session.id else None
        if obj is None or not can_be_kept(obj):
            if obj is not None or session.released_as(id[1]) == RELEASED_OBJECT:
                text = (
                    f"object {obj.title if obj is not None else id} cannot be kept: nobody needed it any more, and its "
                    "data were removed; call keep() before the tasks that use it have finished"
                )
            else:
                text = _unknown(session, id, "object")
            state.refuse(client.id, message.request, text)
            return
        objects.append(obj)
    for obj in objects:
        if not obj.kept:
            obj.kept = True
            if obj.state is OBJ_FINISHED:
                state.tell_object(obj)
    state.to_client(client.id, Done(message.request))


def unkeep(state: State, client: Client, session: Session, message: Unkeep) -> None:
    """Answer `Unkeep`; what is not kept is no error."""
    for id in message.objects:
        obj = state.graph.object(id) if id[0] == session.id else None
        if obj is not None and obj.kept:
            obj.kept = False
            state.happened("ClientUnkeep", id[0], id[1])
            if not obj.needs or obj.consumers is None:
                not_needed(state, obj)
    state.to_client(client.id, Done(message.request))


def cancel_tasks(state: State, client: Client, session: Session, message: Cancel) -> None:
    """Answer `Cancel`."""
    if message.tasks is None:
        tasks = list(session.tasks.values())
    else:
        tasks = []
        for id in message.tasks:
            task = state.graph.task(id) if id[0] == session.id else None
            if task is not None:
                tasks.append(task)
            elif session.released_as(id[1]) != RELEASED_TASK:
                state.refuse(client.id, message.request, _unknown(session, id, "task"))
                return
    cancel(state, tasks)
    state.schedule_due = True
    state.to_client(client.id, Done(message.request))


def update(state: State, client: Client, session: Session, message: Update) -> None:
    """Answer `Update`. Of what was released the state is told; its client heard the rest when it settled."""
    answers: list[Updated] = []
    tasks: list[TaskUpdate] = []
    objects: list[ObjectUpdate] = []
    size = 0
    for id in message.items:
        number = id[1]
        own = id[0] == session.id
        if size > BATCH_BYTES_TARGET:
            answers.append(Updated(message.request, tasks, objects, True))
            tasks, objects, size = [], [], 0
        if own and (task := session.tasks.get(number)) is not None:
            tasks.append(task_update(task))
            size += update_bytes(task)
        elif own and (obj := session.objects.get(number)) is not None:
            told = object_update(state, obj)
            size += ITEM_BYTES + (obj.inline_bytes if told.location is not None else 0) + info_bytes(told.info)
            objects.append(told)
        elif own and session.released_as(number) == RELEASED_TASK:
            tasks.append(TaskUpdate(id, TaskState.FINISHED))
        elif own and session.released_as(number) == RELEASED_OBJECT:
            objects.append(ObjectUpdate(id, DataObjectState.REMOVED))
        else:
            state.refuse(client.id, message.request, _unknown(session, id, "item"))
            return
    for answer in (*answers, Updated(message.request, tasks, objects)):
        state.to_client(client.id, answer)


def locate(state: State, client: Client, session: Session, message: Locate) -> None:
    """Answer `Locate`. Past a limit small objects are not sent along: this server is their place."""
    found: list[ObjectData | None] = []
    size = 0
    for id in message.objects:
        obj = state.graph.object(id) if id[0] == session.id else None
        if obj is None or not (is_refused(obj) if message.refused else obj.state is OBJ_FINISHED):
            found.append(None)
            continue
        size += obj.inline_bytes
        found.append(object_data(state, obj, with_data=size <= BATCH_BYTES_TARGET))
    state.to_client(client.id, Located(message.request, found))


def explain(state: State, client: Client, message: Explain) -> None:
    """Answer `Explain`."""
    session = client.sessions.get(message.task[0])
    if session is None:
        state.refuse(client.id, message.request, f"session {message.task[0]} is not open", "session")
        return
    task = session.tasks.get(message.task[1])
    if task is not None:
        text = explain_task(state, task)
    elif session.released_as(message.task[1]) == RELEASED_TASK:
        text = f"Task {message.task} finished."
    else:
        state.refuse(client.id, message.request, _unknown(session, message.task, "task"))
        return
    state.to_client(client.id, Info(message.request, {"text": text}))


def expect_governors(state: State, client: Client, message: ExpectGovernors) -> None:
    """Answer `ExpectGovernors`."""
    state.expect(client.id, message.count)
    state.to_client(client.id, Done(message.request))


# -- summaries ------------------------------------------------------------------------------------


def server_info(state: State, request: int, version: str, address: str, http: str) -> ServerInfo:
    """What is here: governors and sessions."""
    graph = state.graph
    return ServerInfo(
        request,
        version,
        address,
        http,
        [governor_summary(governor) for governor in graph.governors.values()],
        [session_summary(session) for session in graph.sessions.values()],
    )


def get_server_info(state: State, client: Client, message: GetServerInfo) -> None:
    """Answer `GetServerInfo`."""
    if message.brief:
        graph = state.graph
        governors = [governor_brief(governor) for governor in graph.governors.values()]
        sessions = [session_summary(session) for session in graph.sessions.values()]
        state.to_client(
            client.id,
            ServerBrief(message.request, state.version, state.address, state.http, governors, sessions),
        )
        return
    state.to_client(client.id, server_info(state, message.request, state.version, state.address, state.http))


def governor_summary(governor: Governor) -> GovernorSummary:
    """One line about a governor."""
    objects = [obj.id for obj in governor.objects]
    made = [obj.id for task in governor.assigned for obj in task.outputs if obj not in governor.objects]
    return GovernorSummary(
        governor.id,
        [task.id for task in governor.assigned],
        objects + made,
        list(governor.dropping),
        governor.resources,
        governor.load,
    )


def governor_brief(governor: Governor) -> GovernorBrief:
    """A governor in figures; costs the same however much it has."""
    cpus = governor.resources.get("cpus", 0.0)
    return GovernorBrief(
        governor.id, cpus, governor.resources, len(governor.assigned), len(governor.objects), governor.load
    )


def session_summary(session: Session) -> SessionSummary:
    """One line about a session."""
    counts = {state.value: count for state in TaskState if (count := session.counts[id(state)])}
    client = None if session.client is None else session.client.id
    return SessionSummary(session.id, session.name, session.persistent, counts, client)


def attach(state: State, client: Client, message: Attach) -> None:
    """Answer `Attach`: the session is this client's from now on."""
    wanted = message.session
    found = [
        session
        for session in state.graph.sessions.values()
        if session.persistent and not session.over and wanted in (session.id, session.name)
    ]
    if len(found) != 1:
        if found:
            ids = ", ".join(str(session.id) for session in found)
            text = f"several persistent sessions are named {wanted!r}; attach by id: {ids}"
        else:
            text = f"there is no persistent session {wanted!r}"
        state.refuse(client.id, message.request, text, "session")
        return
    session = found[0]
    if session.client is not None and session.client is not client:
        release(state, session.client)
        del session.client.sessions[session.id]
        client_left(state, session)
        reason = f"session {session.id} {session.name!r} was attached by another client"
        state.to_client(session.client.id, SessionStopped(session.id, reason))
    session.client = client
    session.state = SessionState.OPEN
    session.stuck_since, session.stalled = None, ""
    client.sessions[session.id] = session
    _tell_all(state, client, session, message.request)


def _tell_all(state: State, client: Client, session: Session, request: int) -> None:
    """Send all that is known of a session, in pieces."""

    def piece() -> Attached:
        empty = Attached(request, session.id, session.name, [], [], [], [], [], True, [], [], [])
        empty.on_failure, empty.last_number = session.on_failure, session.last_number
        return empty

    current, size = piece(), 0
    places: dict[tuple[str, str], int] = {}
    for obj in session.objects.values():
        current.objects.append(obj.spec)
        current.object_states.append(ObjectUpdate(obj.id, obj.state, obj.info))
        if obj.kept:
            current.keep.append(obj.id)
        if obj.role is Role.FUNCTION or obj.role is Role.EPHEMERAL:
            current.hidden.append(obj.id)
        size += ITEM_BYTES + rough_bytes(obj.spec.user) + info_bytes(obj.info)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client.id, current)
            current, size = piece(), 0
    for task in session.tasks.values():
        current.tasks.append(task.spec)
        current.states.append(task_update(task))
        site = session.made.get(task.id[1], NO_SITE)
        place = places.setdefault(site, len(places))
        if place == len(current.sites):
            current.sites.append(site)
            size += len(site[0]) + len(site[1])
        current.made.append(place)
        size += spec_bytes(task.spec) + update_bytes(task)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client.id, current)
            current, size, places = piece(), 0, {}
    current.more = False
    current.released = session.released.count(RELEASED_TASK)
    state.to_client(client.id, current)
