"""The conversation with the server is over: what runs goes on where nothing else may run it, all else is forgotten.

Theory of operation
-------------------
A session of which anything runs on, or has ended unheard, is followed by a new record with that alone: the running
tasks, their executors, and the objects that these have as inputs or have made. With the old record all else dies as it
does with a session that is closed. What stood behind a running task in its executor is recalled, and nobody's any more.
Until the governor has registered again (`rain.governor.core.given_up.returning`) nothing is told: the results of what
ends meanwhile are gathered.
"""

from __future__ import annotations

from rain.common.task_configs import COMPANION
from rain.governor.core.effects import CancelFetch, DropFromStore, EndSessionStore, KeepNoted
from rain.governor.core.events import ServerGone
from rain.governor.core.executor_lifecycle import recall
from rain.governor.core.families.members import head_task, materialise
from rain.governor.core.families.ranges import Piece
from rain.governor.core.records import Executor, Group, Object, Session, State, Task
from rain.governor.core.sessions import kill_all
from rain.governor.core.tasks import settle_back
from rain.governor.states import IN_STORE, ExecutorState, Fate, FetchState, Presence, Stage


def server_gone(state: State, event: ServerGone, now: float) -> None:
    """`ServerGone`: what still dies keeps its resources until it is dead. What was noted of objects that are wanted
    stays in the store, as this governor will be there again."""
    gone = state.store_drops
    followed: dict[int, Session] = {}
    for session in state.sessions.values():
        if session.ending:
            state.out.append(EndSessionStore(session.id))
            continue
        heir = _heir(state, session, event) if state.departure.stage is Stage.STAYING else None
        if heir is not None:
            followed[session.id] = heir
        gone += [obj.id for obj in session.objects.values() if obj.drop or obj.presence is Presence.REFUSED]
        kill_all(state, session)
    if gone:
        state.out.append(DropFromStore(gone))
    state.out.append(KeepNoted([id for session in followed.values() for id in session.objects]))
    stay = {number for session in followed.values() for number in session.executors}
    waiting = {key: [number for number in those if number in stay] for key, those in state.modules.items()}
    state.modules = {key: those for key, those in waiting.items() if those}
    state.sessions = followed
    state.wanted = []
    state.clear_batches()
    state.away = bool(followed)
    state.finished = [result for result in event.unheard.results if result.id[0] in followed]
    state.finished_members = [told for told in event.unheard.families if told.first[0] in followed]
    for session in followed.values():
        state.started += [task for task in session.tasks.values() if task.seen_at is not None]


def _heir(state: State, session: Session, event: ServerGone) -> Session | None:
    """A record with what goes on of a session, and what has ended unheard; None if that is nothing."""
    running = [executor for executor in session.executors.values() if _goes_on(executor, event.elsewhere)]
    ended = [result for result in event.unheard.results if result.id[0] == session.id]
    if not running and not ended and not any(told.first[0] == session.id for told in event.unheard.families):
        return None
    heir = Session(session.id)
    heir.envs, heir.estimates, heir.tasks_seen = session.envs, session.estimates, session.tasks_seen
    session.estimates = {}
    for executor in running:  # first, as members of families have their inputs in common
        head_task(state, executor)
        while (piece := next((item for item in executor.queue.values() if isinstance(item, Piece)), None)) is not None:
            materialise(state, piece.range, piece.start)
    for executor in running:
        _take_along(state, executor, heir)
    for output in [output.id for result in ended for output in result.outputs]:
        obj = session.objects.get(output)
        if obj is not None and obj.presence is Presence.PRESENT:
            _move(state, obj, heir)
    return heir


def _goes_on(executor: Executor, elsewhere: bool) -> bool:
    """Whether what an executor runs goes on. A part of what runs on several governors does not."""
    head = executor.head
    if head is None or executor.state is not ExecutorState.BUSY or executor.preview is not None:
        return False
    if isinstance(head, Piece):
        return head.range.solo or not elsewhere
    alone = not head.assignment.nodes and head.assignment.spec.task_type != COMPANION
    return alone and not head.unwanted and (head.solo or not elsewhere)


def _take_along(state: State, executor: Executor, heir: Session) -> None:
    """Move an executor, and what it runs; what stands behind that is nobody's any more."""
    session, head = executor.session, executor.head
    others = []
    for task in executor.queue.values():
        assert isinstance(task, Task)
        if task.fate is Fate.GIVE_BACK:
            settle_back(state, task, given=False)
        if session.tasks.get(task.id) is task:
            del session.tasks[task.id]
        task.session, task.group = heir, _group(task.group, heir)
        for obj in task.inputs:
            _move(state, obj, heir)
            obj.uses += 1
        if task is head:
            heir.tasks[task.id] = task
            continue
        if task.fate is not Fate.FORGET:
            task.fate = Fate.FORGET
        others.append(task)
    recall(state, executor, others)
    state.previews_due.pop(executor, None)
    executor.previews_due = []
    del session.executors[executor.id]
    executor.group.busy.pop(executor.id, None)
    executor.session, executor.group = heir, _group(executor.group, heir)
    executor.group.busy[executor.id] = heir.executors[executor.id] = executor


def _group(old: Group, heir: Session) -> Group:
    key = (old.kind, old.request, old.env, old.fresh, old.environment)
    group = heir.groups.get(key)
    if group is None:
        group = heir.groups[key] = Group(heir, *key)
        group.width, group.failed_starts = old.width, old.failed_starts
    return group


def _move(state: State, obj: Object, heir: Session) -> None:
    """Let an object belong to the new record; no task waits for it there."""
    if obj.session is heir:
        return
    obj.session.objects.pop(obj.id, None)
    heir.objects[obj.id] = obj
    obj.session, obj.uses, obj.waiters, obj.copy = heir, 0, None, False
    if obj.presence in IN_STORE:
        return
    fetching = state.fetching.get(obj.id)
    if fetching is not None and fetching.object is obj and fetching.state is FetchState.RUNNING:
        fetching.state = FetchState.CANCELLED
        state.out.append(CancelFetch(obj.id))
    obj.presence = Presence.UNKNOWN
    obj.source, obj.unread = None, False
