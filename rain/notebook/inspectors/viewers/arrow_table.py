"""Arrow IPC files and streams as a table, of which only the rows and columns that are shown are read.

Theory of operation
-------------------
`arrow_messages` tells where the batches are. To show rows of a batch, a stream of just the schema, the dictionaries and
that batch is laid out in memory that is only reserved (a page of it exists once it is written to), with the heads
filled in. pyarrow makes arrays of it without touching their buffers, and says by their addresses where each buffer is;
what the wanted rows need of each is then read and put there, and the rows are taken out as usual, after a validation
that keeps broken offsets from leading anywhere.
"""

from __future__ import annotations

import datetime
import mmap
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import (
    ARROW_COLUMN_BYTES_MAX,
    ARROW_HEADS_MAX,
    ARROW_INFLATED_BYTES_MAX,
    TABLE_PAGE_ROWS,
)
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import cut
from rain.notebook.inspectors.subject import Allowance, PageWithBuffers, Subject
from rain.notebook.inspectors.tables import cell, needs, shown_columns, table
from rain.notebook.inspectors.viewers import arrow_messages as messages
from rain.notebook.inspectors.viewers.arrow_messages import Damaged, Message
from rain.notebook.protocol.requests import Inspect
from rain.objects.content_types.arrow.labels import label_column

_FIRST_HEADS_MAX = 32
_KIND = b"rain:kind"
_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # which Python 3.11 has no name for
_MIDNIGHT = datetime.time()
_VIEW = struct.Struct("<i4xii")
_VIEW_INLINE_BYTES = 12
_UNREADABLE = (
    *(OSError, ValueError, MemoryError, LookupError, OverflowError, NotImplementedError, TypeError),
    SystemError,  # the length of an array is below 0
)
"""What pyarrow raises for data that are damaged: its own errors are each one of these, or of `ArrowException`."""


class _TooMuch(Exception):
    """What a column needs for these rows is over the limit."""


class _Memory:
    """Reserved memory in which a schema and pieces of the data lie, some filled in and some not."""

    def __init__(self, ranges: Ranges, schema: bytes, pieces: list[tuple[int, int]]) -> None:
        self._ranges = ranges
        self._first = len(schema)
        self._pieces = pieces
        size = len(schema) + sum(end - start for start, end in pieces)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        try:
            self.map = mmap.mmap(-1, max(size, 1), flags=flags)
        except (OSError, OverflowError, ValueError):
            raise RainException(
                f"there is no room to lay out a batch of {size_text(size)}; load it in a task"
            ) from None
        self.map[: len(schema)] = schema

    def fill(self, start: int, length: int) -> None:
        """Read the data for a range of the memory."""
        at = self._first
        for begin, end in self._pieces:
            low, high = max(start, at), min(start + length, at + end - begin)
            if low < high:
                data = self._ranges.exactly(begin + low - at, high - low)
                self.map[low : low + len(data)] = data
            at += end - begin


class _Batch:
    """A record batch whose buffers are filled in as they are needed.

    What an array holds beyond the rows that are wanted is zeros, which are wrong in many ways. So the arrays of a
    column are gone through with the rows of each that are needed, and only these are checked.
    """

    def __init__(self, pa: Any, ranges: Ranges, schema: bytes, dictionaries: list[Message], message: Message) -> None:
        self._pa = pa
        self._memory = _Memory(ranges, schema, [(part.start, part.end) for part in [*dictionaries, message]])
        swapped = messages.is_big_endian(schema)  # pyarrow copies it to turn it round
        at = len(schema)
        for part in [*dictionaries, message]:
            whole = part is not message or part.compressed is not None or swapped
            if whole and part.end - part.start > ARROW_COLUMN_BYTES_MAX:
                kind = "big-endian" if swapped else "compressed"
                what = f"a {kind} batch" if part is message else "a dictionary"
                raise RainException(
                    f"{what} of {size_text(part.end - part.start)} can only be read as a whole, and that is over the "
                    f"limit for a look (ARROW_COLUMN_BYTES_MAX, {size_text(ARROW_COLUMN_BYTES_MAX)}); load it"
                )
            if messages.inflated(ranges, part) > ARROW_INFLATED_BYTES_MAX:
                limit = size_text(ARROW_INFLATED_BYTES_MAX)
                raise RainException(f"a compressed batch has more than {limit} (ARROW_INFLATED_BYTES_MAX); load it")
            self._memory.fill(at, (part.end if whole else part.body) - part.start)
            at += part.end - part.start
        buffer = pa.py_buffer(self._memory.map)
        self._base, self._size = buffer.address, buffer.size
        self._batch = pa.ipc.open_stream(buffer).read_next_batch()
        self._budget = 0

    def cells(self, column: int, first: int, count: int) -> list[str]:
        """Some rows of a column, as text; where one is damaged, the others are still shown."""
        array = self._batch.column(column)
        self._budget = ARROW_COLUMN_BYTES_MAX
        try:
            self._prepare(array, first, first + count)
        except _TooMuch:
            return [f"(more than {size_text(ARROW_COLUMN_BYTES_MAX)})"] * count
        except (self._pa.ArrowException, RainException, *_UNREADABLE):
            self._budget = ARROW_COLUMN_BYTES_MAX
            return [self._cell(array, row) for row in range(first, first + count)]
        part = array.slice(first, count)
        try:
            return [cell(value) for value in _values(self._pa, part)]
        except Exception:  # a date that Python does not have, for instance
            return [_one(self._pa, part, row) for row in range(count)]

    def _cell(self, array: Any, row: int) -> str:
        try:
            self._prepare(array, row, row + 1)
        except _TooMuch:
            return f"(more than {size_text(ARROW_COLUMN_BYTES_MAX)})"
        except (self._pa.ArrowException, RainException, *_UNREADABLE) as error:
            return cut(f"({error})")
        return _one(self._pa, array, row)

    def _fill(self, buffer: Any, start: int, end: int) -> None:
        """Make a range of a buffer be there."""
        if buffer is None or start >= end:
            return
        if start < 0 or end > buffer.size:
            raise _short()
        at = buffer.address - self._base
        if not 0 <= at <= at + buffer.size <= self._size:
            return  # pyarrow made it itself, of something that was compressed or written in another order
        self._budget -= end - start
        if self._budget < 0:
            raise _TooMuch
        self._memory.fill(at + start, end - start)

    def _prepare(self, array: Any, first: int, last: int) -> None:
        """Fill in what rows from `first` to before `last` of an array need, and check that it leads nowhere else.

        Values that are merely odd (a date that is no date) are left to the view that shows them.
        """
        import pyarrow.types as types

        kind = array.type
        if isinstance(kind, types.lib.BaseExtensionType):
            self._prepare(array.storage, first, last)
            return
        if last > len(array):
            raise _short()
        if first >= last:
            return
        buffers = array.buffers()
        if types.is_union(kind) or types.is_run_end_encoded(kind) or _is_list_view(types, kind):
            for buffer in buffers:  # of layouts that are rare, everything
                self._fill(buffer, 0, 0 if buffer is None else buffer.size)
            array.validate(full=True)
            return
        self._fill(buffers[0], first // 8, (last + 7) // 8)
        if types.is_struct(kind):
            for number in range(kind.num_fields):
                self._prepare(array.field(number), first, last)
        elif types.is_fixed_size_list(kind):
            self._prepare(array.values, first * kind.list_size, last * kind.list_size)
        elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
            inner = self._between(buffers[1], "q" if types.is_large_list(kind) else "i", first, last)
            self._prepare(array.values, *inner)
        elif types.is_dictionary(kind):
            self._fill_fixed(buffers[1], kind.index_type, first, last)
            self._check_indices(array, first, last)
        elif (
            types.is_binary(kind) or types.is_string(kind) or types.is_large_binary(kind) or types.is_large_string(kind)
        ):
            large = types.is_large_binary(kind) or types.is_large_string(kind)
            self._fill(buffers[2], *self._between(buffers[1], "q" if large else "i", first, last))
            array.slice(first, last - first).validate(full=True)
        elif types.is_binary_view(kind) or types.is_string_view(kind):
            self._fill_views(buffers[1:], first, last)
            array.slice(first, last - first).validate(full=True)
        elif not types.is_null(kind):
            self._fill_fixed(buffers[1], kind, first, last)
            # A time of 30 hours would be shown as one of 6.
            array.slice(first, last - first).validate(full=types.is_time(kind))

    def _fill_fixed(self, buffer: Any, kind: Any, first: int, last: int) -> None:
        width = kind.bit_width
        self._fill(buffer, first * width // 8, (last * width + 7) // 8)

    def _between(self, offsets: Any, form: str, first: int, last: int) -> tuple[int, int]:
        """Where the items of rows begin and end, from a buffer of offsets."""
        width = struct.calcsize(form)
        if offsets is None:
            raise _short()
        self._fill(offsets, first * width, (last + 1) * width)
        found = memoryview(offsets)[first * width : (last + 1) * width].tobytes()
        places = struct.unpack(f"<{last - first + 1}{form}", found)
        if places[0] < 0 or any(place > after for place, after in pairwise(places)):
            raise Damaged("the batch is damaged: its rows end before they begin")
        return places[0], places[-1]

    def _fill_views(self, buffers: list[Any], first: int, last: int) -> None:
        """Of strings as views: each is a length, and the bytes, or which buffer they are in, and where."""
        if buffers[0] is None:
            raise _short()
        self._fill(buffers[0], first * _VIEW.size, last * _VIEW.size)
        for length, number, offset in _VIEW.iter_unpack(memoryview(buffers[0])[first * _VIEW.size : last * _VIEW.size]):
            if length > _VIEW_INLINE_BYTES:
                if not 0 <= number < len(buffers) - 1:
                    raise _short()
                self._fill(buffers[number + 1], offset, offset + length)

    def _check_indices(self, array: Any, first: int, last: int) -> None:
        """Whether rows of a dictionary array are in its dictionary, and that is in order; it is there as a whole."""
        from pyarrow import compute

        array.indices.slice(first, last - first).validate()
        found = compute.min_max(array.indices.slice(first, last - first)).as_py()
        dictionary = array.dictionary
        if found["min"] is not None and not 0 <= found["min"] <= found["max"] < len(dictionary):
            raise Damaged("the batch is damaged: it names values that its dictionary does not have")
        budget, self._budget = self._budget, self._size  # it is small, and was read already
        self._prepare(dictionary, 0, len(dictionary))
        self._budget = budget


def _short() -> Damaged:
    return Damaged("the buffers of the batch are shorter than its rows need")


def _is_list_view(types: Any, kind: Any) -> bool:
    return bool(types.is_list_view(kind) or types.is_large_list_view(kind))


def _values(pa: Any, array: Any) -> list[Any]:
    """The values of an array."""
    if not pa.types.is_date64(array.type):
        values: list[Any] = array.to_pylist()
        return values
    # Milliseconds, of which `to_pylist` keeps the days only.
    moments = array.view(pa.timestamp("ms")).to_pylist()
    return [at if at is None or at.time() != _MIDNIGHT else at.date() for at in moments]


def _one(pa: Any, array: Any, row: int) -> str:
    try:
        return cell(_values(pa, array.slice(row, 1))[0])
    except Exception as error:
        return cut(f"({type(error).__name__}: {error})")


class ArrowViewer:
    """Pages of `TABLE_PAGE_ROWS` rows."""

    def __init__(self, subject: Subject) -> None:
        try:
            import pyarrow as pa
        except ImportError:
            raise needs("pyarrow") from None
        self._pa = pa
        self._ranges = subject.ranges
        self._asked = False
        self._note = ""
        self._dictionaries: list[Message] = []
        self._walk: Iterator[Message] = iter(())
        self._schema = self._begin(subject.head.startswith(messages.MAGIC))
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(self._schema))
            # Names need not be UTF-8 in damaged data, and are decoded at each use.
            self._names: list[str] = schema.names
            self._types = [str(kind) for kind in schema.types]
            self._metadata: dict[bytes, bytes] = schema.metadata or {}
        except (pa.ArrowException, *_UNREADABLE) as error:
            raise Damaged(f"the table's schema cannot be read: {cut(str(error))}") from None
        self._batches: list[tuple[Message, int]] = []  # with how many dictionaries come before
        self._starts = [0]  # the number of each batch's first row
        self._whole = False
        self._last: tuple[int, _Batch] | None = None

    def _begin(self, is_file: bool) -> bytes:
        """The message with the schema, which a stream begins with.

        A file has it at its end too, with a list of its batches; at its beginning some writers leave out the length.
        Where the end is missing, batches are found one after the other.
        """
        if is_file:
            try:
                found = messages.footer(self._ranges)
            except Damaged as error:
                self._note = f"{error}; these are the rows before"
            else:
                self._walk = (
                    message
                    for start in found.dictionaries + found.batches
                    if (message := messages.read_message(self._ranges, start)) is not None
                )
                return found.schema
        self._walk = messages.walk(self._ranges, 8 if is_file else 0)
        try:
            first = next(self._walk, None)
        except Damaged as error:
            raise Damaged(self._note.partition(";")[0] or str(error)) from None
        if first is None or first.kind != messages.SCHEMA:
            raise Damaged("these are not the data of an Arrow file or stream")
        return self._ranges.exactly(first.start, first.end - first.start)

    def _look(self, rows: int, heads: int) -> None:
        """Find batches until there are so many rows, or `heads` more of them have been found."""
        allowance = Allowance(self._ranges, not self._asked)
        while not self._whole and (heads > 0 or self._starts[-1] < rows) and allowance.left:
            heads -= 1
            if heads < -ARROW_HEADS_MAX:
                break
            try:
                message = next(self._walk, None)
            except Damaged as error:
                self._note = f"{error}; these are the rows before"
                message = None
            if message is None:
                self._whole = True
            elif message.kind == messages.DICTIONARY:
                self._dictionaries.append(message)
            elif message.kind == messages.BATCH:
                self._batches.append((message, len(self._dictionaries)))
                self._starts.append(self._starts[-1] + message.rows)

    def page(self, asked: Inspect) -> PageWithBuffers:
        self._look(asked.offset + TABLE_PAGE_ROWS, _FIRST_HEADS_MAX if not self._asked else ARROW_HEADS_MAX)
        self._asked = True
        known = self._starts[-1]
        offset = min(asked.offset, known if self._whole else max(known - TABLE_PAGE_ROWS, 0))
        labels, all_columns = self._columns()
        part = shown_columns(asked.column, len(all_columns))
        columns = all_columns[part]
        shown = [*columns, *([] if labels is None else [labels])]
        cells = {column: list[str]() for column in shown}
        row = offset
        while row < min(offset + TABLE_PAGE_ROWS, known):
            number = next(at for at in range(len(self._batches)) if self._starts[at + 1] > row)
            count = min(self._starts[number + 1], offset + TABLE_PAGE_ROWS) - row
            for column in shown:
                cells[column] += self._cells(number, column, row - self._starts[number], count)
            row += count
        rows = [list(row) for row in zip(*(cells[column] for column in columns), strict=True)]
        page = table(
            [(self._names[column], self._types[column]) for column in columns],
            rows if columns else [[] for _ in range(row - offset)],
            offset=offset,
            total=known if self._whole else None,
            column=part.start,
            width=len(all_columns),
            index=None if labels is None else cells[labels],
            summary=self._summary(),
        )
        return page, []

    def _columns(self) -> tuple[int | None, list[int]]:
        """The column with the rows' labels, if there is one, and all other columns."""
        label = label_column(self._names, self._metadata)
        return label, [column for column in range(len(self._names)) if column != label]

    def _cells(self, number: int, column: int, first: int, count: int) -> list[str]:
        if self._last is None or self._last[0] != number:
            message, before = self._batches[number]
            self._last = None
            try:
                dictionaries = self._dictionaries[:before]
                self._last = (number, _Batch(self._pa, self._ranges, self._schema, dictionaries, message))
            except (self._pa.ArrowException, *_UNREADABLE) as error:
                raise Damaged(f"batch {number} of the table cannot be read: {cut(str(error))}") from None
        try:
            return self._last[1].cells(column, first, count)
        except (self._pa.ArrowException, RainException, StopIteration, *_UNREADABLE) as error:
            return [cut(f"({error})")] * count

    def _summary(self) -> list[tuple[str, Any]]:
        metadata = self._metadata
        facts: list[tuple[str, Any]] = [("columns", len(self._names))]
        if self._whole:
            facts.append(("batches", len(self._batches)))
        else:
            facts.append(("batches", f"more than {len(self._batches):,}: they are counted as they are shown"))
        if _KIND in metadata:
            facts.append(
                ("made from", {b"frame": "a data frame"}.get(metadata[_KIND], metadata[_KIND].decode("latin-1")))
            )
        others = [key.decode("utf-8", "replace") for key in metadata if key not in (_KIND, b"pandas")]
        if others:
            facts.append(("metadata", ", ".join(others)))
        if self._note:
            facts.append(("damaged", self._note))
        return facts
