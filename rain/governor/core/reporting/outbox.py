"""What is said to the server: gathered over a turn, sent as one message of a kind.

The order of kinds in `flush` is part of the meaning: a drop is answered before a new copy of the same object is
reported, and how a task ended before the answer to an order that came too late for it. Where a turn would need another
order, the writer calls `flush` in between.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.protocol.messages import (
    Dropped,
    Fetched,
    Finished,
    GaveBack,
    InputsMissing,
    Moved,
    NotCopied,
    ObjectsLost,
    Progressed,
    SessionEnded,
    Started,
    Stopped,
)
from rain.governor.core.effects import DropFromStore, ToServer
from rain.governor.core.records import State
from rain.governor.states import STARTED


def begun(state: State) -> list[tuple[ID, int]]:
    """The attempts that are to be told as running: what ended or came back in the same turn is not worth a word."""
    running = [
        (task.id, task.attempt)
        for task in state.started
        if task.phase in STARTED and task.seen_at is not None and not task.unwanted
    ]
    for piece, place in state.started_members:
        if piece.start <= place < piece.stop and piece.seen_place == place:
            running += piece.range.attempts(place, place + 1)
    return running


def flush(state: State) -> None:
    """Turn what was gathered into effects."""
    out = state.out
    if state.store_drops:
        out.append(DropFromStore(state.store_drops))
        state.store_drops = []
    if state.away:
        return
    if state.started or state.started_members:
        running = begun(state)
        if running:
            out.append(ToServer(Started(running)))
        state.started, state.started_members = [], []
    if state.progressed:
        told = [told for task, told in state.progressed.items() if task.phase in STARTED and not task.unwanted]
        if told:
            out.append(ToServer(Progressed(told)))
        state.progressed = {}
    if state.finished or state.finished_members:
        out.append(ToServer(Finished(state.finished, state.finished_members)))
        state.finished, state.finished_members = [], []
    if state.gave_back:
        out.extend([ToServer(GaveBack(given)) for given in state.gave_back])
        state.gave_back = []
    if state.lost or state.inputs_missing or state.not_copied:
        _flush_losses(state)
    if state.stopped:
        _flush_stopped(state)
    if state.dropped:
        out.append(ToServer(Dropped(list(state.dropped))))
        state.dropped = {}
    if state.fetched:
        out.append(ToServer(Fetched(list(state.fetched))))
        state.fetched = {}
    if state.moved:
        out.append(ToServer(Moved(list(state.moved.items()))))
        state.moved = {}
    if state.session_ends:
        out.extend([ToServer(SessionEnded(id)) for id in state.session_ends])
        state.session_ends = []


def _flush_stopped(state: State) -> None:
    """What cancelled attempts wrote goes along, in messages of a bounded size."""
    message, size = Stopped([], []), 0
    for attempt in state.stopped:
        message.tasks.append(attempt)
        wrote = state.stopped_outputs.pop(attempt, None)
        if wrote is not None:
            message.outputs.append(wrote)
            size += len(wrote.stdout) + len(wrote.stderr)
            if size > BATCH_BYTES_TARGET:
                state.out.append(ToServer(message))
                message, size = Stopped([], []), 0
    if message.tasks:
        state.out.append(ToServer(message))
    state.stopped = []


def _flush_losses(state: State) -> None:
    by_reason: dict[str, list[ID]] = {}
    for id, reason in state.lost.items():
        by_reason.setdefault(reason, []).append(id)
    for reason, ids in by_reason.items():
        state.out.append(ToServer(ObjectsLost(ids, reason)))
    for tasks, objects, reason in state.inputs_missing:
        state.out.append(ToServer(InputsMissing(tasks, objects, reason)))
    for id, reason in state.not_copied.items():
        state.out.append(ToServer(NotCopied([id], reason)))
    state.lost, state.not_copied = {}, {}
    state.inputs_missing = []
