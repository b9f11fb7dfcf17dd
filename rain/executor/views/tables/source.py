"""A table as it lies, of which batches and rows are read; Arrow and Parquet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.objects.content_types.arrow.labels import label_column

if TYPE_CHECKING:
    from rain.objects.data_instance import DataInstance

BATCH_ROWS = 1 << 16
_ARROW_MAGIC = b"ARROW1"


class Piece:
    """Some rows, one after the other.

    Attributes
    ----------
    first : int
        The number of the first one.
    columns : list of pyarrow.Array
        Those that were asked for.
    rows : int
    share : float
        How much of the table was passed over with it, from 0 to 1.
    """

    __slots__ = ("columns", "first", "rows", "share")

    def __init__(self, first: int, columns: list[Any], rows: int, share: float) -> None:
        self.first = first
        self.columns = columns
        self.rows = rows
        self.share = share


class Source(Protocol):
    """A table.

    Attributes
    ----------
    columns : list of (str, pyarrow.DataType)
        Those with values, in order.
    label : int or None
        A further column, number `len(columns)`, which has the labels of the rows.
    facts : list of (str, str)
    """

    columns: list[tuple[str, Any]]
    label: int | None
    facts: list[tuple[str, str]]

    @property
    def rows(self) -> int | None:
        """How many there are; None if they were not counted yet."""

    @property
    def note(self) -> str:
        """What is to be said of it."""

    def pieces(self, columns: Sequence[int]) -> Iterator[Piece]:
        """The whole table, of these columns, from the beginning on."""

    def together(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        """Rows, which rise, as they are best taken, some at a time."""

    def take(self, rows: Sequence[int], columns: Sequence[int]) -> list[list[Any]]:
        """Of each column arrays of one value for each row; these rise."""


def opened(instance: DataInstance, format: str) -> Source:
    """A table in Arrow's or Parquet's format.

    Raises
    ------
    RainException
        If the library is missing, or it is no such table.
    """
    try:
        data = pa.py_buffer(instance.reader.buffer())
        return ArrowSource(data) if format == "arrow" else ParquetSource(data)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RainException(f"this cannot be read as {format}: {error}") from None


class ArrowSource:
    """An Arrow IPC file or stream, whose batches are mapped and not copied."""

    note = ""

    def __init__(self, data: Any) -> None:

        is_file = data.size >= len(_ARROW_MAGIC) and bytes(data.slice(0, len(_ARROW_MAGIC))) == _ARROW_MAGIC
        if is_file:
            reader = pa.ipc.open_file(pa.BufferReader(data))
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        else:
            reader = pa.ipc.open_stream(pa.BufferReader(data))
            self._batches = list(reader)
        schema = reader.schema
        label = label_column(schema.names, schema.metadata)
        self._order = [number for number in range(len(schema.names)) if number != label]
        self.columns = [(schema.names[number], schema.types[number]) for number in self._order]
        self.label = None
        if label is not None:
            self._order.append(label)
            self.label = len(self.columns)
        self._starts = [0]
        for batch in self._batches:
            self._starts.append(self._starts[-1] + batch.num_rows)
        self.rows = self._starts[-1]
        self.facts = [("batches", f"{len(self._batches):,}"), ("size", size_text(data.size))]

    def pieces(self, columns: Sequence[int]) -> Iterator[Piece]:
        """See `Source`."""
        for batch, start in zip(self._batches, self._starts, strict=False):
            for first in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.slice(first, BATCH_ROWS)
                arrays = [part.column(self._order[column]) for column in columns]
                done = start + first + part.num_rows
                yield Piece(start + first, arrays, part.num_rows, done / max(1, self.rows))

    def together(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        """See `Source`: nothing is read but what is taken."""
        yield rows

    def take(self, rows: Sequence[int], columns: Sequence[int]) -> list[list[Any]]:
        """See `Source`."""
        found: list[list[Any]] = [[] for _ in columns]
        for number, inside in by_part(rows, self._starts):
            batch = self._batches[number]
            for values, column in zip(found, columns, strict=True):
                array = batch.column(self._order[column])
                values += [array.slice(row, 1) for row in inside]
        return found


class ParquetSource:
    """A Parquet file: of each row group the columns that are needed, in batches."""

    note = ""

    def __init__(self, data: Any) -> None:

        self._file = file = pq.ParquetFile(pa.BufferReader(data))
        schema, about = file.schema_arrow, file.metadata
        label = label_column(schema.names, schema.metadata)
        self._names = [name for number, name in enumerate(schema.names) if number != label]
        self.columns = [(name, _type_of(schema, name)) for name in self._names]
        self.label = None
        if label is not None:
            self._names.append(schema.names[label])
            self.label = len(self.columns)
        self._starts = [0]
        for number in range(about.num_row_groups):
            self._starts.append(self._starts[-1] + about.row_group(number).num_rows)
        self.rows = self._starts[-1]
        self.facts = [
            ("row groups", f"{about.num_row_groups:,}"),
            ("size", size_text(data.size)),
            ("written by", str(about.created_by or "")),
        ]

    def _batches(self, group: int, columns: Sequence[int]) -> Iterator[Any]:
        names = [self._names[column] for column in columns]
        return iter(self._file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names, use_threads=False))

    def pieces(self, columns: Sequence[int]) -> Iterator[Piece]:
        """See `Source`."""
        for group, start in enumerate(self._starts[:-1]):
            for batch in self._batches(group, columns):
                arrays = [batch.column(self._names[column]) for column in columns]
                yield Piece(start, arrays, batch.num_rows, (start + batch.num_rows) / max(1, self.rows))
                start += batch.num_rows

    def together(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        """See `Source`: row groups are read from their beginning on."""
        for group, inside in by_part(rows, self._starts):
            yield [self._starts[group] + row for row in inside]

    def take(self, rows: Sequence[int], columns: Sequence[int]) -> list[list[Any]]:
        """See `Source`."""
        found: list[list[Any]] = [[] for _ in columns]
        for group, inside in by_part(rows, self._starts):
            start, left = 0, list(inside)
            for batch in self._batches(group, columns):
                here = [row - start for row in left if row - start < batch.num_rows]
                for values, column in zip(found, columns, strict=True):
                    array = batch.column(self._names[column])
                    values += [array.slice(row, 1) for row in here]
                left = left[len(here) :]
                start += batch.num_rows
                if not left:
                    break
        return found


def _type_of(schema: Any, name: str) -> Any:
    """The type of a column; of several with one name, which cannot be told apart by it, that of nothing."""

    return schema.field(name).type if schema.names.count(name) == 1 else pa.null()


def by_part(rows: Sequence[int], starts: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """The parts in which rows are, which rise, and their numbers there."""
    at = 0
    while at < len(rows):
        part = bisect_right(starts, rows[at]) - 1
        end = at
        while end < len(rows) and rows[end] < starts[part + 1]:
            end += 1
        yield part, [row - starts[part] for row in rows[at:end]]
        at = end
