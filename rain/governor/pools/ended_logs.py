"""What processes wrote that ended before they could do anything, kept in the governor's folder for the user to read.

A governor's folder goes with it, so nothing of this outlives the cluster.
"""

from __future__ import annotations

import os
import shutil
from collections import deque

from rain.common.limits import ENDED_EXECUTORS_KEPT_MAX
from rain.objects.dirtree import remove_tree

FOLDER = "ended-executors"
NAMES = ("stdout", "stderr")


class EndedLogs:
    """The stdout and stderr of the last few such processes.

    Parameters
    ----------
    folder : str
        In which a folder for them is made when one is needed.
    """

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(folder, FOLDER)
        self._kept: deque[str] = deque()

    def where(self, name: str) -> str:
        """Words for an error's text: where the files of a process are (or will be at once)."""
        paths = " and ".join(os.path.join(self._folder, name, file) for file in NAMES)
        return f"its stdout and stderr are {paths} on the governor's host"

    def keep(self, name: str, paths: dict[str, str | int]) -> None:
        """Take files, by path or descriptor, under their names; what cannot be kept is lost."""
        target = os.path.join(self._folder, name)
        try:
            os.makedirs(target, mode=0o700, exist_ok=True)
            for file, source in paths.items():
                place = os.path.join(target, file)
                if isinstance(source, str):
                    os.rename(source, place)
                else:
                    with open(place, "xb") as copy, open(os.dup(source), "rb") as original:
                        original.seek(0)
                        shutil.copyfileobj(original, copy)
        except OSError:  # a full disk, for instance: the error's text has the ends
            pass
        self._kept.append(target)
        while len(self._kept) > ENDED_EXECUTORS_KEPT_MAX:
            remove_tree(self._kept.popleft())
