"""Departures: governors that leave on purpose get no more work, and objects that only they hold are copied first.

Theory of operation
-------------------
A governor says `Draining`; it gives back by itself the tasks that have not begun, and ends those that run when its own
time is over, so that a server that is slow, or away, does not hold it up. The server keeps the policy from assigning
tasks to it, and has other governors fetch the objects that only leaving governors hold (kept objects first, because
only those are surely wanted). When the governor has no task, and no needed object that no other governor has, the
server dismisses it. No task is charged with a crash because of a governor that had said `Draining`, however that ended
(`rain.server.core.lifecycle.recovery`).

At the end of each turn the server checks the copies that are under way, which are few. It goes through all objects of a
governor when that begins to leave, when another governor was lost, and before it is dismissed.
"""

from __future__ import annotations

from rain.common.limits import BATCH_BYTES_TARGET, GOVERNOR_TRANSFERS_MAX
from rain.common.protocol.messages import (
    CopyObjects,
    Dismiss,
    Done,
    Drain,
    DrainGovernors,
    Draining,
    NotCopied,
    ObjectData,
)
from rain.server.core.lifecycle.attempts import object_data
from rain.server.core.lifecycle.recovery import lose_replica
from rain.server.core.reporting.updates import open_session_on
from rain.server.core.sizes import ITEM_BYTES, info_bytes
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.governor import Governor
from rain.server.records.leaving import Leaving
from rain.server.states import ANNOUNCED, LOST, OBJ_FINISHED, STALE, GovernorState

COPIES_MAX = 2 * GOVERNOR_TRANSFERS_MAX
"""How many copies may be under way to one governor at a time because of governors that leave."""
COPY_PAUSE_S = 0.1
COPY_PAUSE_MAX_S = 5.0


def drain_governors(state: State, client: Client, message: DrainGovernors) -> None:
    """Answer `DrainGovernors`: all governors that it names begin to leave, or none does."""
    governors = state.graph.governors
    unknown = [name for name in message.governors if name not in governors]
    if unknown:
        here = ", ".join(governors) or "none"
        state.refuse(client.id, message.request, f"governor {', '.join(unknown)} is not here; those here are: {here}")
        return
    if not message.within_s >= 0:
        state.refuse(client.id, message.request, f"a governor cannot leave within {message.within_s} s")
        return
    for name in message.governors:
        state.to_governor(governors[name], Drain("a user asked it to", message.within_s))
    state.to_client(client.id, Done(message.request))


def draining(state: State, governor: Governor, message: Draining) -> None:
    """A governor begins to leave."""
    leaving = governor.leaving
    if leaving is not None:
        leaving.reason, leaving.patient = message.reason, message.patient
        return
    governor.leaving = Leaving(message.reason, message.patient)
    governor.state = GovernorState.DRAINING
    governor.tasks_max = 0
    state.graph.leaving[governor] = None
    state.tell_policy(state.policy.governor_lost, governor)
    state.happened("GovernorDraining", values={"governor": governor.id, "reason": message.reason})
    state.schedule_due = True
    _look_through(governor, governor.leaving)


def others_changed(state: State) -> None:
    """A governor was lost: leaving governors may now be the only ones that hold some objects."""
    for governor in state.graph.leaving:
        if governor.leaving is not None and governor.state is GovernorState.DRAINING:
            _look_through(governor, governor.leaving)


def _look_through(governor: Governor, leaving: Leaving) -> None:
    alone = [obj for obj in governor.objects if obj not in leaving.under_way and _only_leaving_have(governor, obj)]
    alone.sort(key=lambda obj: not obj.kept)
    leaving.left.update(dict.fromkeys(alone))


def _only_leaving_have(governor: Governor, obj: Object) -> bool:
    """Whether an object that a leaving governor holds is needed, and no governor that stays has it."""
    if obj.state is not OBJ_FINISHED or obj.safe or governor.objects.get(obj, STALE) in (ANNOUNCED, STALE):
        return False
    return all(holder.leaving is not None for holder in obj.holders())


# -- the end of a turn ----------------------------------------------------------------------------


def go_on(state: State) -> None:
    """Take the next steps of all departures."""
    staying = state.graph.staying()
    for governor in list(state.graph.leaving):
        leaving = governor.leaving
        if leaving is None or governor.state is not GovernorState.DRAINING:
            continue
        _take_note(state, governor, leaving)
        idle = not (governor.count or governor.stopping or governor.hosting or leaving.under_way)
        looked = idle and not leaving.left
        if looked:
            _look_through(governor, leaving)
        if leaving.left:
            _copy(state, governor, leaving)
        nowhere = not staying and not leaving.patient
        if idle and not leaving.under_way and (nowhere or (looked and not leaving.left)):
            governor.state = GovernorState.DISMISSED
            state.to_governor(governor, Dismiss(leaving.reason))


def _take_note(state: State, governor: Governor, leaving: Leaving) -> None:
    """Take note of copies that have arrived, and of those that will not."""
    for obj, target in list(leaving.under_way.items()):
        here = target.state is not LOST and target.leaving is None
        if here and target.objects.get(obj) is ANNOUNCED:
            continue
        del leaving.under_way[obj]
        if not _only_leaving_have(governor, obj):
            leaving.paused.pop(obj, None)
            continue
        _, tries = leaving.paused.get(obj, (0.0, 0))
        leaving.paused[obj] = (state.now + min(COPY_PAUSE_S * 2**tries, COPY_PAUSE_MAX_S), min(tries + 1, 10))
        leaving.left[obj] = None


def _copy(state: State, governor: Governor, leaving: Leaving) -> None:
    """Have governors that stay fetch objects of a leaving one, as many at a time as they can."""
    orders: dict[Governor, list[ObjectData]] = {}
    room = _Room(state)
    for obj in list(leaving.left):
        if not _only_leaving_have(governor, obj) or obj.session.over:
            del leaving.left[obj]
            leaving.paused.pop(obj, None)
            continue
        if leaving.paused.get(obj, (0.0, 0))[0] > state.now:
            continue
        target = room.target(obj)
        if target is None:
            break
        del leaving.left[obj]
        leaving.under_way[obj] = target
        open_session_on(state, obj.session, target)
        if target.objects.get(obj) is not ANNOUNCED:
            state.graph.add_replica(target, obj, ANNOUNCED)
        orders.setdefault(target, []).append(object_data(state, obj))
    for target, objects in orders.items():
        batch: list[ObjectData] = []
        size = 0
        for data in objects:
            batch.append(data)
            size += ITEM_BYTES + info_bytes(data.info)
            if size > BATCH_BYTES_TARGET:
                state.to_governor(target, CopyObjects(batch))
                batch, size = [], 0
        if batch:
            state.to_governor(target, CopyObjects(batch))


class _Room:
    """The room for copies: they go to the governor with the least data of those to which few are under way."""

    def __init__(self, state: State) -> None:
        self._under_way: dict[Governor, int] = dict.fromkeys(state.graph.staying(), 0)
        self._bytes = {
            governor: governor.load.get("memory_bytes", 0.0) + governor.load.get("disk_bytes", 0.0)
            for governor in self._under_way
        }
        for leaver in state.graph.leaving:
            for obj, target in leaver.leaving.under_way.items() if leaver.leaving is not None else ():
                if target in self._under_way:
                    self._count(target, obj)

    def _count(self, target: Governor, obj: Object) -> None:
        self._under_way[target] += 1
        self._bytes[target] += obj.size

    def target(self, obj: Object) -> Governor | None:
        """The governor that an object is copied to; one that is about to fetch it anyway comes first."""
        able = [governor for governor, count in self._under_way.items() if count < COPIES_MAX]
        if not able:
            return None
        found = min(
            able,
            key=lambda governor: (
                governor.objects.get(obj) is not ANNOUNCED,
                self._bytes[governor],
                governor.order,
            ),
        )
        self._count(found, obj)
        return found


def not_copied(state: State, governor: Governor, message: NotCopied) -> None:
    """Take note that a governor could not get copies. What it said before it got a drop does not count."""
    for id in message.objects:
        obj = state.graph.object(id)
        if obj is None or id in governor.dropping or governor.objects.get(obj) is not ANNOUNCED:
            continue
        lose_replica(
            state, governor, obj
        )  # a task that was given to it meanwhile counts on the places that it was sent
