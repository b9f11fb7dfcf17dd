"""Folders of its own for each worker of pytest-xdist, so that no test sees what another one's cluster makes."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

SHARED_MEMORY = "/dev/shm"
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_MODE = b"mode=1777"


def isolate(folder: Path) -> None:
    """Give this process, and what it will start, temporary folders below `folder`; as root also shared memory."""
    for variable, name in (("TMPDIR", "tmp"), ("XDG_RUNTIME_DIR", "run")):
        path = folder / name
        path.mkdir(mode=0o700)
        os.environ[variable] = str(path)
    tempfile.tempdir = None  # to be looked up again
    if os.geteuid() == 0:
        _mount_shared_memory()


def _mount_shared_memory() -> None:
    """Mount a file system over shared memory that only this process and its children see; where that is allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) == 0:
        libc.mount(b"tmpfs", SHARED_MEMORY.encode(), b"tmpfs", 0, _MODE)
