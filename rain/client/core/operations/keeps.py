"""Which objects are kept: those for which the user asks, until the user or the last handle lets them go."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rain.client.core.families.family import Family
from rain.client.core.operations.waits import not_submitted
from rain.client.core.records import ObjectRecord, Record
from rain.client.core.requests import ask, ask_in_pieces
from rain.client.core.reuse.task import at_server
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import Keep, MemberRun, Unkeep, Update
from rain.common.states import DataObjectState

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore


def keep(core: ClientCore, mirror: SessionMirror, records: Sequence[ObjectRecord]) -> Operation[None]:
    """Keep objects, submitted or not.

    Raises
    ------
    RainException
        If the data of one are gone; then none is kept by this.
    """
    missing = [record for record in records if not record.kept]
    for record in missing:
        if record.state is DataObjectState.REMOVED:
            raise RainException(
                f"{record!r} cannot be kept any more: its data were removed when nothing needed them; "
                "keep() before submit"
            )
    for record in missing:
        record.kept = True
    fresh = [record for record in missing if record.state is not None]
    mirror.note(records)
    yield from _keep_submitted(core, mirror, fresh)


def keep_all(core: ClientCore, mirror: SessionMirror) -> Operation[None]:
    """Keep all objects whose data are not gone."""
    records = [
        record
        for record in list(mirror.records.values())
        if isinstance(record, ObjectRecord) and not (record.hidden or record.kept)
    ]
    doubtful = [record for record in records if record.state is DataObjectState.FINISHED and record.task is not None]
    yield from update(core, mirror, doubtful)
    fresh = []
    for record in records:
        if record.state not in (DataObjectState.REMOVED, DataObjectState.FAILED):
            record.kept = True
            if record.state is not None:
                fresh.append(record)
    mirror.note(records)
    yield from _keep_submitted(core, mirror, fresh)


def _keep_submitted(core: ClientCore, mirror: SessionMirror, kept: list[ObjectRecord]) -> Operation[None]:
    records = [record for record in kept if at_server(record)]
    if not records:
        return

    def replied(reply: object, error: RainException | None) -> None:
        if error is not None:
            for record in records:
                record.kept = False
            mirror.note(records)

    try:
        request = ask(core, Keep(0, mirror.session_id, [record.spec.id for record in records]), replied)
    except RainException as error:
        replied(None, error)
        raise
    yield request


def unkeep(core: ClientCore, mirror: SessionMirror, records: Sequence[ObjectRecord]) -> Operation[None]:
    """Keep these objects no longer."""
    ids = []
    for record in records:
        if record.kept:
            record.kept = False
            record.location = None
            if not at_server(record):
                _gone(record)
            elif record.state is not None:
                ids.append(record.spec.id)
            mirror.note([record])
    if ids:
        yield ask(core, Unkeep(0, mirror.session_id, ids))


def unkeep_members(
    core: ClientCore, mirror: SessionMirror, members: Mapping[Family, Collection[int]]
) -> Operation[None]:
    """Keep the outputs of these members of families no longer."""
    ids: list[ID] = []
    runs: list[MemberRun] = []
    records: list[ObjectRecord] = []
    for family, places in members.items():
        for place in set(places) & family.taken.keys():
            records += family.taken[place].outputs
        let_go(family, sorted(set(places) - family.taken.keys()), ids, runs)
    mirror.poke()
    if ids or runs:
        yield ask(core, Unkeep(0, mirror.session_id, ids, runs))
    yield from unkeep(core, mirror, records)


def release(core: ClientCore, mirror: SessionMirror) -> None:
    """Keep objects no longer whose last handle was dropped; the reply is not waited for."""
    dropped = mirror.dropped
    ids: list[ID] = []
    runs: list[MemberRun] = []
    members: dict[Family, list[int]] = {}
    while dropped or members:
        if not dropped:
            for family, places in members.items():
                _release_members(mirror, family, places, ids, runs)
            members = {}
            continue
        record = dropped.popleft()
        if not isinstance(record, ObjectRecord):
            family, place = record
            members.setdefault(family, []).extend(range(family.count) if place is None else (place,))
            continue
        stays = mirror.persistent or mirror.attached
        if stays or not record.kept or _is_held(record):
            continue
        record.kept = False
        if not at_server(record):
            _gone(record)
        elif record.state is not None:
            record.location = None
            ids.append(record.spec.id)
        mirror.note([record])
    if (ids or runs) and core.connected and mirror.ended is None:
        ask_in_pieces(core, [Unkeep(0, mirror.session_id, ids, runs)])


def _gone(record: ObjectRecord) -> None:
    """What a reused task made, and the server does not have, is kept no longer."""
    record.value = record.location = None
    record.state = DataObjectState.REMOVED


def _is_held(record: ObjectRecord) -> bool:
    """Whether a handle keeps an object: one of its own, or that of the member of a family that makes it."""
    if record.handle is not None and record.handle() is not None:
        return True
    task = record.task
    if task is None or task.family is None:
        return False
    return task.family.listed or (task.handle is not None and task.handle() is not None)


def _release_members(
    mirror: SessionMirror, family: Family, places: list[int], ids: list[ID], runs: list[MemberRun]
) -> None:
    """The handles of these members of a family, or the list of all members, are gone."""
    if mirror.persistent or mirror.attached or family.listed:
        return
    if len(places) > 1:
        places = sorted(set(places))
    if family.handles or family.taken:
        places = [place for place in places if not _is_held_or_taken(mirror, family, place)]
    let_go(family, places, ids, runs)


def _is_held_or_taken(mirror: SessionMirror, family: Family, place: int) -> bool:
    """Whether there is a handle of a member, or a record, whose outputs are then let go by themselves."""
    handle = family.handles.get(place)
    if handle is not None:
        if handle() is not None:
            return True
        del family.handles[place]
    record = family.taken.get(place)
    if record is None:
        return False
    mirror.dropped.extend(output for output in record.outputs if output.kept)
    return True


def let_go(family: Family, places: list[int], ids: list[ID], runs: list[MemberRun]) -> None:
    """Stop keeping the outputs of members that have no records; adds what the server is to be told of them."""
    width = family.stride - 1
    for start, stop in family.kept_runs(places):
        family.let_go_run(start, stop)
        if not family.submitted:
            continue
        number = family.first + start * family.stride
        if width == 1:
            runs.append(MemberRun(ID(family.session_id, number + 1), family.stride, stop - start))
            continue
        for first in range(number + 1, number + (stop - start) * family.stride, family.stride):
            ids += [ID(family.session_id, first + output) for output in range(width)]


def update(core: ClientCore, mirror: SessionMirror, records: Sequence[Record]) -> Operation[None]:
    """A barrier: afterwards these records are at least as the server knew them when it was asked.

    Raises
    ------
    RainException
        If one was not submitted.
    """
    for record in records:
        if record.state is None:
            raise not_submitted(mirror, record)
    asked = [record.spec.id for record in records if at_server(record)]
    if asked:
        # The reply is folded in when it arrives, in order with the updates.
        yield ask(core, Update(0, mirror.session_id, asked))
        mirror.check_open()
