"""Unpacking: a directory built from a tar stream that is not trusted."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from rain.common import limits as bounds
from rain.common.errors import RainException
from rain.objects.archive.headers import (
    BLOCK,
    FILE_TYPES,
    FOLDER,
    HARD_LINK,
    META_TYPES,
    SYMLINK,
    ZERO_BLOCK,
    ArchiveError,
    ExtendedHeaders,
    Header,
    name_parts,
    read_header,
)
from rain.objects.dirtree import Descent, Limits, link_stays_inside, open_below, open_folder, remove_tree
from rain.objects.files import copy_bytes, disk_full, no_room

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

_REFUSED_TYPES = {b"3": "a character device", b"4": "a block device", b"6": "a pipe", b"S": "a sparse file"}
_FREE_SPACE_CHECK_BYTES = 16 << 20


class Unpacker:
    """Builds a directory from a tar stream that comes in pieces.

    Parameters
    ----------
    path : str
        The directory to be made; it must not exist, its parent must.
    limits : Limits

    Examples
    --------
    >>> unpacker = Unpacker("/tmp/rain-example-copy")  # doctest: +SKIP
    >>> for chunk in pack("/usr/share/dict"):  # doctest: +SKIP
    ...     unpacker.feed(chunk)
    >>> unpacker.close()  # doctest: +SKIP
    985084
    """

    def __init__(self, path: str, limits: Limits | None = None) -> None:
        self.path = path
        self._limits = limits or Limits()
        os.mkdir(path, 0o755)
        self._way = Descent(open_folder(path))
        self._names: list[str] = []  # of the folders down to the last entry's
        self._implied: set[str] = set()  # made because something lies in them, not yet named themselves
        self._links: dict[str, str] = {}
        self._partial = bytearray()  # of a block, or of an extended header
        self._entries = 0
        self._size = 0
        self._extended: tuple[bytes, int, int] | None = None  # an extended header: kind, bytes, bytes with padding
        self._extensions = ExtendedHeaders()
        self._file = -1
        self._file_left = 0
        self._padding_left = 0
        self._ended = False

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the stream.

        Raises
        ------
        RainException
            If the archive is broken, asks for what is not allowed or the disk is full. `discard` then.
        """
        view = memoryview(data).cast("B")
        position, end = 0, len(view)
        while position < end:
            if self._ended:
                if bytes(view[position:]).strip(b"\0"):
                    raise ArchiveError("there is something behind the end of the archive")
                return
            if self._file_left:
                piece = view[position : position + self._file_left]
                self._write(piece)
                position += len(piece)
            elif self._padding_left:
                step = min(self._padding_left, end - position)
                self._padding_left -= step
                position += step
            else:
                wanted = self._extended[2] if self._extended else BLOCK
                piece = view[position : position + wanted - len(self._partial)]
                position += len(piece)
                if not self._partial and len(piece) == wanted:
                    self._take(bytes(piece))
                    continue
                self._partial += piece
                if len(self._partial) == wanted:
                    whole = bytes(self._partial)
                    self._partial.clear()
                    self._take(whole)

    def _take(self, block: bytes) -> None:
        if self._extended:
            kind, size, _ = self._extended
            self._extended = None
            self._extensions.take(kind, block[:size])
        elif block == ZERO_BLOCK:
            self._ended = True
        else:
            self._begin(read_header(block))

    def _begin(self, entry: Header) -> None:
        if entry.kind in META_TYPES:
            size = ExtendedHeaders.content_size(entry)
            if size:
                self._extended = (entry.kind, size, size + -size % BLOCK)
            return
        self._count_entry()
        name, size, target = self._extensions.apply(entry)
        parts = self._parts(name)
        if entry.mode & 0o6000:
            raise ArchiveError(f"{name!r} in the archive is setuid or setgid")
        if entry.kind == FOLDER or (entry.kind in FILE_TYPES and name.endswith("/")):
            self._make_folder(parts, name)
        elif not parts:
            raise ArchiveError(f"{name!r} in the archive is not a name for a file")
        elif entry.kind in FILE_TYPES:
            self._make_file(parts, name, size, entry.mode)
        elif entry.kind == SYMLINK:
            self._note_link(parts, name, target)
        elif entry.kind == HARD_LINK:
            self._copy(parts, name, target)
        else:
            what = _REFUSED_TYPES.get(entry.kind, f"of the unknown type {entry.kind!r}")
            raise ArchiveError(f"{name!r} in the archive is {what}")

    def _parts(self, name: str) -> list[str]:
        return name_parts(name, self._limits.depth)

    def _count_entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ArchiveError(f"the archive has more than {self._limits.entries} entries (ARCHIVE_ENTRIES_MAX)")

    def _enter(self, parts: list[str]) -> int:
        """A descriptor of the folder `parts`, which is made where it is missing."""
        way, names = self._way, self._names
        while names != parts[: len(names)]:
            names.pop()
            way.leave()
        for index in range(len(names), len(parts)):
            name = parts[index]
            try:
                os.mkdir(name, 0o755, dir_fd=way.folder)
                self._implied.add("/".join(parts[: index + 1]))
                self._count_entry()
            except FileExistsError:
                pass
            except OSError as error:
                raise self._failed("/".join(parts[: index + 1]), error) from None
            try:
                inner = open_folder(name, way.folder)
            except OSError:
                raise ArchiveError(f"{name!r} in the archive is used as a folder but is none") from None
            way.enter(inner)
            names.append(name)
        return way.folder

    def _make_folder(self, parts: list[str], name: str) -> None:
        if not parts:
            return
        path = "/".join(parts)
        parent = self._enter(parts[:-1])
        try:
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
        except FileExistsError:
            if path not in self._implied:
                raise self._twice(name) from None
            self._implied.discard(path)
        except OSError as error:
            raise self._failed(name, error) from None

    def _make_file(self, parts: list[str], name: str, size: int, mode: int) -> None:
        self._charge(size, name)
        self._file = self._create(parts, name, mode)
        self._file_left = size
        self._padding_left = -size % BLOCK
        if not size:
            self._end_file()

    def _create(self, parts: list[str], name: str, mode: int) -> int:
        parent = self._enter(parts[:-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(parts[-1], flags, 0o755 if mode & 0o100 else 0o644, dir_fd=parent)
        except FileExistsError:
            raise self._twice(name) from None
        except OSError as error:
            raise self._failed(name, error) from None

    def _charge(self, size: int, name: str) -> None:
        self._size += size
        if self._size > self._limits.bytes:
            raise ArchiveError(f"the archive has more than {self._limits.bytes} bytes (ARCHIVE_BYTES_MAX)")
        if size > _FREE_SPACE_CHECK_BYTES and size > shutil.disk_usage(self.path).free:
            raise disk_full(os.path.join(self.path, name), size)

    def _write(self, piece: memoryview) -> None:
        self._file_left -= len(piece)
        try:
            while piece:
                piece = piece[os.write(self._file, piece) :]
        except OSError as error:
            raise self._failed("a file", error) from None
        if not self._file_left:
            self._end_file()

    def _end_file(self) -> None:
        os.close(self._file)
        self._file = -1

    def _note_link(self, parts: list[str], name: str, target: str) -> None:
        path = "/".join(parts)
        if path in self._links:
            raise self._twice(name)
        if not target or "\x00" in target or len(target) > bounds.ARCHIVE_NAME_BYTES_MAX:
            raise ArchiveError(f"{name!r} in the archive is a link without a usable target")
        self._enter(parts[:-1])
        self._links[path] = target

    def _copy(self, parts: list[str], name: str, target: str) -> None:
        """A hard link: copy the file that came earlier."""
        source_parts = self._parts(target)
        if not source_parts:
            raise ArchiveError(f"{name!r} in the archive is a hard link to the archive itself")
        try:
            source = open_below(self._way.top, source_parts)
        except OSError:
            raise ArchiveError(f"{name!r} in the archive is a hard link to {target!r}, which is not there") from None
        try:
            seen = os.fstat(source)
            if not stat.S_ISREG(seen.st_mode):
                raise ArchiveError(f"{name!r} in the archive is a hard link to something that is not a file")
            self._charge(seen.st_size, name)
            copy = self._create(parts, name, seen.st_mode)
            try:
                copy_bytes(source, copy, seen.st_size)
            except OSError as error:
                raise self._failed(name, error) from None
            finally:
                os.close(copy)
        finally:
            os.close(source)

    def _twice(self, name: str) -> ArchiveError:
        return ArchiveError(f"{name!r} comes twice in the archive")

    def _failed(self, name: str, error: OSError) -> RainException:
        path = os.path.join(self.path, name)
        return no_room(error, path) or ArchiveError(f"{path} cannot be written: {error.strerror}")

    def close(self) -> int:
        """The stream has ended: make the links. Gives the sum of the files' sizes in bytes.

        Raises
        ------
        RainException
            If the archive is not whole or a link leads outside. `discard` then.
        """
        if not self._ended or self._partial or self._extended or self._file >= 0 or self._padding_left:
            raise ArchiveError("the archive is cut off")
        for path, target in self._links.items():
            folder = path.split("/")[:-1]
            if not link_stays_inside(folder, target, self._links.get):
                raise ArchiveError(f"{path!r} in the archive is a link to {target!r}, which leads outside")
        for path, target in self._links.items():
            parts = path.split("/")
            try:
                os.symlink(target, parts[-1], dir_fd=self._enter(parts[:-1]))
            except FileExistsError:
                raise self._twice(path) from None
            except OSError as error:
                raise self._failed(path, error) from None
        self._way.close()
        return self._size

    def discard(self) -> None:
        """Remove what was unpacked."""
        if self._file >= 0:
            self._end_file()
        self._way.close()
        remove_tree(self.path)


def unpack(chunks: Iterable[Buffer], path: str, limits: Limits | None = None) -> int:
    """Unpack a tar stream into a new directory; gives the sum of the files' sizes in bytes.

    Parameters
    ----------
    chunks : iterable of bytes-like
        The stream, cut anywhere.
    path : str
        Of the new directory; its parent must exist.
    limits : Limits or None

    Raises
    ------
    RainException
        If the archive is refused or the disk is full; nothing is left then.
    """
    unpacker = Unpacker(path, limits)
    try:
        for chunk in chunks:
            unpacker.feed(chunk)
        return unpacker.close()
    except BaseException:
        unpacker.discard()
        raise
