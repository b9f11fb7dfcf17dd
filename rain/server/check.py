"""What must hold after each step of the server's core: all invariants in one place.

The tests and the simulator call `check` after every step. It costs the size of the graph, so a server never does; it is
written for speed, because the simulator calls it hundreds of thousands of times.
"""

# ruff: noqa: PT018 - an invariant is one sentence, also where it says "and"

from __future__ import annotations

from rain.common.location import Inline
from rain.common.state_styles import NOT_RUN, shown_task
from rain.common.states import TaskState
from rain.server.core.core import ServerCore
from rain.server.core.objects import required, wanted
from rain.server.core.state import State
from rain.server.graph import Graph
from rain.server.records.data_object import Object
from rain.server.records.family import AT, DONE, DROPPED, FREE, NEW, OWN, TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.resources import DurationEstimate
from rain.server.records.session import RELEASED_OBJECT, RELEASED_TASK, Session
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
    OUTPUT,
    QUEUED,
    READY,
    RECOMPUTING,
    RELEASED,
    RETAINED,
    RUNNING,
    STALE,
    UNPLACED,
    WAITING,
    GovernorState,
    Placement,
    Retention,
    SessionState,
)

_RUNNABLE = (WAITING, READY, RUNNING)
_RETENTIONS = {
    WAITING.name: (FIRST_RUN, RECOMPUTING),
    READY.name: (FIRST_RUN, RECOMPUTING),
    RUNNING.name: (FIRST_RUN, RECOMPUTING),
    FINISHED.name: (RETAINED, RELEASED),
    FAILED.name: (FIRST_RUN, FORGOTTEN),
    CANCELLED.name: (FIRST_RUN, FORGOTTEN),
}
"""What a task may be kept for, by the name of its state.

The hash of an enum's member is Python code; and ``id``, by which the core counts, calls the simulator's audit hook.
"""
_IDS = {state.name: id(state) for state in TaskState}
_REGISTERED, _RETURNING = GovernorState.REGISTERED, GovernorState.RETURNING
_DRAINING, _DISMISSED = GovernorState.DRAINING, GovernorState.DISMISSED


def check(core: ServerCore) -> None:
    """Compare all books with what they are about.

    Raises
    ------
    AssertionError
        Naming the record that does not fit.
    """
    check_state(core.state)


def check_state(memory: State) -> None:
    """As `check`, of the state of a core.

    Raises
    ------
    AssertionError
    """
    graph = memory.graph
    known = 0
    books = _Books()
    for session in graph.sessions.values():
        _check_session(graph, session)
        _check_tasks(graph, session, books)
        if session.over:
            continue  # it has no copies of objects any more
        for obj in session.objects.own.values():
            _check_object(graph, obj, books)
            known += len(obj.governors)
        assert not books.users(), f"inputs that are no objects of {session}: {books.users()}"
    _check_estimates(graph, books)
    _check_gangs(graph)
    replicas = 0
    for governor in graph.governors.values():
        _check_governor(graph, governor)
        replicas += len(governor.objects)
    assert known == replicas, "objects and governors differ about replicas"
    for reading in memory.readings.values():
        assert reading.waiting, "a reading is answered and still here"
        for governor_id, id, attempt in reading.waiting:
            assert governor_id in graph.governors, "a reading waits for a governor that is gone"
            stopping = graph.governors[governor_id].stopping
            assert id is None or (id, attempt) in stopping, "a reading waits for what has ended"
        assert reading.client_id in graph.clients, reading.client_id
    for client in graph.clients.values():
        for session in client.sessions.values():
            assert session.client is client and graph.sessions.get(session.id) is session, session


def _check_gangs(graph: Graph) -> None:
    """That a task on several governors has all of them, and its resources on each."""
    hosted = sum(len(governor.hosting) for governor in graph.governors.values())
    for task, gang in graph.gangs.items():
        session = task.session
        assert task.governor is not None and task.attempt == gang.attempt, (task, "has a gang and no governor")
        governors = {task.governor, *gang.members}
        assert len(governors) == task.nodes == len(gang.members) + 1, (task, "has not all of its governors")
        assert gang.sent == (len(gang.ready) == len(gang.members)), (task, "started without all of them")
        assert task.state is not RUNNING or gang.sent, (task, "runs and was not sent")
        for member in gang.members:
            if session.over and session.id not in member.sessions:
                continue
            assert graph.governors.get(member.id) is member, (task, member, "is gone")
            held = member.hosting.get((task.id, gang.attempt))
            assert held is not None and held[0] is gang and held[1] is task.request, (task, member, "holds nothing")
            hosted -= 1
    assert not hosted, "governors hold resources for tasks that have left"
    for task in graph.backfilled:
        assert task.governor is not None and task.nodes == 1, (task, "fills a gap and is nowhere")
    assert (graph.reserved_for is None) == (not graph.reserved), (graph.reserved_for, "reserves nothing")
    for task in graph.waiting_gangs:
        assert task.placement is QUEUED and task.nodes > 1 and task not in graph.gangs, task


class _Books:
    """What the tasks say that was looked at: how often each object is an input, how many belong to each estimate."""

    __slots__ = ("assigned", "failed", "queued", "retained", "unsettled")

    def __init__(self) -> None:
        self.unsettled: dict[Object, int] = {}
        self.failed: dict[Object, int] = {}
        self.retained: dict[Object, int] = {}
        self.queued: dict[DurationEstimate, int] = {}
        self.assigned: dict[DurationEstimate, int] = {}

    def users(self) -> list[Object]:
        """Inputs that no object of the session was found for."""
        return [*self.unsettled, *self.failed, *self.retained]


def _check_estimates(graph: Graph, books: _Books) -> None:
    """That what is told of waiting work is so."""
    queued, assigned = books.queued, books.assigned
    for session in graph.sessions.values():
        for request in session.requests.values():
            for estimate in request.estimates.values():
                assert estimate.queued == queued.get(estimate, 0), (request.needs, estimate.queued, "queued")
                assert estimate.assigned == assigned.get(estimate, 0), (request.needs, estimate.assigned, "assigned")


def _check_session(graph: Graph, session: Session) -> None:
    released, session_id, over, objects = session.released, session.id, session.over, session.objects.own
    known = len(released)
    families = session.families
    assert families.firsts == [family.first for family in families.records] == sorted(families.firsts), session
    assert families.waiting == sum([family.waiting for family in families.records]), session
    for number, obj in objects.items():
        assert obj.id == (session_id, number) and obj.session is session, obj
        assert number >= known or not released[number], obj
        assert not over or not obj.governors, obj
    assert session.history_bytes == sum([size for _, size in session.history]), session
    if not over:
        for task, _ in session.history:
            assert session.tasks.own.get(task.id[1]) is task and task.retention is RELEASED, task
        assert session.orphans <= objects.keys(), session
        assert session.made.keys() <= session.tasks.own.keys(), session
    for governor_id, governor in session.governors.items():
        assert graph.governors.get(governor_id) is governor, session
        assert governor.sessions.get(session_id) is session, session
    assert session.state is not SessionState.CLOSED, session
    assert session.state is not SessionState.CLOSING or session.governors, f"{session} should be gone"
    assert over or (session.client is None) == (session.state is DETACHED), session
    waits = session.state is DETACHED and not session.persistent
    assert waits == (session.waits_until is not None) or over, session


def _check_tasks(graph: Graph, session: Session, books: _Books) -> None:
    """Each task of a session for itself, and how many there are in each state."""
    counts = dict.fromkeys(_IDS, 0)
    not_run = 0
    released, session_id, over, objects = session.released, session.id, session.over, session.objects.own
    known = len(released)
    queued, assigned = books.queued, books.assigned
    counts[(CANCELLED if over else READY)._name_] += session.families.waiting
    for family in session.families.records:
        estimate, free = family.estimate, family.states.count(FREE)
        queued[estimate] = queued.get(estimate, 0) + free
        shared = sum([share.count for share in family.shares if share is not None])
        assigned[estimate] = assigned.get(estimate, 0) + shared
        if not over:
            _check_family(graph, family)
            for obj in family.inputs if family.waiting else ():
                books.unsettled[obj] = books.unsettled.get(obj, 0) + family.waiting
    for number, task in session.tasks.own.items():
        state, estimate, retention = task.state, task.estimate, task.retention
        counts[state._name_] += 1
        if task.error is not None:
            not_run += shown_task(state, task.error) == NOT_RUN
        assert task.id == (session_id, number) and task.session is session, task
        assert number not in objects, task
        assert number >= known or not released[number], task
        assert task.request.estimates, (task, "is of a kind that is not counted")
        if task.governor is not None:
            assigned[estimate] = assigned.get(estimate, 0) + 1
        elif task.placement is QUEUED:
            queued[estimate] = queued.get(estimate, 0) + 1
        if over:
            continue
        _check_task(graph, task, state)
        if state in _RUNNABLE:
            users = books.unsettled
        elif state is FAILED and retention is not FORGOTTEN:
            users = books.failed
        elif retention is RETAINED:
            users = books.retained
        else:
            continue
        for obj in task.inputs:
            users[obj] = users.get(obj, 0) + 1
    counts[FINISHED._name_] += released.count(RELEASED_TASK)
    for name, count in counts.items():
        assert session.counts[_IDS[name]] == count, (session, name)
    assert session.not_run == not_run, session


def _check_family(graph: Graph, family: TaskFamily) -> None:
    session, states, own = family.session, family.states, family.session.tasks.own
    assert session.families.find(family.first) == (family, 0, 0), (family, "is not found")
    assert len(states) == len(family.args) == family.count, family
    assert NEW not in states and DROPPED not in states, family
    assert family.waiting + family.made > 0, (family, "has nothing left")
    assert family.made == states.count(DONE), family
    shares = 0
    for slot, share in enumerate(family.shares):
        if share is not None:
            governor, count = share.governor, states.count(AT + slot)
            assert share.count == count > 0 and governor.shares.get(family) == slot, (family, governor)
            assert graph.governors.get(governor.id) is governor, (family, governor)
            assert governor.sessions.get(session.id) is session, (family, governor)
            for obj in family.inputs:
                assert governor.objects.get(obj, STALE) is not STALE, (family, "was assigned without", obj)
            shares += count
    assert max(states) < AT + len(family.shares), family
    assert family.waiting == states.count(FREE) + shares, family
    released = session.released
    for place, state in enumerate(states):
        number = family.number(place)
        own_ones = [at for at in range(family.stride) if number + at in (session.objects.own if at else own)]
        left = released[number : number + family.stride]
        if state == OWN:
            continue
        assert not own_ones, (family, place, "has records of its own")
        if state == FREE or state >= AT:
            assert not any(left), (family, place, "was released")
            continue
        assert left[0] == RELEASED_TASK, (family, place, "was not released")
        for at in range(family.stride - 1):
            kept = state == DONE and at in family.kept
            assert (left[1 + at] == RELEASED_OBJECT) is not kept, (family, place, "output", at)
    assert all(obj.constant and type(obj.location) is Inline for obj in family.inputs), family


def _check_task(graph: Graph, task: Task, state: TaskState) -> None:
    governor, inputs, placement, retention = task.governor, task.inputs, task.placement, task.retention
    assert len(inputs) < 2 or len(set(inputs)) == len(inputs), task
    assert retention in _RETENTIONS[state._name_], task
    if governor is None:
        assert placement in (UNPLACED, DELAYED, QUEUED) and task.load == 0, task
        assert state is not RUNNING, task
        assert (state is READY) == (placement is not UNPLACED), (task, placement)
    else:
        assert graph.governors.get(governor.id) is governor and task in governor.assigned, task
        assert state in _RUNNABLE and placement in (FOLLOWER, DEMAND), task
        assert governor.sessions.get(task.session.id) is task.session, task
        gang = graph.gangs.get(task)
        assert (gang is not None) == (task.nodes > 1), (task, "is on several governors, or should not be")
        if state is not RUNNING and (gang is None or gang.sent):
            for obj in inputs:
                if obj.state is OBJ_FINISHED:
                    known = governor.objects.get(obj, STALE) is not STALE or obj in governor.resends
                    assert known, (task, "was assigned without", obj)
    if state in _RUNNABLE:
        _check_unsettled(task, state, placement, retention)
        return
    outputs = task.outputs
    if state is FINISHED:
        required_ones = [obj for obj in outputs if required(obj) and obj.producer is task]
        assert (retention is RETAINED) == bool(required_ones), (task, "retained")
        if retention is RELEASED:
            assert task.session.history_bytes_max, (task, "should be released")
    else:
        assert task.error is not None, task
        for obj in outputs:
            assert obj.state is not OBJ_UNFINISHED, task


def _check_unsettled(task: Task, state: TaskState, placement: Placement, retention: Retention) -> None:
    governor = task.governor
    if retention is RECOMPUTING and governor is None:
        asked = any(obj.state is OBJ_UNFINISHED and wanted(obj) for obj in task.outputs)
        assert asked or not task.outputs, (task, "is to run again for nothing")
    assert task.error is None or task.attempt > 0, task
    pending = 0
    for obj in task.inputs:
        if obj.state is OBJ_UNFINISHED:
            pending += 1
        else:
            assert obj.state is OBJ_FINISHED, (task, obj)
        assert obj.constant or task in obj.waiting(), (task, "is no consumer of", obj)
    assert task.pending == pending, (task, "pending", task.pending, pending)
    if governor is None:
        assert (state is WAITING) == (pending > 0), task
    elif placement is FOLLOWER:
        _check_follower(task, governor)
    else:
        assert not pending or state is RUNNING, (task, "takes room and cannot run")
    for output in task.outputs:
        assert output.producer is task, (task, output)
        assert retention is RECOMPUTING or output.state is OBJ_UNFINISHED, (task, output)


def _check_follower(task: Task, governor: Governor) -> None:
    assert task.pending > 0, task
    for obj in task.inputs:
        # What was there once and is made again is sent from wherever that happens.
        if obj.state is OBJ_UNFINISHED and obj.info is None:
            producer = obj.producer
            assert producer is not None and producer.governor is governor, (task, "follows no task there", obj)


def _check_object(graph: Graph, obj: Object, books: _Books) -> None:
    session, role, state = obj.session, obj.role, obj.state
    unsettled, lineage = books.unsettled.pop(obj, 0), books.retained.pop(obj, 0)
    needs = unsettled + books.failed.pop(obj, 0)
    assert obj.needs == needs, (obj, "needs", obj.needs, needs)
    for governor in obj.governors:
        assert graph.governors.get(governor.id) is governor and obj in governor.objects, (obj, governor)
        assert governor.sessions.get(session.id) is session, (obj, governor)
    if role is not OUTPUT:  # a constant
        assert state is OBJ_FINISHED and obj.consumers is None, obj
        if role is not EPHEMERAL:
            lineage = 0
        assert obj.lineage == lineage, (obj, "lineage", obj.lineage, lineage)
        assert role is not EPHEMERAL or obj.lineage or obj.needed, (obj, "should be released")
        assert obj.location is not None, obj
        return
    assert len(obj.waiting()) == unsettled, (obj, "consumers")
    assert obj.lineage == lineage, (obj, "lineage", obj.lineage, lineage)
    producer = obj.producer
    if state is OBJ_FINISHED:
        assert obj.needed, (obj, "should be removed")
        assert obj.location is not None or obj.holders(), (obj, "is nowhere")
        assert obj.info is not None, obj
        assert obj.location is not None or producer is not None, (obj, "could not be made again")
    elif state is OBJ_UNFINISHED:
        assert obj.location is None, obj
        assert producer is not None and producer.unsettled, (obj, "has no task that makes it")
    elif state is OBJ_REMOVED:
        assert not obj.kept and not unsettled and not obj.governors, obj
        assert obj.location is not None or obj.lineage == 0 or producer is not None, (obj, "could not be made again")
        assert producer is not None or obj.lineage or obj.needs or session.history_bytes_max, (
            obj,
            "should be released",
        )
    else:
        assert state is OBJ_FAILED and producer is not None and producer.state in (FAILED, CANCELLED), obj
        assert obj.info is not None or not (obj.governors or obj.location), obj


def _check_governor(graph: Graph, governor: Governor) -> None:
    demand = dict.fromkeys(governor.total, 0)
    work = follow_work = 0
    books = [(task.request, task.placement, task.load) for task in governor.assigned]
    books += [(request, DEMAND, load) for _, request, load in governor.hosting.values()]
    members = 0
    for family, slot in governor.shares.items():
        share = family.shares[slot]
        assert share is not None and share.governor is governor, (governor, family)
        assert graph.sessions.get(family.session.id) is family.session, (governor, family)
        assert governor.can_hold(family.request), (governor, family, "does not fit")
        members += share.count
        work += share.load
        for name, units in family.request.needs:
            demand[name] += share.count * units
    assert governor.members == members, governor
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
        state = obj.state
        assert state is not OBJ_REMOVED or not obj.needed, (governor, obj)
        assert replica is not ANNOUNCED or state is OBJ_FINISHED, (governor, obj)
    assert governor.arriving == (governor in graph.arriving), governor
    assert not governor.arriving or not governor.hosting, (governor, "has work before it may")
    for task in governor.assigned if governor.arriving else ():
        assert task.state is RUNNING, (governor, task, "is there before it may, and does not come from before")
    if governor.leaving is None:
        assert governor.state is _REGISTERED or governor.state is _RETURNING, governor
    else:
        assert governor in graph.leaving, governor
        assert governor.state is _DRAINING or governor.state is _DISMISSED, governor
        busy = governor.state is _DISMISSED and (governor.count or governor.stopping or governor.hosting)
        assert not busy, (governor, "was let go with tasks")
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
        assert not governor.count and not governor.stopping and not governor.hosting, governor
        assert not governor.objects and not governor.sessions, governor
        assert not governor.dropping, (governor, governor.dropping)
        assert governor.work == governor.follow_work == 0 and not any(governor.demand.values()), governor
    for client in graph.clients.values():
        assert not client.sessions and not client.gathering, client
    assert not state.stops and not graph.gangs and not graph.waiting_gangs
