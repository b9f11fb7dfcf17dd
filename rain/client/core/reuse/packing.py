"""Packs: many small entries in one file, as bytes; and which packs are put together.

Theory of operation
-------------------
A pack is a line with the format, the entries one after the other, each as in a file of its own, and an index that tells
where each begins. Entries have checksums of their own, and so has the index: a byte that was damaged costs one entry,
or all of the pack, and never gives another result.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import xxhash

from rain.client.core.reuse.entries import Damaged, Kept

PACK_MAGIC = b"rain-results 2\n"
_ROW = struct.Struct("<16sII")
_END = struct.Struct("<QI16s")
END_BYTES = _END.size


class Row(NamedTuple):
    """Where an entry lies in a pack: its key, and its first byte and length."""

    key: str
    begin: int
    length: int


def pack(entries: Iterable[tuple[str, bytes]]) -> tuple[list[bytes], list[Row]]:
    """The pieces of the file, and its index, of entries by their keys.

    Examples
    --------
    >>> pieces, rows = pack([("ab" * 16, b"one"), ("cd" * 16, b"two")])
    >>> data = b"".join(pieces)
    >>> begin, length = index_at(data[-END_BYTES:], len(data))
    >>> index_of(data[begin : begin + length], data[-END_BYTES:]) == rows
    True
    >>> data[rows[1].begin :][: rows[1].length]
    b'two'
    """
    pieces, rows, at = [PACK_MAGIC], [], len(PACK_MAGIC)
    for key, data in entries:
        pieces.append(data)
        rows.append(Row(key, at, len(data)))
        at += len(data)
    index = b"".join([_ROW.pack(bytes.fromhex(row.key), row.begin, row.length) for row in rows])
    return [*pieces, index, _END.pack(at, len(rows), xxhash.xxh3_128_digest(index))], rows


def index_at(end: bytes, size: int) -> tuple[int, int]:
    """Where the index of a pack of `size` bytes begins, and its length, by the last `END_BYTES` of it.

    Raises
    ------
    Damaged
    """
    if len(end) != END_BYTES:
        raise Damaged
    begin, count, _ = _END.unpack(end)
    length = count * _ROW.size
    if begin < len(PACK_MAGIC) or begin + length + END_BYTES != size:
        raise Damaged
    return begin, length


def index_of(index: bytes, end: bytes) -> list[Row]:
    """The rows of an index.

    Raises
    ------
    Damaged
    """
    begin, _, check = _END.unpack(end)
    if xxhash.xxh3_128_digest(index) != check:
        raise Damaged
    rows = [Row(key.hex(), at, length) for key, at, length in _ROW.iter_unpack(index)]
    if any(row.begin < len(PACK_MAGIC) or row.begin + row.length > begin for row in rows):
        raise Damaged
    return rows


class Small(NamedTuple):
    """An entry that is to be packed: its key, its bytes, and when it was used last."""

    key: str
    data: bytes
    used: float


def batches(entries: Iterable[Small], bytes_max: int) -> Iterator[list[Small]]:
    """Entries as they go into packs of about `bytes_max`: neighbours in the time of their last use together, as a pack
    goes as a whole; each key once.

    Examples
    --------
    >>> entries = [Small("a", b"123", 2.0), Small("b", b"12", 1.0), Small("a", b"123", 3.0)]
    >>> [[one.key for one in batch] for batch in batches(entries, 3)]
    [['b'], ['a']]
    """
    last = {one.key: one for one in sorted(entries, key=lambda one: one.used)}
    batch: list[Small] = []
    size = 0
    for one in sorted(last.values(), key=lambda one: one.used):
        if batch and size + len(one.data) > bytes_max:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one.data)
    if batch:
        yield batch


def to_merge(packs: Iterable[Kept], count_max: int, bytes_max: int) -> list[str]:
    """Names of the packs that are put together: the small ones, once there are `count_max` of them.

    Examples
    --------
    >>> to_merge([Kept("a", 1, 0.0), Kept("b", 9, 0.0), Kept("c", 2, 0.0)], 2, 10)
    ['a', 'c']
    """
    small = [one.key for one in packs if one.size < bytes_max // 2]
    return small if len(small) >= count_max else []
