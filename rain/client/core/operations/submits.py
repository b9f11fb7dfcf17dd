"""Submits: the new records are checked and sent together, and accepted or refused together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rain.client.core.errors import ValueGone
from rain.client.core.families.family import Family
from rain.client.core.gates import Gate
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.requests import Request, ask_in_pieces
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation, Upload
from rain.common.attributes import check_size_hint, check_user
from rain.common.errors import RainException
from rain.common.limits import INLINE_BYTES_MAX, KIB, MIB
from rain.common.task_configs import PYTHON

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore

INLINE_TOTAL_BYTES = 32 * MIB
"""Small constants of one submit beyond this are sent as files as well, if they have at least `FILE_BYTES_MIN`."""
FILE_BYTES_MIN = 4 * KIB


class Encoder(Protocol):
    """What the shell knows of a submit: how records become messages, with paths and modules of this process."""

    def encode(self, mirror: SessionMirror, cut: Sequence[Record | Family]) -> list[Any]:
        """The messages that submit these records and families."""

    def refused(self) -> None:
        """The server did not take what was encoded last."""

    def describe(self, record: TaskRecord) -> str:
        """Where a task was made, for texts."""


def submit(core: ClientCore, mirror: SessionMirror, encoder: Encoder) -> Operation[None]:
    """Send what is new and wait until the server has taken it."""
    sent = yield from send(core, mirror, encoder)
    if sent is not None:
        yield sent


def send(core: ClientCore, mirror: SessionMirror, encoder: Encoder) -> Operation[Request | None]:
    """Send what is new; gives the request, None if nothing was new."""
    while True:
        mirror.check_open()
        uploads = to_upload([record for record in list(mirror.pending) if not isinstance(record, Family)])
        if not uploads:
            return send_cut(core, mirror, encoder)
        try:
            yield Upload([record.value for record in uploads])
        except ValueGone as error:
            pending = list(mirror.pending)
            _cut_off(mirror, pending)
            _give_up(mirror, records_of(mirror, pending), str(error))
            raise


def send_cut(core: ClientCore, mirror: SessionMirror, encoder: Encoder) -> Request | None:
    """Send all pending records."""
    pending = list(mirror.pending)
    if not pending:
        return None
    cut: Sequence[Record | Family] = _looked_at(mirror, pending)
    try:
        cut = check(mirror, cut, encoder.describe)
    except RainException as error:
        _cut_off(mirror, pending)
        _give_up(mirror, records_of(mirror, cut), str(error))
        raise
    core.check()
    request = ask_in_pieces(core, encoder.encode(mirror, cut), replied_to(core, mirror, cut, encoder))
    _cut_off(mirror, pending)
    mirror.submitting(cut)
    for record in cut:
        if isinstance(record, TaskRecord):
            record.pins = None
        elif isinstance(record, ObjectRecord) and record.value is not None:
            record.value.hand_over()
    return request


def _looked_at(mirror: SessionMirror, pending: Sequence[Record | Family]) -> list[Record | Family]:
    """What is pending, with records in the place of families of whose members some have records: they may have been
    changed, and others may use what they make."""
    found: list[Record | Family] = []
    for record in pending:
        if isinstance(record, Family) and (record.taken or mirror.adopted):
            found += mirror.records.take_all(record)
        else:
            found.append(record)
    return found


def records_of(mirror: SessionMirror, cut: Sequence[Record | Family]) -> list[Record]:
    """The records of all that was cut."""
    found: list[Record] = []
    for record in cut:
        if isinstance(record, Family):
            found += mirror.records.take_all(record)
        else:
            found.append(record)
    return found


def _cut_off(mirror: SessionMirror, pending: Sequence[Record | Family]) -> None:
    """Take these off the pending ones; those that other threads have made since stay."""
    for _ in range(len(pending)):
        mirror.pending.popleft()


def replied_to(
    core: ClientCore, mirror: SessionMirror, cut: Sequence[Record | Family], encoder: Encoder
) -> Callable[[Any, RainException | None], None]:
    """What to do when the server replies to the request with which these records were sent."""

    def replied(reply: Any, error: RainException | None) -> None:
        if error is None:
            for gate in mirror.accepted([record for record in cut if isinstance(record, ObjectRecord)]):
                core.over(gate)
        else:
            encoder.refused()
            refused(core, mirror, records_of(mirror, cut), error)

    return replied


def refused(core: ClientCore, mirror: SessionMirror, cut: Sequence[Record], error: RainException) -> None:
    """The server refused these records: operations that wait for them raise its reason."""
    mirror.refused(cut)
    gates: dict[Gate, None] = {}
    for record in cut:
        gates.update(dict.fromkeys(record.gates or ()))
    if mirror.unfinished == 0:
        gates.update(dict.fromkeys(gate for gate, _ in mirror.idle_gates))
    _give_up(mirror, cut, str(error))
    for gate in gates:
        core.over(gate, None, type(error)(str(error)))


def _give_up(mirror: SessionMirror, cut: Iterable[Record], reason: str) -> None:
    """These will never be submitted."""
    for record in cut:
        mirror.refusals[record.spec.id.id] = reason
        if isinstance(record, TaskRecord):
            for output in record.outputs:
                mirror.refusals[output.spec.id.id] = reason
            record.pins = None
        elif record.hidden:
            for digest, function in list(mirror.functions.items()):
                if function is record:
                    del mirror.functions[digest]


def to_upload(records: Iterable[Record]) -> list[ObjectRecord]:
    """The constants among `records` that are to be sent as files and are not files yet."""
    found = []
    total = 0
    for record in records:
        if isinstance(record, TaskRecord) or record.value is None or record.value.name:
            continue
        size = record.value.size
        if size <= INLINE_BYTES_MAX:
            total += size
            if total <= INLINE_TOTAL_BYTES or size < FILE_BYTES_MIN:
                continue
        found.append(record)
    return found


# -- checks ----------------------------------------------------------------------------------------


def check(
    mirror: SessionMirror, records: Sequence[Record | Family], describe: Callable[[TaskRecord], str]
) -> Sequence[Record | Family]:
    """The records and families, in an order in which inputs precede the tasks that use them. Families have none; there
    are none where an order has to be found.

    Raises
    ------
    RainException
        If a task uses an object that is gone or that no task makes, or tasks wait for each other in a circle.
    """
    known = mirror.records
    for record in records:
        if isinstance(record, TaskRecord):
            if record.spec.task_type != PYTHON:
                _check_type(record, describe)
            for item in record.spec.inputs:
                used: Any = known[item.id.id]
                if used.state is not None and not used.kept and used.task is not None:
                    raise RainException(
                        f"{record!r} uses {used!r}, which was submitted before "
                        "and is not kept, so its data may be gone; keep() objects that later submits use"
                    )
                if used.task is None and used.value is None and used.state is None:
                    raise RainException(
                        f"{record!r} uses {used!r}, which nothing makes: "
                        "it is neither a constant nor the output of a task"
                    )
            if record.spec.user:
                record.spec.user = check_user(record.spec.user, f"spec.user of {record!r}")
            for output in record.outputs:
                _check_object(output)
        elif isinstance(record, ObjectRecord):
            _check_object(record)
    if not mirror.adopted:
        return records
    return in_order(mirror, [record for record in records if not isinstance(record, Family)])


def _check_type(record: TaskRecord, describe: Callable[[TaskRecord], str]) -> None:
    executor, slash, method = str(record.spec.task_type).partition("/")
    if not (executor and slash and method):
        raise RainException(
            f"{record!r}, made at {describe(record)}, has the type {record.spec.task_type!r}; a "
            "task type is of the form 'executor/method'"
        )


def _check_object(record: ObjectRecord) -> None:
    """Check the fields that the user may have set since the object was made."""
    spec = record.spec
    if spec.user:
        spec.user = check_user(spec.user, f"spec.user of {record!r}")
    if spec.size_hint is not None:
        spec.size_hint = check_size_hint(spec.size_hint, repr(record))


def in_order(mirror: SessionMirror, records: Sequence[Record]) -> list[Record]:
    """The records sorted so that inputs precede the tasks that use them; needed if outputs were made before their
    tasks.

    Raises
    ------
    RainException
        If tasks wait for each other in a circle.
    """
    known = mirror.records
    new = {record.spec.id.id for record in records}
    done: set[int] = set()
    ordered: list[Record] = []
    for first in records:
        path: list[tuple[Record, Iterator[int]]] = []
        entered: set[int] = set()
        todo: Record | None = first
        while todo is not None or path:
            if todo is not None:
                number = todo.spec.id.id
                if number in done:
                    todo = None
                    continue
                if number in entered:
                    raise RainException(_circle([record for record, _ in path], todo))
                entered.add(number)
                path.append((todo, _needs(known, todo)))
                todo = None
                continue
            record, needs = path[-1]
            need = next((number for number in needs if number in new), None)
            if need is not None:
                todo = known[need]
                continue
            path.pop()
            done.add(record.spec.id.id)
            ordered.append(record)
    return ordered


def _needs(known: dict[int, Record], record: Record) -> Iterator[int]:
    """Numbers of the pending records that must precede `record`."""
    if isinstance(record, TaskRecord):
        for item in record.spec.inputs:
            used: Any = known[item.id.id]
            yield (used if used.task is None else used.task).spec.id.id
        if record.spec.function is not None:
            yield record.spec.function.id


def _circle(path: list[Record], again: Record) -> str:
    start = next(index for index, record in enumerate(path) if record is again)
    names = [repr(record) for record in (*path[start:], again) if isinstance(record, TaskRecord)]
    return "tasks wait for each other in a circle: " + " needs ".join(names)
