"""A directory at another path: a copy, a tree of links, a move."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import TYPE_CHECKING

from rain.objects.dirtree.one_file import copy_fd, copy_file, link_file, open_entry
from rain.objects.dirtree.remove import remove_tree
from rain.objects.dirtree.walk import Entry, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def copy_tree(source: str, target: str, *, follow: Sequence[str] = (), check_links: bool = True) -> int:
    """A writable copy of a directory at the new path `target`; gives the sum of the files' sizes in bytes.

    Parameters
    ----------
    source, target : str
    follow, check_links
        As of `walk`.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes, or the disk is full; nothing is left then.
    FileExistsError
        If `target` exists.
    """
    return _build(target, walk(source, follow=follow, check_links=check_links), _copy_entry)


def link_tree(source: str, target: str, *, hard: bool = False) -> int:
    """Real folders at the new path `target` with links to the files of `source`; gives the sum of the files' sizes.

    Parameters
    ----------
    source, target : str
    hard : bool
        Whether all links to files must be hard links (same file system only); else they are where that is possible.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes; nothing is left then.
    OSError
        If `target` exists, or a hard link is not possible and must be.
    """
    origin = os.path.abspath(source)

    def link(entry: Entry, path: str) -> None:
        if hard:
            os.link(entry.name, path, src_dir_fd=entry.folder, follow_symlinks=False)
        else:
            link_file(os.path.join(origin, entry.path), path)

    return _build(target, walk(origin), link)


def _build(target: str, entries: Iterable[Entry], put: Callable[[Entry, str], None]) -> int:
    """Make the new directory `target` of `entries`; ``put(entry, path)`` makes a file. Gives the sum of their sizes."""
    os.mkdir(target)
    total = 0
    try:
        for entry in entries:
            path = os.path.join(target, entry.path)
            if entry.kind == "d":
                os.mkdir(path)
            elif entry.kind == "l":
                os.symlink(entry.target, path)
            else:
                put(entry, path)
                total += entry.stat.st_size
    except BaseException:
        remove_tree(target)
        raise
    return total


def _copy_entry(entry: Entry, path: str) -> None:
    fd = open_entry(entry)
    try:
        copy_fd(fd, path, entry.stat.st_size, 0o755 if entry.stat.st_mode & 0o100 else 0o644)
    finally:
        os.close(fd)


def move(source: str, target: str) -> None:
    """Move a file or directory to the new path `target`, across file systems if it must be. Links stay as they are.

    Raises
    ------
    RainException
        If the disk is full, or there are pipes, devices or the like; `source` is as it was then.
    FileExistsError
        If `target` exists.
    """
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists")
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    seen = os.lstat(source)
    if stat.S_ISDIR(seen.st_mode):
        copy_tree(source, target, check_links=False)
        remove_tree(source)
        return
    if stat.S_ISLNK(seen.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        copy_file(source, target, stat.S_IMODE(seen.st_mode))
    os.unlink(source)


def exchange(first: str, second: str) -> None:
    """Swap what two paths on one file system name, in one step.

    Raises
    ------
    OSError
        If the file system cannot do that.
    """
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    at_cwd, swap = -100, 2
    if renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), swap):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), second)
