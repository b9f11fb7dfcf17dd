"""Results of members of families that have no records of their own: taken for many consecutive members at once.

A result that does not fit the columns (of another attempt than the first, of a member with a record, with another
content type than the others) is left to `attempts`.
"""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol.columns import counts, floats_of
from rain.common.protocol.families import joined, part_of, results
from rain.common.protocol.messages import FamilyResults, FamilyUpdate, MemberRun, ObjectColumn, TaskResult
from rain.common.states import DataObjectState
from rain.server.core.effects import MembersFinished
from rain.server.core.objects import not_needed
from rain.server.core.state import State
from rain.server.records.family import AT, DONE, FREE, OWN, PAST, Members, TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.session import RELEASED_OBJECT, RELEASED_TASK, Session
from rain.server.states import FINISHED, READY


def ended(state: State, governor: Governor, families: list[FamilyResults]) -> list[TaskResult]:
    """Take results of runs of members; returns those that have to be taken one by one."""
    left: list[TaskResult] = []
    rest = joined(families)[::-1]
    while rest:
        told = rest.pop()
        session = state.graph.sessions.get(told.first[0])
        if session is None or session.over:
            continue
        found = session.families.find(told.first[1])
        if (
            found is not None
            and found[1] + len(told.durations) // 8 > found[0].count
            and told.stride == found[0].stride
        ):
            # The numbers of the next family follow.
            there = found[0].count - found[1]
            rest.append(part_of(told, there, len(told.durations) // 8))
            told = part_of(told, 0, there)
        left += _ended(state, session, governor, told)
    return left


def _ended(state: State, session: Session, governor: Governor, told: FamilyResults) -> list[TaskResult]:
    count = len(told.durations) // 8
    found = session.families.find(told.first[1])
    if found is None:
        return results(told)
    family, start, which = found
    stop = start + count
    slot = governor.shares.get(family, -1)
    if which or slot < 0 or told.attempt != 1 or not _fits(family, told, count) or stop > family.count:
        return results(told)
    code, states = AT + slot, family.states
    if states.startswith(bytes((code,)) * count, start):
        _commit(state, family, governor, start, told)
        return []
    left: list[TaskResult] = []
    place = start
    while place < stop:
        if states[place] == code:
            end = family.run(place, stop)
            _commit(state, family, governor, place, part_of(told, place - start, end - start))
        else:
            end = place + 1
            left += results(part_of(told, place - start, end - start))
        place = end
    return left


def _fits(family: TaskFamily, told: FamilyResults, count: int) -> bool:
    """Whether results are of this family, and their outputs fit its columns."""
    columns = told.outputs
    if told.stride != family.stride or len(columns) != len(family.outputs):
        return False
    if not count or len(told.durations) != 8 * count or len(told.start_times) != 8 * count:
        return False
    for column, info in zip(columns, family.infos, strict=True):
        if len(column.data) != count or len(column.checksums) != 8 * count:
            return False
        if info is not None and info != column.info:
            return False
    return True


def _commit(state: State, family: TaskFamily, governor: Governor, start: int, told: FamilyResults) -> None:
    """Finish members that are assigned to a governor, by the results of their first attempts."""
    if not family.unkept:
        _commit_run(state, family, governor, start, told, family.kept)
        return
    place, stop = start, start + len(told.durations) // 8
    while place < stop:
        end = family.unkept_run(place, stop)
        kept = () if family.unkept[place] else family.kept
        _commit_run(state, family, governor, place, part_of(told, place - start, end - start), kept)
        place = end


def _commit_run(
    state: State, family: TaskFamily, governor: Governor, start: int, told: FamilyResults, kept: tuple[int, ...]
) -> None:
    """Finish members whose outputs at the places `kept` are all kept."""
    session, first, stride = family.session, told.first[1], family.stride
    count = len(told.durations) // 8
    stop = start + count
    state.graph.unassign_members(family, governor, count)
    family.estimate.add_all(floats_of(told.durations))
    session.counts[id(READY)] -= count
    session.counts[id(FINISHED)] += count
    made: list[ObjectColumn] = []
    sizes = []
    session.release_run(first, stride, count, RELEASED_TASK)
    for at, column in enumerate(told.outputs):
        data = column.data
        its = counts(map(len, data))
        sizes.append(its)
        if at in kept:
            family.keep_data(at, start, data, column.checksums, column.info)
            made.append(ObjectColumn(DataObjectState.FINISHED, column.info, its, data, column.checksums))
        else:
            session.release_run(first + 1 + at, stride, count, RELEASED_OBJECT)
            made.append(ObjectColumn(DataObjectState.REMOVED, column.info, its))
    family.states[start:stop] = bytes((DONE if kept else PAST,)) * count
    family.args[start:stop] = [b""] * count
    for obj in family.inputs:
        obj.needs -= count
        if not obj.needed:
            not_needed(state, obj)
    times, durations = told.start_times, told.durations
    state.out.append(MembersFinished(governor.id, session.id, first, stride, times, durations, sizes))
    update = FamilyUpdate(told.first, stride, count, FINISHED, governor.id, 1, times, durations, made)
    state.family_updates.append((session, update))
    session.families.ended(family, count, bool(kept))


def unkeep(state: State, session: Session, run: MemberRun) -> tuple[list[int], list[int]]:
    """Keep the outputs of members no longer; gives the numbers of those that were kept, and those that have to be taken
    one by one."""
    unkept: list[int] = []
    left: list[int] = []
    number, stride = run.first[1], run.stride
    if run.first[0] != session.id or number < 1 or stride < 1:
        return unkept, left
    end = min(number + stride * run.count, session.last_number + 1)
    while number < end:
        found = session.families.find(number)
        if found is None or found[0].stride != 2 or stride != 2 or not found[2]:
            left.append(number)
            number += stride
            continue
        family, place, _ = found
        stop = family.run(place, min(family.count, place + (end - number + 1) // 2))
        numbers = range(number, number + 2 * (stop - place), 2)
        code = family.states[place]
        if code == DONE:
            unkept += numbers
            _drop(state, family, place, stop)
        elif code == FREE or code >= AT:
            unkept += [number + 2 * (one - place) for one in family.unkeep(place, stop)]
        elif code == OWN:
            left += numbers
        number = numbers.stop
    return unkept, left


def _drop(state: State, family: TaskFamily, start: int, stop: int) -> None:
    """Nobody needs what members made that have finished."""
    session, count = family.session, stop - start
    session.release_run(family.number(start) + 1, family.stride, count, RELEASED_OBJECT)
    session.families.drop(family, start, stop)
    removed = FamilyUpdate(family.member_id(start), family.stride, count, FINISHED)
    state.family_updates.append((session, removed))


def given_back(state: State, governor: Governor, attempts: list[tuple[ID, int]]) -> list[tuple[ID, int]]:
    """Make members ready again that their governor gave back unstarted; returns the attempts of all other tasks."""
    if not governor.shares:
        return attempts
    left = []
    places: dict[TaskFamily, list[int]] = {}
    for id, attempt in attempts:
        session = governor.sessions.get(id[0])
        found = None if session is None or session.over else session.families.find(id[1])
        if found is not None and attempt == 1 and not found[2]:
            family, place, _ = found
            if family.states[place] == AT + governor.shares.get(family, -1 - AT):
                places.setdefault(family, []).append(place)
                continue
        left.append((id, attempt))
    for family, those in places.items():
        for members in _runs(family, those):
            state.graph.unassign_members(family, governor, members.stop - members.start)
            family.states[members.start : members.stop] = bytes((FREE,)) * (members.stop - members.start)
            state.offer_members(members)
    return left


def _runs(family: TaskFamily, places: list[int]) -> list[Members]:
    """Places as runs of consecutive ones, each place once."""
    found: list[Members] = []
    for place in sorted(set(places)):
        if found and found[-1].stop == place:
            found[-1].stop += 1
        else:
            found.append(Members(family, place, place + 1))
    return found
