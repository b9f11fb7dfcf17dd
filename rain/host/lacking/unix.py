"""Modules that only Unix has, for code that clients run, too: where they are missing, what can be done without them."""

from __future__ import annotations

import errno
import os
from typing import Any

try:
    import fcntl as _fcntl
    import termios as _termios
except ImportError:
    _fcntl = _termios = None  # type: ignore[assignment]
try:
    import resource as _resource
except ImportError:
    _resource = None  # type: ignore[assignment]

_FICLONE = 0x40049409


class _NoLimits:
    """Stands for the module `resource` where there is none: nothing is limited."""

    RLIM_INFINITY = -1
    RLIMIT_AS = RLIMIT_DATA = RLIMIT_FSIZE = RLIMIT_NOFILE = 0

    @staticmethod
    def getrlimit(_: int) -> tuple[int, int]:
        return -1, -1

    @staticmethod
    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        raise ValueError("limits cannot be set here")


resource: Any = _resource if _resource is not None else _NoLimits()
"""The module `resource`, or what says that nothing is limited."""


def lock(descriptor: int, *, wait: bool = True) -> None:
    """Lock a file or folder for as long as it is open.

    Raises
    ------
    OSError
        If another process has locked it and `wait` is False, or there are no such locks here.
    """
    if _fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    _fcntl.flock(descriptor, _fcntl.LOCK_EX if wait else _fcntl.LOCK_EX | _fcntl.LOCK_NB)


def clone(descriptor: int, origin: int) -> None:
    """Let one file share the content of another.

    Raises
    ------
    OSError
        If the file system cannot do that.
    """
    if _fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    _fcntl.ioctl(descriptor, _FICLONE, origin)


def has_unsent(descriptor: int) -> bool:
    """Whether something written to a socket has not reached the peer's kernel; False where that is not told."""
    if _fcntl is None or _termios is None:
        return False
    try:
        return any(_fcntl.ioctl(descriptor, _termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return False
