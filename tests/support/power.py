"""What a loss of power leaves of a folder: of each file what was in it when it was synced last, under the names that
its folder had when that was synced."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """Remembers what is synced below `top`, by this process and those that are forked from it.

    Parameters
    ----------
    top : Path
        A folder that is on the disk already.
    memory : Path
        Where what was synced is kept; not below `top`.
    monkeypatch : pytest.MonkeyPatch
    """

    def __init__(self, top: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._top = top
        self._memory = memory
        memory.mkdir()
        for name in ("fsync", "fdatasync"):
            sync = getattr(os, name)
            monkeypatch.setattr(os, name, lambda file, sync=sync: self._synced(file, sync))

    def _synced(self, file: Any, sync: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        path = os.readlink(f"/proc/self/fd/{number}")
        if path == str(self._top) or path.startswith(f"{self._top}/"):
            seen = os.fstat(number)
            if stat.S_ISDIR(seen.st_mode):
                names = {name: os.lstat(os.path.join(path, name)).st_ino for name in os.listdir(number)}
                self._remember(seen.st_ino, json.dumps(names).encode())
            else:
                self._remember(seen.st_ino, Path(f"/proc/self/fd/{number}").read_bytes())
        sync(number)

    def _remember(self, inode: int, data: bytes) -> None:
        part = self._memory / f"{inode}.{os.getpid()}"
        part.write_bytes(data)
        part.rename(self._memory / str(inode))

    def lose_power(self) -> None:
        """Let there be only what was synced."""
        self._lose(self._top)

    def _lose(self, folder: Path) -> None:
        kept = self._memory / str(folder.stat().st_ino)
        names: dict[str, int] = json.loads(kept.read_bytes()) if kept.exists() else {}
        for path in list(folder.iterdir()):
            if path.is_dir() and path.name in names:
                self._lose(path)
            elif path.is_dir():
                shutil.rmtree(path)
            elif path.name not in names:
                path.unlink()
            else:
                kept_data = self._memory / str(path.stat().st_ino)
                data = kept_data.read_bytes() if kept_data.exists() else b""
                if data != path.read_bytes():
                    mode = stat.S_IMODE(path.stat().st_mode)
                    path.chmod(0o600)
                    path.write_bytes(data)
                    path.chmod(mode)
