"""Making a directory that a task wrote one that a store may keep: read-only, and no file shared with others."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from typing import TYPE_CHECKING

from rain.objects.dirtree.one_file import copy_file, link_or_copy, read_only
from rain.objects.dirtree.remove import remove_file
from rain.objects.dirtree.walk import walk

if TYPE_CHECKING:
    from collections.abc import Sequence


def own_tree(root: str, follow: Sequence[str] = (), lent: Sequence[str] = (), *, trusted: bool = False) -> int:
    """Make the files of a directory that a task made read-only, and links into the folders `follow` the files that they
    mean (hard links, where possible); gives the sum of the files' sizes in bytes.

    A file that has a name outside of the directory too is shared with its other owner: it is replaced by a copy and
    otherwise left alone.

    Parameters
    ----------
    root : str
    follow : sequence of str
        Real paths of folders.
    lent : sequence of str
        Paths of stored objects: hard links to their files stay such.
    trusted : bool
        That all files which have other names are those of stored objects.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes, or the disk is full.
    OSError
        If something cannot be read.
    """
    total = 0
    linked = []
    shared = []
    for entry in walk(root, follow=follow):
        if entry.kind == "f":
            total += entry.stat.st_size
            if entry.target:
                linked.append((entry.path, entry.target))
            elif entry.stat.st_nlink > 1 and not trusted:
                shared.append((entry.path, entry.stat))
            else:
                os.chmod(entry.name, read_only(entry.stat.st_mode), dir_fd=entry.folder)
    _own_shared(root, shared, lent)
    for path, real in linked:
        link = os.path.join(root, path)
        os.unlink(link)
        link_or_copy(real, link)
    return total


def _own_shared(root: str, files: Sequence[tuple[str, os.stat_result]], lent: Sequence[str]) -> None:
    """As `own_tree`, for files below `root` (with their status) that have several names."""
    names = Counter(_identity(seen) for _, seen in files)
    stored = _files_of(lent) if files else frozenset[tuple[int, int]]()
    copies: dict[tuple[int, int], str] = {}
    for path, seen in files:
        full_path = os.path.join(root, path)
        key = _identity(seen)
        if key in stored:
            continue
        if names[key] == seen.st_nlink:  # all its names are in the directory
            os.chmod(full_path, read_only(seen.st_mode))
            continue
        beside = os.path.join(root, f".rain-{secrets.token_hex(8)}")
        try:
            if key in copies:
                os.link(copies[key], beside)
            else:
                copy_file(full_path, beside, read_only(seen.st_mode))
                os.utime(beside, ns=(seen.st_atime_ns, seen.st_mtime_ns))
            os.replace(beside, full_path)
        except BaseException:
            remove_file(beside)
            raise
        copies.setdefault(key, full_path)


def _identity(seen: os.stat_result) -> tuple[int, int]:
    return seen.st_dev, seen.st_ino


def _files_of(paths: Sequence[str]) -> frozenset[tuple[int, int]]:
    """Device and inode of each file that is at or below one of `paths`."""
    found: set[tuple[int, int]] = set()
    for path in paths:
        if os.path.isdir(path):
            found.update(_identity(entry.stat) for entry in walk(path) if entry.kind == "f")
        elif os.path.exists(path):
            found.add(_identity(os.stat(path)))
    return frozenset(found)
