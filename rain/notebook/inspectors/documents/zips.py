"""What is in a zip file, NumPy's ``.npz`` among them: its directory, and of arrays their shapes and types."""

from __future__ import annotations

import io
import zipfile
import zlib

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import ZIP_ENTRIES_MAX, ZIP_HEADERS_MAX, ZIP_READ_BYTES_MAX
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import cut, visible
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.inspectors.tables import table
from rain.notebook.inspectors.viewers.npy_table import header_of
from rain.notebook.protocol.requests import Inspect

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_HEADER_BYTES = 12_000
_PAGE_ROWS = 100
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What is raised for a zip that is damaged, encrypted, or of a kind that Python does not know."""


class _File(io.RawIOBase):
    """A blob that is read in ranges, as a file."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ranges.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._ranges.size - self._at)
        size = left if size < 0 else min(size, left)
        if size > ZIP_READ_BYTES_MAX:  # `zipfile` takes the directory in one go, and believes the file how long it is
            limit = f"ZIP_READ_BYTES_MAX, {ZIP_READ_BYTES_MAX} bytes"
            raise RainException(
                f"the directory of the zip file has {size} bytes, over the limit ({limit}); download it"
            )
        data = self._ranges.read(self._at, size)
        self._at += len(data)
        return data


class ZipViewer:
    """A row for each entry."""

    def __init__(self, subject: Subject) -> None:
        try:
            self._zip = zipfile.ZipFile(_File(subject.ranges))
        except _BROKEN as error:
            raise RainException(f"the directory of the zip file cannot be read: {cut(str(error))}") from None
        self._entries = self._zip.infolist()
        if len(self._entries) > ZIP_ENTRIES_MAX:
            limit = f"ZIP_ENTRIES_MAX, {ZIP_ENTRIES_MAX}"
            raise RainException(f"the zip file has {len(self._entries)} entries, over the limit ({limit}); download it")
        self._arrays: dict[int, str] = {}

    def page(self, asked: Inspect) -> PageWithBuffers:
        total = len(self._entries)
        offset = min(asked.offset, total)
        shown = range(offset, min(offset + _PAGE_ROWS, total))
        rows = [self._row(number) for number in shown]
        packed = sum(entry.compress_size for entry in self._entries)
        whole = sum(entry.file_size for entry in self._entries)
        summary = [("entries", f"{total:,}"), ("packed", size_text(packed)), ("unpacked", size_text(whole))]
        columns = [("name", ""), ("what", ""), ("size", ""), ("packed", "")]
        return table(columns, rows, offset=offset, total=total, column=0, width=len(columns), summary=summary), []

    def _row(self, number: int) -> list[str]:
        entry = self._entries[number]
        what = "folder" if entry.is_dir() else self._array(number)
        return [cut(visible(entry.filename)), what, size_text(entry.file_size), size_text(entry.compress_size)]

    def _array(self, number: int) -> str:
        """Shape and type of an entry that is an array; empty for others."""
        entry = self._entries[number]
        if not entry.filename.endswith(".npy"):
            return ""
        if number not in self._arrays:
            if len(self._arrays) >= ZIP_HEADERS_MAX:
                return "array"
            self._arrays[number] = self._told(entry)
        return self._arrays[number]

    def _told(self, entry: zipfile.ZipInfo) -> str:
        try:
            with self._zip.open(entry) as file:
                header, _ = header_of(Ranges.of(file.read(_HEADER_BYTES)))
        except RainException as error:
            return cut(f"array: {error}")
        except _BROKEN:
            return "array that cannot be read"
        shape = " x ".join(map(str, header["shape"])) or "a single value"
        return cut(visible(f"array {shape} {header['descr']}"))
