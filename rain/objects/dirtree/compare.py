"""What is in a directory, for comparing: its size, the identities of its files, another directory."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from rain.common.errors import RainException
from rain.objects.dirtree.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from rain.objects.dirtree.walk import Entry


def tree_size(root: str) -> int:
    """The sum of the sizes of the files in a directory, in bytes.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes; see `walk`.
    OSError
        If something cannot be read.
    """
    return sum(entry.stat.st_size for entry in walk(root) if entry.kind == "f")


def file_identities(root: str) -> frozenset[tuple[str, int, int, int]]:
    """Path, inode, size and mtime_ns of each file in a directory; empty if it cannot be read."""
    try:
        return frozenset(
            (entry.path, entry.stat.st_ino, entry.stat.st_size, entry.stat.st_mtime_ns)
            for entry in walk(root)
            if entry.kind == "f"
        )
    except (OSError, RainException):
        return frozenset()


def same_tree(first: str, second: str, same_file: Callable[[Entry, Entry], bool]) -> bool:
    """Whether two directories hold the same folders and links by the same names, and files that are the same.

    Both are walked side by side, so that the first difference ends it.

    Parameters
    ----------
    first, second : str
    same_file : callable
        ``same_file(one, other)`` compares a file of `first` with what has the same path in `second`: a file, folder or
        link.

    Returns
    -------
    bool
        False also if one of them is not a directory that Rain takes.

    Raises
    ------
    OSError
        If something cannot be read.
    """
    try:
        for one, other in zip_longest(walk(first, check_links=False), walk(second, check_links=False)):
            if one is None or other is None or one.path != other.path:
                return False
            if one.kind == "f":
                if not same_file(one, other):
                    return False
            elif (one.kind, one.target) != (other.kind, other.target):
                return False
    except RainException:
        return False
    return True
