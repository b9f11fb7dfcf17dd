"""`Sink`: bytes on their way into one file, which may stay few, or outgrow memory and go on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import xxhash

from rain.common.errors import RainException
from rain.common.limits import CHUNK_BYTES
from rain.common.location import LocalFile, Stored
from rain.host.descriptors import opened
from rain.objects.files import copy_bytes, disk_full, inline, is_full, no_room, open_new

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

NEVER_INLINE = -1
"""As `inline_max`: also an empty value becomes a file."""
_MARK = ".full"


class FullMark:
    """A mark in a folder of memory files that sends writers to disk; the process that counts the bytes keeps it.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, _MARK)
        self._set = False

    @staticmethod
    def is_in(folder: str) -> bool:
        """Whether there is a mark in `folder`, which may be another process's."""
        return os.path.exists(os.path.join(folder, _MARK))

    def set(self, full: bool) -> None:
        """Make or remove the mark."""
        if full == self._set:
            return
        self._set = full
        if full:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        else:
            os.unlink(self._path)


class Sink:
    """Takes bytes once, in order: holds them while they are few, then writes them to a file of its own.

    In a ``with`` statement that an exception ends, it is discarded.

    Parameters
    ----------
    path : str
        The file to be made (must not exist).
    inline_max : int
        Bytes up to which no file is made; or `NEVER_INLINE`.
    spill_path : str or None
        Where the file goes instead if the folder of `path` has a `FullMark`, `path` is on a full file system or the
        file outgrows `bytes_max`.
    bytes_max : int or None
        Largest file at `path`.
    """

    __slots__ = ("_bytes_max", "_fd", "_few", "_hash", "_path", "_spill_path", "inline_max", "size")

    def __init__(
        self, path: str, inline_max: int = 0, *, spill_path: str | None = None, bytes_max: int | None = None
    ) -> None:
        self._path = path
        self.inline_max = inline_max
        self._spill_path = spill_path
        self._bytes_max = bytes_max
        self.reset()

    def reset(self) -> None:
        """Forget what was written."""
        self._few: list[bytes] | None = []
        self._hash: Any = None
        self.size = 0
        self._fd = -1

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self.discard()

    def write(self, data: Buffer) -> int:
        """Append `data` (whatever its item format); the sink does not keep a reference to it."""
        view = memoryview(data).cast("B")
        few = self._few
        if few is not None:
            if self.size + len(view) <= self.inline_max:
                few.append(bytes(view))
                self.size += len(view)
                return len(view)
            self._few = None
            self._open()
            joined = b"".join(few)
            self.size = 0
            self._put(memoryview(joined))
        self._put(view)
        return len(view)

    def write_all(self, pieces: Iterable[Buffer], mode: int = 0o400) -> Stored:
        """Write `pieces` one after the other, and `finish`; on an error it is discarded.

        Raises
        ------
        ResourceError
            If the disk is full; names path and free space.
        OSError
            If the file cannot be written for another reason.
        """
        with self:
            for piece in pieces:
                self.write(piece)
            return self.finish(mode)

    def _open(self) -> None:
        if self._spill_path is not None and FullMark.is_in(os.path.dirname(self._path)):
            self._path, self._spill_path, self._bytes_max = self._spill_path, None, None
        self._fd = open_new(self._path)
        self._hash = xxhash.xxh3_64()

    def _put(self, view: memoryview) -> None:
        # Hash and write in pieces that stay in the cache: one pass over memory.
        for start in range(0, len(view), CHUNK_BYTES):
            piece = view[start : start + CHUNK_BYTES]
            self._hash.update(piece)
            if self._bytes_max is not None and self.size + len(piece) > self._bytes_max:
                self._spill()
            while piece:
                try:
                    done = os.write(self._fd, piece)
                except OSError as error:
                    if is_full(error) and self._spill_path is not None:
                        self._spill()
                        continue
                    raise (no_room(error, self._path) or error) from None
                self.size += done
                piece = piece[done:]

    def _spill(self) -> None:
        """Go on in the other file."""
        if self._spill_path is None:
            raise disk_full(self._path)
        other = open_new(self._spill_path)
        old, old_path = self._fd, self._path
        self._fd, self._path, self._spill_path, self._bytes_max = other, self._spill_path, None, None
        try:
            with opened(open, old_path, "rb", buffering=0) as source:
                copied = copy_bytes(source.fileno(), other, self.size)
        except OSError as error:
            raise (no_room(error, self._path, self.size) or error) from None
        finally:
            os.close(old)
            os.unlink(old_path)
        if copied != self.size:
            raise RainException(f"{old_path} lost bytes while it was written")

    def finish(self, mode: int = 0o400) -> Stored:
        """The bytes, or the file that holds them, which then has permissions `mode`."""
        if self._few is not None:
            if self.inline_max >= 0:
                return inline(b"".join(self._few))
            self.write(b"")
        os.fchmod(self._fd, mode)
        seen = os.fstat(self._fd)
        os.close(self._fd)
        self._fd = -1
        return LocalFile(self._path, seen.st_ino, seen.st_size, seen.st_mtime_ns, self._hash.intdigest())

    def discard(self) -> None:
        """Remove the file, if one was made, and forget everything."""
        if self._fd >= 0:
            os.close(self._fd)
            os.unlink(self._path)
        self.reset()
