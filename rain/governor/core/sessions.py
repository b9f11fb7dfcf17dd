"""Sessions: opened by the first word about them, ended as a whole."""

from __future__ import annotations

from rain.common.protocol.messages import EndSession, OpenSession
from rain.governor.core.effects import CancelBuiltin, CancelFetch, EndSessionStore, KillExecutor
from rain.governor.core.families.leaving import ranges_of
from rain.governor.core.records import Session, State, open_session
from rain.governor.core.tasks import settle_back
from rain.governor.states import End, ExecutorState, Fate, FetchState, Phase, Presence, SessionState


def session_opened(state: State, message: OpenSession, now: float) -> None:
    """`OpenSession`."""
    open_session(state, message.session_id).envs[message.number] = message.env


def end_session(state: State, message: EndSession, now: float) -> None:
    """`EndSession`: kill what runs; the answer comes when nothing is left."""
    session = open_session(state, message.session_id)
    if not session.ending:
        kill_all(state, session)
    close_if_done(state, session.id)


def close_if_done(state: State, session_id: int) -> None:
    """Drop what an ending session has in the store once nothing of it runs, and answer."""
    session = state.sessions.get(session_id)
    if session is None or not session.ending:
        return
    # Also what dies of a session of this name that was forgotten with a former server counts.
    if any(executor.session.id == session_id for executor in state.executors.values()):
        return
    if any(builtin.task.session.id == session_id for builtin in state.builtins.values()):
        return
    del state.sessions[session_id]
    state.out.append(EndSessionStore(session_id))
    state.session_ends.append(session_id)


def kill_all(state: State, session: Session) -> None:
    """End all that runs of a session, and forget what it has."""
    session.state = SessionState.ENDING
    for executor in session.executors.values():
        executor.queue.clear()
        executor.stops = []
        executor.end = End.SESSION
        state.idle.pop(executor.id, None)
        state.recalls.pop(executor, None)
        if executor.state is not ExecutorState.KILLED:
            executor.state = ExecutorState.KILLED
            state.out.append(KillExecutor(executor.id))
    for builtin in session.builtins.values():
        if builtin.end is None:
            builtin.end = End.SESSION
            state.out.append(CancelBuiltin(builtin.number))
    state.stopped_outputs = {key: wrote for key, wrote in state.stopped_outputs.items() if key[0][0] != session.id}
    for id, fetching in state.fetching.items():
        if fetching.state is FetchState.RUNNING and fetching.object.session is session:
            fetching.state = FetchState.CANCELLED
            state.out.append(CancelFetch(id))
    _forget(state, session)


def _forget(state: State, session: Session) -> None:
    """Empty the session's records, and what was to be said of it."""
    for task in session.tasks.values():
        state.held.pop(task, None)
        task.phase = Phase.GONE
        if task.fate is Fate.GIVE_BACK:
            settle_back(state, task, given=False)
    for owner in ranges_of(session):
        owner.phase = Phase.GONE
    for obj in session.objects.values():
        obj.presence = Presence.UNKNOWN  # outdates entries of `State.wanted`
    for group in session.groups.values():
        state.hungry.pop(group, None)
    session.tasks, session.ranges, session.objects, session.groups = {}, {}, {}, {}
    session.estimates, session.last_group = {}, None
