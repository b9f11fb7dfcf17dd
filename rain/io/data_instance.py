"""`DataInstance`: the value of one finished data object, wherever its bytes are.

Theory of operation
-------------------
A `DataInstance` is a thin face of a `Source`, which knows how to get at the bytes: they are in memory
(`BytesSource`), in a file or directory of a store on this host (`FileSource`, `DirectorySource`), or at a governor
elsewhere (`RemoteSource`). Files are opened and mapped when they are first needed. A store may meanwhile have moved a
file, or dropped it: `FileSource` compares inode, size and time before it maps, and asks `relocate` for a new source
when they differ.
"""

from __future__ import annotations

import mmap
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any, Protocol

from rain.common import display
from rain.common.content_type import text_encoding
from rain.common.errors import RainException
from rain.common.limits import CHUNK_BYTES
from rain.common.messages import FileRef, ObjectData
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.states import DataType
from rain.io import archive, codecs, tree
from rain.io.files import StaleFile, disk_full, file_ref, is_full, map_fd, open_checked, same_directory

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
        """All bytes, mapped where they can be; `writable` gives memory of its own (copy-on-write)."""

    def path(self) -> str | None:
        """The read-only file or directory on this host, None where there is none."""

    def save(self, path: str) -> None:
        """Make a writable copy at the new path `path`."""


class BytesSource:
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


class TarSource:
    """A directory as a tar archive: small ones travel in messages so, large constants lie so at the server.

    Parameters
    ----------
    data : bytes or Source
        The archive.
    size : int or None
        The sum of the files' sizes, where known.
    """

    __slots__ = ("_archive", "size")
    is_dir = True

    def __init__(self, data: bytes | Source, size: int | None = None) -> None:
        self._archive: Source = BytesSource(data) if isinstance(data, bytes) else data
        self.size = self._archive.size if size is None else size

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        return self._archive.read(offset, length)

    def buffer(self, writable: bool = False) -> memoryview:
        return self._archive.buffer(writable)

    def path(self) -> str | None:
        return None

    def save(self, path: str) -> None:
        archive.unpack([self._archive.buffer()], path)


class FileSource:
    """A blob in a file on this host.

    Parameters
    ----------
    file : FileRef or str
        A plain path is taken as it is found at its first use.
    relocate : callable, optional
        ``relocate() -> Source``, asked once when the file is not the one that was meant (any more).
    """

    __slots__ = ("_file", "_lock", "_relocate", "_view", "size")
    is_dir = False

    def __init__(self, file: FileRef | str, relocate: Callable[[], Source] | None = None) -> None:
        self._file = file_ref(file) if isinstance(file, str) else file
        self._relocate = relocate
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
        view = self._open()
        if not isinstance(view, memoryview):
            return view.buffer(writable)
        if not writable:
            return view
        if not isinstance(view.obj, mmap.mmap):
            return memoryview(bytearray(view))
        try:
            fd = open_checked(self._file)
        except StaleFile:
            return memoryview(bytearray(view))  # gone since it was mapped: the mapping still has the bytes
        try:
            return map_fd(fd, self.size, writable=True)
        finally:
            os.close(fd)

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
        tree.copy_file(self._file.path, path)


class DirectorySource:
    """A directory on this host; the parameters are those of `FileSource`."""

    __slots__ = ("_file", "_relocate", "_replaced", "_size")
    is_dir = True

    def __init__(self, file: FileRef | str, relocate: Callable[[], Source] | None = None) -> None:
        self._size = None if isinstance(file, str) else file.size
        self._file = file_ref(file, 0) if isinstance(file, str) else file
        self._relocate = relocate
        self._replaced: Source | None = None

    @property
    def size(self) -> int:
        """The sum of the files' sizes; of a plain path found out when it is first asked for."""
        if self._size is None:
            self._size = tree.tree_size(self._file.path)
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
            tree.copy_tree(self._file.path, path)


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
    """

    __slots__ = ("_read", "_save", "is_dir", "size")

    def __init__(
        self,
        size: int,
        is_dir: bool,
        read: Callable[[int, int | None], Buffer],
        save: Callable[[str], Any] | None = None,
    ) -> None:
        self.size = size
        self.is_dir = is_dir
        self._read = read
        self._save = save

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        return bytes(self._read(offset, length))

    def buffer(self, writable: bool = False) -> memoryview:
        data = self._read(0, None)
        view = memoryview(data)
        return memoryview(bytearray(view)) if writable and view.readonly else view

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


def _write_new(path: str, pieces: Iterable[Buffer]) -> None:
    """Write a new file, or leave none."""
    try:
        with open(path, "xb", buffering=0) as target:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[target.write(view) :]
    except FileExistsError:
        raise
    except OSError as error:
        _remove(path)
        raise (disk_full(path) if is_full(error) else error) from None
    except BaseException:
        _remove(path)
        raise


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def source_of(
    data: ObjectData,
    host_id: str,
    remote: Callable[[], Source],
) -> Source:
    """The nearest source of a finished object.

    Parameters
    ----------
    data : ObjectData
    host_id : str
        `rain.io.process.host_id()` of this process: files of places on the same host are used as they are.
    remote : callable
        ``remote() -> Source`` for an object that is not on this host, or no longer where `data` says.
    """
    is_dir = data.spec.data_type == DataType.DIRECTORY.value
    if data.data is not None:
        source = BytesSource(data.data)
        return TarSource(source, data.info.size) if is_dir else source
    for place in data.places:
        if place.file is not None and place.host_id == host_id:
            if not is_dir:
                return FileSource(place.file, remote)
            if os.path.isfile(place.file.path):
                return TarSource(FileSource(place.file, remote), data.info.size)
            return DirectorySource(place.file, remote)
    return remote()


class DataInstance:
    """The value of one finished data object, at the client (from `fetch()`) or in remote code (a task's input).

    Do not make one yourself: use `fetch()`, or in a task `ctx.blob`, `ctx.pickled`, `ctx.stage_file` and
    `ctx.stage_directory`.

    Parameters
    ----------
    source : Source
    spec : ObjectSpec or None
        None for what was made by the running task and is not an output yet.
    info : ObjectInfo, optional

    Examples
    --------
    >>> instance = DataInstance(BytesSource(b'[1, 2]'), None, ObjectInfo(content_type="json"))
    >>> instance.load(), instance.size, instance.content_type
    ([1, 2], 6, 'json')
    """

    __slots__ = ("__weakref__", "_cache", "_lock", "info", "source", "spec")

    def __init__(self, source: Source, spec: ObjectSpec | None, info: ObjectInfo | None = None) -> None:
        self.source = source
        self.spec = spec
        self.info = info if info is not None else ObjectInfo(size=source.size)
        self._cache: dict[bool, Any] | None = None
        self._lock = threading.Lock()

    @property
    def data_type(self) -> DataType:
        """`DataType.BLOB` or `DataType.DIRECTORY`."""
        return DataType.DIRECTORY if self.source.is_dir else DataType.BLOB

    @property
    def content_type(self) -> str | None:
        """The dynamic content type where the task set one, else that of the spec."""
        return self.info.content_type or (self.spec.content_type if self.spec else None) or None

    @property
    def size(self) -> int:
        """Bytes; of a directory the sum of its files."""
        return self.source.size if self.info.size is None else self.info.size

    def get_bytes(self) -> bytes:
        """All bytes; of a directory a tar archive.

        Raises
        ------
        RainException
            If the data cannot be had any more.
        """
        return self.source.read()

    def get_str(self) -> str:
        """All bytes as text, decoded as the content type ``text-<ENCODING>`` says, else as UTF-8.

        Raises
        ------
        RainException
            If it is a directory, or the bytes are not text in this encoding.
        """
        if self.source.is_dir:
            raise RainException(f"{self!r} is a directory, not text")
        encoding = text_encoding(self.content_type)
        try:
            return str(self.source.buffer(), encoding)
        except UnicodeDecodeError as error:
            raise RainException(f"{self!r} is not text in {encoding}: {error}") from None

    def load(self, cache: bool = False, writable: bool = False) -> Any:
        """The value, decoded by content type.

        Large arrays, data frames and tables come without a copy where this host holds the data: read-only, or with
        `writable` copy-on-write.

        Parameters
        ----------
        cache : bool
            Decode once and give the same object each time; do not change it then.
        writable : bool
            Whether arrays must be writable.

        Raises
        ------
        RainException
            If there is no content type, it is a directory, or the data are not of their content type.
        """
        if not cache:
            return self._decode(writable)
        with self._lock:
            if self._cache is None:
                self._cache = {}
            if writable not in self._cache:
                self._cache[writable] = self._decode(writable)
            return self._cache[writable]

    def _decode(self, writable: bool) -> Any:
        if self.content_type is None:
            raise RainException(
                f"{self!r} has no content type, so load() does not know how to decode it; use get_bytes(), or give a "
                "content type where the object is made"
            )
        if self.source.is_dir:
            raise RainException(f"{self!r} is a directory and cannot be loaded; use write(path) or link(path)")
        return codecs.decode_value(self.source.buffer(writable), self.content_type, writable)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Make a fresh writable copy at `path`: a file (replaced if it exists), or a directory for a directory object
        (which must not exist, or be empty).

        Raises
        ------
        RainException
            If the path is taken, the disk is full or the data cannot be had any more.
        """
        self._place(os.fspath(path), self.source.save)

    def link(self, path: str | os.PathLike[str]) -> None:
        """Make the data appear, read-only, at the new path `path`: without a copy where this host holds them.

        A directory becomes a real directory whose files are links.

        Raises
        ------
        RainException
            If the path is taken, the disk is full or the data cannot be had any more.
        """
        self._place(os.fspath(path), self._link)

    def _link(self, path: str) -> None:
        here = self.source.path()
        if here is None:
            self.source.save(path)
            if self.source.is_dir:
                tree.own_tree(path)
            else:
                os.chmod(path, 0o444)
        elif self.source.is_dir:
            tree.link_tree(here, path)
        else:
            tree.link_file(here, path)

    def _place(self, path: str, make: Callable[[str], None]) -> None:
        """Run `make` on a path beside `path` and rename, so that nothing half-made is ever seen there."""
        folder, name = os.path.split(os.path.abspath(path))
        if os.path.isdir(path) and not (self.source.is_dir and not os.listdir(path)):
            raise RainException(
                f"{path} exists already and is a directory" + (" with something in it" * self.source.is_dir)
            )
        if self.source.is_dir and os.path.lexists(path) and not os.path.isdir(path):
            raise RainException(f"{path} exists already and is not a directory")
        beside = os.path.join(folder, f".{name[:200]}.{os.getpid()}-{id(self):x}.part")
        try:
            make(beside)
            os.rename(beside, path)
        except RainException:
            _clear(beside)
            raise
        except OSError as error:
            _clear(beside)
            if is_full(error):
                raise disk_full(path, self.size) from None
            raise RainException(f"{path} cannot be written: {error.strerror or error}") from error

    def __reduce__(self) -> Any:
        raise RainException(
            f"{self!r} cannot be pickled: return it as an output of the task, give it to a task as the data object, or "
            "pickle what load() gives"
        )

    def _ipython_display_(self) -> None:
        display.show("instance", self)

    def __repr__(self) -> str:
        label = f" {self.spec.label!r}" if self.spec is not None and self.spec.label else ""
        number = f" {self.spec.id}" if self.spec is not None and self.spec.id is not None else ""
        kind = "directory" if self.source.is_dir else self.content_type or "bytes"
        return f"<DataInstance{number}{label} {kind}, {self.size} bytes>"


def _clear(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        _remove(path)
