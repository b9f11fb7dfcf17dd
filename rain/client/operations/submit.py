"""From handles to messages: checks a cut of a session's graph, brings large constants to the server, and encodes all as
`Submit` messages."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.session_mirror import ObjectRecord, Record, TaskRecord
from rain.client.functions.call_sites import describe, told
from rain.client.functions.function import has_other_hosts
from rain.client.operations.operation import Operation
from rain.common.attributes import check_size_hint, check_user
from rain.common.errors import RainException
from rain.common.limits import INLINE_BYTES_MAX, KIB, MIB
from rain.common.protocol.messages import Constant, Submit
from rain.common.task_configs import PYTHON, ExecuteConfig, PyConfig

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.functions.call_sites import Site
    from rain.client.operations.constant_values import Value
    from rain.client.session import Session
    from rain.common.ids import ID
    from rain.common.protocol.messages import SessionEnv
    from rain.common.task_configs import UserModule

PIECE_BYTES = 1 * MIB
"""About how much goes into one `Submit`; the server decodes one while the next is encoded."""
INLINE_TOTAL_BYTES = 32 * MIB
"""Small constants of one submit beyond this travel as files as well, if they are worth one."""
FILE_BYTES_MIN = 4 * KIB
_TASK_BYTES = 160
_OBJECT_BYTES = 60


def check(session: Session, records: Sequence[Record]) -> Sequence[Record]:
    """The records, in an order in which inputs precede their users.

    Raises
    ------
    RainException
        If a task uses an object that is gone or that nobody makes, or tasks wait for each other in a circle.
    """
    known = session._mirror.records
    for record in records:
        if isinstance(record, TaskRecord):
            if record.spec.task_type != PYTHON:
                _check_type(session, record)
            for item in record.spec.inputs:
                used: Any = known[item.id.id]
                if used.state is not None and not used.kept and used.task is not None:
                    raise RainException(
                        f"{session._task(record)!r} uses {session._object(item.id.id)!r}, which was submitted before "
                        "and is not kept, so its data may be gone; keep() objects that later submits use"
                    )
                if used.task is None and used.value is None and used.state is None:
                    raise RainException(
                        f"{session._task(record)!r} uses {session._object(item.id.id)!r}, which nobody makes: "
                        "it is neither a constant nor the output of a task"
                    )
            if record.spec.user:
                check_user(record.spec.user, f"spec.user of {session._task(record)!r}")
            for output in record.outputs:
                _check_object(session, output)
        else:
            _check_object(session, record)
    return in_order(session, records) if session._adopted else records


def _check_type(session: Session, record: TaskRecord) -> None:
    executor, slash, method = str(record.spec.task_type).partition("/")
    if not (executor and slash and method):
        raise RainException(
            f"{session._task(record)!r}, made at {describe(record.made)}, has the type {record.spec.task_type!r}; a "
            "task type is of the form 'executor/method'"
        )


def _check_object(session: Session, record: ObjectRecord) -> None:
    """What may have been set since it was made."""
    spec = record.spec
    if spec.user:
        check_user(spec.user, f"spec.user of {session._object(spec.id.id)!r}")
    if spec.size_hint is not None:
        spec.size_hint = check_size_hint(spec.size_hint, repr(session._object(spec.id.id)))


def in_order(session: Session, records: Sequence[Record]) -> list[Record]:
    """The records sorted so that inputs precede their users; needed when outputs were made before their tasks.

    Raises
    ------
    RainException
        If there is a circle.
    """
    known = session._mirror.records
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
                    raise RainException(_circle(session, [record for record, _ in path], todo))
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


def _circle(session: Session, path: list[Record], again: Record) -> str:
    start = next(index for index, record in enumerate(path) if record is again)
    names = [repr(session._task(record)) for record in (*path[start:], again) if isinstance(record, TaskRecord)]
    return "tasks wait for each other in a circle: " + " needs ".join(names)


def to_upload(records: Sequence[Record]) -> list[ObjectRecord]:
    """Constants that travel as files and are not files yet."""
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


def surroundings(session: Session) -> tuple[SessionEnv | None, list[UserModule]]:
    """The client's paths if they have changed, and the modules that the server does not hold."""
    found = session._surroundings
    return found.environment(), found.modules() if has_other_hosts(session) else []


def encode(
    request: int,
    session_id: int,
    records: Sequence[Record],
    with_sites: bool = False,
    env: SessionEnv | None = None,
    modules: Sequence[UserModule] = (),
) -> list[Submit]:
    """The messages that submit `records`; all but the last say that more comes. `with_sites`: and where tasks were
    made."""
    pieces: list[Submit] = []
    for module in modules:
        pieces.append(Submit(request, session_id, [], [], [], [], True, [], [], None, [module]))
    piece = Submit(request, session_id, [], [], [], [], False, [], [], env)
    tasks, objects, constants, keep = piece.tasks, piece.objects, piece.constants, piece.keep
    size = 0
    for record in records:
        if size > PIECE_BYTES:
            piece.more = True
            pieces.append(piece)
            piece = Submit(request, session_id, [], [], [], [], False, [], [])
            tasks, objects, constants, keep = piece.tasks, piece.objects, piece.constants, piece.keep
            size = 0
        if isinstance(record, TaskRecord):
            spec = record.spec
            config = spec.config
            tasks.append(spec)
            size += _TASK_BYTES + (len(config.args) if type(config) is PyConfig else _config_bytes(config))
            for output in record.outputs:
                objects.append(output.spec)
                size += _OBJECT_BYTES
                if output.kept:
                    keep.append(output.spec.id)
        else:
            objects.append(record.spec)
            constant = constant_of(record)
            constants.append(constant)
            size += _OBJECT_BYTES + len(constant.data or b"")
            if record.kept:
                keep.append(record.spec.id)
    pieces.append(piece)
    if with_sites:
        _add_sites(pieces, {record.spec.id: record.made for record in records if isinstance(record, TaskRecord)})
    return pieces


def _add_sites(pieces: list[Submit], made: dict[ID, Site]) -> None:
    texts: dict[int, tuple[str, str]] = {}  # tasks of one loop share one site
    for piece in pieces:
        places: dict[tuple[str, str], int] = {}
        for spec in piece.tasks:
            site = made[spec.id]
            text = texts.get(id(site))
            if text is None:
                text = texts[id(site)] = told(site)
            piece.made.append(places.setdefault(text, len(places)))
        piece.sites.extend(places)


def upload(client: Client, values: list[Value]) -> Operation[None]:
    """Bring large constants to the server's host."""
    for value in values:
        if value.name:
            continue
        if client._incoming:
            yield client._link.in_thread(functools.partial(value.put_down, client))
        else:
            yield client._link.call(_put(client, value))


async def _put(client: Client, value: Value) -> None:
    """Send a large constant to a server on another host."""
    from rain.client.operations.constant_values import new_name
    from rain.net.transfer import put_pieces
    from rain.net.transport import open_data

    credentials = client._link.credentials  # type: ignore[attr-defined]
    connection = await open_data(client._link.welcome.data or client._address, credentials)
    try:
        name = new_name()
        value.checksum = await put_pieces(
            connection, name, value.size, [value.view()], client._link.welcome.conversation
        )
        value.name = name
    finally:
        connection.close()


def constant_of(record: ObjectRecord) -> Constant:
    """What a constant's value is in a message."""
    value = record.value
    assert value is not None
    content_size = None if value.content_size == value.size else value.content_size
    if value.name:
        return Constant(
            record.spec.id,
            value.size,
            None,
            value.name,
            value.checksum,
            content_size=content_size,
            passing=record.passing,
        )
    return Constant(record.spec.id, value.size, value.data, content_size=content_size, passing=record.passing)


def _config_bytes(config: Any) -> int:
    if config is None:
        return 0
    if type(config) is ExecuteConfig:
        return sum(map(len, config.args)) + 40 * (len(config.inputs) + len(config.outputs))
    return len(msgspec.msgpack.encode(config))
