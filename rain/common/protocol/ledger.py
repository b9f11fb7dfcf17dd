"""The ledger of an executor: results that it has not sent yet, in memory that it shares with its governor.

Theory of operation
-------------------
An executor holds results of short tasks for a moment, to send many at once. It writes each held result to its ledger
before the next task begins, so that the result is not lost if that task kills the process. The governor reads the
ledger once, when the executor is gone and all that it sent has been read; it ignores results that were sent as well.

A ledger is a word with the number of bytes that follow, then records, each a word with its length and kind:

* an encoded `TaskResult`;
* the encoded infos of outputs: those of the members that follow;
* a member of a family: its number, start time and duration, the checksum and length of each output, then the outputs.

The executor is not trusted: reading ends at the first record that cannot be read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import msgspec

from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import MemberResult, TaskResult
from rain.common.spec import ObjectInfo

_WORD = struct.Struct("=Q")
_HEAD = struct.Struct("=Qdd")  # of a member: number, start time, duration
_OUTPUT = struct.Struct("=QQ")  # checksum, bytes
_SHORT = struct.Struct("=QQddQQ")  # the word, head and output of a member with one output
_MEMBER = 1 << 63
_INFOS = 1 << 62
_KINDS = _MEMBER | _INFOS
_SHORT_BYTES, _pack_short = _SHORT.size, _SHORT.pack_into
_SHORT_REST = _SHORT.size - _WORD.size | _MEMBER  # what the word of such a member has beside the bytes of its output

_read_result = msgspec.msgpack.Decoder(TaskResult).decode
_read_infos = msgspec.msgpack.Decoder(list[ObjectInfo]).decode


class Ledger:
    """The executor's side of its ledger.

    Parameters
    ----------
    memory : memoryview
        The shared memory: bytes, writable.
    """

    __slots__ = ("_end", "_has_infos", "_memory", "_size", "_words")

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._size = len(memory)
        self._end = _WORD.size
        self._has_infos = False
        self.clear()

    def write(self, record: bytes | memoryview) -> bool:
        """Write an encoded `TaskResult` to the ledger; False if there is no room."""
        return self._write(record, 0)

    def write_infos(self, infos: Sequence[ObjectInfo]) -> None:
        """Write the infos of the outputs of the members that follow. Without room for them, no member is written."""
        self._has_infos = self._write(encode(infos), _INFOS)

    def write_member(
        self, number: int, start_time: float, duration: float, data: Sequence[bytes], checksums: Sequence[int]
    ) -> bool:
        """Write the fields of a `MemberResult` to the ledger; False if there is no room."""
        head = [_HEAD.pack(number, start_time, duration)]
        head += [_OUTPUT.pack(digest, len(value)) for digest, value in zip(checksums, data, strict=True)]
        return self._has_infos and self._write(b"".join([*head, *data]), _MEMBER)

    def write_short(self, number: int, start_time: float, duration: float, value: bytes, checksum: int) -> bool:
        """Write a member with one output, like `write_member`, at a lower cost: each short task does this."""
        size = len(value)
        begin = self._end
        first = begin + _SHORT_BYTES
        end = first + (size + 7 & -8)
        if end > self._size or not self._has_infos:
            return False
        memory = self._memory
        _pack_short(memory, begin, size + _SHORT_REST, number, start_time, duration, checksum, size)
        memory[first : first + size] = value
        self._end = end
        self._words[0] = end - 8
        return True

    def _write(self, record: bytes | memoryview, kind: int) -> bool:
        size = len(record)
        begin = self._end + _WORD.size
        end = begin + (size + 7 & -8)
        if end > self._size:
            return False
        self._words[self._end >> 3] = size | kind
        self._memory[begin : begin + size] = record
        self._end = end
        self._words[0] = end - _WORD.size
        return True

    def clear(self) -> None:
        """Empty the ledger: all of its results have been sent."""
        self._end = _WORD.size
        self._has_infos = False
        self._words[0] = 0


def read(data: bytes) -> Iterator[TaskResult | MemberResult]:
    """The records of a ledger, as far as they can be read."""
    if len(data) < _WORD.size:
        return
    end = min(_WORD.unpack_from(data)[0] + _WORD.size, len(data))
    place = _WORD.size
    infos: list[ObjectInfo] = []
    while place + _WORD.size <= end:
        word = _WORD.unpack_from(data, place)[0]
        place += _WORD.size
        size = word & ~_KINDS
        if place + size > end:
            return
        record = memoryview(data)[place : place + size]
        try:
            if word & _MEMBER:
                yield _member(record, infos)
            elif word & _INFOS:
                infos = _read_infos(record)
            else:
                yield _read_result(record)
        except (msgspec.MsgspecError, struct.error, ValueError):
            return
        place += size + 7 & -8


def _member(record: memoryview, infos: list[ObjectInfo]) -> MemberResult:
    number, start_time, duration = _HEAD.unpack_from(record)
    outputs = [_OUTPUT.unpack_from(record, _HEAD.size + place * _OUTPUT.size) for place in range(len(infos))]
    begin = _HEAD.size + len(infos) * _OUTPUT.size
    if begin + sum(size for _, size in outputs) != len(record):
        raise ValueError("the outputs of a member have other lengths")
    data = []
    for _, size in outputs:
        data.append(bytes(record[begin : begin + size]))
        begin += size
    return MemberResult(number, start_time, duration, data, [digest for digest, _ in outputs], infos)
