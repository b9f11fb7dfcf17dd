"""NumPy's ``.npy`` files: shape, type and values, without loading them and without running anything in them."""

from __future__ import annotations

import ast
import math
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import BLOCK_BYTES, OPEN_READ_BYTES_MAX, TABLE_PAGE_ROWS
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import cut
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.inspectors.tables import needs, shown_columns, table
from rain.notebook.protocol.requests import Inspect

MAGIC = b"\x93NUMPY"
_HEADER_BYTES_MAX = 10_000
"""As numpy's own limit: longer headers may take long to parse."""
_DIMENSIONS_MAX = 64


class NpyViewer:
    """Rows along the first axis; further axes side by side."""

    def __init__(self, subject: Subject) -> None:
        try:
            import numpy
        except ImportError:
            raise needs("numpy") from None
        self._numpy = numpy
        self._ranges = subject.ranges
        header, self._start = header_of(subject.ranges)
        self._dtype = self._type(header["descr"])
        self._shape: tuple[int, ...] = header["shape"]
        self._fortran: bool = header["fortran_order"]
        size = math.prod(self._shape) * self._dtype.itemsize
        if self._start + size > subject.ranges.size:
            raise RainException(
                f"the array is cut off: {size} bytes of values are announced, {subject.ranges.size - self._start} there"
            )

    def _type(self, descr: Any) -> Any:
        try:
            dtype = self._numpy.lib.format.descr_to_dtype(descr)
        except Exception as error:
            raise RainException(f"the array is of a type that numpy does not know: {cut(str(error))}") from None
        if dtype.hasobject:
            raise RainException("the array holds Python objects, which are pickled: they are not loaded here")
        if not dtype.itemsize:
            raise RainException(f"the array's values ({cut(str(dtype))}) have no bytes")
        return dtype

    def page(self, asked: Inspect) -> PageWithBuffers:
        total = self._shape[0] if self._shape else 1
        offset = min(asked.offset, total)
        wide = math.prod(self._shape[1:]) if total else 0
        fields = self._dtype.names if len(self._shape) < 2 else None
        part = shown_columns(asked.column, len(fields) if fields else wide)
        first, width = (0, wide) if fields else (part.start, part.stop - part.start)
        count = min(TABLE_PAGE_ROWS, total - offset)
        if not wide:
            values: list[list[Any]] = [[] for _ in range(count)]
        elif self._fortran and len(self._shape) > 1:
            width = min(width, max(OPEN_READ_BYTES_MAX // (2 * BLOCK_BYTES), 1)) if total > count else width
            values = self._by_column(offset, count, first, width)
        else:
            values = self._by_row(offset, count, wide, first, width)
        if fields:
            values = [list(row[0][part]) for row in values]
        shown = len(fields[part]) if fields else max(map(len, values), default=width)
        summary: list[tuple[str, Any]] = [
            ("shape", " x ".join(map(str, self._shape)) or "a single value"),
            ("dtype", self._dtype),
            ("order", "columns" if self._fortran else "rows"),
            ("values", size_text(math.prod(self._shape) * self._dtype.itemsize)),
        ]
        names = self._columns(part.start, part.start + shown)
        total_width = len(fields) if fields else wide
        page = table(names, values, offset=offset, total=total, column=part.start, width=total_width, summary=summary)
        return page, []

    def _columns(self, first: int, last: int) -> list[tuple[str, str]]:
        if len(self._shape) < 2:
            if self._dtype.names:
                return [(name, str(self._dtype[name])) for name in self._dtype.names[first:last]]
            return [("value", str(self._dtype))] * (last - first)
        names = range(first, last) if len(self._shape) == 2 else map(self._place, range(first, last))
        return [(str(name), str(self._dtype)) for name in names]

    def _place(self, column: int) -> str:
        """Which value of a row with several axes that is."""
        places = []
        for extent in self._shape[1:] if self._fortran else reversed(self._shape[1:]):
            places.append(column % extent)
            column //= extent
        return ", ".join(map(str, places if self._fortran else reversed(places)))

    def _values(self, position: int, count: int) -> list[Any]:
        """`count` values from a place in the file on."""
        raw = self._ranges.read(self._start + position * self._dtype.itemsize, count * self._dtype.itemsize)
        try:
            values = self._numpy.frombuffer(raw, self._dtype)
            if values.size < count:
                raise RainException("the array is cut off")
            if self._dtype.kind in "Mm":
                return [str(value) for value in values]
            listed: list[Any] = values.tolist()
            return listed
        except (ValueError, TypeError, OverflowError, UnicodeError) as error:
            raise RainException(f"the array's values cannot be read: {cut(str(error))}") from None

    def _by_row(self, offset: int, count: int, wide: int, first: int, width: int) -> list[list[Any]]:
        size = self._dtype.itemsize
        if width * size > OPEN_READ_BYTES_MAX:
            width = max(OPEN_READ_BYTES_MAX // size, 1)
        if size > OPEN_READ_BYTES_MAX:
            raise RainException(f"a single value has {size} bytes; see the bytes (hex)")
        # A row that is far from the next one takes a block, or what of it is shown, whichever is more.
        step = wide * size if wide * size <= BLOCK_BYTES else max(BLOCK_BYTES, width * size)
        count = max(min(count, OPEN_READ_BYTES_MAX // step), min(count, 1))
        return [self._values((offset + number) * wide + first, width) for number in range(count)]

    def _by_column(self, offset: int, count: int, first: int, width: int) -> list[list[Any]]:
        size = self._dtype.itemsize
        if not width:
            return [[] for _ in range(count)]
        count = max(min(count, OPEN_READ_BYTES_MAX // (width * size)), 1) if count else 0
        columns = [self._values(column * self._shape[0] + offset, count) for column in range(first, first + width)]
        return [list(row) for row in zip(*columns, strict=True)]


def header_of(ranges: Ranges) -> tuple[dict[str, Any], int]:
    """The header of a file, checked, and where the values begin."""
    head = ranges.read(0, 12)
    width = 2 if head[6:7] == b"\x01" else 4
    if not head.startswith(MAGIC) or head[6:7] not in (b"\x01", b"\x02", b"\x03") or len(head) < 8 + width:
        raise RainException("this is not a .npy file of a version that is known (1, 2 or 3)")
    length = int.from_bytes(head[8 : 8 + width], "little")
    if length > _HEADER_BYTES_MAX:
        raise RainException(f"the header of the .npy file has {length} bytes, over the limit of {_HEADER_BYTES_MAX}")
    raw = ranges.read(8 + width, length)
    try:
        header = ast.literal_eval(raw.decode("utf-8" if head[6] == 3 else "latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise RainException("the header of the .npy file is damaged") from None
    if not isinstance(header, dict) or not header.keys() >= {"descr", "fortran_order", "shape"}:
        raise RainException("the header of the .npy file does not say what is in it")
    shape = header["shape"]
    good = isinstance(shape, tuple) and all(type(extent) is int and 0 <= extent < 1 << 62 for extent in shape)
    if not good or len(shape) > _DIMENSIONS_MAX or not isinstance(header["fortran_order"], bool):
        raise RainException("the header of the .npy file has a shape that is none")
    return header, 8 + width + length
