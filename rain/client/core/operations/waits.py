"""Operations that wait for records: until all are settled, until one is, until nothing is left to do.

Each looks at the records, and if it has to wait arms a gate; when the gate opens, it looks again. So what opened the
gate does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rain.client.core.errors import TaskFailed
from rain.client.core.families.family import Family
from rain.client.core.gates import AnyGate, Gate
from rain.client.core.records import ObjectRecord, Record, TaskRecord, target
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation
from rain.common.errors import RainException
from rain.common.state_styles import NOT_RUN


def not_submitted(mirror: SessionMirror, record: Record) -> RainException:
    """The error for an item that the server does not know."""
    reason = mirror.refusals.get(record.spec.id.id)
    if reason is not None:
        return RainException(f"{record!r} was not taken by the server: {reason}")
    return RainException(f"{record!r} was not submitted: call session.submit() first")


def wait(mirror: SessionMirror, records: Sequence[Record | Family]) -> Operation[None]:
    """Wait until all records, and all members of families among them, are finished, or one has failed.

    Raises
    ------
    TaskFailed
    SessionEnded
    RainException
        If one was not submitted, or is lost.
    TimeoutError
        When one is thrown in; its text says how many items are not finished.
    """
    while True:
        mirror.check_open()
        missing: dict[Record | Family, None] = {}
        for record in _looked_at(mirror, records, missing):
            if record.state is None:
                raise not_submitted(mirror, record)
            if not record.settled:
                missing[target(record)] = None
            else:
                _raise_failed(mirror, record)
        if not missing:
            mirror.waited()
            return
        gate = Gate(list(missing))
        mirror.arm(gate)
        try:
            yield gate
        except TimeoutError as error:
            items = sum([record.count if isinstance(record, Family) else 1 for record in records])
            raise TimeoutError(f"{gate.unsettled} of {items} items are not finished: {error}") from None
        finally:
            mirror.disarm(gate)


def _looked_at(
    mirror: SessionMirror, records: Sequence[Record | Family], missing: dict[Record | Family, None]
) -> Iterator[Record]:
    """The records at which `wait` has to look; families with members that are not settled are put into `missing`."""
    for record in records:
        if not isinstance(record, Family):
            yield record
        elif not record.submitted:
            yield mirror.records.take(record, 0)
        else:
            if record.left:
                missing[record] = None
            yield from list(record.taken.values())


def wait_some(mirror: SessionMirror, records: Sequence[Record]) -> Operation[list[Record]]:
    """Wait until at least one record is finished; gives those that are. Raises like `wait`."""
    while True:
        mirror.check_open()
        done = []
        for record in records:
            if record.state is None:
                raise not_submitted(mirror, record)
            if record.settled:
                _raise_failed(mirror, record)
                done.append(record)
        if done or not records:
            return done
        gate = AnyGate(list(dict.fromkeys(map(target, records))))
        mirror.arm(gate)
        try:
            yield gate
        except TimeoutError as error:
            raise TimeoutError(f"none of {len(records)} items is finished: {error}") from None
        finally:
            mirror.disarm(gate)


def wait_all(mirror: SessionMirror, raise_on_failure: bool) -> Operation[list[TaskRecord]]:
    """Wait until all submitted tasks are settled, or (`raise_on_failure`) one has failed that no call has told of.

    Gives the tasks that failed or were cancelled. Raises like `wait`.
    """
    while True:
        mirror.check_open()
        untold = _untold(mirror) if raise_on_failure else []
        if untold:
            mirror.untold.clear()
            root = mirror.root_of(untold[0])
            not_run = sum(record.shown == NOT_RUN for record in untold)
            others = sum(record is not root and record.shown != NOT_RUN for record in untold)
            raise TaskFailed(mirror, root, others, not_run)
        if mirror.unfinished == 0:
            mirror.untold.clear()
            mirror.waited()
            return list(mirror.failed.values())
        gate = Gate([])
        mirror.arm_idle(gate, raise_on_failure)
        try:
            yield gate
        except TimeoutError as error:
            tasks = mirror.submitted - mirror.wave.before
            raise TimeoutError(f"{mirror.unfinished} of {tasks} tasks are not finished: {error}") from None
        finally:
            mirror.disarm(gate)


def _raise_failed(mirror: SessionMirror, record: Record) -> None:
    """Raise if the record failed."""
    if isinstance(record, ObjectRecord):
        if not record.failed:
            return
        if record.task is None:
            raise RainException(f"{record!r} is lost")
        record = record.task
    if record.failed:
        for told in (record, mirror.root_of(record)):
            mirror.untold.pop(told.spec.id.id, None)
        raise TaskFailed(mirror, record)


def _untold(mirror: SessionMirror) -> list[TaskRecord]:
    """The failed tasks of which no call has told, nor of the task because of which they failed."""
    untold = mirror.untold
    for record in list(untold.values()):
        root = mirror.root_of(record)
        if root is not record and root.failed and root.spec.id.id not in untold:
            del untold[record.spec.id.id]
    return list(untold.values())
