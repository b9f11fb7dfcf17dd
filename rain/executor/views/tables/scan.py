"""One pass over a table: which rows are wanted, or which come first; worked at step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import compute

from rain.common.errors import RainException
from rain.common.limits import TABLE_MATCHES_MAX, TABLE_SCAN_S, TABLE_SORTED_ROWS
from rain.common.protocol.table_views import Filter
from rain.executor.views.tables.filters import Mask, mask_of
from rain.executor.views.tables.source import Piece, Source


class Scan:
    """Rows of a table that some filters let through, in their order or sorted by a column.

    Parameters
    ----------
    source : Source
    sort : int or None
        The column; of a sorted table only the first `TABLE_SORTED_ROWS` are found.
    descending : bool
    filters : list of Filter

    Attributes
    ----------
    done : bool
    share : float
        How much of the table was passed over.
    matched : int
        Rows that the filters let through so far.
    cut : bool
        Whether there are more rows than are found.

    Raises
    ------
    RainException
        If a column cannot be sorted, or a filter does not fit.
    """

    def __init__(self, source: Source, sort: int | None, descending: bool, filters: Sequence[Filter]) -> None:
        for column in [*(one.column for one in filters), *([] if sort is None else [sort])]:
            if not 0 <= column < len(source.columns):
                raise RainException(f"there is no column {column + 1}: the table has {len(source.columns)}")
        self._masks: list[tuple[int, Mask]] = [
            (one.column, mask_of(one.text, *source.columns[one.column])) for one in filters
        ]
        self._used = list(dict.fromkeys([column for column, _ in self._masks] + ([] if sort is None else [sort])))
        self._sort = sort
        self._order = "descending" if descending else "ascending"
        if sort is not None:
            _check_sortable(*source.columns[sort])
        self._pieces: Iterator[Piece] = iter(source.pieces(self._used))
        self._best: Any = None  # keys and numbers of the rows that come first so far
        self._found: list[Any] = []  # numbers of rows, piece by piece
        self._seconds = 0.0
        self.done = self.cut = False
        self.share = 0.0
        self.matched = 0

    def work(self, until: Callable[[], bool], seconds: float) -> None:
        """Go on until enough is known, all was passed over, or so many seconds are over."""
        begin = time.monotonic()
        while not self.done and not until() and (spent := time.monotonic() - begin) < seconds:
            if self._seconds + spent > TABLE_SCAN_S:
                raise RainException(f"it takes longer than {TABLE_SCAN_S:g} s (TABLE_SCAN_S)")
            piece = next(self._pieces, None)
            if piece is None:
                self.done, self.share = True, 1.0
                break
            self._take(piece)
            self.share = piece.share
        self._seconds += time.monotonic() - begin

    def rows(self) -> int:
        """How many rows can be given so far."""
        if self._sort is None:
            return min(self.matched, TABLE_MATCHES_MAX)
        return len(self._best) if self.done and self._best is not None else 0

    def numbers(self, offset: int, count: int) -> list[int]:
        """The numbers of found rows."""
        if self._sort is not None:
            found: list[int] = [] if self._best is None else self._best.column("row").slice(offset, count).to_pylist()
            return found
        rows: list[int] = []
        for part in self._found:
            if offset < len(part):
                rows += part.slice(offset, count - len(rows)).to_pylist()
                if len(rows) == count:
                    break
            offset = max(0, offset - len(part))
        return rows

    def _take(self, piece: Piece) -> None:

        wanted: Any = None
        for column, mask in self._masks:
            found = compute.fill_null(mask(piece.columns[self._used.index(column)]), False)
            wanted = found if wanted is None else compute.and_(wanted, found)
        rows = pa.array(range(0), pa.int64())
        if wanted is None:
            self.matched += piece.rows
        else:
            places = compute.indices_nonzero(wanted)
            self.matched += len(places)
            rows = compute.add(places.cast(pa.int64()), piece.first)
        if self._sort is not None:
            self._sorted(piece, wanted)
        elif len(rows):
            room = TABLE_MATCHES_MAX - sum(map(len, self._found))
            self._found.append(rows.slice(0, room))
            if len(rows) > room:
                self.cut = self.done = True

    def _sorted(self, piece: Piece, wanted: Any) -> None:
        """Keep what comes first of what was kept and of a piece."""

        assert self._sort is not None
        keys = _plain(piece.columns[self._used.index(self._sort)])
        last = self._best.column("key")[-1] if self._best is not None and len(self._best) == TABLE_SORTED_ROWS else None
        if last is not None and last.is_valid and last.as_py() == last.as_py():  # neither null nor NaN
            # Of those that are the same as the last one kept, that one came first.
            comes = (compute.less if self._order == "ascending" else compute.greater)(keys, last)
            comes = compute.fill_null(comes, False)
            wanted = comes if wanted is None else compute.and_(wanted, comes)
        if wanted is None:
            places = pa.array(range(piece.rows), pa.int64())
        else:
            places = compute.indices_nonzero(wanted).cast(pa.int64())
            keys = keys.take(places)
        if not len(places):
            return
        table = pa.table({"key": keys, "row": compute.add(places, piece.first)})
        both = table if self._best is None else pa.concat_tables([self._best, table])
        order = compute.sort_indices(both, [("key", self._order), ("row", "ascending")])  # nulls last
        self._best = both.take(order.slice(0, TABLE_SORTED_ROWS)).combine_chunks()


def _plain(values: Any) -> Any:
    """Values that can be compared: of dictionaries what they name, of views the texts."""

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type):
        return values.cast(pa.large_string())
    return values.cast(pa.float32()) if pa.types.is_float16(values.type) else values


def _check_sortable(name: str, kind: Any) -> None:
    """Raise `RainException` if a column's values have no order."""

    try:
        keys = _plain(pa.array([], kind))
        compute.sort_indices(pa.table({"key": keys}), [("key", "ascending")])
        compute.less(keys, keys)
    except (pa.ArrowException, NotImplementedError, TypeError, ValueError):
        raise RainException(f"column {name!r} is of type {kind}, whose values have no order") from None
