"""Where finished objects are, as the server knows it; lost ones are waited for while they are made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rain.client.core.operations.keeps import update
from rain.client.core.operations.waits import not_submitted, wait
from rain.client.core.records import ObjectRecord
from rain.client.core.requests import ask
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import Locate, Located, ObjectData
from rain.common.states import DataObjectState

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore

IsHere = Callable[[ObjectRecord], bool]
"""Whether the bytes of an object are in this process, so that the server need not be asked."""


def fetch(core: ClientCore, mirror: SessionMirror, records: Sequence[ObjectRecord], is_here: IsHere) -> Operation[None]:
    """Wait for kept objects, then make sure that their bytes or places are known.

    Raises
    ------
    RainException
        If one is not kept, was not submitted, or is gone.
    TaskFailed
        If one cannot come because a task failed.
    """
    for record in records:
        if record.state is None:
            raise not_submitted(mirror, record)
        if not record.kept:
            raise RainException(
                f"{record!r} cannot be fetched because it is not kept: call its keep() (best before submit) "
                "so that its data stay until you have them"
            )
    yield from wait(mirror, records)
    yield from locate(core, mirror, [record for record in records if record.location is None and not is_here(record)])


def peek(core: ClientCore, mirror: SessionMirror, record: ObjectRecord) -> Operation[None]:
    """Make sure that the bytes or places of a finished object are known, kept or not.

    Raises
    ------
    RainException
        If it is not finished, or gone.
    """
    if record.state is not DataObjectState.FINISHED:
        state = "not submitted" if record.state is None else record.state.value
        raise RainException(f"the data of {record!r} cannot be looked at: it is {state}")
    if record.location is None:
        yield from locate(core, mirror, [record])


def locate(core: ClientCore, mirror: SessionMirror, records: Sequence[ObjectRecord]) -> Operation[None]:
    """Ask the server where these finished objects are.

    Raises
    ------
    RainException
        If one is gone.
    TaskFailed
        If one cannot be made again.
    """
    if not records:
        return
    located = yield from locations(core, mirror, [record.spec.id for record in records])
    for record, found in zip(records, located, strict=True):
        data = found if found is not None else (yield from find_again(core, mirror, record))
        record.info = data.info
        record.location = data.location


def locations(
    core: ClientCore, mirror: SessionMirror, ids: list[ID], refused: bool = False
) -> Operation[list[ObjectData | None]]:
    """Where these objects are now, as the server knows it; None for each that is not finished, or whose data are gone.

    With `refused`, where the refused values are that their tasks returned.
    """
    located: Located = yield ask(core, Locate(0, mirror.session_id, ids, refused))
    return located.objects


def find_again(
    core: ClientCore, mirror: SessionMirror, record: ObjectRecord, refused: bool = False
) -> Operation[ObjectData]:
    """Where an object that was finished is now; if it was lost, waits while it is made again.

    With `refused`, where the refused value is that its task returned; that is not made again.

    Raises
    ------
    RainException
        If it is gone.
    TaskFailed
        If it cannot be made again.
    """
    while True:
        (found,) = yield from locations(core, mirror, [record.spec.id], refused)
        if found is not None:
            return found
        if refused:
            raise RainException(
                f"what was returned for {record!r} is gone with its governor, or its task was run again"
            )
        state = None
        if mirror.ended is None:
            yield from update(core, mirror, [record])
            state = record.state
        if state is DataObjectState.REMOVED or state is None:
            raise RainException(f"the data of {record!r} are gone: it is not kept any more")
        if state is not DataObjectState.FINISHED:
            yield from wait(mirror, [record])
