"""Requests that change a session or what is expected: keep, unkeep, cancel, expect governors."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol.messages import Cancel, Done, ExpectGovernors, Keep, Unkeep
from rain.server.core.effects import ObjectsUnkept
from rain.server.core.lifecycle import families
from rain.server.core.lifecycle.cut import can_be_kept
from rain.server.core.lifecycle.settle import cancel
from rain.server.core.objects import not_needed
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.session import RELEASED_OBJECT, RELEASED_TASK, Session
from rain.server.states import OBJ_FINISHED


def unknown(session: Session, id: ID, what: str) -> str:
    """The refusal of an id that a session has never had."""
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
                    f"object {obj.title if obj is not None else id} cannot be kept: no task needed it any more, and "
                    "its data were removed; call keep() before the tasks that use it have finished"
                )
            else:
                text = unknown(session, id, "object")
            state.refuse(client.id, message.request, text)
            return
        objects.append(obj)
    for obj in objects:
        if not obj.kept:
            obj.kept = True
            if obj.state is OBJ_FINISHED:
                state.notify_object(obj)
    state.to_client(client.id, Done(message.request))


def unkeep(state: State, client: Client, session: Session, message: Unkeep) -> None:
    """Answer `Unkeep`; what is not kept is no error."""
    unkept = ObjectsUnkept(session.id, [])
    numbers = [id[1] for id in message.objects if id[0] == session.id]
    for run in message.runs:
        those, left = families.unkeep(state, session, run)
        unkept.objects += those
        numbers += left
    for number in numbers:
        obj = session.objects.get(number)
        if obj is not None and obj.kept:
            obj.kept = False
            unkept.objects.append(number)
            if not obj.needs or obj.consumers is None:
                not_needed(state, obj)
    if unkept.objects:
        state.out.append(unkept)
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
                state.refuse(client.id, message.request, unknown(session, id, "task"))
                return
    cancel(state, tasks)
    state.schedule_due = True
    state.to_client(client.id, Done(message.request))


def expect_governors(state: State, client: Client, message: ExpectGovernors) -> None:
    """Answer `ExpectGovernors`."""
    state.expect(client.id, message.count)
    state.to_client(client.id, Done(message.request))
