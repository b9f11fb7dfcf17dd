"""Where the messages of an Arrow IPC file or stream lie, from their heads alone.

Arrow's own reader takes a record batch as a whole, and a table of 10 GB may well be one batch. So the few fields that
tell where buffers are (of the flatbuffers `Message`, `RecordBatch` and `Footer`) are read here; everything else is left
to pyarrow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import ARROW_HEAD_BYTES_MAX
from rain.notebook.inspectors.ranges import Ranges

MAGIC = b"ARROW1"
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
_CONTINUATION = b"\xff\xff\xff\xff"
_ENVELOPE_BYTES = 32


class Message(NamedTuple):
    """One message.

    Attributes
    ----------
    kind : int
        `SCHEMA`, `DICTIONARY`, `BATCH`, or another number.
    start : int
        Where its head begins.
    body : int
        Where its body begins, which is where the head ends.
    end : int
    rows : int
        Of a batch.
    compressed : tuple of (int, int) or None
        Where the buffers of a compressed body lie in it, and their lengths.
    """

    kind: int
    start: int
    body: int
    end: int
    rows: int = 0
    compressed: tuple[tuple[int, int], ...] | None = None


class Damaged(RainException):
    """The bytes are not what Arrow writes, or not all of it."""


class _Table:
    """A flatbuffer's table; every access is checked."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - self._take("<i", at)
        self._size = self._take("<H", self._fields)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        if len(data) < 4:
            raise Damaged("an Arrow message is empty")
        return cls(data, int.from_bytes(data[:4], "little"))

    def _take(self, form: str, at: int) -> int:
        if at < 0:
            raise Damaged("an Arrow message is damaged")
        try:
            value: int = struct.unpack_from(form, self._data, at)[0]
        except struct.error:
            raise Damaged("an Arrow message is damaged") from None
        return value

    def _field(self, number: int) -> int | None:
        slot = 4 + 2 * number
        offset = self._take("<H", self._fields + slot) if slot + 2 <= self._size else 0
        return self._at + offset if offset else None

    def number(self, field: int, form: str) -> int:
        at = self._field(field)
        return 0 if at is None else self._take(form, at)

    def table(self, field: int) -> _Table | None:
        at = self._field(field)
        return None if at is None else _Table(self._data, at + self._take("<I", at))

    def place(self, field: int) -> int:
        """Where in the data the table of a field begins."""
        found = self.table(field)
        if found is None:
            raise Damaged("an Arrow message is damaged: a part of it is missing")
        return found._at

    def structs(self, field: int, form: struct.Struct) -> list[tuple[int, ...]]:
        at = self._field(field)
        if at is None:
            return []
        at += self._take("<I", at)
        count = self._take("<I", at)
        if at + 4 + count * form.size > len(self._data):
            raise Damaged("an Arrow message is damaged")
        return list(form.iter_unpack(self._data[at + 4 : at + 4 + count * form.size]))


def read_message(ranges: Ranges, start: int) -> Message | None:
    """The message that begins there; None at the end.

    Raises
    ------
    RainException
        If there is none, or it is cut off.
    """
    head = ranges.exactly(start, 8)
    if len(head) < 8:
        return None
    modern = head[:4] == _CONTINUATION
    length = int.from_bytes(head[4:] if modern else head[:4], "little", signed=True)
    begin = start + (8 if modern else 4)
    if length == 0:
        return None
    if not 0 < length <= ARROW_HEAD_BYTES_MAX:
        raise Damaged(f"what is at byte {start} is not an Arrow message, or has a head of over {ARROW_HEAD_BYTES_MAX}")
    data = ranges.exactly(begin, length)
    if len(data) < length:
        raise Damaged("the data end inside the head of a message: they are cut off")
    message = _Table.root(data)
    kind, size = message.number(1, "<B"), message.number(3, "<q")
    body = begin + length
    if size < 0 or body + size > ranges.size:
        raise Damaged("the data end inside a record batch: they are cut off")
    found = Message(kind, start, body, body + size)
    batch = message.table(2) if kind in (DICTIONARY, BATCH) else None
    if batch is not None and kind == DICTIONARY:
        batch = batch.table(1)
    if batch is None:
        return found
    rows = batch.number(0, "<q")
    if rows < 0:
        raise Damaged("an Arrow message is damaged: it has less than no rows")
    # pyarrow ends the process when it is to slice an array whose length is below 0.
    if any(not 0 <= nulls <= length for length, nulls in batch.structs(1, struct.Struct("<qq"))):
        raise Damaged("an Arrow message is damaged: it has arrays of impossible lengths")
    compressed = None
    if batch.table(3) is not None:
        compressed = tuple((at, long) for at, long in batch.structs(2, struct.Struct("<qq")))
        if any(at < 0 or long < 0 or at + long > size for at, long in compressed):
            raise Damaged("an Arrow message is damaged: its buffers are not inside it")
    return found._replace(rows=rows, compressed=compressed)


def walk(ranges: Ranges, start: int) -> Iterator[Message]:
    """The messages of a stream, one after the other."""
    while (message := read_message(ranges, start)) is not None:
        yield message
        start = message.end


class Footer(NamedTuple):
    """What stands at the end of a file.

    Attributes
    ----------
    schema : bytes
        As a stream begins with it.
    dictionaries, batches : list of int
        Where they begin.
    """

    schema: bytes
    dictionaries: list[int]
    batches: list[int]


def footer(ranges: Ranges) -> Footer:
    """The end of a file.

    Raises
    ------
    RainException
        If there is none: the file is cut off, or none.
    """
    tail = ranges.exactly(max(ranges.size - 10, 0), 10)
    length = int.from_bytes(tail[:4], "little", signed=True)
    if tail[4:] != MAGIC or not 0 < length <= min(ARROW_HEAD_BYTES_MAX, ranges.size - 10):
        raise Damaged("the file's end is missing: it is cut off")
    data = ranges.exactly(ranges.size - 10 - length, length)
    root = _Table.root(data)
    form = struct.Struct("<qi4xq")
    dictionaries, batches = ([block[0] for block in root.structs(field, form)] for field in (2, 3))
    if any(not 0 <= at < ranges.size for at in dictionaries + batches):
        raise Damaged("the file's end is damaged: it names batches that are not there")
    return Footer(_enveloped(data, root), dictionaries, batches)


def _enveloped(data: bytes, root: _Table) -> bytes:
    """The schema of a footer as a message of a stream.

    A message is a table whose field `header` says how far behind it the schema begins; so one is put in front of the
    footer as it is. The numbers by which the schema knows its dictionaries stay as they are, too.
    """
    version, schema = root.number(0, "<H"), root.place(1)
    table = struct.pack("<I5H2xiHBxI4x", 16, 10, 12, 4, 6, 8, 12, version, SCHEMA, _ENVELOPE_BYTES + schema - 24)
    assert len(table) == _ENVELOPE_BYTES
    body = table + data + bytes(-len(data) % 8)
    return _CONTINUATION + len(body).to_bytes(4, "little") + body


def is_big_endian(schema: bytes) -> bool:
    """Whether the numbers of a table with this schema (a message) are written with their highest byte first."""
    found = _Table.root(schema[8 if schema.startswith(_CONTINUATION) else 4 :]).table(2)
    return found is not None and found.number(0, "<h") == 1


def inflated(ranges: Ranges, message: Message) -> int:
    """Bytes that a compressed body says it has without compression."""
    total = 0
    for at, length in message.compressed or ():
        if length >= 8:
            size = int.from_bytes(ranges.read(message.body + at, 8), "little", signed=True)
            total += length if size < 0 else size
    return total
