"""The private, empty folder that is a task's current directory.

One folder is reused as long as tasks leave it empty, which is much cheaper than a new one for each. A task that left
something gets its folder renamed away; what was renamed is removed when the executor has nothing better to do.
"""

from __future__ import annotations

import os

from rain.io.tree import remove_tree


class TaskFolder:
    """The folder tasks run in: `enter` it before each task, `leave` it when there is nothing more to run.

    Parameters
    ----------
    work_dir : str
        The executor's own folder; it is made if it is missing.
    """

    def __init__(self, work_dir: str) -> None:
        self.path = os.path.join(work_dir, "task")
        self._renamed = 0
        self._trash: list[str] = []

    def enter(self) -> None:
        """Make the folder the current directory; it is empty.

        Raises
        ------
        OSError
            If it cannot be made.
        """
        if not self._is_empty():
            self._replace()
        os.chdir(self.path)

    def leave(self) -> None:
        """Put aside a folder that is not empty, so that its space can be had back."""
        if not self._is_empty():
            self._replace()

    def _is_empty(self) -> bool:
        try:
            return not os.listdir(self.path)
        except OSError:  # not there yet, or the task did something to it
            return False

    def _replace(self) -> None:
        os.chdir("/")
        if os.path.lexists(self.path):
            self._renamed += 1
            aside = f"{self.path}-{self._renamed}"
            os.rename(self.path, aside)
            self._trash.append(aside)
        os.makedirs(self.path, mode=0o700)

    def clean(self) -> None:
        """Remove what tasks left. Any thread may call it; only one at a time."""
        while self._trash:
            path = self._trash.pop()
            if os.path.isdir(path) and not os.path.islink(path):
                remove_tree(path)
            else:
                os.unlink(path)
