"""Private folders that do not outlive their owner by much, however it dies."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time

from rain.io.tree import remove_tree

_YOUNG_S = 60.0
"""A folder that was made this short a time ago may not be locked yet by its owner."""


class Scratch:
    """A new private folder (0700), locked for as long as its owner lives.

    Folders of the same kind that nobody has locked were left behind by owners that were killed: they are removed first.

    Parameters
    ----------
    parent : str
    prefix : str
        Of the folder's name; tells the kind.

    Attributes
    ----------
    path : str

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, parent: str, prefix: str) -> None:
        _clean(parent, prefix)
        self.path = tempfile.mkdtemp(prefix=prefix, dir=parent)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock; a process that inherits it holds the folder too."""
        return self._lock

    def hand_over(self) -> None:
        """Let go of the folder, which now is another process's to remove."""
        os.close(self._lock)
        self._lock = -1

    def close(self) -> None:
        """Remove the folder with all that is in it; idempotent."""
        if self._lock >= 0:
            remove_tree(self.path)
            os.close(self._lock)
            self._lock = -1


def _clean(parent: str, prefix: str) -> None:
    for name in os.listdir(parent):
        if not name.startswith(prefix):
            continue
        path = os.path.join(parent, name)
        try:
            seen = os.lstat(path)
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
                continue
            if time.time() - seen.st_mtime < _YOUNG_S:
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path)
        except OSError:
            continue  # its owner lives
        finally:
            os.close(lock)
