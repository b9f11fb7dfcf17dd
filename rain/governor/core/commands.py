"""What the server orders: tasks to run, to give back, to cancel. Stale and repeated orders do no harm."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import PREVIEW_BYTES_MAX, PROGRESS_NOTE_CHARS_MAX
from rain.common.protocol.families import assignments
from rain.common.protocol.messages import (
    Assign,
    CancelTasks,
    Had,
    ModuleFound,
    OutputRead,
    ReadOutput,
    TakeBack,
    WantModule,
)
from rain.governor.core.effects import GiveModule, OutputItem, ReadOutputs, ToServer
from rain.governor.core.events import CompanionReady, ModuleWanted, OutputsRead, TasksProgressed
from rain.governor.core.executor_lifecycle import end_builtin, interrupt, recall
from rain.governor.core.families import members
from rain.governor.core.objects import learn
from rain.governor.core.records import State, Task, open_session
from rain.governor.core.reporting.answers import TakeBackRequest
from rain.governor.core.tasks import add, answer_back, forget, settle_back
from rain.governor.states import NOT_STARTED, End, ExecutorState, Fate, Phase


def assign(state: State, message: Assign, now: float) -> None:
    """`Assign`: learn of objects, take tasks. A newer attempt ends an older one that is still here."""
    for data in message.objects:
        session = open_session(state, data.spec.id.session_id)
        if not session.ending:
            learn(state, session, data)
    tasks = message.tasks
    for family in message.families:
        session = open_session(state, family.spec.id.session_id)
        if session.ending:
            continue
        if members.covers_any(session, family):
            tasks = [*assignments(family), *tasks]  # some come again, or with a newer attempt
        else:
            members.add(state, session, family)
    for assignment in tasks:
        id = assignment.spec.id
        session = open_session(state, id.session_id)
        if session.ending:
            continue
        old = session.tasks.get(id)
        if old is None and session.ranges:
            member = members.find(session, id)
            if member is not None:
                if member[0].attempt >= assignment.attempt:
                    continue
                old = members.materialise(state, *member)
        if old is not None:
            if old.attempt >= assignment.attempt:
                continue
            end_attempt(state, old, Fate.FORGET, now)
        add(state, session, assignment)


def cancel_tasks(state: State, message: CancelTasks, now: float) -> None:
    """`CancelTasks`: each attempt is answered by `Stopped`; one that is not here at once."""
    for id, attempt in message.tasks:
        task = _find(state, id, attempt)
        if task is None:
            state.stopped.append((id, attempt))
        elif not task.unwanted:
            end_attempt(state, task, Fate.STOP, now)


def _find(state: State, id: ID, attempt: int) -> Task | None:
    """An attempt that is here; a member of a family becomes a task of its own."""
    session = state.sessions.get(id.session_id)
    if session is None:
        return None
    task = session.tasks.get(id)
    if task is not None:
        return task if task.attempt == attempt else None
    member = members.find(session, id, attempt) if session.ranges else None
    return None if member is None else members.materialise(state, *member)


def end_attempt(state: State, task: Task, fate: Fate, now: float) -> None:
    """Forget a task that has not started, end one that may have."""
    if task.phase in NOT_STARTED or task.phase is Phase.HELD:
        if fate is Fate.STOP:
            state.stopped.append((task.id, task.attempt))
        forget(state, task)
        return
    if task.fate is Fate.GIVE_BACK:
        settle_back(state, task, given=False)
    if not task.unwanted:
        task.fate = fate
    if task.phase is Phase.BUILTIN:
        end_builtin(state, state.builtins[task.number], End.CANCEL)
        return
    executor = task.executor
    assert executor is not None
    if executor.head is task:
        interrupt(state, executor, task, now)
    else:
        recall(state, executor, [task])


def take_back(state: State, message: TakeBack, now: float) -> None:
    """`TakeBack`: answered by one `GaveBack`, as soon as the executors that hold some of them have answered."""
    request = TakeBackRequest()
    for id, attempt in message.tasks:
        task = _find(state, id, attempt)
        if task is None or task.fate is not Fate.STAY:
            continue
        if task.phase in NOT_STARTED:
            request.given.append((id, attempt))
            forget(state, task)
            continue
        executor = task.executor
        if executor is None or executor.state is ExecutorState.KILLED:
            continue
        if not (executor.started and executor.head is task):
            task.fate = Fate.GIVE_BACK
            task.take_back = request
            request.open += 1
            recall(state, executor, [task])
    answer_back(state, request)


def module_wanted(state: State, event: ModuleWanted, now: float) -> None:
    """`ModuleWanted`: the server is asked once, however many executors wait."""
    executor = state.executors.get(event.executor_id)
    if executor is None or executor.session.ending:
        return
    key = (executor.session.id, event.name)
    waiting = state.modules.get(key)
    if waiting is None:
        waiting = state.modules[key] = []
        state.out.append(ToServer(WantModule(*key)))
    waiting.append(event.executor_id)


def module_found(state: State, message: ModuleFound, now: float) -> None:
    """`ModuleFound`."""
    waiting = state.modules.pop((message.session_id, message.name), ())
    state.out.extend([GiveModule(executor_id, message) for executor_id in waiting])


def tasks_progressed(state: State, event: TasksProgressed, now: float) -> None:
    """`TasksProgressed`: the last of each task is passed on at the end of the turn, unless the task has left."""
    executor = state.executors.get(event.executor_id)
    if executor is None or executor.session.ending:
        return
    for told in event.tasks:
        task = _find(state, told.id, told.attempt) if told.id.session_id == executor.session.id else None
        if task is None or task.executor is not executor or task.attempt != told.attempt or task.unwanted:
            continue
        if task.seen_at is None:
            task.seen_at = now
            state.started.append(task)
        told.note, told.title = told.note[:PROGRESS_NOTE_CHARS_MAX], told.title[:PROGRESS_NOTE_CHARS_MAX]
        if len(told.shown) > PREVIEW_BYTES_MAX:
            told.shown = b""
        state.progressed[task] = told


def companion_ready(state: State, event: CompanionReady, now: float) -> None:
    """`CompanionReady`: passed on, unless its task has left."""
    executor, ready = state.executors.get(event.executor_id), event.ready
    if executor is None or executor.session.ending:
        return
    task = executor.session.tasks.get(ready.id)
    if task is not None and task.executor is executor and task.attempt == ready.attempt and not task.unwanted:
        state.out.append(ToServer(ready))


def read_output(state: State, message: ReadOutput, now: float) -> None:
    """`ReadOutput`: the shell looks; tasks that have not been given to an executor are left out."""
    items = []
    for index, (id, attempt) in enumerate(message.tasks):
        place = _place_of(state, id, attempt)
        if place is not None:
            had = message.had[index] if index < len(message.had) else Had()
            if had.attempt != attempt:
                had = Had(attempt)
            items.append(OutputItem(*place, id, attempt, had))
    state.out.append(ReadOutputs(message.request, items))


def _place_of(state: State, id: ID, attempt: int) -> tuple[int, int] | None:
    """The executor that has an attempt, and the number by which it knows that."""
    session = state.sessions.get(id.session_id)
    if session is None:
        return None
    task = session.tasks.get(id)
    if task is not None:
        return (task.executor.id, task.number) if task.attempt == attempt and task.executor is not None else None
    member = members.find(session, id, attempt)
    piece = None if member is None else members.piece_of(*member)
    return None if piece is None or member is None else (piece.executor.id, piece.number_of(member[1]))


def outputs_read(state: State, event: OutputsRead, now: float) -> None:
    """`OutputsRead`."""
    state.out.append(ToServer(OutputRead(event.request, event.outputs)))
