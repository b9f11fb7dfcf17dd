"""Files that hold objects: their identity and checksum, opening them only if they are still the same, full disks.

A file that another process may have mapped is never truncated or written again (a reader would die of SIGBUS); it is
unlinked.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

import xxhash

from rain.common.errors import RainException, ResourceError
from rain.common.limits import CHUNK_BYTES
from rain.common.location import Inline, LocalFile
from rain.host.descriptors import is_out_of_descriptors, opened, out_of_descriptors
from rain.host.lacking.unix import resource

if TYPE_CHECKING:
    from typing_extensions import Buffer

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
    """The largest file that this process may write, in words."""
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


def open_new(path: str) -> int:
    """A descriptor for writing the new file `path`, which other users may not read yet."""
    try:
        return opened(os.open, path, _OPEN_NEW, 0o600)
    except OSError as error:
        if is_out_of_descriptors(error):
            raise out_of_descriptors(f"{path} cannot be made", error) from None
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
        target = open_new(path)
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


checksum: Callable[[Buffer], int] = xxhash.xxh3_64_intdigest
"""xxh3-64 of bytes."""
