"""Files that processes log to: readable by their user only, and bounded while they are written.

The writing process appends through a descriptor that it inherited, so a log cannot be renamed away from it. Where a
log has become too long, the guardian copies it to ``NAME.1`` and empties it. It imports this module, which therefore
imports as little as possible.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import Any

_COPY_BYTES = 1 << 20
_PUNCH_HOLE_KEEP_SIZE = 3


def open_log(path: str, flags: int = os.O_WRONLY) -> int:
    """A descriptor that appends to the file `path`, which no other user may read from now on.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    log = os.open(path, flags | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    seen = os.fstat(log)
    if stat.S_ISREG(seen.st_mode) and stat.S_IMODE(seen.st_mode) & 0o077:  # an older version's
        try:
            os.fchmod(log, 0o600)
        except OSError:  # another user's: then it is theirs to close
            pass
    return log


class _Lossy(io.RawIOBase):
    """Writes to a descriptor, and leaves out what that does not take: on a full disk a line is lost, not a process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        data = bytes(data)
        try:
            if self._lost:
                os.write(self._descriptor, b"(%d bytes could not be written here)\n" % self._lost)
                self._lost = 0
            done = os.write(self._descriptor, data)
        except OSError:
            done = 0
        self._lost += len(data) - done
        return len(data)


def lose_what_cannot_be_written() -> None:
    """From now on `sys.stderr` is one that never fails, unless another one than the process's own had taken its place:
    a process whose log is on a full disk goes on."""
    if sys.stderr is sys.__stderr__:
        raw = io.BufferedWriter(_Lossy(2))
        sys.stderr = sys.__stderr__ = io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)  # type: ignore[misc]


def bound_log(path: str, bytes_max: int) -> bool:
    """If the log `path` is longer than `bytes_max`, move its end of that length to ``path.1``; returns whether it was.

    Lines that are written in the instant between the last read and the cut are lost.

    Raises
    ------
    OSError
        If that cannot be done; the log is as it was then.
    """
    log = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        seen = os.fstat(log)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size <= bytes_max:
            return False
        part = f"{path}.part"
        copy = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.lseek(log, max(0, seen.st_size - bytes_max), os.SEEK_SET)
            while data := os.read(log, _COPY_BYTES):
                os.write(copy, data)
            os.ftruncate(log, 0)
        finally:
            os.close(copy)
        os.rename(part, f"{path}.1")
        return True
    finally:
        os.close(log)


def give_back(file: int, start: int, end: int) -> None:
    """Free what a file holds between two positions, which then reads as zeros; the rest stays where it is.

    Nothing happens where the file system cannot do that.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    start, end = start & -4096, end & -4096
    if end > start:
        libc.fallocate(file, _PUNCH_HOLE_KEEP_SIZE, start, end - start)
