"""The governor has registered: the server is told what it has from others, and from before, and what runs here.

The server answers an attempt that it does not want with `CancelTasks`, an object with `DropObjects`, and all of a
session that has ended with `EndSession`. What only the tasks here still use goes with them.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.location import Replicas
from rain.common.protocol.messages import KeptObject, ObjectData, TookOver, WantModule
from rain.governor.core.effects import ToServer
from rain.governor.core.events import Inherited
from rain.governor.core.objects import find, remove
from rain.governor.core.records import Object, State, open_session
from rain.governor.states import IN_STORE, Presence

TOLD_COUNT_MAX = 10_000
"""Objects in one `TookOver`."""
LOST = "its governor lost it before it registered again"
"""What is told of an output that was lost before the server had heard of it."""


def inherited(state: State, event: Inherited, now: float) -> None:
    """`Inherited`: what is not in memory by right is read when a task needs it, as if it were fetched."""
    told: list[KeptObject] = []
    noted, unheard = set(), dict.fromkeys(output.id for result in state.finished for output in result.outputs)
    for heirloom in event.objects:
        spec, info = heirloom.known.spec, heirloom.known.info
        session = open_session(state, spec.id.session_id)
        obj = session.objects.get(spec.id)
        if obj is None:
            obj = session.objects[spec.id] = Object(spec.id, session)
        obj.drop = obj.ours = False
        obj.known = heirloom.known
        if obj.presence is not Presence.PRESENT:
            obj.source = ObjectData(spec, info, Replicas([], heirloom.checksum))
            obj.presence = Presence.KNOWN
            obj.unread = True
        noted.add(spec.id)
        told.append(KeptObject(spec.id, heirloom.size, heirloom.checksum, spec.id in unheard))
    attempts = [(task.id, task.attempt) for session in state.sessions.values() for task in session.tasks.values()]
    attempts += [(result.id, result.attempt) for result in state.finished]
    for part in state.finished_members:
        session_id, first = part.first
        stop = first + part.stride * (len(part.durations) // 8)
        attempts += [(ID(session_id, number), part.attempt) for number in range(first, stop, part.stride)]
    state.lost.update({id: LOST for id in unheard if not _is_here(state, id)})
    for start in range(0, len(told) or 1, TOLD_COUNT_MAX):
        end = start + TOLD_COUNT_MAX
        state.out.append(ToServer(TookOver(told[start:end], end < len(told), attempts)))
        attempts = []
    if state.away:
        _let_go(state, noted.union(unheard))
    state.out.extend([ToServer(WantModule(*key)) for key in state.modules])
    state.away = False


def _is_here(state: State, id: ID) -> bool:
    obj = find(state, id)
    return obj is not None and obj.presence in IN_STORE


def _let_go(state: State, told: set[ID]) -> None:
    """What the server does not know to be here goes, at once or with the tasks that use it."""
    for session in state.sessions.values():
        for obj in [obj for obj in session.objects.values() if obj.id not in told]:
            obj.drop = obj.ours = True
            if not obj.uses:
                remove(state, obj)
