"""Directories as tar streams and back, without trusting either.

Theory of operation
-------------------
`pack` walks a directory over directory descriptors, in the order of names, and yields a GNU tar stream that depends on
names, contents and executable bits only. `Unpacker` is fed such a stream (or one that another tool wrote) in any
pieces and builds the tree below a directory that it makes itself.

Nothing is ever written outside of that directory: every component is opened relative to the descriptor of its parent
with ``O_NOFOLLOW``, files are made with ``O_EXCL``, and symbolic links are made last, when no more file is written, and
only if following them, through other links too, stays inside. Hard links become copies. Refused are absolute names,
``..``, devices, pipes, sockets, sparse files, setuid and setgid, a name that comes twice, links that lead outside, and
whatever is over one of the `Limits`.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

from rain.common import limits as bounds
from rain.common.errors import RainException
from rain.common.limits import CHUNK_BYTES
from rain.objects.dirtree import Limits, link_stays_inside, open_folder, remove_tree, walk
from rain.objects.files import disk_full, no_room

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from typing_extensions import Buffer

__all__ = ["Limits", "Unpacker", "pack", "packed_size", "unpack"]

BLOCK = 512
_END = bytes(2 * BLOCK)
_ZERO_BLOCK = bytes(BLOCK)
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_GNU_MAGIC = b"ustar  \x00"
_LONG_LINK = b"././@LongLink"
META_BYTES_MAX = 64 * 1024
_FREE_SPACE_CHECK_BYTES = 16 << 20

REGULAR, HARD_LINK, SYMLINK, FOLDER = b"0", b"1", b"2", b"5"
FILE_TYPES = frozenset({b"0", b"\x00", b"7"})
META_TYPES = frozenset({b"x", b"g", b"L", b"K"})
_REFUSED_TYPES = {b"3": "a character device", b"4": "a block device", b"6": "a pipe", b"S": "a sparse file"}


class ArchiveError(RainException):
    """An archive that is broken or that asks for what is not allowed."""


# -- packing -----------------------------------------------------------------------------------------


def _number(value: int, width: int) -> bytes:
    if value < 8 ** (width - 1):
        return b"%0*o\x00" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")


def _block(name: bytes, mode: int, size: int, kind: bytes, target: bytes = b"") -> bytes:
    fields = [name, _number(mode, 8), _number(0, 8), _number(0, 8), _number(size, 12), _number(0, 12)]
    rest = [kind, target, _GNU_MAGIC, b"", b"", b"", b"", b""]
    total = sum(_HEADER.pack(*fields, b" " * 8, *rest))
    return _HEADER.pack(*fields, b"%06o\x00 " % total, *rest)


def _header(name: str, mode: int, size: int, kind: bytes, target: str = "") -> bytes:
    """The blocks that stand before an entry's content."""
    raw, raw_target = os.fsencode(name), os.fsencode(target)
    blocks = []
    for long_kind, text in ((b"K", raw_target), (b"L", raw)):
        if len(text) > 100:
            padded = text + bytes(BLOCK - len(text) % BLOCK)  # at least one NUL ends the text
            blocks += [_block(_LONG_LINK, 0, len(text) + 1, long_kind), padded]
    blocks.append(_block(raw[:100], mode, size, kind, raw_target[:100]))
    return b"".join(blocks)


def pack(path: str, limits: Limits | None = None) -> Generator[memoryview, None, None]:
    """The directory at `path` as a tar stream.

    Yields
    ------
    memoryview
        Pieces of at most `CHUNK_BYTES`; each is overwritten when the next is asked for.

    Raises
    ------
    RainException
        If there is something in it that cannot be packed: a device, a pipe, a link that leads outside, a file that
        changes meanwhile, more than `limits` allow.
    """
    buffer = memoryview(bytearray(CHUNK_BYTES))
    used = 0
    for entry in walk(path, limits):
        if entry.kind == "d":
            head, size = _header(entry.path + "/", 0o755, 0, FOLDER), 0
        elif entry.kind == "l":
            head, size = _header(entry.path, 0o777, 0, SYMLINK, entry.target), 0
        else:
            size = entry.stat.st_size
            head = _header(entry.path, 0o755 if entry.stat.st_mode & 0o100 else 0o644, size, REGULAR)
        if used + len(head) > CHUNK_BYTES:
            yield buffer[:used]
            used = 0
        buffer[used : used + len(head)] = head
        used += len(head)
        if not size:
            continue
        fd = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=entry.folder)
        try:
            left = size
            while left:
                if used == CHUNK_BYTES:
                    yield buffer[:used]
                    used = 0
                count = os.readv(fd, [buffer[used : used + min(left, CHUNK_BYTES - used)]])
                if count == 0:
                    break
                left -= count
                used += count
            now = os.fstat(fd)
        finally:
            os.close(fd)
        if left or now.st_size != size or now.st_mtime_ns != entry.stat.st_mtime_ns:
            raise RainException(f"{os.path.join(path, entry.path)} changed while it was packed")
        padding = -size % BLOCK
        if used + padding > CHUNK_BYTES:
            yield buffer[:used]
            used = 0
        buffer[used : used + padding] = _ZERO_BLOCK[:padding]
        used += padding
    if used + len(_END) > CHUNK_BYTES:
        yield buffer[:used]
        used = 0
    buffer[used : used + len(_END)] = _END
    yield buffer[: used + len(_END)]


def packed_size(path: str, limits: Limits | None = None) -> int:
    """How many bytes `pack` yields for the directory as it is now.

    Raises
    ------
    RainException
        As `pack`.
    """
    total = len(_END)
    for entry in walk(path, limits):
        size = entry.stat.st_size if entry.kind == "f" else 0
        name = entry.path + "/" if entry.kind == "d" else entry.path
        total += len(_header(name, 0, size, REGULAR, entry.target)) + size + -size % BLOCK
    return total


# -- unpacking ---------------------------------------------------------------------------------------


class Header(NamedTuple):
    """What stands before an entry's content."""

    name: bytes
    mode: int
    size: int
    kind: bytes
    target: bytes


def _read_number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \x00")
    try:
        return int(b"0" + text, 8)  # the digit before it keeps a sign out
    except ValueError:
        raise ArchiveError(f"a header of the archive is damaged: {field!r} is not a number") from None


def read_header(block: bytes) -> Header:
    """Parse the block before an entry.

    Raises
    ------
    RainException
        If it is damaged.
    """
    name, mode, _, _, size, _, total, kind, target, magic, _, _, _, _, prefix = _HEADER.unpack(block)
    if _read_number(total) != sum(block) - sum(total) + 8 * 32:
        raise ArchiveError("this is not a tar archive, or a header of it is damaged (checksum)")
    name = name.split(b"\x00", 1)[0]
    prefix = prefix.split(b"\x00", 1)[0]
    if prefix and magic == b"ustar\x0000":
        name = prefix + b"/" + name
    return Header(name, _read_number(mode), _read_number(size), kind, target.split(b"\x00", 1)[0])


def read_pax(data: bytes) -> dict[bytes, bytes]:
    """Records of a pax header, each ``length key=value\\n``.

    Raises
    ------
    RainException
        If they are damaged.
    """
    records = {}
    position = 0
    while position < len(data) and data[position] != 0:
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        if end <= space or end > len(data) or data[end - 1 : end] != b"\n":
            raise ArchiveError("an extended header of the archive is damaged")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise ArchiveError("an extended header of the archive is damaged")
        records[key] = value
        position = end
    return records


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
        self._root = open_folder(path)
        self._open: list[tuple[str, int]] = []  # the folders down to the last entry's, with descriptors
        self._implied: set[str] = set()  # made because something lies in them, not yet named themselves
        self._links: dict[str, str] = {}
        self._partial = bytearray()  # of a block, or of metadata
        self._entries = 0
        self._size = 0
        self._meta: tuple[bytes, int, int] | None = None  # kind, bytes, bytes with padding
        self._override: dict[bytes, bytes] = {}  # from metadata, for the next entry
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
                wanted = self._meta[2] if self._meta else BLOCK
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
        if self._meta:
            self._take_meta(block)
        elif block == _ZERO_BLOCK:
            self._ended = True
        else:
            self._begin(read_header(block))

    def _take_meta(self, data: bytes) -> None:
        assert self._meta
        kind, size, _ = self._meta
        self._meta = None
        data = data[:size]
        if kind == b"L":
            self._override[b"path"] = data.split(b"\x00", 1)[0]
        elif kind == b"K":
            self._override[b"linkpath"] = data.split(b"\x00", 1)[0]
        else:
            records = read_pax(data)
            if any(key.startswith(b"GNU.sparse") for key in records):
                raise ArchiveError("the archive contains a sparse file; unpack it yourself")
            if kind == b"g" and not records.keys().isdisjoint((b"path", b"linkpath", b"size")):
                raise ArchiveError("the archive gives all its entries the same name or size")
            if kind == b"x":
                self._override.update(records)

    def _begin(self, entry: Header) -> None:
        if entry.kind in META_TYPES:
            if entry.size > META_BYTES_MAX:
                raise ArchiveError(f"an extended header of {entry.size} bytes is over the limit of {META_BYTES_MAX}")
            if entry.size:
                self._meta = (entry.kind, entry.size, entry.size + -entry.size % BLOCK)
            return
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ArchiveError(f"the archive has more than {self._limits.entries} entries (ARCHIVE_ENTRIES_MAX)")
        override, self._override = self._override, {}
        name = os.fsdecode(override.get(b"path", entry.name))
        size = entry.size
        if b"size" in override:
            if not override[b"size"].isdigit():
                raise ArchiveError("an extended header of the archive is damaged")
            size = int(override[b"size"])
        parts = self._parts(name)
        if entry.mode & 0o6000:
            raise ArchiveError(f"{name!r} in the archive is setuid or setgid")
        if entry.kind == FOLDER or (entry.kind in FILE_TYPES and name.endswith("/")):
            self._make_folder(parts, name)
            size = 0
        elif not parts:
            raise ArchiveError(f"{name!r} in the archive is not a name for a file")
        elif entry.kind in FILE_TYPES:
            self._make_file(parts, name, size, entry.mode)
            return
        elif entry.kind == SYMLINK:
            self._note_link(parts, name, os.fsdecode(override.get(b"linkpath", entry.target)))
            size = 0
        elif entry.kind == HARD_LINK:
            self._copy(parts, name, os.fsdecode(override.get(b"linkpath", entry.target)), entry.mode)
            size = 0
        else:
            what = _REFUSED_TYPES.get(entry.kind, f"of the unknown type {entry.kind!r}")
            raise ArchiveError(f"{name!r} in the archive is {what}")

    def _parts(self, name: str) -> list[str]:
        if name.startswith("/"):
            raise ArchiveError(f"{name[:200]!r} in the archive is an absolute path")
        if len(name) > bounds.ARCHIVE_NAME_BYTES_MAX:
            raise ArchiveError(f"a name in the archive has {len(name)} bytes, over ARCHIVE_NAME_BYTES_MAX")
        parts = [part for part in name.split("/") if part and part != "."]
        if ".." in parts:
            raise ArchiveError(f"{name!r} in the archive leads outside")
        if "\x00" in name:
            raise ArchiveError(f"{name!r} in the archive contains a zero byte")
        if len(parts) > self._limits.depth:
            raise ArchiveError(f"the archive is deeper than {self._limits.depth} folders (ARCHIVE_DEPTH_MAX)")
        return parts

    def _enter(self, parts: list[str]) -> int:
        """A descriptor of the folder `parts`, which is made where it is missing."""
        opened = self._open
        same = 0
        while same < len(opened) and same < len(parts) and opened[same][0] == parts[same]:
            same += 1
        while len(opened) > same:
            os.close(opened.pop()[1])
        for index in range(same, len(parts)):
            parent = opened[-1][1] if opened else self._root
            try:
                os.mkdir(parts[index], 0o755, dir_fd=parent)
                self._implied.add("/".join(parts[: index + 1]))
                self._count_implied()
            except FileExistsError:
                pass
            opened.append((parts[index], self._open_in(parts[index], parent)))
        return opened[-1][1] if opened else self._root

    def _count_implied(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ArchiveError(f"the archive has more than {self._limits.entries} entries (ARCHIVE_ENTRIES_MAX)")

    def _open_in(self, name: str, parent: int) -> int:
        try:
            return open_folder(name, parent)
        except OSError:
            raise ArchiveError(f"{name!r} in the archive is used as a folder but is none") from None

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

    def _copy(self, parts: list[str], name: str, target: str, mode: int) -> None:
        """A hard link: copy the file that came earlier."""
        from rain.objects.files import copy_bytes

        source_parts = self._parts(target)
        if not source_parts:
            raise ArchiveError(f"{name!r} in the archive is a hard link to the archive itself")
        source = -1
        folder = os.dup(self._root)
        try:
            for part in source_parts[:-1]:
                inner = self._open_in(part, folder)
                os.close(folder)
                folder = inner
            source = os.open(
                source_parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
            )
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
        except OSError:
            raise ArchiveError(f"{name!r} in the archive is a hard link to {target!r}, which is not there") from None
        finally:
            os.close(folder)
            if source >= 0:
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
        if not self._ended or self._partial or self._meta or self._file >= 0 or self._padding_left:
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
        self._close_folders()
        return self._size

    def _close_folders(self) -> None:
        while self._open:
            os.close(self._open.pop()[1])
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def discard(self) -> None:
        """Remove what was unpacked."""
        if self._file >= 0:
            self._end_file()
        self._close_folders()
        remove_tree(self.path)


def unpack(chunks: Iterable[Buffer], path: str, limits: Limits | None = None) -> int:
    """Unpack a tar stream into the new directory `path`; gives the sum of the files' sizes in bytes.

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
