"""Requests that change nothing: states of items, places of objects, explanations, summaries of what is here."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.protocol.messages import (
    Explain,
    GetServerInfo,
    GovernorBrief,
    GovernorSummary,
    Info,
    Locate,
    Located,
    ObjectData,
    ObjectUpdate,
    ServerBrief,
    ServerInfo,
    SessionEnv,
    SessionSummary,
    TaskUpdate,
    Update,
    Updated,
)
from rain.common.state_styles import NOT_RUN
from rain.common.states import DataObjectState, TaskState
from rain.server.core.commands import unknown
from rain.server.core.lifecycle.attempts import is_refused, object_data
from rain.server.core.reporting.explain import explain_task
from rain.server.core.reporting.updates import object_update, update_bytes
from rain.server.core.sizes import ITEM_BYTES, info_bytes
from rain.server.core.state import State, task_update
from rain.server.records.client import Client
from rain.server.records.governor import Governor
from rain.server.records.session import RELEASED_OBJECT, RELEASED_TASK, Session
from rain.server.states import FAILED, OBJ_FINISHED


def update(state: State, client: Client, session: Session, message: Update) -> None:
    """Answer `Update`. Of a released item only the state is sent; the client got the rest when it settled."""
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
            found = object_update(state, obj)
            size += ITEM_BYTES + (obj.inline_bytes if found.location is not None else 0) + info_bytes(found.info)
            objects.append(found)
        elif own and session.released_as(number) == RELEASED_TASK:
            tasks.append(TaskUpdate(id, TaskState.FINISHED))
        elif own and session.released_as(number) == RELEASED_OBJECT:
            objects.append(ObjectUpdate(id, DataObjectState.REMOVED))
        else:
            state.refuse(client.id, message.request, unknown(session, id, "item"))
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
    session = state.seen_by(client, message.task[0])
    if session is None:
        state.refuse(client.id, message.request, f"session {message.task[0]} is not open", "session")
        return
    task = session.tasks.get(message.task[1])
    if task is not None:
        text = explain_task(state, task)
    elif session.released_as(message.task[1]) == RELEASED_TASK:
        text = f"Task {message.task} finished."
    else:
        state.refuse(client.id, message.request, unknown(session, message.task, "task"))
        return
    state.to_client(client.id, Info(message.request, {"text": text}))


def server_info(state: State, request: int, version: str, address: str, http: str) -> ServerInfo:
    """What is here: governors and sessions."""
    graph = state.graph
    return ServerInfo(
        request,
        version,
        address,
        http,
        [governor_summary(governor) for governor in graph.governors.values()],
        [session_summary(state, session) for session in graph.sessions.values()],
    )


def server_brief(state: State, request: int = 0) -> ServerBrief:
    """What is here, in figures; costs the same however many tasks there are."""
    graph = state.graph
    governors = [governor_brief(governor) for governor in graph.governors.values()]
    sessions = [session_summary(state, session) for session in graph.sessions.values()]
    return ServerBrief(request, state.version, state.address, state.http, governors, sessions)


def get_server_info(state: State, client: Client, message: GetServerInfo) -> None:
    """Answer `GetServerInfo`."""
    if message.brief:
        state.to_client(client.id, server_brief(state, message.request))
        return
    state.to_client(client.id, server_info(state, message.request, state.version, state.address, state.http))


def governor_summary(governor: Governor) -> GovernorSummary:
    """One line about a governor."""
    objects = [obj.id for obj in governor.objects]
    made = [obj.id for task in governor.assigned for obj in task.outputs if obj not in governor.objects]
    tasks = [task.id for task in governor.assigned]
    for family in governor.shares:
        for id in map(family.member_id, family.assigned(governor)):
            tasks.append(id)
            made += [ID(id[0], id[1] + 1 + at) for at in range(len(family.outputs))]
    return GovernorSummary(
        governor.id,
        tasks,
        objects + made,
        list(governor.dropping),
        governor.resources,
        governor.load,
        _leaves(governor),
        governor.host_id,
        governor.versions,
    )


def governor_brief(governor: Governor) -> GovernorBrief:
    """A governor in figures; costs the same however much it has."""
    cpus = governor.resources.get("cpus", 0.0)
    tasks, objects = governor.count, len(governor.objects)
    return GovernorBrief(governor.id, cpus, governor.resources, tasks, objects, governor.load, _leaves(governor))


def _leaves(governor: Governor) -> str:
    return "" if governor.leaving is None else governor.leaving.reason


def session_summary(state: State, session: Session) -> SessionSummary:
    """One line about a session."""
    counts = {state.value: session.counts[id(state)] for state in TaskState}
    counts |= {FAILED.value: counts[FAILED.value] - session.not_run, NOT_RUN: session.not_run}
    counts = {shown: count for shown, count in counts.items() if count}
    client = None if session.client is None else session.client.id
    waits_s = None if session.waits_until is None else max(0.0, session.waits_until - state.now)
    return SessionSummary(session.id, session.name, session.persistent, counts, client, waits_s)


def places_of_view(state: State, id: ID) -> tuple[ObjectData, SessionEnv, list[str]] | None:
    """What an executor needs to look into a finished object, and the governors to ask: those that hold it, then those
    that know its session, then any. None if the object is not finished, or gone."""
    obj = state.graph.object(id)
    if obj is None or not (obj.state is OBJ_FINISHED or is_refused(obj)):
        return None
    environments = obj.session.environments
    number = environments.current if obj.producer is None else obj.producer.spec.environment
    governors = [*obj.holders(), *obj.session.governors.values(), *state.graph.governors.values()]
    return object_data(state, obj), environments.get(number), list(dict.fromkeys(one.id for one in governors))
