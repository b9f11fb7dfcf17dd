"""The ledger of an executor: results that it has not sent yet, in memory that it shares with its governor.

Theory of operation
-------------------
An executor holds results of short tasks for a moment, to send many at once. It writes each held result to its ledger
before the next task begins, so that the result is not lost if that task kills the process. The governor reads the
ledger once, when the executor is gone and all that it sent has been read; it ignores results that were sent as well.

A ledger is a word with the number of bytes that follow, then records, each a word with its length and kind, and an
encoded `TaskResult` or `MemberResult`. The executor is not trusted: reading ends at the first record that cannot be
read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from rain.common.protocol.messages import MemberResult, TaskResult

_WORD = struct.Struct("=Q")
_MEMBER = 1 << 63

_read_result = msgspec.msgpack.Decoder(TaskResult).decode
_read_member = msgspec.msgpack.Decoder(MemberResult).decode


class Ledger:
    """The executor's side of its ledger.

    Parameters
    ----------
    memory : memoryview
        The shared memory: bytes, writable.
    """

    __slots__ = ("_end", "_memory", "_size", "_words")

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._size = len(memory)
        self._end = _WORD.size
        self.clear()

    def write(self, record: bytes | memoryview, member: bool) -> bool:
        """Write an encoded `TaskResult`, or `MemberResult` if `member`, to the ledger; False if there is no room."""
        size = len(record)
        begin = self._end + _WORD.size
        end = begin + (size + 7 & -8)
        if end > self._size:
            return False
        self._words[self._end >> 3] = size | _MEMBER if member else size
        self._memory[begin : begin + size] = record
        self._end = end
        self._words[0] = end - _WORD.size
        return True

    def clear(self) -> None:
        """Empty the ledger: all of its results have been sent."""
        self._end = _WORD.size
        self._words[0] = 0


def read(data: bytes) -> Iterator[TaskResult | MemberResult]:
    """The records of a ledger, as far as they can be read."""
    if len(data) < _WORD.size:
        return
    end = min(_WORD.unpack_from(data)[0] + _WORD.size, len(data))
    place = _WORD.size
    while place + _WORD.size <= end:
        word = _WORD.unpack_from(data, place)[0]
        place += _WORD.size
        size = word & ~_MEMBER
        if place + size > end:
            return
        record = memoryview(data)[place : place + size]
        try:
            yield _read_member(record) if word & _MEMBER else _read_result(record)
        except msgspec.MsgspecError:
            return
        place += size + 7 & -8
