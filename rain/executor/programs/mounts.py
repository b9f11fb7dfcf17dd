"""Inputs of a program as regular files that it cannot change: each a mount of the store's own file or folder.

Theory of operation
-------------------
The program's folder is first mounted over itself, and the inputs are mounted inside of that mount. So one call takes
all of them away again, however many they are, and the folder itself is as it was: what the program left can be renamed.
Mounts of what is in protected folders are protected like these. They exist in the executor's mount namespace only, and
end with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from rain.common.limits import PROGRAM_MOUNTS_MAX
from rain.executor.readonly import bind, privileged, unmount


class Mounts:
    """Mounts in the current directory, for one program."""

    def __init__(self) -> None:
        self._wanted: list[tuple[str, str, bool]] = []
        self._folder = ""
        self._before = -1

    def __len__(self) -> int:
        return len(self._wanted)

    @property
    def full(self) -> bool:
        """Whether no more may be asked for."""
        return len(self._wanted) >= PROGRAM_MOUNTS_MAX

    def want(self, source: str, path: str, is_dir: bool) -> None:
        """Let `source` appear at the relative `path`, where nothing is yet, when `enter` is called."""
        if is_dir:
            os.mkdir(path, 0o755)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444))
        self._wanted.append((source, path, is_dir))

    def enter(self, is_safe: Callable[[str], bool]) -> None:
        """Mount what is wanted, and make that the current directory.

        What cannot be mounted (there are too many mounts), is not safe any more or was moved meanwhile is a link.
        """
        if not self._wanted:
            return
        folder = os.getcwd()
        self._before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        with privileged():
            try:
                bind(folder, folder, read_only=False)
            except OSError:
                self._replace(self._wanted)
                return
            self._folder = folder
            os.chdir(folder)
            for number, wanted in enumerate(self._wanted):
                source, path, _ = wanted
                if not is_safe(source) or os.path.islink(source):
                    self._replace([wanted])
                    continue
                try:
                    bind(source, path, read_only=False)
                except OSError:
                    self._replace(self._wanted[number:])
                    return

    def leave(self, keep: bool) -> None:
        """Undo all mounts; `keep`: links take their places. Idempotent."""
        if self._before < 0:
            return
        os.fchdir(self._before)
        os.close(self._before)
        self._before = -1
        if self._folder:
            with privileged():
                unmount(self._folder)
            if keep:
                self._replace(self._wanted)

    def _replace(self, wanted: Iterable[tuple[str, str, bool]]) -> None:
        """Put links where places for mounts are."""
        for source, path, is_dir in wanted:
            if os.path.islink(path):
                continue
            try:
                os.rmdir(path) if is_dir else os.unlink(path)
            except OSError:  # the program removed its folder, after all
                continue
            os.symlink(source, path)
