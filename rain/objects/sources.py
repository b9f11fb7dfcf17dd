"""Where the bytes of a finished object are, and how to get at them.

Theory of operation
-------------------
They are in memory (`BytesSource`), in a file or directory of a store on this host (`FileSource`, `DirectorySource`),
in a tar archive (`TarSource`), or at a governor or server elsewhere (`RemoteSource`). Files are opened and mapped when
they are first needed. A store may meanwhile have moved a file, or dropped it: `FileSource` compares inode, size and
time before it maps, and asks `relocate` for a new source when they differ.

Who wants to write (`buffer` with `writable`) gets memory of its own, but no copy: a copy-on-write mapping of the file,
or the buffer in which the bytes came. Where that cannot be the memory is read-only, and a warning says why.

Into directories one looks where they lie: `entries` and `file` move what is asked for and nothing else.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from rain.common.limits import CHUNK_BYTES, LISTING_ENTRIES_MAX
from rain.common.location import LocalFile
from rain.common.protocol.messages import Listing, ObjectData
from rain.common.states import DataType
from rain.host.descriptors import opened
from rain.objects import archive, dirtree, inside
from rain.objects.files import StaleFile, local_file, no_room, open_checked, same_directory
from rain.objects.inside import Entry, NotInside, Tar, Tree
from rain.objects.memory import map_fd, warn_read_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

_REMOTE_PIECE_BYTES = 8 * CHUNK_BYTES


class Source(Protocol):
    """Where the bytes of a finished object are. All methods may block."""

    is_dir: bool

    @property
    def size(self) -> int:
        """Bytes; of a directory the sum of its files."""

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset` on; of a directory those of its tar archive."""

    def buffer(self, writable: bool = False) -> memoryview:
        """All bytes, mapped where they can be: read-only, or with `writable` as the caller's own (copy-on-write).

        Where such memory cannot be had without a copy it is read-only all the same, and a `RainWarning` says why.
        """

    def path(self) -> str | None:
        """The read-only file or directory on this host, None where there is none."""

    def save(self, path: str) -> None:
        """Make a writable copy at the new path `path`."""

    def entries(self, path: str = "", offset: int = 0, count: int | None = None) -> tuple[list[Entry], int]:
        """What is in the folder `path` of a directory, in the order of names, from entry `offset` on; and how many
        entries the folder has.

        Parameters
        ----------
        path : str
            With slashes; ``""`` is the top. Links are followed where they stay inside.
        offset : int
        count : int or None
            At most so many.

        Raises
        ------
        NotInside
            If it is a blob, or there is no such folder inside.
        RainException
            If the data cannot be had any more.
        """

    def file(self, path: str) -> Source:
        """One file inside a directory; `path` as of `entries`.

        Raises
        ------
        NotInside
            If it is a blob, or there is no such file inside.
        RainException
            If the data cannot be had any more.
        """


class _Blob:
    """Has nothing inside."""

    __slots__ = ()

    def entries(self, path: str = "", offset: int = 0, count: int | None = None) -> tuple[list[Entry], int]:
        raise NotInside("this is a blob, not a directory: there is nothing inside")

    def file(self, path: str) -> Source:
        raise NotInside("this is a blob, not a directory: there is nothing inside")


def _all(look: Callable[[str, int, int | None], Listing], path: str, offset: int, count: int | None) -> Any:
    """Entries, in as many answers as it takes."""
    offset = max(offset, 0)
    found: list[Entry] = []
    while True:
        left = None if count is None else count - len(found)
        listing = look(path, offset + len(found), left)
        page = inside.entries_of(listing, path)
        found += page
        if len(page) < LISTING_ENTRIES_MAX or len(found) == count or offset + len(found) >= listing.total:
            return found, listing.total


class BytesSource(_Blob):
    """A blob in memory."""

    __slots__ = ("data", "size")
    is_dir = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        if offset == 0 and length is None:
            return self.data
        return self.data[offset : None if length is None else offset + length]

    def buffer(self, writable: bool = False) -> memoryview:
        return memoryview(bytearray(self.data) if writable else self.data)

    def path(self) -> str | None:
        return None

    def save(self, path: str) -> None:
        _write_new(path, [self.data])


class PartSource(_Blob):
    """A blob that is a part of another one, of `size` bytes from `start` on, or that some function reads.

    Parameters
    ----------
    read : callable
        ``read(offset, length) -> Buffer`` of the whole.
    start, size : int
    """

    __slots__ = ("_read", "_start", "size")
    is_dir = False

    def __init__(self, read: Callable[[int, int], Buffer], start: int, size: int) -> None:
        self._read = read
        self._start = start
        self.size = size

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        offset = min(max(offset, 0), self.size)
        end = self.size if length is None else min(offset + max(length, 0), self.size)
        return bytes(self._read(self._start + offset, end - offset)) if offset < end else b""

    def buffer(self, writable: bool = False) -> memoryview:
        data = self.read()
        return memoryview(bytearray(data) if writable else data)

    def path(self) -> str | None:
        return None

    def save(self, path: str) -> None:
        _write_new(path, self._pieces())

    def _pieces(self) -> Iterator[Buffer]:
        for offset in range(0, self.size, _REMOTE_PIECE_BYTES):
            yield self.read(offset, _REMOTE_PIECE_BYTES)


class TarSource:
    """A directory as a tar archive: small ones travel in messages so, large constants lie so at the server.

    Parameters
    ----------
    data : bytes or Source
        The archive.
    size : int or None
        The sum of the files' sizes, where known.
    """

    __slots__ = ("_archive", "_tar", "size")
    is_dir = True

    def __init__(self, data: bytes | Source, size: int | None = None) -> None:
        self._archive: Source = BytesSource(data) if isinstance(data, bytes) else data
        self._tar = Tar(self._archive.read)
        self.size = self._archive.size if size is None else size

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        return self._archive.read(offset, length)

    def buffer(self, writable: bool = False) -> memoryview:
        return self._archive.buffer(writable)

    def path(self) -> str | None:
        return None

    def save(self, path: str) -> None:
        archive.unpack([self._archive.buffer()], path)

    def entries(self, path: str = "", offset: int = 0, count: int | None = None) -> tuple[list[Entry], int]:
        found: tuple[list[Entry], int] = _all(self._tar.look, path, offset, count)
        return found

    def file(self, path: str) -> Source:
        start, size = self._tar.place(path)
        return PartSource(self._archive.read, start, size)


class FileSource(_Blob):
    """A blob in a file on this host.

    Parameters
    ----------
    file : LocalFile or str
        A plain path is taken as it is found at its first use.
    relocate : callable, optional
        ``relocate() -> Source``, asked once when the file is not the one that was meant (any more).
    moved : callable, optional
        ``moved() -> LocalFile | None``: where on this host the file is by now; asked when it was mapped already, so
        that the bytes are here, and is gone.
    """

    __slots__ = ("_file", "_lock", "_moved", "_relocate", "_view", "size")
    is_dir = False

    def __init__(
        self,
        file: LocalFile | str,
        relocate: Callable[[], Source] | None = None,
        moved: Callable[[], LocalFile | None] | None = None,
    ) -> None:
        self._file = local_file(file) if isinstance(file, str) else file
        self._relocate = relocate
        self._moved = moved
        self._view: memoryview | Source | None = None
        self._lock = threading.Lock()
        self.size = self._file.size

    def _open(self) -> memoryview | Source:
        """The mapping, or the source that replaces this one."""
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

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        view = self._open()
        if not isinstance(view, memoryview):
            return view.read(offset, length)
        return bytes(view[offset : None if length is None else offset + length])

    def buffer(self, writable: bool = False) -> memoryview:
        # What is handed out to be written is never what others read.
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
        view = self._open()
        if not isinstance(view, memoryview):
            view.save(path)
            return
        try:
            fd = open_checked(self._file)
        except StaleFile:
            _write_new(path, [view])
            return
        os.close(fd)
        dirtree.copy_file(self._file.path, path)


class ReceivedSource(_Blob):
    """A blob that came over the network, in memory that its first loader gets to write to.

    Parameters
    ----------
    data : memoryview
        Writable, and nobody else's.
    again : Source
        Where it comes from, for those who want it after that.
    """

    __slots__ = ("_again", "_data", "_lent", "_lock", "size")
    is_dir = False

    def __init__(self, data: memoryview, again: Source) -> None:
        self._data: memoryview | None = data
        self._again = again
        self._lent = False  # to readers, who must not see it change
        self._lock = threading.Lock()
        self.size = len(data)

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        with self._lock:
            if self._data is not None:
                return bytes(self._data[offset : None if length is None else offset + length])
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

    def path(self) -> str | None:
        return None

    def save(self, path: str) -> None:
        with self._lock:
            if self._data is not None:
                _write_new(path, [self._data])
                return
        self._again.save(path)


class DirectorySource:
    """A directory on this host; the parameters are those of `FileSource`."""

    __slots__ = ("_file", "_relocate", "_replaced", "_size")
    is_dir = True

    def __init__(self, file: LocalFile | str, relocate: Callable[[], Source] | None = None) -> None:
        self._size = None if isinstance(file, str) else file.size
        self._file = local_file(file, 0) if isinstance(file, str) else file
        self._relocate = relocate
        self._replaced: Source | None = None

    @property
    def size(self) -> int:
        """The sum of the files' sizes; of a plain path found out when it is first asked for."""
        if self._size is None:
            self._size = dirtree.tree_size(self._file.path)
        return self._size

    def _here(self) -> Source | None:
        """None if the directory is the one that was meant, else the source that replaces this one."""
        if self._replaced is None and not same_directory(self._file):
            if self._relocate is None:
                raise StaleFile(f"{self._file.path} is gone or is not the directory that was stored as this object")
            self._replaced = self._relocate()
        return self._replaced

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        other = self._here()
        if other:
            return other.read(offset, length)
        data = b"".join(bytes(piece) for piece in archive.pack(self._file.path))
        return data[offset : None if length is None else offset + length]

    def buffer(self, writable: bool = False) -> memoryview:
        data = self.read()
        return memoryview(bytearray(data) if writable else data)

    def path(self) -> str | None:
        other = self._here()
        return other.path() if other else self._file.path

    def save(self, path: str) -> None:
        other = self._here()
        if other:
            other.save(path)
        else:
            dirtree.copy_tree(self._file.path, path)

    def entries(self, path: str = "", offset: int = 0, count: int | None = None) -> tuple[list[Entry], int]:
        other = self._here()
        if other:
            return other.entries(path, offset, count)
        with Tree(self._file) as found:
            listed: tuple[list[Entry], int] = _all(found.look, path, offset, count)
            return listed

    def file(self, path: str) -> Source:
        other = self._here()
        if other:
            return other.file(path)
        with Tree(self._file) as found:
            fd, file = found.open(path)
        os.close(fd)
        relocate = self._relocate
        return FileSource(file, None if relocate is None else lambda: relocate().file(path))


class Inside(Protocol):
    """Looks into a directory elsewhere. Both block."""

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        """As `rain.objects.inside.Tree.look`."""

    def read_file(self, path: str, offset: int, length: int) -> Buffer:
        """Bytes of a file inside."""


class RemoteSource:
    """An object at a governor or server elsewhere.

    Parameters
    ----------
    size : int
    is_dir : bool
    read : callable
        ``read(offset, length) -> bytes``, blocking; `length` None means to the end.
    save : callable, optional
        ``save(path)``, blocking: streams the object into the new file or directory `path`. Without it a blob is read
        in pieces, a directory as one archive.
    inside : Inside, optional
        Looks into a directory where it is. Without it one looks into the archive.
    """

    __slots__ = ("_inside", "_read", "_save", "is_dir", "size")

    def __init__(
        self,
        size: int,
        is_dir: bool,
        read: Callable[[int, int | None], Buffer],
        save: Callable[[str], Any] | None = None,
        inside: Inside | None = None,
    ) -> None:
        self.size = size
        self.is_dir = is_dir
        self._read = read
        self._save = save
        self._inside = inside

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        return bytes(self._read(offset, length))

    def buffer(self, writable: bool = False) -> memoryview:
        data = self._read(0, None)
        view = memoryview(data)
        if not writable:
            return view.toreadonly()
        return memoryview(bytearray(view)) if view.readonly else view

    def path(self) -> str | None:
        return None

    def save(self, path: str) -> None:
        if self._save is not None:
            self._save(path)
        elif self.is_dir:
            archive.unpack([self._read(0, None)], path)
        else:
            _write_new(path, self._pieces())

    def _pieces(self) -> Iterator[Buffer]:
        for offset in range(0, self.size, _REMOTE_PIECE_BYTES):
            yield self._read(offset, min(_REMOTE_PIECE_BYTES, self.size - offset))

    def entries(self, path: str = "", offset: int = 0, count: int | None = None) -> tuple[list[Entry], int]:
        if self._inside is None or not self.is_dir:
            return self._without().entries(path, offset, count)
        found: tuple[list[Entry], int] = _all(self._inside.look, path, offset, count)
        return found

    def file(self, path: str) -> Source:
        look = self._inside
        if look is None or not self.is_dir:
            return self._without().file(path)
        size = inside.size_of(look.look(path, 0, 0), path)
        return PartSource(lambda offset, length: look.read_file(path, offset, length), 0, size)

    def _without(self) -> Source:
        return TarSource(self.read(), self.size) if self.is_dir else BytesSource(b"")


def _write_new(path: str, pieces: Iterable[Buffer]) -> None:
    """Write a new file, or leave none."""
    try:
        with opened(open, path, "xb", buffering=0) as target:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[target.write(view) :]
    except FileExistsError:
        raise
    except OSError as error:
        dirtree.remove_file(path)
        raise (no_room(error, path) or error) from None
    except BaseException:
        dirtree.remove_file(path)
        raise


def source_of(
    data: ObjectData,
    host_id: str,
    remote: Callable[[], Source],
    moved: Callable[[], LocalFile | None] | None = None,
) -> Source:
    """The nearest source of a finished object.

    Parameters
    ----------
    data : ObjectData
    host_id : str
        `rain.host.process.host_id()` of this process: files of places on the same host are used as they are.
    remote : callable
        ``remote() -> Source`` for an object that is not on this host, or no longer where `data` says.
    moved : callable, optional
        As of `FileSource`.
    """
    is_dir = data.spec.data_type == DataType.DIRECTORY.value
    if data.data is not None:
        source = BytesSource(data.data)
        return TarSource(source, data.info.size) if is_dir else source
    for place in data.places:
        if place.file is not None and place.host_id == host_id:
            if not is_dir:
                return FileSource(place.file, remote, moved)
            if os.path.isfile(place.file.path):
                return TarSource(FileSource(place.file, remote), data.info.size)
            return DirectorySource(place.file, remote)
    return remote()
