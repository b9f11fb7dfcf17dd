"""Reading a blob in ranges: blocks are read where the data lie, once, and those used last are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from rain.notebook.inspectors.limits import BLOCK_BYTES, CACHE_BLOCKS_MAX, RUN_BYTES_MAX


class Ranges:
    """The bytes of a blob.

    Parameters
    ----------
    read : callable
        ``read(offset, length) -> bytes``, blocking; may give less where the blob ends earlier than was said.
    size : int
        Bytes.

    Attributes
    ----------
    bytes_read : int
        What was asked of `read` so far.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self.size = size
        self.bytes_read = 0
        self._read = read
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    @classmethod
    def of(cls, data: bytes) -> Ranges:
        """Bytes in memory."""
        return cls(lambda offset, length: data[offset : offset + length], len(data))

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on: fewer at the end, none behind it."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        first, last = offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        if end - offset > RUN_BYTES_MAX:
            return b"".join(self._fetch(at, min(RUN_BYTES_MAX, end - at)) for at in range(offset, end, RUN_BYTES_MAX))
        blocks = self._have(first, last)
        data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        start = offset - first * BLOCK_BYTES
        return data[start : start + end - offset]

    def exactly(self, offset: int, length: int) -> bytes:
        """As `read`, for what lies far from everything else: no more than that is read, and it is not kept."""
        end = min(offset + length, self.size)
        first = offset // BLOCK_BYTES
        if offset >= end or ((end - 1) // BLOCK_BYTES == first and first in self._blocks):
            return self.read(offset, length)
        return b"".join(self._fetch(at, min(RUN_BYTES_MAX, end - at)) for at in range(offset, end, RUN_BYTES_MAX))

    def _have(self, first: int, last: int) -> list[bytes]:
        """The blocks from `first` to `last`, those that are missing read in one go."""
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        found: dict[int, bytes] = {}
        if missing:
            begin, end = missing[0] * BLOCK_BYTES, min((missing[-1] + 1) * BLOCK_BYTES, self.size)
            run = self._fetch(begin, end - begin)
            for number in range(missing[0], missing[-1] + 1):
                start = number * BLOCK_BYTES - begin
                found[number] = run[start : start + BLOCK_BYTES]
        for number in range(first, last + 1):
            if number not in found:
                found[number] = self._blocks[number]
            self._blocks[number] = found[number]
            self._blocks.move_to_end(number)
        while len(self._blocks) > CACHE_BLOCKS_MAX:
            self._blocks.popitem(last=False)
        return [found[number] for number in range(first, last + 1)]

    def _fetch(self, offset: int, length: int) -> bytes:
        data = self._read(offset, length)
        self.bytes_read += len(data)
        return data
