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

import json
import mmap
import struct
from collections.abc import Iterator
from typing import Any

from rain.common.errors import RainException
from rain.common.text import size_text
from rain.notebook.inspect import arrow_messages as messages
from rain.notebook.inspect.arrow_messages import Damaged, Message
from rain.notebook.inspect.limits import (
    ARROW_COLUMN_BYTES_MAX,
    ARROW_HEADS_MAX,
    ARROW_INFLATED_BYTES_MAX,
    TABLE_COLUMNS_MAX,
    TABLE_PAGE_ROWS,
)
from rain.notebook.inspect.parameters import Parameters
from rain.notebook.inspect.ranges import Ranges
from rain.notebook.inspect.safe import cut
from rain.notebook.inspect.subject import Allowance, Page, Subject
from rain.notebook.inspect.tables import cell, needs, table

_FIRST_HEADS_MAX = 32
_KIND = b"rain:kind"
_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # which Python 3.11 has no name for
_UNREADABLE = (OSError, ValueError, MemoryError, LookupError, OverflowError, NotImplementedError, TypeError)
"""What pyarrow raises for data that are damaged: its own errors are each one of these, or of `ArrowException`."""


class _TooMuch(Exception):
    """What a column needs for these rows is over the limit."""


class _Memory:
    """Reserved memory in which pieces of the data lie, some filled in and some not."""

    def __init__(self, ranges: Ranges, pieces: list[tuple[int, int]]) -> None:
        self._ranges = ranges
        self._pieces = pieces
        size = sum(end - start for start, end in pieces)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        try:
            self.map = mmap.mmap(-1, max(size, 1), flags=flags)
        except (OSError, OverflowError, ValueError):
            raise RainException(
                f"there is no room to lay out a batch of {size_text(size)}; load it in a task"
            ) from None

    def fill(self, start: int, length: int) -> None:
        """Read the data for a range of the memory."""
        at = 0
        for begin, end in self._pieces:
            low, high = max(start, at), min(start + length, at + end - begin)
            if low < high:
                data = self._ranges.exactly(begin + low - at, high - low)
                self.map[low : low + len(data)] = data
            at += end - begin


class _Batch:
    """A record batch whose buffers are filled in as they are needed."""

    def __init__(self, pa: Any, ranges: Ranges, before: list[Message], message: Message) -> None:
        self._memory = _Memory(ranges, [(part.start, part.end) for part in [*before, message]])
        at = 0
        for part in [*before, message]:
            whole = part is not message or part.compressed is not None
            if whole and part.end - part.start > ARROW_COLUMN_BYTES_MAX:
                what = "a compressed batch" if part is message else "a dictionary"
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
        """Some rows of a column, as text."""
        array = self._batch.column(column)
        self._budget = ARROW_COLUMN_BYTES_MAX
        try:
            self._need(array.type, iter(array.buffers()), first, first + count)
        except _TooMuch:
            return [f"(more than {size_text(ARROW_COLUMN_BYTES_MAX)})"] * count
        part = array.slice(first, count)
        part.validate(full=True)
        try:
            return [cell(value) for value in part.to_pylist()]
        except Exception:  # a date that Python does not have, for instance
            return [_one(part, row) for row in range(count)]

    def _fill(self, buffer: Any, start: int, end: int) -> None:
        """Make a range of a buffer be there."""
        if buffer is None or start >= end:
            return
        at = buffer.address - self._base
        if not 0 <= at <= at + buffer.size <= self._size:
            return  # pyarrow made it itself, of something that was compressed
        if start < 0 or end > buffer.size:
            raise Damaged("the buffers of the batch are shorter than its rows need")
        self._budget -= end - start
        if self._budget < 0:
            raise _TooMuch
        self._memory.fill(at + start, end - start)

    def _need(self, kind: Any, buffers: Iterator[Any], first: int, last: int) -> None:
        """Fill in what rows from `first` to before `last` need of an array's buffers and its children's."""
        import pyarrow.types as types

        if isinstance(kind, types.lib.BaseExtensionType):
            self._need(kind.storage_type, buffers, first, last)
            return
        if types.is_union(kind) or types.is_run_end_encoded(kind) or "view" in str(kind):
            self._need_all(buffers)
            return
        valid = next(buffers)
        self._fill(valid, first // 8, (last + 7) // 8)
        if types.is_null(kind):
            return
        if types.is_dictionary(kind):
            kind = kind.index_type
        if types.is_struct(kind):
            for number in range(kind.num_fields):
                self._need(kind.field(number).type, buffers, first, last)
        elif types.is_fixed_size_list(kind):
            self._need(kind.value_type, buffers, first * kind.list_size, last * kind.list_size)
        elif types.is_boolean(kind):
            self._fill(next(buffers), first // 8, (last + 7) // 8)
        elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
            inner = self._between(next(buffers), "<q" if types.is_large_list(kind) else "<i", first, last)
            self._need(kind.field(0).type, buffers, *inner)
        elif types.is_binary(kind) or types.is_string(kind):
            self._fill_between(buffers, "<i", first, last)
        elif types.is_large_binary(kind) or types.is_large_string(kind):
            self._fill_between(buffers, "<q", first, last)
        else:
            width = kind.bit_width // 8
            self._fill(next(buffers), first * width, last * width)

    def _fill_between(self, buffers: Iterator[Any], form: str, first: int, last: int) -> None:
        inner = self._between(next(buffers), form, first, last)
        self._fill(next(buffers), *inner)

    def _between(self, offsets: Any, form: str, first: int, last: int) -> tuple[int, int]:
        """Where the items of rows begin and end, from a buffer of offsets."""
        width = struct.calcsize(form)
        if offsets is None or not offsets.size or first >= last:
            return 0, 0
        self._fill(offsets, first * width, (last + 1) * width)
        view = memoryview(offsets)
        if (last + 1) * width > len(view):
            raise Damaged("the buffers of the batch are shorter than its rows need")
        begin: int = struct.unpack_from(form, view, first * width)[0]
        end: int = struct.unpack_from(form, view, last * width)[0]
        if not 0 <= begin <= end:
            raise Damaged("the batch is damaged: its rows end before they begin")
        return begin, end

    def _need_all(self, buffers: Iterator[Any]) -> None:
        """Of layouts that are rare, everything."""
        for buffer in buffers:
            if buffer is not None:
                self._fill(buffer, 0, buffer.size)


def _one(array: Any, row: int) -> str:
    try:
        return cell(array[row].as_py())
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
        is_file = subject.head.startswith(messages.MAGIC)
        self._walk: Iterator[Message] = messages.walk(self._ranges, 8 if is_file else 0)
        first = next(self._walk, None)
        if first is None or first.kind != messages.SCHEMA:
            raise Damaged("these are not the data of an Arrow file or stream")
        self._before = [first]
        if is_file:
            self._use_footer()
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(self._ranges.exactly(first.start, first.end - first.start)))
            # Names need not be UTF-8 in damaged data, and are decoded at each use.
            self._names: list[str] = schema.names
            self._types = [str(kind) for kind in schema.types]
            self._metadata: dict[bytes, bytes] = schema.metadata or {}
        except (pa.ArrowException, *_UNREADABLE) as error:
            raise Damaged(f"the table's schema cannot be read: {cut(str(error))}") from None
        self._batches: list[tuple[Message, int]] = []  # with how many dictionaries and the like come before
        self._starts = [0]  # the number of each batch's first row
        self._whole = False
        self._last: tuple[int, _Batch] | None = None

    def _use_footer(self) -> None:
        """In a file the batches are listed at its end; where that is missing, they are found one after the other."""
        try:
            dictionaries, batches = messages.footer(self._ranges)
        except Damaged as error:
            self._note = f"{error}; these are the rows before"
            return
        self._walk = (
            message
            for start in dictionaries + batches
            if (message := messages.read_message(self._ranges, start)) is not None
        )

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
                self._before.append(message)
            elif message.kind == messages.BATCH:
                self._batches.append((message, len(self._before)))
                self._starts.append(self._starts[-1] + message.rows)

    def page(self, parameters: Parameters) -> Page:
        self._look(parameters.offset + TABLE_PAGE_ROWS, _FIRST_HEADS_MAX if not self._asked else ARROW_HEADS_MAX)
        self._asked = True
        known = self._starts[-1]
        offset = min(parameters.offset, known if self._whole else max(known - TABLE_PAGE_ROWS, 0))
        labels, columns = self._columns()
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
            index=None if labels is None else cells[labels],
            summary=self._summary(),
        )
        return page, []

    def _columns(self) -> tuple[int | None, list[int]]:
        """The column with the rows' labels, if there is one, and the columns to be shown."""
        names = self._names
        label = None
        try:
            pandas = json.loads(self._metadata[b"pandas"])
            index = pandas["index_columns"]
            if isinstance(index, list) and len(index) == 1 and isinstance(index[0], str) and names.count(index[0]) == 1:
                label = names.index(index[0])
        except (KeyError, ValueError, TypeError, RecursionError):
            pass
        return label, [column for column in range(len(names)) if column != label][:TABLE_COLUMNS_MAX]

    def _cells(self, number: int, column: int, first: int, count: int) -> list[str]:
        if self._last is None or self._last[0] != number:
            message, before = self._batches[number]
            self._last = None
            try:
                self._last = (number, _Batch(self._pa, self._ranges, self._before[:before], message))
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
        if len(self._names) > TABLE_COLUMNS_MAX:
            facts.append(("columns shown", f"the first {TABLE_COLUMNS_MAX}"))
        others = [key.decode("utf-8", "replace") for key in metadata if key not in (_KIND, b"pandas")]
        if others:
            facts.append(("metadata", ", ".join(others)))
        if self._note:
            facts.append(("damaged", self._note))
        return facts
