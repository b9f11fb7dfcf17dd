"""Batches of events as bytes: written in the form in which the core tells of them, many in one, and taken apart only
by a reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from rain.common.protocol.encoding import encode
from rain.server.core.effects import Happened, MembersFinished, ObjectsUnkept, TasksFinished, TasksStarted

FORMAT = 2
"""What `PRAGMA user_version` of the file says. 1 (as 0): a batch is a list of `EventRecord`."""
_MARK = b"\xc1"
"""First byte of a batch of this format: no msgpack begins with it."""
_What: TypeAlias = Happened | TasksStarted | TasksFinished | MembersFinished | ObjectsUnkept


class EventRecord(msgspec.Struct, array_like=True, gc=False):
    """One event. `session` and `item` are numbers where the event is about them."""

    id: int
    time: float
    type: str
    session: int | None
    item: int | None
    values: dict[str, Any]


class Entry(msgspec.Struct, array_like=True, gc=False):
    """Events that happened at once; `first` is the number of the first."""

    first: int
    time: float
    what: _What


_decode = msgspec.msgpack.Decoder(list[Entry]).decode
_decode_records = msgspec.msgpack.Decoder(list[EventRecord]).decode


def batch_of(entries: Sequence[Entry]) -> bytes:
    """Entries as bytes."""
    return _MARK + encode(entries)


def events_of(batch: bytes) -> Iterator[EventRecord]:
    """The events in a batch, of this format or the one before.

    Raises
    ------
    msgspec.MsgspecError
        If it is neither.
    """
    if batch[:1] != _MARK:
        yield from _decode_records(batch)
        return
    for entry in _decode(memoryview(batch)[1:]):
        for number, one in enumerate(entry.what.each(), entry.first):
            yield EventRecord(number, entry.time, one.type, one.session, one.id, one.values)
