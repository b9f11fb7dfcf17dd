"""Failed tasks: run again, where functions were redefined with these, or forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rain.client.core.operations.keeps import update
from rain.client.core.operations.submits import Encoder, replied_to, to_upload
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.requests import Request, ask, ask_in_pieces
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation, Upload
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import Forget

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore


class RetryEncoder(Encoder, Protocol):
    """What the shell knows of a retry."""

    def encode_retry(
        self,
        mirror: SessionMirror,
        tasks: list[ID] | None,
        new: list[ObjectRecord],
        functions: list[tuple[ID, ID]],
    ) -> Any:
        """The `Retry` message: which tasks, new constants that hold functions, and which tasks run which function."""


def retry(
    core: ClientCore,
    mirror: SessionMirror,
    named: list[TaskRecord] | None,
    failed: list[TaskRecord],
    renewed: list[tuple[TaskRecord, ID]],
    encoder: RetryEncoder,
) -> Operation[None]:
    """Run failed tasks again.

    Parameters
    ----------
    named : list of TaskRecord or None
        Which tasks; None: all.
    failed : list of TaskRecord
        All tasks that have failed: any of them may run again, if a named one needs it.
    renewed : list of (TaskRecord, ID)
        Tasks whose function was redefined, each with the constant that holds the present one.
    """
    chosen = None if named is None else [record.spec.id for record in named]
    wanted = {id.id for _, id in renewed}
    uploads = to_upload(_fresh(mirror, wanted))
    if uploads:
        yield Upload([record.value for record in uploads])
    yield _send(core, mirror, chosen, _fresh(mirror, wanted), renewed, encoder)
    yield from update(core, mirror, failed)
    for task, id in renewed:
        if not task.failed:  # it runs again
            task.spec.function = id


def _fresh(mirror: SessionMirror, wanted: set[int]) -> list[ObjectRecord]:
    """New functions that are sent with the request; until now they waited for the next submit."""
    return [r for r in list(mirror.pending) if isinstance(r, ObjectRecord) and r.spec.id.id in wanted]


def _send(
    core: ClientCore,
    mirror: SessionMirror,
    chosen: list[ID] | None,
    new: list[ObjectRecord],
    renewed: list[tuple[TaskRecord, ID]],
    encoder: RetryEncoder,
) -> Request:
    """Send the request with the functions that are new."""
    core.check()
    message = encoder.encode_retry(mirror, chosen, new, [(record.spec.id, id) for record, id in renewed])
    request = ask_in_pieces(core, [message], replied_to(core, mirror, new, encoder))
    for record in new:
        mirror.pending.remove(record)
    mirror.submitting(new)
    for record in new:
        if record.value is not None:
            record.value.hand_over()
    return request


def named_failed(
    core: ClientCore, mirror: SessionMirror, records: Sequence[Record], what: str
) -> Operation[list[TaskRecord]]:
    """The records of tasks that failed or were cancelled, perhaps only just now; see `_failed`."""
    yield from update(core, mirror, [r for r in records if r.state is not None and not r.settled])
    return [_failed(record, what) for record in records]


def _failed(record: Record, what: str) -> TaskRecord:
    """The record of a task (of an object: of its maker) that failed or was cancelled.

    Raises
    ------
    RainException
        If it did not, or was forgotten.
    """
    task = record.task if isinstance(record, ObjectRecord) else record
    if task is None or not task.failed:
        raise RainException(f"{record!r} cannot be {what}: it did not fail")
    if task.forgotten:
        raise RainException(
            f"{record!r} cannot be {what}: it was forgotten, and what was held for it was let go; make and submit it "
            "anew"
        )
    return task


def forget(core: ClientCore, mirror: SessionMirror, records: Sequence[Record] | None) -> Operation[None]:
    """Let go what is held for a retry of these failed tasks; None: of all."""
    ids = None
    if records is not None:
        named = yield from named_failed(core, mirror, records, "forgotten")
        ids = [record.spec.id for record in named]
    failed = list(mirror.failed.values())
    yield ask(core, Forget(0, mirror.session_id, ids))
    yield from update(core, mirror, failed)
