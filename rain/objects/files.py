"""Files that hold objects: writing them once with their checksum, and opening them only if they are still the same.

A file that others may have mapped is never truncated or written again (a reader would die of SIGBUS); it is unlinked.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from typing import TYPE_CHECKING

import xxhash

from rain.common.errors import RainException, ResourceError
from rain.common.limits import CHUNK_BYTES
from rain.common.location import Inline, LocalFile, Stored
from rain.host.descriptors import is_out_of_descriptors, opened, out_of_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

NEVER_INLINE = -1
"""As `inline_max`: also an empty value becomes a file."""
FULL_MARK = ".full"
"""A file of this name in a folder asks writers to use their spill path instead."""
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT)


class StaleFile(RainException):
    """A file is gone or is no longer the one that was meant."""


def local_file(path: str, size: int | None = None, checksum: int | None = None) -> LocalFile:
    """What is at `path`, as readers on this host compare it; of a directory, `size` is the sum of its files."""
    seen = os.stat(path)
    return LocalFile(path, seen.st_ino, seen.st_size if size is None else size, seen.st_mtime_ns, checksum)


def inline(data: bytes) -> Inline:
    """Few bytes, with their checksum."""
    return Inline(data, xxhash.xxh3_64_intdigest(data))


def is_full(error: OSError) -> bool:
    """Whether `error` means that the disk, the quota or the memory file system is full, so that another may help."""
    return error.errno in _FULL


def no_room(error: OSError, path: str, needed: int | None = None) -> ResourceError | None:
    """The error that says why `path` cannot grow, if that is what `error` is about; else None."""
    if error.errno == errno.EFBIG:
        return too_large(path)
    return disk_full(path, needed, error.errno == errno.EDQUOT) if is_full(error) else None


def too_large(path: str) -> ResourceError:
    """The error that says that a file reached the size that a limit, or its file system, allows."""
    return ResourceError(
        f"{path} cannot grow any more: the limit of a file's size, RLIMIT_FSIZE (ulimit -f), is {file_limit()} here, "
        "and its file system may have one of its own"
    )


def file_limit() -> str:
    """The largest file that this process may write, for people."""
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return "unlimited" if most == resource.RLIM_INFINITY else f"{most} bytes"


def disk_full(path: str, needed: int | None = None, quota: bool = False) -> ResourceError:
    """The error that says that `path` cannot be written, with the space that is left there."""
    folder = os.path.dirname(path) or "."
    try:
        seen = os.statvfs(folder)
        left = f"{seen.f_bavail * seen.f_frsize} bytes are free there"
        if seen.f_files and not seen.f_favail:
            left += ", but it can hold no more files (no inode is free)"
    except OSError:
        left = "its free space is unknown"
    if quota:
        left = f"the disk quota is used up ({left})"
    wanted = "" if needed is None else f" ({needed} bytes)"
    return ResourceError(f"no space left to write {path}{wanted}: {left}; free some space, or use another work folder")


def open_checked(ref: LocalFile) -> int:
    """A descriptor for reading the very file that `ref` means.

    Raises
    ------
    StaleFile
        If it is gone, or differs in inode, size or time of modification.
    ResourceError
        If this process or the host can have no more open files; names the limit.
    """
    try:
        fd = opened(os.open, ref.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if is_out_of_descriptors(error):
            raise out_of_descriptors(f"{ref.path} cannot be opened", error) from None
        raise StaleFile(f"{ref.path} cannot be opened: {error.strerror}") from None
    seen = os.fstat(fd)
    if not stat.S_ISREG(seen.st_mode) or (seen.st_ino, seen.st_size, seen.st_mtime_ns) != (
        ref.inode,
        ref.size,
        ref.mtime_ns,
    ):
        os.close(fd)
        raise StaleFile(f"{ref.path} is not the file that was written as this object (inode, size or time differ)")
    return fd


def same_directory(ref: LocalFile) -> bool:
    """Whether `ref` still means the directory at its path."""
    try:
        seen = os.lstat(ref.path)
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and (seen.st_ino, seen.st_mtime_ns) == (ref.inode, ref.mtime_ns)


def _open_new(path: str) -> int:
    try:
        return opened(os.open, path, _OPEN_NEW, 0o600)
    except OSError as error:
        if is_out_of_descriptors(error):
            raise out_of_descriptors(f"{path} cannot be made", error) from None
        raise


class Sink:
    """Takes bytes once, in order: holds them while they are few, then writes them to a file of its own.

    Parameters
    ----------
    path : str
        The file to be made (must not exist).
    inline_max : int
        Bytes up to which no file is made; or `NEVER_INLINE`.
    spill_path : str or None
        Where the file goes instead if there is a `FULL_MARK` beside `path`, `path` is on a full file system or the file
        outgrows `bytes_max`.
    bytes_max : int or None
        Largest file at `path`.
    """

    __slots__ = ("_bytes_max", "_fd", "_few", "_hash", "_inline_max", "_path", "_spill_path", "size")

    def __init__(
        self, path: str, inline_max: int = 0, *, spill_path: str | None = None, bytes_max: int | None = None
    ) -> None:
        self._path = path
        self._inline_max = inline_max
        self._spill_path = spill_path
        self._bytes_max = bytes_max
        self.reset()

    def reset(self) -> None:
        """Forget what was written."""
        self._few: list[bytes] | None = []
        self._hash = xxhash.xxh3_64()
        self.size = 0
        self._fd = -1

    def write(self, data: Buffer) -> int:
        """Append `data` (whatever its item format); the sink does not keep a reference to it."""
        view = memoryview(data).cast("B")
        few = self._few
        if few is not None:
            if self.size + len(view) <= self._inline_max:
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

    def _open(self) -> None:
        if self._spill_path is not None and os.path.exists(os.path.join(os.path.dirname(self._path), FULL_MARK)):
            self._path, self._spill_path, self._bytes_max = self._spill_path, None, None
        self._fd = _open_new(self._path)

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
        other = _open_new(self._spill_path)
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
            if self._inline_max >= 0:
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


def write_file(
    pieces: Iterable[Buffer],
    path: str,
    inline_max: int = 0,
    *,
    spill_path: str | None = None,
    bytes_max: int | None = None,
) -> Stored:
    """Write `pieces` one after the other into a new file; the parameters are those of `Sink`.

    Raises
    ------
    ResourceError
        If the disk is full; names path and free space.
    OSError
        If the file cannot be written for another reason.
    """
    sink = Sink(path, inline_max, spill_path=spill_path, bytes_max=bytes_max)
    try:
        for piece in pieces:
            sink.write(piece)
        return sink.finish()
    except BaseException:
        sink.discard()
        raise


def copy_bytes(source: int, target: int, length: int) -> int:
    """Copy up to `length` bytes between descriptors, from the source's start, inside the kernel; how many it were."""
    done = 0
    while done < length:
        count = os.sendfile(target, source, done, min(length - done, 1 << 30))
        if count == 0:
            break
        done += count
    return done


def copy_checked(file: LocalFile, path: str) -> int:
    """Copy the very file that `file` means into the new file `path`; gives xxh3-64 of what was read.

    Raises
    ------
    StaleFile
        If it is not there any more.
    ResourceError
        If the disk is full.
    """
    digest = xxhash.xxh3_64()
    buffer = memoryview(bytearray(min(file.size, CHUNK_BYTES) or 1))
    source = open_checked(file)
    try:
        target = _open_new(path)
        try:
            while count := os.readv(source, [buffer]):
                digest.update(buffer[:count])
                piece = buffer[:count]
                while piece:
                    piece = piece[os.write(target, piece) :]
        except OSError as error:
            raise (no_room(error, path, file.size) or error) from None
        finally:
            os.close(target)
    finally:
        os.close(source)
    return digest.intdigest()


def checksum_fd(fd: int, size: int) -> int:
    """xxh3-64 of a file's first `size` bytes."""
    digest = xxhash.xxh3_64()
    buffer = bytearray(min(size, CHUNK_BYTES) or 1)
    view = memoryview(buffer)
    done = 0
    while done < size:
        count = os.preadv(fd, [view[: min(len(buffer), size - done)]], done)
        if count == 0:
            break
        digest.update(view[:count])
        done += count
    return digest.intdigest()


def checksum(data: Buffer) -> int:
    """xxh3-64 of `data`."""
    return xxhash.xxh3_64_intdigest(data)
