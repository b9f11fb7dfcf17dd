"""Readers of blobs on this host: in memory, in a file, in a part of what another reader reads."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from rain.common.limits import CHUNK_BYTES
from rain.objects.dirtree.one_file import copy_fd
from rain.objects.dirtree.remove import remove_file
from rain.objects.files import StaleFile, local_file, open_checked
from rain.objects.memory import map_fd, warn_read_only
from rain.objects.readers.reader import ObjectReader, write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from typing_extensions import Buffer

    from rain.common.location import LocalFile


def _slice(offset: int, length: int | None) -> slice:
    return slice(offset, None if length is None else offset + length)


class BytesReader(ObjectReader):
    """A blob in memory.

    Parameters
    ----------
    data : bytes or memoryview of bytes
    """

    __slots__ = ("data", "size")
    in_memory = True

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.size = len(data)

    def _read(self, offset: int, length: int | None) -> Buffer:
        return self.data[_slice(offset, length)]

    def pieces(self, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        yield memoryview(self.data)[_slice(offset, length)]


class PartReader(ObjectReader):
    """A blob that is a part of what another reader reads.

    Parameters
    ----------
    whole : ObjectReader
    start, size : int
        The part, in bytes.
    """

    __slots__ = ("_start", "_whole", "size")

    def __init__(self, whole: ObjectReader, start: int, size: int) -> None:
        self._whole = whole
        self._start = start
        self.size = size

    @property
    def in_memory(self) -> bool:  # type: ignore[override]
        return self._whole.in_memory

    def _range(self, offset: int, length: int | None) -> tuple[int, int]:
        """Where the range begins in the whole, and how many bytes of it there are."""
        offset = min(max(offset, 0), self.size)
        end = self.size if length is None else min(offset + max(length, 0), self.size)
        return self._start + offset, end - offset

    def _read(self, offset: int, length: int | None) -> Buffer:
        return self._whole._read(*self._range(offset, length))

    def pieces(self, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        return self._whole.pieces(*self._range(offset, length))


class FileReader(ObjectReader):
    """A blob in a file on this host.

    Parameters
    ----------
    file : LocalFile or str
        A plain path is taken as it is found at its first use.
    relocate : callable, optional
        ``relocate() -> ObjectReader``, asked once when the file is not the one that was meant (any more).
    moved : callable, optional
        ``moved() -> LocalFile | None``: where on this host the file is by now; asked when it was mapped already, so
        that the bytes are here, and is gone.
    """

    __slots__ = ("_file", "_lock", "_moved", "_relocate", "_view", "size")

    def __init__(
        self,
        file: LocalFile | str,
        relocate: Callable[[], ObjectReader] | None = None,
        moved: Callable[[], LocalFile | None] | None = None,
    ) -> None:
        self._file = local_file(file) if isinstance(file, str) else file
        self._relocate = relocate
        self._moved = moved
        self._view: memoryview | ObjectReader | None = None
        self._lock = threading.Lock()
        self.size = self._file.size

    def _open(self) -> memoryview | ObjectReader:
        """The mapping, or the reader that replaces this one."""
        with self._lock:
            if self._view is None:
                try:
                    fd = open_checked(self._file)
                except StaleFile:
                    if self._relocate is None:
                        raise
                    self._view = self._relocate()
                else:
                    try:
                        self._view = map_fd(fd, self.size)
                    finally:
                        os.close(fd)
            return self._view

    def _read(self, offset: int, length: int | None) -> Buffer:
        view = self._open()
        return view[_slice(offset, length)] if isinstance(view, memoryview) else view.read(offset, length)

    def pieces(self, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        # Read, not mapped: the pages of a large file that is sent once need not stay in this process.
        try:
            fd = open_checked(self._file)
        except StaleFile:
            view = self._open()
            if isinstance(view, memoryview):
                yield view[_slice(offset, length)]
            else:
                yield from view.pieces(offset, length)
            return
        try:
            left = max(0, self.size - offset) if length is None else min(length, self.size - offset)
            memory = memoryview(bytearray(min(max(left, 0), CHUNK_BYTES)))
            while left > 0:
                count = os.preadv(fd, [memory[:left]], offset)
                if not count:
                    return
                yield memory[:count]
                offset += count
                left -= count
        finally:
            os.close(fd)

    def buffer(self, writable: bool = False) -> memoryview:
        # Memory that is given out to be written is never that which other readers see.
        view = self._open()
        if not isinstance(view, memoryview):
            return view.buffer(writable)
        if not writable or not self.size:
            return view
        fd = self._opened_again()
        if fd is None:
            warn_read_only(f"the file {self._file.path} is gone since it was first mapped")
            return view
        try:
            return map_fd(fd, self.size, writable=True)
        finally:
            os.close(fd)

    def _opened_again(self) -> int | None:
        """A descriptor of the file, which was mapped before; None if it is not on this host any more."""
        try:
            return open_checked(self._file)
        except StaleFile:
            file = self._moved() if self._moved is not None else None
        try:
            return open_checked(file) if file is not None and file.size == self.size else None
        except StaleFile:
            return None

    def path(self) -> str | None:
        view = self._open()
        return self._file.path if isinstance(view, memoryview) else view.path()

    def save(self, path: str) -> None:
        try:
            fd = open_checked(self._file)
        except StaleFile:
            view = self._open()
            if isinstance(view, memoryview):
                write_new(path, [view])
            else:
                view.save(path)
            return
        try:
            copy_fd(fd, path, self.size, 0o644)
        except FileExistsError:
            raise
        except BaseException:
            remove_file(path)
            raise
        finally:
            os.close(fd)


class ReceivedReader(ObjectReader):
    """A blob that came over the network, in memory that its first loader gets to write to.

    Parameters
    ----------
    data : memoryview
        Writable, and referred to by this reader alone.
    again : ObjectReader
        Where it comes from, for loaders after the first.
    """

    __slots__ = ("_again", "_data", "_lent", "_lock", "size")

    def __init__(self, data: memoryview, again: ObjectReader) -> None:
        self._data: memoryview | None = data
        self._again = again
        self._lent = False  # to readers, which must not see it change
        self._lock = threading.Lock()
        self.size = len(data)

    def _read(self, offset: int, length: int | None) -> bytes:
        with self._lock:
            if self._data is not None:
                return bytes(self._data[_slice(offset, length)])
        return self._again.read(offset, length)

    def buffer(self, writable: bool = False) -> memoryview:
        with self._lock:
            data = self._data
            if data is not None and not writable:
                self._lent = True
                return data.toreadonly()
            if data is not None and not self._lent:
                self._data = None
                return data
        return self._again.buffer(writable)

    def save(self, path: str) -> None:
        with self._lock:
            if self._data is not None:
                write_new(path, [self._data])
                return
        self._again.save(path)
