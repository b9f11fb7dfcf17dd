"""A table that is written as text: parsed piece by piece, each of which ends where a row does."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import compute, csv

from rain.common.errors import RainException
from rain.common.limits import MIB
from rain.common.protocol.table_views import NUMBER_PATTERN, CsvForm
from rain.executor.views.tables.source import Piece, by_part

if TYPE_CHECKING:
    from rain.objects.data_instance import DataInstance

PIECE_BYTES = 4 * MIB
PIECE_BYTES_MAX = 64 * MIB
"""Of a piece that has no end of a row earlier."""
_QUOTE, _END = b'"', b"\n"
_NUMBER = f"^{NUMBER_PATTERN}$"


class CsvSource:
    """Rows and columns of a text, whose encoding and delimiter are known."""

    def __init__(self, instance: DataInstance, form: CsvForm) -> None:
        self._data = instance.reader.buffer()
        self._form = form
        self.columns = [
            (name, pa.string() if kind == "text" else pa.float64())
            for name, kind in zip(form.names, form.kinds, strict=True)
        ]
        self.label: int | None = None
        self._unnamed = [f"f{number}" for number in range(len(form.names))]
        self.rows: int | None = None
        self.facts: list[tuple[str, str]] = []
        self._ends = [form.start]  # of the pieces that are known
        self._starts = [0]  # numbers of their first rows
        self._odd = 0
        self._parsed: tuple[int, Any] | None = None

    @property
    def note(self) -> str:
        """That rows are left out."""
        if not self._odd:
            return ""
        rows = "1 row has" if self._odd == 1 else f"{self._odd:,} rows have"
        return f"{rows} more or fewer than {len(self.columns)} cells, and empty ones here."

    def pieces(self, columns: Sequence[int]) -> Iterator[Piece]:
        """See `Source`."""
        number = 0
        while self._ends[number] < len(self._data):
            table = self._piece(number)
            first = self._starts[number]
            yield Piece(first, self._typed(table, columns), table.num_rows, self._ends[number + 1] / len(self._data))
            number += 1
        self.rows = self._starts[number]

    def together(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        """See `Source`: a piece is parsed as a whole."""
        for number, inside in by_part(rows, [*self._starts, rows[-1] + 1 if rows else 0]):
            yield [self._starts[number] + row for row in inside]

    def take(self, rows: Sequence[int], columns: Sequence[int]) -> list[list[Any]]:
        """See `Source`."""
        found: list[list[Any]] = [[] for _ in columns]
        for row in rows:
            number = bisect_right(self._starts, row) - 1
            table = self._piece(number)
            for values, column in zip(found, columns, strict=True):
                values.append(table.column(column).slice(row - self._starts[number], 1))
        return found

    def _piece(self, number: int) -> Any:
        """The cells of a piece, as texts; one that comes after those that are known is looked for."""
        if self._parsed is not None and self._parsed[0] == number:
            return self._parsed[1]
        start = self._ends[number]
        is_new = number + 1 == len(self._ends)
        end = self._row_end(start) if is_new else self._ends[number + 1]
        table, odd = self._cells(self._data[start:end])
        if is_new:
            self._ends.append(end)
            self._starts.append(self._starts[number] + table.num_rows)
            self._odd += odd
        self._parsed = (number, table)
        return table

    def _row_end(self, start: int) -> int:
        """Where a row ends, about a piece further."""
        size = PIECE_BYTES
        while start + size < len(self._data):
            piece = bytes(self._data[start : start + size])
            quotes = piece.count(_QUOTE)
            end = len(piece)
            while (found := piece.rfind(_END, 0, end)) >= 0:
                quotes -= piece.count(_QUOTE, found, end)
                if quotes % 2 == 0:
                    return start + found + 1
                end = found
            if size >= PIECE_BYTES_MAX:
                raise RainException(
                    f"behind byte {start:,} no row ends within {PIECE_BYTES_MAX:,} bytes: a quote is open, or it is "
                    "no table"
                )
            size *= 2
        return len(self._data)

    def _cells(self, data: memoryview) -> tuple[Any, int]:
        """The texts of a piece as one batch, and how many rows are left empty."""

        odd: list[int] = []

        def other_width(row: Any) -> str:
            odd.append(row.number)
            return "skip"

        names = self._unnamed
        try:
            read = csv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=names, encoding=self._form.encoding
            )
            parse = csv.ParseOptions(
                delimiter=self._form.delimiter, newlines_in_values=True, ignore_empty_lines=False,
                invalid_row_handler=other_width,
            )  # fmt: skip
            texts = dict.fromkeys(names, pa.string())
            convert = csv.ConvertOptions(check_utf8=False, column_types=texts, strings_can_be_null=False)
            table = csv.read_csv(pa.BufferReader(pa.py_buffer(data)), read, parse, convert).combine_chunks()
        except pa.ArrowInvalid as error:
            raise RainException(f"the text cannot be read as rows: {error}") from None
        if odd:
            table = _with_empty(table, odd)
        return table, len(odd)

    def _typed(self, table: Any, columns: Sequence[int]) -> list[Any]:
        """The columns, numbers as such; what is no number among them is null."""

        found = []
        for column in columns:
            chunked = table.column(column)
            texts = chunked.combine_chunks() if chunked.num_chunks != 1 else chunked.chunk(0)
            if pa.types.is_floating(self.columns[column][1]):
                is_number = compute.match_substring_regex(texts, _NUMBER)
                texts = compute.cast(
                    compute.utf8_trim_whitespace(compute.if_else(is_number, texts, None)), pa.float64()
                )
            found.append(texts)
        return found


def _with_empty(table: Any, odd: list[int]) -> Any:
    """A table with empty rows in the place of those that were left out, so that rows keep their numbers."""

    left_out = {number - 1 for number in odd}
    places: list[int | None] = []
    at = 0
    for row in range(table.num_rows + len(odd)):
        if row in left_out:
            places.append(None)
        else:
            places.append(at)
            at += 1
    return table.take(pa.array(places, pa.int64()))
