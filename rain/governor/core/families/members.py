"""Members of families: how they arrive, how one becomes a task of its own, how they come back from an executor."""

from __future__ import annotations

from math import inf

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import EXECUTOR_START_S
from rain.common.protocol.families import assignments, member_outputs, member_spec
from rain.common.protocol.messages import FamilyAssignment, TaskAssignment
from rain.governor.core.families.leaving import left
from rain.governor.core.families.ranges import BUCKET, Piece, Range
from rain.governor.core.objects import make_ready
from rain.governor.core.records import Executor, Session, State, Task
from rain.governor.core.tasks import estimate_of, group_of, impossible, use
from rain.governor.states import Phase, Presence


def covers_any(session: Session, family: FamilyAssignment) -> bool:
    """Whether the governor may have some of the family's members already."""
    session_id, first = family.spec.id
    stride = len(family.outputs) + 1
    last = first + (len(family.args) - 1) * stride
    numbers = range(first, last + 1, stride)
    tasks = session.tasks
    if tasks and any(ID(session_id, number) in tasks for number in numbers):
        return True
    found: dict[Range, None] = {}
    for bucket in range(first // BUCKET, last // BUCKET + 1):
        found.update(dict.fromkeys(session.ranges.get(bucket, ())))
    return any(owner.place_of(number) >= 0 for owner in found for number in numbers)


def add(state: State, session: Session, family: FamilyAssignment) -> None:
    """Take members that the server assigns; those that can never run here are answered as failed."""
    try:
        group = group_of(state, session, family.spec)
    except RainException as error:
        for assignment in assignments(family):
            state.finished.append(impossible(state, assignment, error))
        return
    state.arrivals += 1
    owner = Range(family, session, group, estimate_of(session, family.spec), state.arrivals)
    for bucket in owner.buckets():
        session.ranges.setdefault(bucket, []).append(owner)
    session.tasks_seen += owner.count
    for entry in family.spec.inputs:
        use(state, owner, entry.id)
    if family.spec.function is not None:
        owner.function = use(state, owner, family.spec.function)
    if not owner.missing:
        make_ready(state, owner)


def find(session: Session, id: ID, attempt: int | None = None) -> tuple[Range, int] | None:
    """The range that a member is in, and its place there."""
    for owner in session.ranges.get(id[1] // BUCKET, ()):
        place = owner.place_of(id[1])
        if place >= 0 and attempt in (None, owner.attempt) and (_in_rest(owner, place) or piece_of(owner, place)):
            return owner, place
    return None


def _in_rest(owner: Range, place: int) -> bool:
    return any(start <= place < stop for start, stop in owner.rest)


def piece_of(owner: Range, place: int) -> Piece | None:
    """The piece of a range that a member is in."""
    for piece in owner.pieces:
        if piece.start <= place < piece.stop:
            return piece
    return None


# -- one becomes a task of its own ----------------------------------------------------------------


def materialise(state: State, owner: Range, place: int) -> Task:
    """Make a member a task of its own, in the range's rest or in an executor's queue."""
    family, session = owner.assignment, owner.session
    assignment = TaskAssignment(
        member_spec(family.spec, place, family.args[place]),
        owner.attempt,
        member_outputs(family.outputs, place),
        owner.rank_of(place),
        [],
        family.kept,
    )
    state.arrivals += 1
    task = Task(assignment, session, owner.group, owner.estimate, state.arrivals)
    task.transfers = owner.transfers
    session.tasks[task.id] = task
    for obj in owner.inputs:
        if owner.phase is Phase.WAITING:
            use(state, task, obj.id)
        else:  # what is in an executor does not wait for what was lost since
            obj.uses += 1
            task.inputs.append(obj)
    if owner.function is not None:
        task.function = owner.function
    piece = piece_of(owner, place)
    if piece is None:
        carved = owner.carve(place)
        assert carved
        if owner.phase is Phase.READY:
            owner.group.ready -= 1
        if not task.missing:
            make_ready(state, task)
    else:
        _queued(state, piece, place, task)
    left(state, owner, 1)
    return task


def _queued(state: State, piece: Piece, place: int, task: Task) -> None:
    """Put a task into the queue of its executor, in the place of the member that it was."""
    executor = piece.executor
    cut(piece, place + 1)
    one = cut(piece, place) or piece
    task.phase = Phase.READY
    task.phase = Phase.QUEUED
    if one.recalled:
        task.phase = Phase.RECALLED
    task.executor = executor
    task.number = one.number_of(place)
    task.cost = one.cost
    if one.seen_place == place:
        task.seen_at = one.seen_at
        state.started.append(task)
    one.range.pieces.remove(one)
    one.stop = one.start
    queue = executor.queue
    if one.key == task.number:
        queue[one.key] = task
    else:  # those before it have ended
        executor.queue = {task.number if key == one.key else key: item for key, item in queue.items()}
        executor.queue[task.number] = task


def cut(piece: Piece, place: int) -> Piece | None:
    """Divide a piece before one of its members; returns the part that begins with it, None if the piece ends before."""
    if not piece.start < place < piece.stop:
        return None
    executor = piece.executor
    behind = Piece(piece.range, place, piece.stop, piece.number_of(place), executor, piece.cost)
    behind.recalled = piece.recalled
    if piece.seen_place >= place:
        behind.seen_place, behind.seen_at = piece.seen_place, piece.seen_at
    piece.stop = place
    piece.range.pieces.append(behind)
    executor.queue[behind.key] = behind
    executor.queue = dict(sorted(executor.queue.items()))
    return behind


def up_until(executor: Executor) -> float:
    """When an executor that was started has taken too long to come up."""
    return inf if executor.started or not executor.group.own else executor.born_at + EXECUTOR_START_S


def seen_until(executor: Executor) -> float:
    """When the task that an executor is on has taken too long."""
    seen = find_in(executor, executor.seen)
    if isinstance(seen, Piece) and seen.seen_place != seen.place_of(executor.seen):
        return inf  # another one was seen
    return inf if seen is None else timeout_at(seen)


def timeout_at(task: Task | Piece) -> float:
    """When an attempt has taken too long."""
    timeout = task.range.timeout if isinstance(task, Piece) else task.timeout
    return inf if timeout is None or task.seen_at is None else task.seen_at + timeout


def find_in(executor: Executor, number: int) -> Task | Piece | None:
    """The task that an executor knows by a number, or the piece with that member."""
    item = executor.queue.get(number)
    if isinstance(item, Task):
        return item
    for piece in executor.queue.values():
        if isinstance(piece, Piece) and piece.place_of(number) >= 0:
            return piece
    return None


def materialised(state: State, executor: Executor, number: int) -> Task | None:
    """The task that an executor knows by this number, as a record of its own."""
    item = find_in(executor, number)
    if isinstance(item, Piece):
        return materialise(state, item.range, item.place_of(number))
    return item


def head_task(state: State, executor: Executor) -> Task | None:
    """The task that an executor runs, as far as is known, as a record of its own."""
    head = executor.head
    return materialise(state, head.range, head.start) if isinstance(head, Piece) else head


# -- leaving --------------------------------------------------------------------------------------


def advance(state: State, piece: Piece, count: int) -> None:
    """Take the first `count` members of a piece out of it: they have ended."""
    piece.start += count
    piece.executor.load -= piece.cost * count
    if piece.start == piece.stop:
        del piece.executor.queue[piece.key]
        piece.range.pieces.remove(piece)
    left(state, piece.range, count)


def come_back(state: State, piece: Piece) -> None:
    """Take back members that left their executor without having begun: into the rest of their range, or, if an input
    was lost meanwhile, to the server."""
    owner = piece.range
    del piece.executor.queue[piece.key]
    piece.executor.load -= piece.cost * piece.count
    owner.pieces.remove(piece)
    gone = [obj.id for obj in owner.inputs if obj.presence is not Presence.PRESENT]
    if gone:
        reason = f"governor {state.governor_id} lost them while the task was queued"
        state.inputs_missing.append((owner.attempts(piece.start, piece.stop), gone, reason))
        left(state, owner, piece.count)
        piece.stop = piece.start
        return
    owner.give(piece.start, piece.stop)
    if owner.phase is Phase.READY:
        owner.group.ready += piece.count
    else:
        make_ready(state, owner)
    piece.stop = piece.start


def recalled(state: State, executor: Executor, asked: list[int], given: set[int]) -> None:
    """An executor has given back members that it had not begun; those that it was asked for and kept, it runs."""
    for piece in [item for item in executor.queue.values() if isinstance(item, Piece)]:
        numbers = piece.numbers
        back = sorted(given.intersection(numbers)) if given else []
        if not back:
            if piece.recalled and not numbers[0] > max(asked, default=0):
                piece.recalled = False
            continue
        part: Piece | None = piece
        while part is not None and back:
            first = back[0]
            part = cut(part, part.place_of(first)) or part
            run = 1
            while run < len(back) and back[run] == first + run:
                run += 1
            behind = cut(part, part.place_of(first + run)) if first + run in part.numbers else None
            come_back(state, part)
            back, part = back[run:], behind
            if part is not None:
                part.recalled = False
        if piece in piece.range.pieces:
            piece.recalled = False
