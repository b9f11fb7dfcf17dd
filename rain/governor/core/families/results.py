"""Results of members: passed on to the server in columns, or as those of tasks where the governor needs one alone."""

from __future__ import annotations

from collections.abc import Iterator

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.columns import counts, floats, floats_of
from rain.common.protocol.families import part_of, results
from rain.common.protocol.messages import FamilyResults, MemberResult, OutputColumn, TaskResult
from rain.governor.core import previews
from rain.governor.core.effects import PutInStore
from rain.governor.core.families.members import advance, cut, find_in, materialise
from rain.governor.core.families.ranges import Piece, Range
from rain.governor.core.records import Executor, State, Task

OVERHEAD_S = 50e-6
"""Seconds that a task occupies an executor beside running its own code, where that cannot be measured."""


def take(state: State, executor: Executor, told: FamilyResults) -> Iterator[tuple[Task, TaskResult]]:
    """Take results of members from an executor; returns those of members that are, or become, tasks of their own."""
    session_id, number = told.first
    count = len(told.durations) // 8
    if session_id != executor.session.id:
        return
    done = 0
    while done < count:
        item, place = _holder(executor, ID(session_id, number + done * told.stride), told)
        if isinstance(item, Piece):
            cut(item, place)
            piece = item if place == item.start else executor.queue[item.number_of(place)]
            assert isinstance(piece, Piece)
            ended = _piece_ended(state, piece, told, done)
            done += ended
            if ended:
                continue
            item = materialise(state, piece.range, piece.start)
        if item is not None:
            yield item, _single(state, told, done)
        done += 1


def of_member(executor: Executor, result: MemberResult) -> FamilyResults | None:
    """The result of a member that an executor had not sent when it died; None if the member is not known here."""
    item = find_in(executor, result.number)
    if item is None:
        return None
    if isinstance(item, Piece):
        owner = item.range
        first, stride, attempt = owner.member_id(item.place_of(result.number)), owner.stride, owner.attempt
    else:
        first, stride, attempt = item.id, len(item.assignment.outputs) + 1, item.attempt
    if not len(result.data) == len(result.checksums) == len(result.infos) == stride - 1:
        return None
    columns = [
        OutputColumn(info, [data], counts([checksum]))
        for info, data, checksum in zip(result.infos, result.data, result.checksums, strict=True)
    ]
    return FamilyResults(first, stride, attempt, floats([result.start_time]), floats([result.duration]), columns)


def _holder(executor: Executor, id: ID, told: FamilyResults) -> tuple[Task | Piece | None, int]:
    """The piece in an executor's queue that has a member, and its place there; or the task that it has become."""
    for item in executor.queue.values():
        if isinstance(item, Piece):
            owner = item.range
            if owner.attempt == told.attempt and owner.stride == told.stride == len(told.outputs) + 1:
                place = owner.place_of(id[1])
                if item.start <= place < item.stop:
                    return item, place
        elif item.id == id and item.attempt == told.attempt:
            return item, 0
    return None, 0


def _piece_ended(state: State, piece: Piece, told: FamilyResults, done: int) -> int:
    """Take results of the first members of a piece, from place `done` of `told`; returns how many were taken before one
    that has to be a task of its own."""
    owner = piece.range
    count = min(len(told.durations) // 8 - done, piece.count)
    durations = floats_of(told.durations[8 * done : 8 * (done + count)])
    alone = _looked_at(state, owner, piece.start, count, max(durations))
    if alone >= 0:
        count = alone
    if not count:
        return 0
    part = told if count == len(told.durations) // 8 else part_of(told, done, done + count)
    owner.estimate.add(_cost(part), count)
    state.finished_members.append(part)
    advance(state, piece, count)
    return count


def _looked_at(state: State, owner: Range, start: int, count: int, longest: float) -> int:
    """The first of these members that has to be a task of its own; -1 if none has to. It has to if a task here waits
    for an output of it or has one of an earlier attempt, if its inputs were fetched, or if a preview is to be made."""
    session, assignment = owner.session, owner.assignment
    if owner.transfers is not None or (assignment.kept and previews.worthwhile(session.tasks_seen, longest)):
        return 0
    first, stride = owner.member_id(start)[1], owner.stride
    if len(session.objects) > count * stride:
        known = [
            number
            for number in range(first, first + count * stride)
            if (number - first) % stride and ID(session.id, number) in session.objects
        ]
    else:
        end = first + count * stride
        known = [number for _, number in session.objects if first < number < end and (number - first) % stride]
    return (min(known) - first) // stride if known else -1


def _cost(part: FamilyResults) -> float:
    """Mean seconds for which each of these members occupied its executor, the time between two starts included."""
    starts, durations = floats_of(part.start_times), floats_of(part.durations)
    count, own = len(starts), sum(durations)
    whole = starts[-1] - starts[0] + durations[-1]
    if count > 1 and own <= whole < 10 * own + 1.0:
        return whole / count
    return own / count + OVERHEAD_S


def _single(state: State, told: FamilyResults, place: int) -> TaskResult:
    """The result of one member as that of a task, whose outputs the governor holds from now on."""
    (result,) = results(part_of(told, place, place + 1))
    result.info.governor = state.governor_id
    return result


def hold(state: State, task: Task, result: TaskResult) -> None:
    """Put the outputs of a task that was a member into the store."""
    for spec, output in zip(task.assignment.outputs, result.outputs, strict=True):
        if isinstance(output.location, Inline):
            state.out.append(PutInStore(spec, output.location))
