"""Objects: what is here, what is on its way, and which tasks wait for it.

An object becomes present in one of three ways: its bytes came inside an `Assign`, a fetch brought it, or a task here
made it. Each way releases the tasks that waited for it at once. It goes when the server says so and no unfinished task
here uses it.
"""

from __future__ import annotations

from heapq import heappop, heappush

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_TRANSFERS_MAX, TRANSFERS_TOLD_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import CopyObjects, DropObjects, ObjectData, TaskResult
from rain.common.spec import ObjectInfo, ObjectSpec, Transfer
from rain.governor.core.effects import CancelFetch, DropFromStore, Fetch, Known, NoteObject, PutInStore
from rain.governor.core.events import FetchDone, ObjectMoved
from rain.governor.core.families.ranges import Range
from rain.governor.core.records import Fetching, Object, Session, State, Task, open_session
from rain.governor.core.reporting.outbox import flush
from rain.governor.states import IN_STORE, FetchState, Phase, Presence

COPY_RANK = [float("-inf")]
"""More urgent than any task's."""


def find(state: State, id: ID) -> Object | None:
    """The record of an object, if there is one."""
    session = state.sessions.get(id.session_id)
    return None if session is None else session.objects.get(id)


def make_ready(state: State, task: Task | Range) -> None:
    """All inputs of the task are here, or of what is left of a range."""
    task.phase = Phase.READY
    group = task.group
    heappush(group.heap, (task.rank, task.arrival, task))
    group.ready += task.ready_count
    state.hungry[group] = None


def learn(state: State, session: Session, data: ObjectData) -> None:
    """The server says where an object is, or gives its bytes."""
    id = data.spec.id
    obj = session.objects.get(id)
    if obj is None:
        obj = session.objects[id] = Object(id, session)
    if obj.drop:
        # It was to go once its users are done; now it is wanted again. To the server that is a drop and a new copy.
        _stays(state, obj)
        flush(state)
        if not isinstance(data.location, Inline) and obj.presence is Presence.PRESENT:
            state.fetched[id] = None
    if obj.presence is Presence.PRESENT:
        return
    if obj.unread:  # the server does not count on it
        obj.unread = False
        state.out.append(DropFromStore([id]))
    obj.known = Known(data.spec, data.info)
    if isinstance(data.location, Inline):
        _comes_again(state, id)
        state.out.append(PutInStore(data.spec, data.location))
        make_present(state, obj)
        return
    obj.source = data
    if obj.presence is Presence.UNKNOWN:
        obj.presence = Presence.KNOWN
        if obj.waiters:
            want(state, obj, min(task.rank for task in obj.waiters))


def _stays(state: State, obj: Object) -> None:
    """An object that was to go when it is not used is wanted again."""
    obj.drop = False
    if not obj.ours:
        state.dropped[obj.id] = None
    obj.ours = False


def copy_objects(state: State, message: CopyObjects, now: float) -> None:
    """`CopyObjects`: fetched before what tasks wait for, as their holder leaves."""
    for data in message.objects:
        session = open_session(state, data.spec.id.session_id)
        if session.ending:
            continue
        learn(state, session, data)
        obj = session.objects[data.spec.id]
        if obj.presence is Presence.PRESENT:
            state.fetched[obj.id] = None
        elif obj.presence is Presence.REFUSED:
            state.not_copied[obj.id] = "another value is in its place"
        else:
            obj.copy = True
            if obj.presence is not Presence.FETCHING:
                want(state, obj, COPY_RANK)


def produced(state: State, session: Session, spec: ObjectSpec, info: ObjectInfo) -> None:
    """A task here has made an object; the store has it."""
    obj = session.objects.get(spec.id)
    if obj is None:
        obj = session.objects[spec.id] = Object(spec.id, session)
    elif obj.drop:
        _stays(state, obj)
    if state.dropped or state.lost:
        _comes_again(state, spec.id)
    obj.known = Known(spec, info)
    make_present(state, obj)


def refused(state: State, session: Session, spec: ObjectSpec, info: ObjectInfo) -> None:
    """A task here returned what cannot be this object; the store has it. Tasks that wait for the object wait on."""
    obj = session.objects.get(spec.id)
    if obj is None:
        obj = session.objects[spec.id] = Object(spec.id, session)
    if obj.presence is Presence.PRESENT or obj.drop:
        return  # it was made before, and is there by right
    if state.dropped or state.lost:
        _comes_again(state, spec.id)
    if obj.presence is Presence.FETCHING:
        _cancel_fetch(state, obj)
    if obj.unread:
        obj.unread = False
        obj.presence = Presence.UNKNOWN
    obj.known = Known(spec, info)
    obj.presence = Presence.REFUSED
    obj.source = None
    obj.copy = False


def _comes_again(state: State, id: ID) -> None:
    """What was said of an earlier copy has to leave before a new one is spoken of."""
    if id in state.dropped or id in state.lost:
        flush(state)


def make_present(state: State, obj: Object) -> None:
    """The store has the object: tasks that waited for it may go on."""
    if obj.presence is Presence.FETCHING:
        _cancel_fetch(state, obj)
    obj.presence = Presence.PRESENT
    obj.source = None
    obj.copy = False
    obj.unread = False
    waiters = obj.waiters
    if waiters:
        obj.waiters = None
        for task in waiters:
            task.missing -= 1
            if not task.missing and task.phase is Phase.WAITING:  # else it is in an executor, behind what made it
                make_ready(state, task)


def want(state: State, obj: Object, rank: list[float]) -> None:
    """A task of this rank waits for an object whose places are known."""
    if obj.presence is Presence.WANTED and obj.rank is not None and obj.rank <= rank:
        return
    obj.presence = Presence.WANTED
    obj.rank = rank
    state.arrivals += 1
    heappush(state.wanted, (rank, state.arrivals, obj))


def pump_fetches(state: State, now: float) -> None:
    """Start the most urgent transfers while there are slots."""
    while state.wanted and len(state.fetching) < GOVERNOR_TRANSFERS_MAX:
        obj = heappop(state.wanted)[2]
        # An entry may be outdated; a cancelled fetch that is still out is waited for (`fetch_done`).
        if obj.presence is Presence.WANTED and obj.id not in state.fetching:
            source = obj.source
            assert source is not None
            obj.presence = Presence.FETCHING
            state.fetching[obj.id] = Fetching(obj, source)
            state.out.append(Fetch(source))


def fetch_done(state: State, event: FetchDone, now: float) -> None:
    """`FetchDone`."""
    fetching = state.fetching.pop(event.id, None)
    if fetching is None:
        return
    obj = fetching.object if fetching.state is FetchState.RUNNING else find(state, event.id)
    if obj is None:
        # Cancelled, too late.
        state.out.append(DropFromStore([event.id]))
    elif obj.presence is not Presence.PRESENT:
        obj.known = Known(fetching.source.spec, fetching.source.info)
        if obj.presence is Presence.FETCHING:
            obj.presence = Presence.KNOWN
        _comes_again(state, obj.id)
        if not obj.unread:
            state.out.append(NoteObject(obj.known))
        if event.transfer is not None:
            for task in obj.waiters or ():
                _note_transfer(task, event.transfer)
        make_present(state, obj)
        if not obj.drop:  # else the server takes it for gone, and will hear that it is
            state.fetched[obj.id] = None


def _note_transfer(task: Task | Range, transfer: Transfer) -> None:
    noted = task.transfers = task.transfers or []
    noted.append(transfer)
    if len(noted) > TRANSFERS_TOLD_MAX:
        noted.remove(min(noted, key=lambda one: one.duration))


def _cancel_fetch(state: State, obj: Object) -> None:
    state.fetching[obj.id].state = FetchState.CANCELLED
    state.out.append(CancelFetch(obj.id))
    obj.presence = Presence.KNOWN


def release(state: State, task: Task | Range) -> None:
    """The task uses its inputs no longer."""
    for obj in task.inputs:
        obj.uses -= 1
        waiters = obj.waiters
        if waiters:
            waiters.pop(task, None)
            if not waiters and obj.presence is Presence.WANTED and not obj.copy:
                obj.presence = Presence.KNOWN  # what runs with an earlier copy of it does not wait
        if not obj.uses and (obj.drop or obj.presence is not Presence.PRESENT):
            _unused(state, obj)


def _unused(state: State, obj: Object) -> None:
    if obj.drop:
        remove(state, obj)
    elif obj.copy:
        return
    elif obj.presence is Presence.FETCHING:
        _cancel_fetch(state, obj)
    elif obj.presence is Presence.WANTED:
        obj.presence = Presence.KNOWN
    elif obj.presence is Presence.UNKNOWN:
        obj.session.objects.pop(obj.id, None)


def remove(state: State, obj: Object) -> None:
    """Delete an object that no task uses, and tell the server."""
    if obj.presence in IN_STORE or obj.unread:
        if obj.ours:  # at once: nothing is said of it that would have to leave before it may come again
            state.out.append(DropFromStore([obj.id]))
        else:
            state.store_drops.append(obj.id)
        for executor in obj.session.executors.values():
            executor.functions.discard(obj.id)
    if obj.presence is Presence.FETCHING:
        _cancel_fetch(state, obj)
    obj.unread = False
    obj.presence = Presence.UNKNOWN  # outdates entries of `State.wanted`
    obj.session.objects.pop(obj.id, None)
    state.fetched.pop(obj.id, None)
    state.moved.pop(obj.id, None)
    if not obj.ours:
        state.dropped[obj.id] = None


def drop_objects(state: State, message: DropObjects, now: float) -> None:
    """`DropObjects`: now, or when the last task that uses it has gone."""
    for id in message.objects:
        obj = find(state, id)
        if obj is None:
            state.dropped[id] = None
        elif obj.uses:
            obj.drop, obj.ours = True, False
        else:
            remove(state, obj)


def discard(state: State, result: TaskResult) -> None:
    """The result is not wanted: what the store took of it goes, unless the same object is here by right."""
    ids = []
    for output in result.outputs:
        obj = find(state, output.id)
        if obj is None or obj.presence is not Presence.PRESENT:
            ids.append(output.id)
    if ids:
        state.out.append(DropFromStore(ids))


def object_moved(state: State, event: ObjectMoved, now: float) -> None:
    """`ObjectMoved`."""
    obj = find(state, event.id)
    if obj is None:
        return
    if obj.unread and obj.presence is not Presence.FETCHING:
        make_present(state, obj)  # it was read for another process, or to be moved
    if obj.unread or obj.presence in IN_STORE:
        state.moved[event.id] = event.file


def lose_unread(state: State, obj: Object, reason: str) -> bool:
    """What came from a dead governor is damaged; whether those that wait for it have to be told now: of a fetch they
    are told when it is over."""
    obj.unread = False
    state.lost[obj.id] = reason
    if obj.presence is Presence.FETCHING:
        return False
    obj.presence = Presence.UNKNOWN
    obj.source = None
    return True
