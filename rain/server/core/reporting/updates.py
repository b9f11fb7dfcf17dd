"""Batches: what clients and governors are sent at the end of a turn.

A batch is closed when it has grown past `BATCH_BYTES_TARGET` by estimate; what is too large for a frame all the same
is cut by the sending conversation (`rain.common.protocol.parts`).
"""

from __future__ import annotations

from collections.abc import Sequence

from rain.common.limits import BATCH_BYTES_TARGET, UPDATES_TURN_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.families import member_outputs, member_spec
from rain.common.protocol.messages import (
    Assign,
    CancelTasks,
    DropObjects,
    EndSession,
    FamilyAssignment,
    FamilyUpdate,
    Node,
    ObjectData,
    ObjectUpdate,
    SessionUpdate,
    TaskAssignment,
    TaskUpdate,
)
from rain.server.core.lifecycle.attempts import object_data, replicas
from rain.server.core.modules import send_environment
from rain.server.core.objects import used_at
from rain.server.core.sizes import ITEM_BYTES, info_bytes, spec_bytes
from rain.server.core.state import State, task_update
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.family import AT, FREE, OWN, Members
from rain.server.records.governor import Governor
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import ANNOUNCED, OBJ_FINISHED, READY, STALE, ClientState

BATCH_ITEMS_MAX = 20_000
MEMBER_BYTES = 8
_NO_NODES: list[Node] = []
_NONE_KEPT: list[int] = []
_FIRST_KEPT = [0]


def flush_updates(state: State) -> list[tuple[Session, Exception]]:
    """Notify clients of what changed in their sessions; for clients that are behind it is gathered.

    Returns
    -------
    list
        Sessions whose update could not be made, and why.
    """
    if state.holding:
        for ready in [client for client in state.holding if client.state is not ClientState.BEHIND]:
            release(state, ready)
    tasks, objects, families = state.task_updates, state.object_updates, state.family_updates
    if not tasks and not objects and not families:
        return []
    state.task_updates, state.object_updates, state.family_updates = [], [], []
    by_session: dict[Session, tuple[list[Task], list[Object], list[FamilyUpdate | Members]]] = {}
    for session, told in families:
        by_session.setdefault(session, ([], [], []))[2].append(told)
    for task in tasks:
        by_session.setdefault(task.session, ([], [], []))[0].append(task)
        task.update_due = False
    for obj in objects:
        by_session.setdefault(obj.session, ([], [], []))[1].append(obj)
        obj.update_due = False
    left: dict[Client, float] = {}
    broken = []
    for session, (session_tasks, session_objects, session_families) in by_session.items():
        client = session.client
        if session.over or client is None:
            continue
        room = 0 if client.state is ClientState.BEHIND else left.get(client, UPDATES_TURN_BYTES_MAX)
        try:
            left[client] = room - _send(state, session, session_tasks, session_objects, session_families, room)
        except Exception as error:  # the other sessions' updates must leave
            broken.append((session, error))
    return broken


def flush_session(state: State, session: Session) -> None:
    """Notify a client at once of what changed in one session."""
    if session.client is not None:
        release(state, session.client)
    tasks = [task for task in state.task_updates if task.session is session and task.update_due]
    objects = [obj for obj in state.object_updates if obj.session is session and obj.update_due]
    _send(state, session, tasks, objects, [told for other, told in state.family_updates if other is session])
    state.family_updates = [told for told in state.family_updates if told[0] is not session]
    state.task_updates = [task for task in state.task_updates if task.session is not session]
    state.object_updates = [obj for obj in state.object_updates if obj.session is not session]
    for task in tasks:
        task.update_due = False
    for obj in objects:
        obj.update_due = False


def release(state: State, client: Client) -> None:
    """What was gathered for a client is due again, for the client that has these sessions at the next flush."""
    if client in state.holding:
        del state.holding[client]
        state.task_updates += client.held_tasks
        state.object_updates += client.held_objects
        state.family_updates[:0] = client.held_families  # before what came later
        client.held_tasks, client.held_objects, client.held_families = [], [], []


def _hold(state: State, client: Client, tasks: list[Task], objects: list[Object]) -> None:
    for task in tasks:
        task.update_due = True  # so that it is held once, however often it changes
    for obj in objects:
        obj.update_due = True
    client.held_tasks += tasks
    client.held_objects += objects
    state.holding[client] = None


def _send(
    state: State,
    session: Session,
    tasks: list[Task],
    objects: list[Object],
    families: list[FamilyUpdate | Members],
    room: float = float("inf"),
) -> float:
    """Send updates of these, and hold what `room` bytes have no room for; returns about how many bytes were sent."""
    client = session.client
    if client is None:
        return 0
    client_id = client.id
    total: float = _send_families(state, session, client, families, tasks, room) if families else 0
    if client.held_families:  # all else is newer than these
        _hold(state, client, tasks, objects)
        return total
    size = 0
    sent: list[ObjectUpdate] = []
    for place, obj in enumerate(objects):
        if total + size > room or not room:
            _hold(state, client, tasks, objects[place:])
            tasks = []
            break
        update = object_update(state, obj)
        sent.append(update)
        size += ITEM_BYTES + (obj.inline_bytes if update.location is not None else 0) + info_bytes(update.info)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client_id, SessionUpdate(session.id, [], sent))
            total += size
            sent, size = [], 0
    updates: list[TaskUpdate] = []
    for place, task in enumerate(tasks):
        if total + size > room or not room:
            _hold(state, client, tasks[place:], [])
            break
        updates.append(task_update(task))
        size += update_bytes(task)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client_id, SessionUpdate(session.id, updates, sent))
            total += size
            sent, updates, size = [], [], 0
    if sent or updates:
        state.to_client(client_id, SessionUpdate(session.id, updates, sent))
    return total + size


def _send_families(
    state: State,
    session: Session,
    client: Client,
    families: list[FamilyUpdate | Members],
    tasks: list[Task],
    room: float,
) -> float:
    """Send what members of families have come to, and hold what there is no room for; returns about how many bytes.

    Those of which it was to be told that they are ready may have gone on since: one that has a record of its own is
    added to `tasks`, and of one that has finished it is told in its turn.
    """
    total = size = 0
    sent: list[FamilyUpdate] = []
    for place, told in enumerate(families):
        if client.held_families or total + size > room or not room:
            client.held_families += [(session, one) for one in families[place:]]
            state.holding[client] = None
            break
        if isinstance(told, Members):
            ready = _ready(told, tasks)
            sent += ready
            size += ITEM_BYTES * len(ready)
            continue
        sent.append(told)
        size += ITEM_BYTES + 2 * len(told.durations)
        size += sum(len(column.sizes) + len(column.checksums) + sum(map(len, column.data)) for column in told.outputs)
        if size > BATCH_BYTES_TARGET:
            state.to_client(client.id, SessionUpdate(session.id, [], [], None, sent))
            total += size
            sent, size = [], 0
    if sent:
        state.to_client(client.id, SessionUpdate(session.id, [], [], None, sent))
    return total + size


def _ready(members: Members, tasks: list[Task]) -> list[FamilyUpdate]:
    family = members.family
    states, own = family.states, family.session.tasks.own
    found: list[FamilyUpdate] = []
    known: set[Task] = set()
    place = members.start
    while place < members.stop:
        end = family.run(place, members.stop)
        state = states[place]
        if state == FREE or state >= AT:
            found.append(FamilyUpdate(family.member_id(place), family.stride, end - place, READY))
        elif state == OWN:
            known = known or set(tasks)
            for number in range(family.number(place), family.number(end), family.stride):
                task = own.get(number)
                if task is not None and task not in known:
                    tasks.append(task)
        place = end
    return found


def update_bytes(task: Task | TaskUpdate) -> int:
    """About what a task's update takes."""
    size = ITEM_BYTES
    error, info = task.error, task.info
    if error is not None:
        size += 2 * len(error.message) + len(error.exception or b"")
    return size + info_bytes(info)


def object_update(state: State, obj: Object) -> ObjectUpdate:
    """The present state of an object, for its client; where it is only if the client keeps it."""
    if obj.kept and obj.state is OBJ_FINISHED:
        location = obj.location
        return ObjectUpdate(obj.id, obj.state, obj.info, location if type(location) is Inline else replicas(state, obj))
    return ObjectUpdate(obj.id, obj.state, obj.info)


# -- governors ------------------------------------------------------------------------------------


def flush_orders(state: State) -> None:
    """Send governors what to end and to drop. This precedes all assignments of the turn."""
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
    """Send governors the present places of objects for which tasks there wait."""
    for governor in state.graph.governors.values():
        if not governor.resends:
            continue
        objects = []
        size = 0
        for obj in governor.resends:
            # The task that waited for it may have gone meanwhile, and the object with it.
            stale = governor.objects.get(obj, STALE) is STALE
            if stale and obj.state is OBJ_FINISHED and not obj.session.over and used_at(governor, obj):
                state.graph.add_replica(governor, obj, ANNOUNCED)
                objects.append(object_data(state, obj))
                size += ITEM_BYTES + obj.inline_bytes + info_bytes(obj.info)
                if size > BATCH_BYTES_TARGET:
                    state.to_governor(governor, Assign([], objects))
                    objects, size = [], 0
        governor.resends = []
        if objects:
            state.to_governor(governor, Assign([], objects))


def open_session_on(state: State, session: Session, governor: Governor) -> None:
    """Tell a governor of a session, unless it knows it."""
    if session.id not in governor.sessions:
        governor.sessions[session.id] = session
        session.governors[governor.id] = governor
        session.environments.sent.pop(governor.id, None)
        send_environment(state, session, governor, 0)


def assign(state: State, governor: Governor, tasks: Sequence[Task | Members], nodes: Sequence[Node] = ()) -> None:
    """Send a governor its new tasks, and the inputs that were not announced to it; `nodes` of a task on several."""
    known = governor.objects
    sent: list[TaskAssignment] = []
    objects: list[ObjectData] = []
    size = 0
    for task in tasks:
        if isinstance(task, Members):
            assign_members(state, governor, task)
            continue
        session = task.session
        open_session_on(state, session, governor)
        if task.spec.environment:
            send_environment(state, session, governor, task.spec.environment)
        for obj in task.inputs:
            if obj.state is OBJ_FINISHED and known.get(obj, STALE) is STALE:
                state.graph.add_replica(governor, obj, ANNOUNCED)
                objects.append(object_data(state, obj))
                size += ITEM_BYTES + obj.inline_bytes + info_bytes(obj.info)
                if size > BATCH_BYTES_TARGET:
                    # Also within the inputs of one task, which may be many: they precede it.
                    state.to_governor(governor, Assign(sent, objects))
                    sent, objects, size = [], [], 0
        spec = task.spec
        options = spec.options
        priority = 0 if options is None else -options.priority
        sent.append(
            TaskAssignment(
                spec,
                task.attempt,
                [obj.spec for obj in task.outputs],
                [priority, -task.rank, task.order],
                list(nodes) if nodes else _NO_NODES,
                _kept(task.outputs),
            )
        )
        size += ITEM_BYTES + spec_bytes(spec)
        if size > BATCH_BYTES_TARGET or len(sent) >= BATCH_ITEMS_MAX:
            state.to_governor(governor, Assign(sent, objects))
            sent, objects, size = [], [], 0
    if sent:
        state.to_governor(governor, Assign(sent, objects))


def assign_members(state: State, governor: Governor, members: Members) -> None:
    """Send a governor members of a family."""
    family = members.family
    session, known = family.session, governor.objects
    open_session_on(state, session, governor)
    spec = family.spec
    if spec.environment:
        send_environment(state, session, governor, spec.environment)
    objects: list[ObjectData] = []
    for obj in family.inputs:
        if known.get(obj, STALE) is STALE:
            state.graph.add_replica(governor, obj, ANNOUNCED)
            objects.append(object_data(state, obj))
    start, size = members.start, 0
    if MEMBER_BYTES * (members.stop - start) + sum(map(len, family.args[start : members.stop])) <= BATCH_BYTES_TARGET:
        _send_members(state, governor, members, objects)
        return
    for place in range(members.start, members.stop):
        size += MEMBER_BYTES + len(family.args[place])
        if size > BATCH_BYTES_TARGET or place == members.stop - 1:
            _send_members(state, governor, Members(family, start, place + 1), objects)
            start, size, objects = place + 1, 0, []


def _send_members(state: State, governor: Governor, members: Members, objects: list[ObjectData]) -> None:
    family, start = members.family, members.start
    rank: list[float] = [-family.priority, -1, family.order + start]
    spec, outputs = member_spec(family.spec, start, b""), member_outputs(family.outputs, start)
    told = FamilyAssignment(spec, 1, outputs, family.args[start : members.stop], rank, list(family.kept))
    state.to_governor(governor, Assign([], objects, [told]))


def _kept(outputs: Sequence[Object]) -> list[int]:
    """Which of the outputs are kept, by their place."""
    if len(outputs) == 1:
        return _FIRST_KEPT if outputs[0].kept else _NONE_KEPT
    return [number for number, obj in enumerate(outputs) if obj.kept]
