"""Many small byte strings in the memory of one."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice, pairwise
from operator import sub
from typing import Any, overload

ITEM_BYTES_MAX = 256
"""A byte string by itself takes about 40 bytes more than it has; those that are larger on the average stay alone."""
COUNT_MIN = 16
_CHUNK = 4096
_END_MAX = (1 << 32) - 1


class Blobs(Sequence[bytes]):
    """Byte strings one after the other, as `joined` makes them. They cannot be changed.

    In a message it stands for the list of them, which is made when the message is encoded.
    """

    __slots__ = ("_data", "_ends", "_start", "_stop")

    def __init__(self, data: bytes, ends: array[int], start: int, stop: int) -> None:
        self._data = data
        self._ends = ends
        self._start = start
        self._stop = stop

    def part(self, start: int, stop: int) -> Blobs:
        """Those from place `start` to before `stop`; nothing is copied."""
        return Blobs(self._data, self._ends, self._start + start, self._start + stop)

    @property
    def size(self) -> int:
        """How many bytes they have together."""
        return self._ends[self._stop - 1] - self._begin if self._stop > self._start else 0

    @property
    def longest(self) -> int:
        """How many bytes the longest of them has."""
        ends = self._ends[self._start : self._stop]
        return max(map(sub, ends, chain((self._begin,), ends)), default=0)

    @property
    def _begin(self) -> int:
        return self._ends[self._start - 1] if self._start else 0

    def fit(self, start: int, stop: int, bytes_max: int, more: int) -> int:
        """The greatest place at most `stop` so that those from `start` to before it take less than `bytes_max`, with
        `more` bytes for each; one at least."""
        ends, first = self._ends, self._start + start
        begin = ends[first - 1] if first else 0
        found = bisect_right(
            range(first, self._start + stop), bytes_max, key=lambda at: ends[at] - begin + more * (at + 1 - first)
        )
        return start + max(1, found)

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, place: int, /) -> bytes: ...
    @overload
    def __getitem__(self, place: slice, /) -> list[bytes]: ...
    def __getitem__(self, place: Any, /) -> Any:
        at = range(self._start, self._stop)[place]
        data, ends = self._data, self._ends
        if isinstance(at, int):
            return data[ends[at - 1] if at else 0 : ends[at]]
        if at.step != 1:
            return [data[ends[one - 1] if one else 0 : ends[one]] for one in at]
        begin = ends[at.start - 1] if at.start else 0
        return [data[one:end] for one, end in pairwise(chain((begin,), ends[at.start : at.stop]))]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"<Blobs of {len(self)}>"


def joined(items: Iterable[bytes]) -> Any:
    """Byte strings as a sequence that takes little memory: `Blobs` of many small ones, else a list.

    Examples
    --------
    >>> list(joined([b"a", b"bc"]))
    [b'a', b'bc']
    """
    each = iter(items)
    chunk = list(islice(each, _CHUNK))
    if len(chunk) < COUNT_MIN or sum(map(len, chunk)) > ITEM_BYTES_MAX * len(chunk):
        chunk += each
        return chunk
    parts: list[bytes] = []
    ends = array("I")
    total = 0
    while chunk:
        parts.append(b"".join(chunk))
        total += len(parts[-1])
        if total > _END_MAX and ends.typecode == "I":
            ends = array("Q", ends)
        ends.extend(islice(accumulate(map(len, chunk), initial=total - len(parts[-1])), 1, None))
        chunk = list(islice(each, _CHUNK))
    return Blobs(b"".join(parts), ends, 0, len(ends))
