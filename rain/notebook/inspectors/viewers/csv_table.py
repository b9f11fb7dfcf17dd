"""CSV and its relatives as a table: rows are found from the beginning on, as far as they are shown.

Where every hundredth row begins is remembered. A row may have quoted line ends; one that is longer than
`ROW_BYTES_MAX`, or whose quotes never end, is shown by its beginning, and the next row begins at the next line.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator
from itertools import pairwise

from rain.common.errors import RainException
from rain.common.protocol.table_views import NUMBER_PATTERN, CsvForm
from rain.notebook.inspectors.limits import CELL_CHARS, OPEN_READ_BYTES_MAX, ROW_BYTES_MAX, TABLE_PAGE_ROWS
from rain.notebook.inspectors.subject import Allowance, PageWithBuffers, Subject
from rain.notebook.inspectors.tables import shown_columns, table
from rain.notebook.inspectors.viewers.text import guess_encoding, mark_length, other_encoding
from rain.notebook.protocol.requests import Inspect

DELIMITERS = ",;\t|"
_NUMBER = re.compile(NUMBER_PATTERN)
_INTEGER = re.compile(r"\s*[-+]?\d+\s*")
_SHORT_INTEGER = re.compile(r"\s*\d{1,9}\s*")
_NOTHING = {"", "na", "n/a", "nan", "null", "none", "-", ".", "?"}
"""How a number that is missing is written."""
_SNIFFED_LINES = 20
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*"')
_QUOTED_BYTES = re.compile(rb'"[^"]*"')
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line by which Excel is told the delimiter."""


class _Starved(Exception):
    """No more may be read for this page."""


class _RowTooLong(Exception):
    """A row has more than `ROW_BYTES_MAX` bytes."""


def _lines(head: str) -> list[str]:
    """The first lines that have something on them, without what is quoted, and without the last one, which may be cut
    off."""
    if head.count('"') % 2 == 0:
        head = _QUOTED.sub('""', head)
    lines = _LINE_END.split(head)
    lines = lines if len(lines) == 1 else lines[:-1]
    return [line for line in lines[: _SNIFFED_LINES + 1] if line.strip() and not _SEPARATOR.fullmatch(line)]


def sniff_delimiter(head: str) -> str | None:
    """The character that divides most of the first lines into the same number of cells.

    Examples
    --------
    >>> sniff_delimiter("a;b\\n1,5;2\\n2,5;3")
    ';'
    """
    lines = _lines(head)
    best, most = None, 0
    for delimiter in DELIMITERS:
        counts = [line.count(delimiter) for line in lines]
        common = max((count for count in counts if count), key=counts.count, default=0)
        if counts.count(common) > most and common:
            best, most = delimiter, counts.count(common)
    return best


def looks_like_table(head: str) -> bool:
    """Whether several lines have the same number of cells, more than one.

    Examples
    --------
    >>> looks_like_table("a,b\\n1,2\\n3,4\\n"), looks_like_table("Dear all,\\nhow are you?\\n")
    (True, False)
    """
    delimiter = sniff_delimiter(head)
    lines = _lines(head)
    return delimiter is not None and len(lines) > 1 and len({line.count(delimiter) for line in lines}) == 1


def sniff_line_end(head: bytes) -> bytes:
    """The last byte of lines: a line feed, or a carriage return where those stand alone.

    Examples
    --------
    >>> sniff_line_end(b"a,b\\r\\n1,2\\r\\n"), sniff_line_end(b'a,b\\r1,"x\\ny"\\r')
    (b'\\n', b'\\r')
    """
    outside = _QUOTED_BYTES.sub(b"", head) if head.count(b'"') % 2 == 0 else head
    alone = outside.count(b"\r") - outside.count(b"\r\n") - outside.endswith(b"\r")
    alone += outside.endswith(b"\r") and alone > 0
    return b"\r" if alone > outside.count(b"\n") or (b"\r" in outside and b"\n" not in outside) else b"\n"


def is_header(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first row is more likely the names of the columns than a row like those below it.

    Examples
    --------
    >>> is_header(["name", "age"], [["Ann", "5"]]), is_header(["Ann", "5"], [["Bob", "6"]])
    (True, False)
    >>> is_header(["country", "2000", "2001"], [["France", "1.5", "2"]]), is_header(["x", "1", "2"], [["y", "3", "4"]])
    (True, False)
    """
    if not any(first):
        return False
    if not any(_NUMBER.fullmatch(value) for value in first):
        return True
    if _names_columns(_sequence(first), first[0]) and not any(map(_sequence, rows)):
        return True
    # A word above nothing but numbers.
    for column, name in enumerate(first):
        below = [row[column] for row in rows if column < len(row)]
        if _NUMBER.fullmatch(name) or name.strip().lower() in _NOTHING or guess_dtype(below) == "text":
            continue
        return True
    return False


def _sequence(row: list[str]) -> list[int]:
    """The whole numbers at the end of a row that begins with something else, if they rise by the same step."""
    numbers = [value for value in row if value.strip()]
    while numbers and not _INTEGER.fullmatch(numbers[0]):
        numbers.pop(0)
    if len(numbers) < 2 or len(numbers) == len(row) or not all(_SHORT_INTEGER.fullmatch(value) for value in numbers):
        return []
    found = list(map(int, numbers))
    steps = {after - before for before, after in pairwise(found)}
    return found if len(steps) == 1 and steps.pop() > 0 else []


def _names_columns(numbers: list[int], first: str) -> bool:
    """Whether a sequence is such as name columns: years, or numbers from 0 or 1 on."""
    if not numbers:
        return False
    years = 1000 <= numbers[0] <= numbers[-1] < 3000
    return years or (numbers[0] in (0, 1) and (len(numbers) > 2 or not first.strip()))


def guess_dtype(values: list[str]) -> str:
    """What the cells of a column look like.

    Examples
    --------
    >>> guess_dtype(["1", "2", ""]), guess_dtype(["1", "2.5"]), guess_dtype(["1", "x"])
    ('integer', 'number', 'text')
    """
    there = [value for value in values if value.strip()]
    if not there or not all(_NUMBER.fullmatch(value) for value in there):
        return "text"
    return "integer" if all(_INTEGER.fullmatch(value) for value in there) else "number"


class CsvViewer:
    """Pages of `TABLE_PAGE_ROWS` rows."""

    def __init__(self, subject: Subject) -> None:
        self._ranges = subject.ranges
        head = subject.head
        declared = subject.content_type or ""
        guessed = guess_encoding(head, len(head) == subject.ranges.size)
        self._encoding = declared[5:] if declared.startswith("text-") else guessed or "iso8859-1"
        if self._encoding.replace("_", "-").lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
            raise RainException(f"a table in {self._encoding} cannot be read in parts; see the text")
        self._others: set[str] = set()  # encodings of rows that are not in the one that was guessed
        self._end = sniff_line_end(head)
        text = self._decoded(head)
        self._delimiter = "\t" if subject.extension in ("tsv", "tab") else sniff_delimiter(text) or ","
        self._base, self._window = 0, b""
        self._long_ends: dict[int, int] = {}
        self._asked = False
        self._allowance = Allowance(subject.ranges, True)
        self._first = mark_length(head, "utf-8")
        self._take_separator(head)
        self._header: list[str] | None = None
        self._dtypes: list[str] = []
        self._sniff()
        self._starts = array("Q", [self._first])  # of every TABLE_PAGE_ROWS-th row
        self._frontier = (0, self._first)  # the first row that was not passed yet, and where it begins
        self._total: int | None = None

    def _take_separator(self, head: bytes) -> None:
        """A first line may say what the delimiter is."""
        line, end, _ = head[self._first :].partition(self._end)
        found = _SEPARATOR.fullmatch(self._decoded(line[:20]).strip(" \r"))
        if found is not None and len(line) <= 20:
            self._delimiter, self._first = found[1], self._first + len(line) + len(end)

    def _decoded(self, raw: bytes) -> str:
        try:
            text = raw.decode(self._encoding, "replace")
            if self._encoding == "utf-8" and "\ufffd" in text and (other := other_encoding(raw, text)) is not None:
                self._others.add(other)
                return raw.decode(other, "replace")
            return text
        except (LookupError, UnicodeError, ValueError):
            raise RainException(f"a table in {self._encoding} cannot be read in parts; see the text") from None

    # -- rows -------------------------------------------------------------------------------------

    def _sniff(self) -> None:
        """Whether the first row is the names of the columns, and what is in them."""
        rows: list[list[str]] = []
        position, second = self._first, self._first
        try:
            while len(rows) <= TABLE_PAGE_ROWS and (found := self._row(position, True)) is not None:
                rows.append(found[0])
                position = found[1]
                if len(rows) == 1:
                    second = position
        except _Starved:
            pass
        if rows and is_header(rows[0], rows[1:]):
            self._header = rows.pop(0)
            self._first = second
        width = max((len(row) for row in rows), default=0)
        self._dtypes = [guess_dtype([row[column] for row in rows if column < len(row)]) for column in range(width)]

    def _row(self, start: int, cells: bool) -> tuple[list[str], int] | None:
        """The row that begins at `start` (without its cells, where those are not needed), and where the next begins."""
        line = self._line(start)
        if line is None:
            return None
        raw, after = line
        if b'"' not in raw:
            return (self._decoded(raw).split(self._delimiter) if cells else []), after
        end = after

        def lines() -> Iterator[str]:
            nonlocal end
            yield self._decoded(raw) + "\n"
            while (more := self._line(end)) is not None:
                end = more[1]
                if end - start > ROW_BYTES_MAX:
                    raise _RowTooLong
                yield self._decoded(more[0]) + "\n"

        if start in self._long_ends:
            return [self._decoded(raw)], after
        try:
            return next(csv.reader(lines(), delimiter=self._delimiter)), end
        except (csv.Error, _RowTooLong, StopIteration):
            return [self._decoded(raw)], after

    def _line(self, start: int) -> tuple[bytes, int] | None:
        """A line without its end, and where the next one begins; of a very long one its beginning."""
        if start in self._long_ends:
            return self._ranges.read(start, 4 * CELL_CHARS), self._long_end(start)
        at = start - self._base
        found = self._window.find(self._end, at) if 0 <= at < len(self._window) else -1
        if found < 0:
            if start >= self._ranges.size:
                return None
            if not self._allowance.left:
                raise _Starved
            self._base, self._window, at = start, self._ranges.read(start, ROW_BYTES_MAX), 0
            if not self._window:
                return None
            found = self._window.find(self._end)
            if found < 0 and len(self._window) == ROW_BYTES_MAX and start + ROW_BYTES_MAX < self._ranges.size:
                self._long_ends[start] = -(start + ROW_BYTES_MAX)
                return self._window[: 4 * CELL_CHARS], self._long_end(start)
        end = found if found >= 0 else len(self._window)
        return self._window[at:end].removesuffix(b"\r"), self._base + end + (found >= 0)

    def _long_end(self, start: int) -> int:
        """Where the line behind a very long one begins; as long as that is not known, minus how far was looked."""
        while (known := self._long_ends[start]) < 0:
            data = self._ranges.read(-known, ROW_BYTES_MAX)
            found = data.find(self._end)
            if found >= 0 or not data or -known + len(data) >= self._ranges.size:
                self._long_ends[start] = -known + (found + 1 if found >= 0 else len(data))
                break
            self._long_ends[start] = known - len(data)
            if not self._allowance.left:
                raise _Starved
        return self._long_ends[start]

    def _pass_rows(self, until: int) -> None:
        """Find where rows begin, up to that one."""
        number, position = self._frontier
        try:
            while number < until and self._total is None:
                at = position - self._base
                end = self._window.find(self._end, at) if 0 <= at < len(self._window) else -1
                if end >= 0 and self._window.find(b'"', at, end) < 0:  # most rows, as fast as it goes
                    number, position = number + 1, self._base + end + 1
                else:
                    found = self._row(position, False)
                    if found is None:
                        self._total = number
                        break
                    number, position = number + 1, found[1]
                if number % TABLE_PAGE_ROWS == 0:
                    self._starts.append(position)
        except _Starved:
            pass
        self._frontier = (number, position)

    def page(self, asked: Inspect) -> PageWithBuffers:
        if self._asked:  # the first page is made with what finding the columns left of the first allowance
            self._allowance = Allowance(self._ranges, False)
        self._asked = True
        if self._frontier[0] < asked.offset + TABLE_PAGE_ROWS:
            # One row more, so that the end is seen on the last page; all rows of a small file.
            small = self._ranges.size <= OPEN_READ_BYTES_MAX
            self._pass_rows(asked.offset + (self._ranges.size if small else TABLE_PAGE_ROWS) + 1)
        known = self._frontier[0]
        offset = min(asked.offset, max(known - TABLE_PAGE_ROWS, 0) if asked.offset >= known else known)
        rows = self._rows(offset, min(offset + TABLE_PAGE_ROWS, known))
        if not known and self._total is None and self._frontier[1] in self._long_ends:
            rows = [[self._decoded(self._ranges.read(self._frontier[1], 4 * CELL_CHARS))]]
        width = max([len(self._dtypes), len(self._header or ()), *map(len, rows)])
        names = (self._header or []) + [f"column {number + 1}" for number in range(len(self._header or ()), width)]
        dtypes = self._dtypes + ["text"] * (width - len(self._dtypes))
        summary: list[tuple[str, object]] = [
            ("delimiter", {"\t": "tab"}.get(self._delimiter, self._delimiter)),
            ("encoding", " or ".join([self._encoding, *sorted(self._others)])),
            ("columns", width),
        ]
        if self._total is None:
            summary.append(("rows", f"more than {max(known - 1, 0):,}: they are counted as they are shown"))
        names = [name if name else f"column {number + 1}" for number, name in enumerate(names)]
        part = shown_columns(asked.column, width)
        page = table(
            list(zip(names, dtypes, strict=False))[part],
            [row[part] for row in rows],
            offset=offset,
            total=self._total,
            column=part.start,
            width=width,
            summary=summary,
        )
        return page, []

    def form(self) -> CsvForm:
        """How the table is written, for an executor that finds rows of it."""
        width = max(len(self._dtypes), len(self._header or ()))
        names = (self._header or []) + [""] * (width - len(self._header or ()))
        kinds = self._dtypes + ["text"] * (width - len(self._dtypes))
        names = [name or f"column {number + 1}" for number, name in enumerate(names)]
        return CsvForm(self._first, self._delimiter, self._encoding, names, kinds)

    def _rows(self, first: int, last: int) -> list[list[str]]:
        """Rows that were passed before."""
        mark = min(first // TABLE_PAGE_ROWS, len(self._starts) - 1)
        number, position = mark * TABLE_PAGE_ROWS, self._starts[mark]
        rows: list[list[str]] = []
        try:
            while number < last and (found := self._row(position, number >= first)) is not None:
                if number >= first:
                    rows.append(found[0])
                number, position = number + 1, found[1]
        except _Starved:  # blocks that were read before are no longer kept
            pass
        return rows
