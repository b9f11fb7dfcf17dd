"""Readers of directories on this host: as a directory of a store, and as a tar archive."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from rain.common.location import LocalFile
from rain.common.protocol.messages import Listed, Listing
from rain.host.descriptors import is_out_of_descriptors, opened, out_of_descriptors
from rain.objects import archive, dirtree
from rain.objects.files import StaleFile, local_file
from rain.objects.readers.blobs import BytesReader, FileReader, PartReader
from rain.objects.readers.entries import DIR, FILE, KINDS, LINK, NotInside, listed, page, resolved, size_of
from rain.objects.readers.reader import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from typing_extensions import Buffer

    from rain.objects.archive.index import Node


class TarReader(ObjectReader):
    """A directory as a tar archive: small ones travel in messages so, large constants lie so at the server.

    Parameters
    ----------
    data : bytes or ObjectReader
        The archive.
    size : int or None
        The sum of the files' sizes, where known.
    """

    __slots__ = ("_archive", "_index", "size")
    is_dir = True

    def __init__(self, data: bytes | ObjectReader, size: int | None = None) -> None:
        self._archive: ObjectReader = BytesReader(data) if isinstance(data, bytes) else data
        self._index: archive.TarIndex | None = None
        self.size = self._archive.size if size is None else size

    @property
    def in_memory(self) -> bool:  # type: ignore[override]
        return self._archive.in_memory

    @property
    def stream_size(self) -> int | None:
        return self._archive.stream_size

    def _read(self, offset: int, length: int | None) -> Buffer:
        return self._archive._read(offset, length)

    def pieces(self, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        return self._archive.pieces(offset, length)

    def buffer(self, writable: bool = False) -> memoryview:
        return self._archive.buffer(writable)

    def _find(self, path: str) -> tuple[archive.TarIndex, str, Node]:
        """What is in the archive, where `path` leads without links, and what is there."""
        if self._index is None:
            self._index = archive.TarIndex(self._archive.read)
        real = "/".join(resolved(path, self._index.read_link))
        node = self._index.nodes.get(real)
        if node is None:
            raise NotInside(f"there is no {path!r} inside")
        return self._index, real, node

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        index, real, node = self._find(path)
        if node.kind == "f":
            return Listing(FILE, node.size)
        prefix = real + "/" if real else ""
        names = index.names[real]
        found = [(name, index.nodes[prefix + name]) for name in page(names, offset, count)]
        entries = [listed(name, KINDS[one.kind], one.size, one.target) for name, one in found]
        return Listing(DIR, 0, len(names), entries)

    def file(self, path: str) -> ObjectReader:
        _, _, node = self._find(path)
        return PartReader(self._archive, node.offset, size_of(Listing(KINDS[node.kind], node.size), path))


class TreeReader(ObjectReader):
    """A directory on this host; the parameters are those of `FileReader`.

    Paths inside are followed over descriptors, each component opened with ``O_NOFOLLOW`` after the links on the way
    were resolved by text.
    """

    __slots__ = ("_file", "_relocate", "_replaced", "_size")
    is_dir = True

    def __init__(self, file: LocalFile | str, relocate: Callable[[], ObjectReader] | None = None) -> None:
        self._size = None if isinstance(file, str) else file.size
        self._file = local_file(file, 0) if isinstance(file, str) else file
        self._relocate = relocate
        self._replaced: ObjectReader | None = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """The sum of the files' sizes; of a plain path found out when it is first asked for."""
        if self._size is None:
            self._size = dirtree.tree_size(self._file.path)
        return self._size

    def _replacement(self) -> ObjectReader | None:
        """None if the directory is the one that was meant, else the reader that replaces this one."""
        if self._replaced is None:
            try:
                os.close(self._open_top())
            except StaleFile:
                if self._relocate is None:
                    raise
                self._replaced = self._relocate()
        return self._replaced

    def _read(self, offset: int, length: int | None) -> Buffer:
        data = b"".join(bytes(piece) for piece in self.pieces())
        return data[offset : None if length is None else offset + length]

    def pieces(self, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        other = self._replacement()
        if other is not None:
            yield from other.pieces(offset, length)
        elif offset or length is not None:
            yield self._read(offset, length)
        else:
            yield from archive.pack(self._file.path)

    def path(self) -> str | None:
        other = self._replacement()
        return other.path() if other else self._file.path

    def save(self, path: str) -> None:
        other = self._replacement()
        if other:
            other.save(path)
        else:
            dirtree.copy_tree(self._file.path, path)

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        other = self._replacement()
        if other:
            return other.look(path, offset, count)
        fd, seen, _ = self._open(path)
        try:
            if stat.S_ISREG(seen.st_mode):
                return Listing(FILE, seen.st_size)
            names = sorted(os.listdir(fd))
            return Listing(DIR, 0, len(names), [_listed(fd, name) for name in page(names, offset, count)])
        finally:
            os.close(fd)

    def file(self, path: str) -> ObjectReader:
        other = self._replacement()
        if other:
            return other.file(path)
        fd, seen, real = self._open(path)
        os.close(fd)
        size = size_of(Listing(FILE if stat.S_ISREG(seen.st_mode) else DIR, seen.st_size), path)
        file = LocalFile(os.path.join(self._file.path, real), seen.st_ino, size, seen.st_mtime_ns)
        relocate = self._relocate
        return FileReader(file, None if relocate is None else lambda: relocate().file(path))

    def _open(self, path: str) -> tuple[int, os.stat_result, str]:
        """A descriptor of a file or folder inside, its status, and where it is without links."""
        top = self._open_top()

        def read_link(inner: str) -> str | None:
            try:
                return os.readlink(inner, dir_fd=top)
            except OSError:
                return None

        try:
            parts = resolved(path, read_link)
            fd = dirtree.open_below(top, parts)
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise NotInside(f"there is no {path!r} inside") from None
            raise NotInside(f"{path!r} cannot be opened: {error.strerror}") from None
        finally:
            os.close(top)
        seen = os.fstat(fd)
        if not (stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode)):
            os.close(fd)
            raise NotInside(f"{path!r} is neither a file nor a folder")
        return fd, seen, "/".join(parts)

    def _open_top(self) -> int:
        """A descriptor of the directory.

        Raises
        ------
        StaleFile
            If it is gone, or another one.
        """
        file = self._file
        try:
            top = opened(os.open, file.path, dirtree.FOLDER_FLAGS | os.O_NOFOLLOW)
        except OSError as error:
            if is_out_of_descriptors(error):
                raise out_of_descriptors(f"{file.path} cannot be opened", error) from None
            raise StaleFile(f"{file.path} cannot be opened: {error.strerror}") from None
        seen = os.fstat(top)
        if (seen.st_ino, seen.st_mtime_ns) != (file.inode, file.mtime_ns):
            os.close(top)
            raise StaleFile(f"{file.path} is not the directory that was stored as this object")
        return top


def _listed(folder: int, name: str) -> Listed:
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(seen.st_mode):
        return listed(name, LINK, 0, os.readlink(name, dir_fd=folder))
    if stat.S_ISDIR(seen.st_mode):
        return listed(name, DIR, 0, "")
    return listed(name, FILE, seen.st_size, "")
