"""Looking into directory objects where they lie: what is in a folder, and where the bytes of one file are.

A directory object is a directory of a store (`Tree`) or its tar archive (`Tar`). A path inside is relative, with
slashes, ``""`` is the top. Links on the way are followed as long as they stay inside; nothing outside is ever opened:
`Tree` goes down over descriptors, each component opened with ``O_NOFOLLOW`` after the links were resolved by hand.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from rain.common.errors import RainException
from rain.common.limits import LISTING_ENTRIES_MAX
from rain.common.location import LocalFile
from rain.common.protocol.messages import Listed, Listing
from rain.host.descriptors import is_out_of_descriptors, opened, out_of_descriptors
from rain.objects import archive, dirtree
from rain.objects.archive.index import Node
from rain.objects.files import StaleFile, open_checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from rain.objects.held import Held

FILE, DIR, LINK = "file", "dir", "link"
_KINDS = {"f": FILE, "d": DIR, "l": LINK}


class Entry(NamedTuple):
    """Something in a folder of a directory object.

    Attributes
    ----------
    name : str
    kind : str
        ``"file"``, ``"dir"`` or ``"link"`` (a symbolic one).
    size : int
        Bytes of a file, else 0.
    target : str
        Of a link.
    """

    name: str
    kind: str
    size: int = 0
    target: str = ""


class NotInside(RainException):
    """A path does not name what was asked for inside a directory object; it is the same wherever one asks."""


def of(held: Held) -> Tree | Tar:
    """For looking into a directory object that this process holds.

    Raises
    ------
    NotInside
        If it is not a directory.
    StaleFile
        If it is gone.
    """
    if not held.is_dir:
        raise NotInside("it is a blob, not a directory: there is nothing inside")
    if held.data is not None:
        data = held.data
        return Tar(lambda offset, length: data[offset : offset + length])
    assert held.file is not None
    if os.path.isdir(held.file.path):
        return Tree(held.file)
    return Tar.in_file(held.file)


def entries_of(listing: Listing, path: str) -> list[Entry]:
    """What `Tree.look` or `Tar.look` found in a folder, perhaps elsewhere.

    Raises
    ------
    NotInside
        If `path` is a file.
    """
    if listing.kind != DIR:
        raise NotInside(f"{path!r} is a file inside the directory, not a folder")
    return [Entry(os.fsdecode(one.name), one.kind, one.size, os.fsdecode(one.target)) for one in listing.entries]


def size_of(listing: Listing, path: str) -> int:
    """The bytes of the file that `Tree.look` or `Tar.look` found.

    Raises
    ------
    NotInside
        If `path` is a folder.
    """
    if listing.kind != FILE:
        raise NotInside(f"{path!r} is a folder inside the directory, not a file")
    return listing.size


def _resolved(path: str, read_link: Callable[[str], str | None]) -> list[str]:
    """The components of `path`, with links on the way followed."""
    if "\0" in path:
        raise NotInside(f"{path!r} is not a path: it contains a zero byte")
    try:
        parts = dirtree.resolve((), path, read_link)
    except dirtree.LinkLoop as error:
        raise NotInside(str(error)) from None
    if parts is None:
        raise NotInside(f"{path!r} leads outside of the directory, where nothing is read")
    return parts


def _page(names: list[str], offset: int, count: int | None) -> list[str]:
    start = max(offset, 0)
    return names[start : start + min(LISTING_ENTRIES_MAX if count is None else max(count, 0), LISTING_ENTRIES_MAX)]


class Tree:
    """A directory of a store on this host. Use it in a ``with`` statement.

    Parameters
    ----------
    ref : LocalFile

    Raises
    ------
    StaleFile
        If it is gone, or another one.
    """

    def __init__(self, ref: LocalFile) -> None:
        try:
            self._top = opened(os.open, ref.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if is_out_of_descriptors(error):
                raise out_of_descriptors(f"{ref.path} cannot be opened", error) from None
            raise StaleFile(f"{ref.path} cannot be opened: {error.strerror}") from None
        seen = os.fstat(self._top)
        if (seen.st_ino, seen.st_mtime_ns) != (ref.inode, ref.mtime_ns):
            self.close()
            raise StaleFile(f"{ref.path} is not the directory that was stored as this object")
        self._path = ref.path

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go."""
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    def _read_link(self, path: str) -> str | None:
        try:
            return os.readlink(path, dir_fd=self._top)
        except OSError:
            return None

    def _open(self, path: str) -> tuple[int, os.stat_result, str]:
        """A descriptor of a file or folder, its status, and where it is without links."""
        parts = _resolved(path, self._read_link)
        try:
            fd = dirtree.open_below(self._top, parts)
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise NotInside(f"there is no {path!r} inside") from None
            raise NotInside(f"{path!r} cannot be opened: {error.strerror}") from None
        seen = os.fstat(fd)
        if not (stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode)):
            os.close(fd)
            raise NotInside(f"{path!r} is neither a file nor a folder")
        return fd, seen, "/".join(parts)

    def look(self, path: str = "", offset: int = 0, count: int | None = None) -> Listing:
        """What `path` is, and of a folder its entries from `offset` on (at most `LISTING_ENTRIES_MAX`).

        Raises
        ------
        NotInside
            If there is nothing of that name inside.
        """
        fd, seen, _ = self._open(path)
        try:
            if stat.S_ISREG(seen.st_mode):
                return Listing(FILE, seen.st_size)
            names = sorted(os.listdir(fd))
            return Listing(DIR, 0, len(names), [self._entry(fd, name) for name in _page(names, offset, count)])
        finally:
            os.close(fd)

    @staticmethod
    def _entry(folder: int, name: str) -> Listed:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(seen.st_mode):
            return Listed(os.fsencode(name), LINK, 0, os.fsencode(os.readlink(name, dir_fd=folder)))
        if stat.S_ISDIR(seen.st_mode):
            return Listed(os.fsencode(name), DIR)
        return Listed(os.fsencode(name), FILE, seen.st_size)

    def open(self, path: str) -> tuple[int, LocalFile]:
        """A descriptor of a file for reading, and what others on this host compare before they map it.

        Raises
        ------
        NotInside
            If there is no such file inside.
        """
        fd, seen, real = self._open(path)
        if not stat.S_ISREG(seen.st_mode):
            os.close(fd)
            size_of(Listing(DIR), path)
        return fd, LocalFile(os.path.join(self._path, real), seen.st_ino, seen.st_size, seen.st_mtime_ns)


class Tar:
    """A directory as a tar archive, of which headers only are read.

    Parameters
    ----------
    read : callable
        ``read(offset, length) -> bytes``.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._found: archive.TarIndex | None = None

    @classmethod
    def in_file(cls, ref: LocalFile) -> Tar:
        """The archive in that very file, with its index made.

        Raises
        ------
        StaleFile
            If it is gone, or another one.
        RainException
            If the archive is damaged.
        """
        fd = open_checked(ref)
        try:
            found = cls(lambda offset, length: os.pread(fd, length, offset))
            found._index()
        finally:
            os.close(fd)
        return found

    def __enter__(self) -> Tar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _index(self) -> archive.TarIndex:
        if self._found is None:
            self._found = archive.TarIndex(self._read)
        return self._found

    def _find(self, path: str) -> tuple[str, Node]:
        """Where `path` leads without links, and what is there."""
        index = self._index()
        real = "/".join(_resolved(path, index.read_link))
        node = index.nodes.get(real)
        if node is None:
            raise NotInside(f"there is no {path!r} inside")
        return real, node

    def look(self, path: str = "", offset: int = 0, count: int | None = None) -> Listing:
        """As `Tree.look`."""
        real, node = self._find(path)
        if node.kind == "f":
            return Listing(FILE, node.size)
        prefix = real + "/" if real else ""
        index = self._index()
        names = index.names[real]
        found = [(name, index.nodes[prefix + name]) for name in _page(names, offset, count)]
        return Listing(
            DIR,
            0,
            len(names),
            [Listed(os.fsencode(name), _KINDS[one.kind], one.size, os.fsencode(one.target)) for name, one in found],
        )

    def place(self, path: str) -> tuple[int, int]:
        """Offset and size of a file's bytes in the archive.

        Raises
        ------
        NotInside
            If there is no such file inside.
        """
        _, node = self._find(path)
        return node.offset, size_of(Listing(_KINDS[node.kind], node.size), path)
