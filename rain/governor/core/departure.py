"""Leaving on purpose: no new work, what has not begun goes back, what runs is ended in time, and then the end.

Theory of operation
-------------------
The shell asks (`LeaveAsked`: a signal, the end of the batch job), or a user through the server (`Drain`). From then on
nothing that has not begun is started: it goes back to the server, task by task, as soon as it has left its executor.
What runs may finish until `Departure.tasks_until`, and is then ended like a cancelled task and goes back too; the
server charges none of it. The rest of the time is for results that only this governor holds: the server has others
fetch them, and says `Dismiss` when nothing here is needed. When the time is over the governor leaves all the same, and
so it does when the server is gone, because nothing can be handed over then.
"""

from __future__ import annotations

from math import inf

from rain.common.limits import LEAVE_MOVE_S
from rain.common.protocol.messages import Dismiss, Drain, Draining
from rain.governor.core.commands import end_attempt
from rain.governor.core.effects import Leave, ToServer
from rain.governor.core.events import LeaveAsked
from rain.governor.core.executor_lifecycle import recall_others
from rain.governor.core.families.leaving import give_back, ranges_of
from rain.governor.core.families.members import materialise
from rain.governor.core.records import State
from rain.governor.core.tasks import finish, forget, lose
from rain.governor.states import NOT_STARTED, STARTED, Fate, Stage


def leave_asked(state: State, event: LeaveAsked, now: float) -> None:
    """`LeaveAsked`."""
    _leave(state, event.reason, event.within_s, now, patient=False)


def drain(state: State, message: Drain, now: float) -> None:
    """`Drain`."""
    _leave(state, message.reason, message.within_s, now, patient=True)


def _leave(state: State, reason: str, within_s: float, now: float, *, patient: bool) -> None:
    departure = state.departure
    if departure.stage is Stage.LEFT:
        return
    until = now + within_s
    if departure.stage is not Stage.STAYING:
        if until >= departure.until:
            return  # it leaves sooner already
    else:
        departure.stage = Stage.DRAINING
        for task in list(state.held):
            lose(state, task)
        for executor in state.executors.values():
            if not executor.session.ending:
                recall_others(state, executor)
    departure.reason, departure.until = reason, until
    departure.tasks_until = until - min(within_s / 2, LEAVE_MOVE_S)
    state.out.append(ToServer(Draining(reason, within_s, patient)))


def dismissed(state: State, message: Dismiss, now: float) -> None:
    """`Dismiss`."""
    _go(state, message.reason)


def server_gone(state: State) -> None:
    """The server is gone, so nothing can be handed over: leave at once if the governor is leaving."""
    if state.departure.stage is not Stage.STAYING:
        _go(state, state.departure.reason)


def tell_held(state: State, now: float) -> None:
    """What was held for a while and had nothing to do with a departure is told as what it is: a failure."""
    for task, (result, until) in list(state.held.items()):
        if until <= now:
            finish(state, task, result)


def due_at(state: State) -> float:
    """When `tell_held` or `check_time` will act if nothing else happens."""
    departure = state.departure
    at = min([until for _, until in state.held.values()], default=inf)
    if departure.stage is Stage.DRAINING:
        return min(at, departure.tasks_until, departure.until)
    return min(at, departure.until) if departure.stage is Stage.HANDING_BACK else at


def check_time(state: State, now: float) -> None:
    """End what runs when its time is over, and leave when all of it is."""
    departure = state.departure
    if departure.stage is Stage.STAYING:
        return
    if departure.stage is Stage.DRAINING and departure.tasks_until <= now:
        departure.stage = Stage.HANDING_BACK
    if departure.until <= now:
        _go(state, departure.reason)


def hand_back(state: State, now: float) -> None:
    """At the end of a turn: what has not begun goes back, and in the end also what has."""
    ends = state.departure.stage is Stage.HANDING_BACK
    given = []
    for session in state.sessions.values():
        for owner in ranges_of(session):
            given += give_back(state, owner)
            for piece in list(owner.pieces) if ends else ():
                if piece.executor.head is piece:
                    materialise(state, owner, piece.start)
        for task in list(session.tasks.values()):
            if task.phase in NOT_STARTED:
                given.append((task.id, task.attempt))
                forget(state, task)
            elif ends and task.phase in STARTED and not task.unwanted:
                end_attempt(state, task, Fate.STOP, now)
    if given:
        state.gave_back.append(given)


def _go(state: State, reason: str) -> None:
    if state.departure.stage is not Stage.LEFT:
        state.departure.stage = Stage.LEFT
        state.out.append(Leave(reason))
