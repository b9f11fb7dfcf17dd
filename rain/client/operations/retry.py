"""Failed tasks at the client, as operations: `retry` with the functions as they are now, and `forget`."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rain.client.core.session_mirror import ObjectRecord, TaskRecord
from rain.client.functions.function import FUNCTION, function_constant, present
from rain.client.operations import submit as submitting
from rain.client.operations.operation import Operation, uninterrupted
from rain.client.operations.session_operations import Item, client_of, items_of, refused, update
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import Forget, Retry

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.session import Session


def retry(session: Session, items: Any) -> Operation[None]:
    """Run failed tasks again."""
    client = client_of(session)
    named = None
    if items is not None:
        named = yield from _named_failed(session, items, "retried")
    failed = list(session._mirror.failed.values())
    chosen = None if named is None else [record.spec.id for record in named]
    if not failed:
        return
    renewed = _present_functions(session, failed, named)
    wanted = {id.id for _, id in renewed}

    def fresh() -> list[ObjectRecord]:
        # New functions go with the request; until now they wait for the next submit.
        return [r for r in session._mirror.pending if isinstance(r, ObjectRecord) and r.spec.id.id in wanted]

    yield from submitting.upload(client, [r.value for r in submitting.to_upload(fresh()) if r.value is not None])
    with session._lock:  # until it is sent: a submit that comes in between could use the functions
        future = _send_retry(session, client, chosen, fresh(), renewed)
    yield future
    yield from update(session, [session._task(record) for record in failed])
    for task, id in renewed:
        if not task.failed:  # it is among those that run again
            task.spec.function = id


def _send_retry(
    session: Session,
    client: Client,
    chosen: list[ID] | None,
    new: list[ObjectRecord],
    renewed: list[tuple[TaskRecord, ID]],
) -> Future[Any]:
    """Send the request with the functions that are new; under the session's lock."""
    mirror = session._mirror

    def answered(error: RainException | None) -> None:
        if error is None:
            with session._lock:
                opened = mirror.accepted(new)
            session._wake(opened)
        else:
            session._surroundings.refused()
            refused(session, new, error)

    specs, constants = [record.spec for record in new], [submitting.constant_of(record) for record in new]
    functions = [(record.spec.id, id) for record, id in renewed]
    env, modules = submitting.surroundings(session)
    messages: list[Any] = []
    future = client._request(
        lambda request: messages.append(
            Retry(request, session.session_id, chosen, specs, constants, functions, env, modules)
        ),
        answered,
    )
    with uninterrupted():  # what is marked as sent must be sent
        for record in new:
            mirror.pending.remove(record)
        mirror.submitting(new)
        for record in new:
            if record.value is not None:
                record.value.hand_over()
        client._link.send(messages)
    return future


def _named_failed(session: Session, items: Any, what: str) -> Operation[list[TaskRecord]]:
    """The records of tasks that failed or were cancelled, perhaps only just now; see `_failed`."""
    listed = items_of(session, items)
    doubtful = [item for item in listed if item._record.state is not None and not item._record.settled]
    yield from update(session, doubtful)
    return [_failed(session, item, what) for item in listed]


def _failed(session: Session, item: Item, what: str) -> TaskRecord:
    """The record of a task (of an object: of its maker) that failed or was cancelled.

    Raises
    ------
    RainException
        If it did not, or was forgotten.
    """
    record = item._record
    task = record.task if isinstance(record, ObjectRecord) else record
    if task is None or not task.failed:
        raise RainException(f"{item!r} cannot be {what}: it did not fail")
    if task.forgotten:
        raise RainException(
            f"{item!r} cannot be {what}: it was forgotten, and what was held for it was let go; make and submit it anew"
        )
    return task


def _present_functions(
    session: Session, failed: list[TaskRecord], named: list[TaskRecord] | None
) -> list[tuple[TaskRecord, ID]]:
    """Tasks whose function is another one now, and the object that holds it."""
    payloads: dict[tuple[str, Any], Any] = {}
    renewed = []
    for record in failed:
        if record.spec.function is None:
            continue
        holder: Any = session._mirror.records.get(record.spec.function.id)
        path = holder.spec.user.get(FUNCTION, "") if holder is not None else ""
        key = (path, record.source)
        if key not in payloads:
            source = present(path, record.source)
            payloads[key] = None if source is None else source.payload(session)
        payload = payloads[key]
        if payload is None:
            continue
        inputs = {item.id for item in record.spec.inputs}
        strange = [obj for obj in payload.objects if obj.id not in inputs]
        if not strange:
            id = function_constant(session, payload)
            if id != record.spec.function:
                renewed.append((record, id))
        elif named is None or record in named:
            raise RainException(
                f"{session._task(record)!r} cannot be retried: its function now uses {strange[0]!r}, which is not "
                "among its inputs; submit it as a new task"
            )
    return renewed


def forget(session: Session, items: Any) -> Operation[None]:
    """Let go what is held for a retry."""
    ids = None
    if items is not None:
        named = yield from _named_failed(session, items, "forgotten")
        ids = [record.spec.id for record in named]
    failed = list(session._mirror.failed.values())
    yield client_of(session)._ask(lambda request: Forget(request, session.session_id, ids))
    yield from update(session, [session._task(record) for record in failed])
