"""What must hold after each step of the server's core: all invariants in one place.

The tests and the simulator call `check` after every step. It costs the size of the graph, so a server never does.
"""

# ruff: noqa: PT018 - an invariant is one sentence, also where it says "and"

from __future__ import annotations

from rain.common.state_styles import NOT_RUN, shown_task
from rain.server.core.core import ServerCore
from rain.server.core.objects import required
from rain.server.graph import Graph
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.session import RELEASED_TASK, Session
from rain.server.records.task import Task
from rain.server.states import (
    ANNOUNCED,
    CANCELLED,
    DELAYED,
    DEMAND,
    DETACHED,
    EPHEMERAL,
    FAILED,
    FINISHED,
    FIRST_RUN,
    FOLLOWER,
    FORGOTTEN,
    OBJ_FAILED,
    OBJ_FINISHED,
    OBJ_REMOVED,
    OBJ_UNFINISHED,
    QUEUED,
    READY,
    RECOMPUTING,
    RELEASED,
    RETAINED,
    RUNNING,
    STALE,
    UNPLACED,
    WAITING,
    SessionState,
)

_RUNNABLE = (WAITING, READY, RUNNING)
_RETENTIONS = {
    WAITING: (FIRST_RUN, RECOMPUTING),
    READY: (FIRST_RUN, RECOMPUTING),
    RUNNING: (FIRST_RUN, RECOMPUTING),
    FINISHED: (RETAINED, RELEASED),
    FAILED: (FIRST_RUN, FORGOTTEN),
    CANCELLED: (FIRST_RUN, FORGOTTEN),
}


def check(core: ServerCore) -> None:
    """Compare all books with what they are about.

    Raises
    ------
    AssertionError
        Naming the record that does not fit.
    """
    graph = core.state.graph
    for session in graph.sessions.values():
        _check_session(graph, session)
        if session.over:
            continue
        users: dict[Object, _Users] = {obj: _Users() for obj in session.objects.values()}
        for task in session.tasks.values():
            _check_task(graph, task)
            failed = task.state is FAILED and task.retention is not FORGOTTEN
            if failed or task.retention is RETAINED or task.state in _RUNNABLE:
                for obj in task.inputs:
                    users[obj].add(task)
        for obj in session.objects.values():
            _check_object(graph, obj, users[obj])
    replicas = 0
    for governor in graph.governors.values():
        _check_governor(graph, governor)
        replicas += len(governor.objects)
    known = sum(len(obj.governors) for session in graph.sessions.values() for obj in session.objects.values())
    assert known == replicas, "objects and governors differ about replicas"
    for reading in core.state.readings.values():
        assert reading.waiting, "a reading is answered and still here"
        for governor_id, id, attempt in reading.waiting:
            assert governor_id in graph.governors, "a reading waits for a governor that is gone"
            stopping = graph.governors[governor_id].stopping
            assert id is None or (id, attempt) in stopping, "a reading waits for what has ended"
        assert reading.client_id in graph.clients, reading.client_id
    for client in graph.clients.values():
        for session in client.sessions.values():
            assert session.client is client and graph.sessions.get(session.id) is session, session


class _Users:
    """Who has an object as an input."""

    __slots__ = ("failed", "retained", "unsettled")

    def __init__(self) -> None:
        self.unsettled: list[Task] = []
        self.failed = 0
        self.retained = 0

    def add(self, task: Task) -> None:
        if task.state in _RUNNABLE:
            self.unsettled.append(task)
        elif task.state is FAILED:
            self.failed += 1
        else:
            self.retained += 1


def _check_session(graph: Graph, session: Session) -> None:
    counts = dict.fromkeys(session.counts, 0)
    released = session.released
    for number, task in session.tasks.items():
        counts[id(task.state)] += 1
        assert task.id == (session.id, number) and task.session is session, task
        assert number not in session.objects, task
        assert number >= len(released) or not released[number], task
    for number, obj in session.objects.items():
        assert obj.id == (session.id, number) and obj.session is session, obj
        assert number >= len(released) or not released[number], obj
        assert not session.over or not obj.governors, obj
    counts[id(FINISHED)] += released.count(RELEASED_TASK)
    assert session.counts == counts, session
    not_run = sum(shown_task(task.state, task.error) == NOT_RUN for task in session.tasks.values())
    assert session.not_run == not_run, session
    assert session.history_bytes == sum(size for _, size in session.history), session
    if not session.over:
        for task, _ in session.history:
            assert session.tasks.get(task.id[1]) is task and task.retention is RELEASED, task
        assert session.orphans <= session.objects.keys(), session
        assert session.made.keys() <= session.tasks.keys(), session
    for governor_id, governor in session.governors.items():
        assert graph.governors.get(governor_id) is governor, session
        assert governor.sessions.get(session.id) is session, session
    assert session.state is not SessionState.CLOSED, session
    assert session.state is not SessionState.CLOSING or session.governors, f"{session} should be gone"
    assert session.over or (session.client is None) == (session.state is DETACHED), session


def _check_task(graph: Graph, task: Task) -> None:
    governor = task.governor
    assert len(set(task.inputs)) == len(task.inputs), task
    assert task.retention in _RETENTIONS[task.state], task
    if governor is None:
        assert task.placement in (UNPLACED, DELAYED, QUEUED) and task.load == 0, task
        assert task.state is not RUNNING, task
        assert (task.state is READY) == (task.placement is not UNPLACED), (task, task.placement)
    else:
        assert graph.governors.get(governor.id) is governor and task in governor.assigned, task
        assert task.state in _RUNNABLE and task.placement in (FOLLOWER, DEMAND), task
        assert governor.sessions.get(task.session.id) is task.session, task
        for obj in task.inputs:
            if obj.state is OBJ_FINISHED and task.state is not RUNNING:
                known = governor.objects.get(obj, STALE) is not STALE or obj in governor.resends
                assert known, (task, "was assigned without", obj)
    if task.unsettled:
        assert task.error is None or task.attempt > 0, task
        pending = 0
        for obj in task.inputs:
            pending += obj.state is OBJ_UNFINISHED
            assert obj.state in (OBJ_UNFINISHED, OBJ_FINISHED), (task, obj)
            assert obj.constant or task in obj.waiting(), (task, "is no consumer of", obj)
        assert task.pending == pending, (task, "pending", task.pending, pending)
        if governor is None:
            assert (task.state is WAITING) == (pending > 0), task
        elif task.placement is FOLLOWER:
            _check_follower(task, governor)
        else:
            assert not pending or task.state is RUNNING, (task, "takes room and cannot run")
        for output in task.outputs:
            assert output.producer is task, (task, output)
            assert task.retention is RECOMPUTING or output.state is OBJ_UNFINISHED, (task, output)
    if task.state is FINISHED:
        assert (task.retention is RETAINED) == any(required(obj) and obj.producer is task for obj in task.outputs), (
            task,
            "retained",
        )
        if task.retention is RELEASED:
            assert task.session.persistent, (task, "should be released")
    if task.state is FAILED or task.state is CANCELLED:
        assert task.error is not None, task
        assert all(obj.state is not OBJ_UNFINISHED for obj in task.outputs), task


def _check_follower(task: Task, governor: Governor) -> None:
    assert task.pending > 0, task
    for obj in task.inputs:
        # What was there once and is made again is sent from wherever that happens.
        if obj.state is OBJ_UNFINISHED and obj.info is None:
            producer = obj.producer
            assert producer is not None and producer.governor is governor, (task, "follows no task there", obj)


def _check_object(graph: Graph, obj: Object, users: _Users) -> None:
    session, unsettled = obj.session, users.unsettled
    needs = len(unsettled) + users.failed
    assert obj.needs == needs, (obj, "needs", obj.needs, needs)
    for governor in obj.governors:
        assert graph.governors.get(governor.id) is governor and obj in governor.objects, (obj, governor)
        assert governor.sessions.get(session.id) is session, (obj, governor)
    if obj.constant:
        assert obj.state is OBJ_FINISHED and obj.consumers is None, obj
        retained = users.retained if obj.role is EPHEMERAL else 0
        assert obj.lineage == retained, (obj, "lineage", obj.lineage, retained)
        assert obj.role is not EPHEMERAL or obj.lineage or obj.needed, (obj, "should be released")
        assert obj.location is not None, obj
        return
    assert len(obj.waiting()) == len(unsettled), (obj, "consumers")
    assert obj.lineage == users.retained, (obj, "lineage", obj.lineage, users.retained)
    producer = obj.producer
    if obj.state is OBJ_FINISHED:
        assert obj.needed, (obj, "should be removed")
        assert obj.location is not None or obj.holders(), (obj, "is nowhere")
        assert obj.info is not None, obj
        assert obj.location is not None or producer is not None, (obj, "could not be made again")
    elif obj.state is OBJ_UNFINISHED:
        assert obj.location is None, obj
        assert producer is not None and producer.unsettled, (obj, "has no task that makes it")
    elif obj.state is OBJ_REMOVED:
        assert not obj.kept and not unsettled and not obj.governors, obj
        assert obj.location is not None or obj.lineage == 0 or producer is not None, (obj, "could not be made again")
        assert producer is not None or obj.lineage or obj.needs or session.persistent, (obj, "should be released")
    else:
        assert obj.state is OBJ_FAILED and producer is not None and producer.state in (FAILED, CANCELLED), obj
        assert obj.info is not None or not (obj.governors or obj.location), obj


def _check_governor(graph: Graph, governor: Governor) -> None:
    demand = dict.fromkeys(governor.total, 0)
    work = follow_work = 0
    books = [(task.request, task.placement, task.load) for task in governor.assigned]
    for request, placement, load in [*books, *governor.stopping.values()]:
        if placement is FOLLOWER:
            follow_work += load
        else:
            work += load
            for name, units in request.needs:
                demand[name] += units
    assert governor.demand == demand, (governor, governor.demand, demand)
    assert (governor.work, governor.follow_work) == (work, follow_work), governor
    for task in governor.assigned:
        assert task.governor is governor, (governor, task)
        assert governor.can_hold(task.request), (governor, task, "does not fit")
        assert graph.sessions.get(task.session.id) is task.session, (governor, task)
    for obj, replica in governor.objects.items():
        assert graph.sessions.get(obj.session.id) is obj.session, (governor, obj)
        assert not obj.needed or obj.state is not OBJ_REMOVED, (governor, obj)
        assert replica is not ANNOUNCED or obj.state is OBJ_FINISHED, (governor, obj)
    for id, _attempt in governor.stopping:
        assert id[0] in governor.sessions, (governor, id)
    for session_id, session in governor.sessions.items():
        assert graph.sessions.get(session_id) is session, (governor, session)
        assert session.governors.get(governor.id) is governor, (governor, session)
    assert all(count > 0 for count in governor.dropping.values()), governor


def check_idle(core: ServerCore) -> None:
    """That nothing is left when all sessions have ended.

    Raises
    ------
    AssertionError
        Naming what leaked.
    """
    check(core)
    state = core.state
    graph = state.graph
    assert not graph.sessions, graph.sessions
    for governor in graph.governors.values():
        assert not governor.assigned and not governor.stopping, governor
        assert not governor.objects and not governor.sessions, governor
        assert not governor.dropping, (governor, governor.dropping)
        assert governor.work == governor.follow_work == 0 and not any(governor.demand.values()), governor
    for client in graph.clients.values():
        assert not client.sessions and not client.gathering, client
    assert not state.stops
