"""Packing: a directory as a tar stream."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rain.common.errors import RainException
from rain.common.limits import CHUNK_BYTES
from rain.objects.archive.headers import BLOCK, FOLDER, REGULAR, SYMLINK, ZERO_BLOCK, header
from rain.objects.dirtree import READ_FLAGS, Entry, Limits, walk

if TYPE_CHECKING:
    from collections.abc import Generator

_END = bytes(2 * BLOCK)


def pack(path: str, limits: Limits | None = None) -> Generator[memoryview, None, None]:
    """The directory at `path` as a tar stream.

    Parameters
    ----------
    path : str
    limits : Limits or None

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
        head = _header_of(entry)
        size = entry.stat.st_size if entry.kind == "f" else 0
        if used + len(head) > CHUNK_BYTES:
            yield buffer[:used]
            used = 0
        buffer[used : used + len(head)] = head
        used += len(head)
        if not size:
            continue
        fd = os.open(entry.name, READ_FLAGS, dir_fd=entry.folder)
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
        buffer[used : used + padding] = ZERO_BLOCK[:padding]
        used += padding
    if used + len(_END) > CHUNK_BYTES:
        yield buffer[:used]
        used = 0
    buffer[used : used + len(_END)] = _END
    yield buffer[: used + len(_END)]


def packed_size(path: str, limits: Limits | None = None) -> int:
    """How many bytes `pack` yields for the directory as it is now.

    Parameters
    ----------
    path : str
    limits : Limits or None

    Raises
    ------
    RainException
        As `pack`.
    """
    total = len(_END)
    for entry in walk(path, limits):
        size = entry.stat.st_size if entry.kind == "f" else 0
        total += len(_header_of(entry)) + size + -size % BLOCK
    return total


def _header_of(entry: Entry) -> bytes:
    if entry.kind == "d":
        return header(entry.path + "/", 0o755, 0, FOLDER)
    if entry.kind == "l":
        return header(entry.path, 0o777, 0, SYMLINK, entry.target)
    return header(entry.path, 0o755 if entry.stat.st_mode & 0o100 else 0o644, entry.stat.st_size, REGULAR)
