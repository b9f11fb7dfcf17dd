"""Giving one file another name or a copy: links where the file system allows, else its bytes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from rain.host.descriptors import opened
from rain.host.lacking.unix import clone
from rain.objects.dirtree.remove import remove_file
from rain.objects.dirtree.walk import READ_FLAGS
from rain.objects.files import copy_bytes, no_room

if TYPE_CHECKING:
    from rain.objects.dirtree.walk import Entry

NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_no_clones: set[int] = set()  # devices of file systems that cannot clone files


def open_entry(entry: Entry) -> int:
    """A descriptor for reading the file that `walk` found, or that a followed link leads to.

    Raises
    ------
    OSError
    """
    if entry.target:
        return opened(os.open, entry.target, READ_FLAGS)
    return opened(os.open, entry.name, READ_FLAGS, dir_fd=entry.folder)


def copy_fd(source: int, target: str, size: int, mode: int) -> None:
    """Copy an open file into a new one.

    Parameters
    ----------
    source : int
        A descriptor.
    target : str
        Path of the new file.
    size : int
        How many bytes are copied, from the start.
    mode : int
        Permissions of the new file (less the umask).

    Raises
    ------
    ResourceError
        If the disk is full.
    FileExistsError
    """
    fd = opened(os.open, target, NEW_FLAGS, mode)
    try:
        copy_bytes(source, fd, size)
    except OSError as error:
        raise (no_room(error, target, size) or error) from None
    finally:
        os.close(fd)


def copy_file(source: str, target: str, mode: int = 0o644) -> int:
    """Copy the contents of a file into a new one; gives the size in bytes.

    Parameters
    ----------
    source, target : str
    mode : int
        Permissions of the new file (less the umask).

    Raises
    ------
    ResourceError
        If the disk is full; no file is left then.
    """
    fd = opened(os.open, source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        copy_fd(fd, target, size, mode)
        return size
    except BaseException:
        remove_file(target)
        raise
    finally:
        os.close(fd)


def clone_file(source: str, target: str) -> bool:
    """Let a new file have the contents of another one without a copy, where the file system can; whether it did.

    Raises
    ------
    FileExistsError
    """
    device = os.stat(source).st_dev
    if device in _no_clones or device != os.stat(os.path.dirname(target) or ".").st_dev:
        return False
    with open(source, "rb", buffering=0) as origin:
        fd = os.open(target, NEW_FLAGS, 0o644)
        try:
            clone(fd, origin.fileno())
        except OSError as error:
            os.unlink(target)
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                _no_clones.add(device)
            return False
        finally:
            os.close(fd)
    return True


def link_file(source: str, target: str) -> None:
    """`target` becomes a hard link of `source`, or a symbolic one where that is not possible.

    Raises
    ------
    FileExistsError
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        os.symlink(os.path.abspath(source), target)


def link_or_copy(source: str, target: str) -> None:
    """`target` becomes a hard link of the read-only file `source`, or a read-only copy on another file system."""
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target, read_only(os.stat(source).st_mode))


def read_only(mode: int) -> int:
    """The permissions of a stored file that had `mode`.

    Examples
    --------
    >>> oct(read_only(0o755)), oct(read_only(0o600))
    ('0o555', '0o444')
    """
    return 0o555 if mode & 0o100 else 0o444
