"""The private, empty folder that is a task's current directory.

One folder is reused as long as tasks leave it empty, which is much cheaper than a new one for each. A task that left
something gets its folder renamed away; what was renamed is removed when the executor has nothing better to do.
"""

from __future__ import annotations

import os
import time

from rain.objects.dirtree import remove_tree

_CLOCK_TICK_NS = 20_000_000  # no file system's clock is coarser


class TaskDirectory:
    """The folder tasks run in: `enter` it before each task, `leave` it when there is nothing more to run.

    Listing a folder costs more than all else that is done for a small task. A folder that was seen empty is so still
    if its time of modification is what it was, provided that this time had passed for good when the folder was seen:
    what happens within one tick of the file system's clock gets one time.

    Parameters
    ----------
    work_dir : str
        The executor's own folder; it is made if it is missing.
    """

    def __init__(self, work_dir: str) -> None:
        self.path = os.path.join(work_dir, "task")
        self._fd = -1
        self._empty: tuple[int, int, int] | None = None  # what `_look` gave when the folder was empty
        self._renamed = 0
        self._trash: list[str] = []

    def enter(self) -> None:
        """Make the folder the current directory; it is empty.

        Raises
        ------
        OSError
            If it cannot be made.
        """
        empty = self._empty
        if empty is not None:  # as mostly
            seen = os.fstat(self._fd)
            if (seen.st_mtime_ns, seen.st_nlink, seen.st_mode) == empty:
                os.fchdir(self._fd)
                return
        if not self._is_empty():
            self._replace()
        os.fchdir(self._fd)

    def leave(self) -> None:
        """Put aside a folder that is not empty, so that its space can be had back."""
        if not self._is_empty():
            self._replace()

    def _is_empty(self) -> bool:
        if self._fd < 0:
            return False
        looked = self._look()
        if looked == self._empty:
            return True
        self._empty = None
        modified_ns, links, _mode = looked
        try:
            # One that the task renamed or removed is looked for in vain.
            if not links or os.listdir(self.path) or not os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                return False
        except OSError:
            return False
        if time.time_ns() - modified_ns > _CLOCK_TICK_NS:
            self._empty = looked
        return True

    def _look(self) -> tuple[int, int, int]:
        seen = os.fstat(self._fd)
        return seen.st_mtime_ns, seen.st_nlink, seen.st_mode

    def _replace(self) -> None:
        os.chdir("/")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._empty = None
        if os.path.lexists(self.path):
            self._renamed += 1
            aside = f"{self.path}-{self._renamed}"
            os.rename(self.path, aside)
            self._trash.append(aside)
        os.makedirs(self.path, mode=0o700)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def clean(self) -> None:
        """Remove what tasks left. Any thread may call it; only one at a time."""
        while self._trash:
            path = self._trash.pop()
            if os.path.isdir(path) and not os.path.islink(path):
                remove_tree(path)
            else:
                os.unlink(path)
