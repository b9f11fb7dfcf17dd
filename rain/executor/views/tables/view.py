"""The view ``"table"``: a page of a table, of which some rows may be wanted, or the first ones by a column."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import compute

from rain.common.errors import RainException
from rain.common.limits import TABLE_CELL_CHARS, TABLE_SORTED_ROWS, TABLE_STEP_S, TABLE_VIEWERS_MAX
from rain.common.protocol.encoding import encode
from rain.common.protocol.table_views import TableAnswer, TableQuery, decode_query
from rain.executor.views.tables.csv_source import CsvSource
from rain.executor.views.tables.scan import Scan
from rain.executor.views.tables.source import Source, opened
from rain.objects.data_instance import DataInstance

CELLS_ROWS_MAX = 5000
"""Rows whose cells are kept."""
READING = 1.0
"""How much was looked through while the rows that were found are read."""
ITEMS_MAX = 20
"""Of a list in a cell."""


class _Looked:
    """A table that is looked at, and what was found in it last."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.about: Any = None
        self.scan: Scan | None = None
        self._cells: dict[int, list[str]] = {}
        self._of: list[int] = []  # the columns of these cells

    def scan_for(self, query: TableQuery) -> Scan | None:
        """The pass that a question needs, new or begun before; None if it needs none."""
        if query.sort is None and not query.filters:
            return None
        about = (query.sort, query.descending, query.filters)
        if self.scan is None or self.about != about:
            self.scan, self.about = Scan(self.source, query.sort, query.descending, query.filters), about
        return self.scan

    def cells(self, numbers: list[int], columns: list[int], seconds: float) -> dict[int, list[str]] | None:
        """The cells of rows, by their numbers; None if it takes longer than so many seconds to read them: some were
        read then, and the next question reads on."""
        if self._of != columns or len(self._cells) > CELLS_ROWS_MAX:
            self._cells, self._of = {}, columns
        begin = time.monotonic()
        for some in self.source.together(sorted(set(numbers) - self._cells.keys())):
            if time.monotonic() - begin > seconds:
                return None
            texts = [list(map(_cell, values)) for values in self.source.take(some, columns)]
            for place, number in enumerate(some):
                self._cells[number] = [column[place] for column in texts]
        return self._cells


_tables: OrderedDict[str, _Looked] = OrderedDict()
"""By the name of the viewer that asks; those that were not asked for longest go."""


def table(instance: DataInstance, asked: bytes) -> bytes:
    """The encoded `TableAnswer` to an encoded `TableQuery`; a `View`.

    Raises
    ------
    RainException
        If it is no such table, a column cannot be sorted, or a filter does not fit.
    """
    try:
        query = decode_query(asked)
    except msgspec.MsgspecError as error:
        raise RainException(f"the question cannot be read: {error}") from None
    looked = _tables.pop(query.viewer, None)
    if looked is None:
        looked = _Looked(_source(instance, query))
    _tables[query.viewer] = looked
    while len(_tables) > TABLE_VIEWERS_MAX:
        _tables.popitem(last=False)
    return encode(_answer(looked, query))


def _source(instance: DataInstance, query: TableQuery) -> Source:
    if query.format == "csv" and query.csv is not None:
        return CsvSource(instance, query.csv)
    return opened(instance, query.format)


def _answer(looked: _Looked, query: TableQuery) -> TableAnswer:
    source = looked.source
    scan = looked.scan_for(query)
    if scan is None:
        if source.rows is None:
            raise RainException("only sorted or filtered rows of this table are found here")
        first = min(query.offset, source.rows)
        numbers = list(range(first, min(first + query.count, source.rows)))
        return _page(looked, query, numbers, source.rows, None, "")
    enough = query.offset + query.count
    scan.work(lambda: scan.rows() >= enough, TABLE_STEP_S)
    known = scan.rows()
    working = None if scan.done or known >= enough else scan.share
    total = known if scan.done else None
    numbers = scan.numbers(query.offset, query.count) if working is None else []
    return _page(looked, query, numbers, total, working, _note(source, query, scan))


def _note(source: Source, query: TableQuery, scan: Scan) -> str:
    notes = [source.note]
    if query.sort is not None and scan.done and scan.matched > TABLE_SORTED_ROWS:
        notes.append(f"The first {TABLE_SORTED_ROWS:,} of {scan.matched:,} rows.")
    if scan.cut:
        notes.append(f"The first {scan.rows():,} rows that were found, in {scan.share:.0%} of the table.")
    return " ".join(filter(None, notes))


def _page(
    looked: _Looked, query: TableQuery, numbers: list[int], total: int | None, working: float | None, note: str
) -> TableAnswer:
    source = looked.source
    width = len(source.columns)
    first = min(query.column, width)
    shown = list(range(first, min(first + query.width, width)))
    wanted = [*shown, *([] if source.label is None else [source.label])]
    cells = looked.cells(numbers, wanted, TABLE_STEP_S)
    if cells is None:
        cells, numbers, total, working = {}, [], None, READING
    labels = None if source.label is None else [cells[number][-1] for number in numbers]
    return TableAnswer(
        columns=[(source.columns[column][0], str(source.columns[column][1])) for column in shown],
        width=width,
        numbers=numbers,
        labels=labels,
        rows=[cells[number][: len(shown)] for number in numbers],
        total=total,
        working=working,
        note=note,
        facts=source.facts,
    )


def _cell(one: Any) -> str:
    """The only value of an array as text, of which only a beginning is looked at."""

    try:
        kind = one.type
        if pa.types.is_dictionary(kind):
            one = one.dictionary_decode()
            kind = one.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            one = compute.utf8_slice_codeunits(one, 0, TABLE_CELL_CHARS + 1)
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            one = compute.binary_slice(one, 0, TABLE_CELL_CHARS)
        elif pa.types.is_nested(kind) and one.get_total_buffer_size() and _items(one) > ITEMS_MAX:
            return f"{_items(one):,} items"
        value = one.to_pylist()[0]
        if value is None:
            return ""
        text = value.hex(" ") if isinstance(value, bytes) else str(value)
        return text if len(text) <= TABLE_CELL_CHARS else text[: TABLE_CELL_CHARS - 1] + "…"
    except Exception as error:  # a cell that cannot be shown is no reason to show nothing
        return f"({type(error).__name__})"


def _items(one: Any) -> int:

    try:
        return compute.list_value_length(one)[0].as_py() or 0
    except Exception:  # no list
        return 0
