"""Open files: how many a process may have, and what to do when it has them all.

Rain's own processes raise their soft limit (`raise_limit`) and give the original one to what they start. Processes that
run code of users (clients and executors) keep theirs, because ``select()`` breaks with descriptors from 1,024 on: they
go above it for as long as it takes to open a file and map it (`opened`).
"""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable
from typing import TypeVar

from rain.common.errors import ResourceError
from rain.common.limits import SPARE_DESCRIPTORS_COUNT

T = TypeVar("T")

_lock = threading.Lock()
_original: int | None = None
"""The soft limit that this process was started with, once it has raised it."""


def raise_limit() -> None:
    """Let this process hold as many descriptors as it may; for processes that run no code of users."""
    global _original
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return
    if _original is None:
        _original = soft


def original_limit() -> int:
    """The soft limit that this process was started with, and that what it starts has to get."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if _original is None else _original


def restore_limit(soft: int) -> None:
    """Set the soft limit, in a process that inherited a raised one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    except (OSError, ValueError):
        pass


def with_original_limit(command: list[str]) -> list[str]:
    """`command` such that it runs with the soft limit that this process was started with."""
    # Not between fork and exec: Python code there costs tens of milliseconds in a large process.
    shell = "/bin/sh"
    if _original is None or not os.access(shell, os.X_OK):
        return command
    return [shell, "-c", f'ulimit -Sn {_original}; exec "$@"', shell, *command]


def is_out_of_descriptors(error: OSError) -> bool:
    """Whether `error` means that this process, or the host, can have no more open files."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def out_of_descriptors(what: str, error: OSError) -> ResourceError:
    """The error that says that `what` cannot be done, and names the limit that stands in the way."""
    if error.errno == errno.ENFILE:
        limit = "all processes of this host together have as many open files as fs.file-max allows"
        cure = "close some, or ask for a higher one (sysctl fs.file-max)"
    else:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = f"this process has as many open files as it may have (RLIMIT_NOFILE, at most {hard})"
        cure = "close some, or ask for a higher hard limit (ulimit -Hn)"
    return ResourceError(f"{what}: {limit}; {cure}")


def opened(make: Callable[[], T]) -> T:
    """What `make` gives, which opens a descriptor: for the moment above this process's soft limit, if that is reached.

    What it opens has to be closed soon, or never to be given to ``select()``.
    """
    try:
        return make()
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    with _lock:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        more = soft + SPARE_DESCRIPTORS_COUNT
        resource.setrlimit(resource.RLIMIT_NOFILE, (more if hard == resource.RLIM_INFINITY else min(more, hard), hard))
        try:
            return make()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
