"""Open files: how many a process may have, and what to do when it has them all.

Rain's own processes raise their soft limit (`raise_limit`) and give the original one to what they start. Processes that
run code of users (clients and executors) keep theirs, because ``select()`` breaks with descriptors from 1,024 on: they
go above it for as long as it takes to open a file and map it (`opened`).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from rain.common.errors import ResourceError
from rain.common.limits import SPARE_DESCRIPTORS_COUNT
from rain.host.lacking.unix import resource

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_above = 0
"""How often `above_the_limit` is open."""
_soft = 0
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
    if _original is None:
        return command
    for tool in ("/usr/bin/prlimit", "/bin/prlimit"):
        if os.access(tool, os.X_OK):
            return [tool, f"--nofile={_original}:", "--", *command]
    return ["/bin/sh", "-c", f'ulimit -Sn {_original}; exec "$@"', "sh", *command]


def is_out_of_descriptors(error: OSError) -> bool:
    """Whether `error` means that this process, or the host, can have no more open files."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def out_of_descriptors(what: str, error: OSError, process: str = "this process") -> ResourceError:
    """The error that says that `what` cannot be done, and names the limit of `process` that stands in the way."""
    if error.errno == errno.ENFILE:
        limit = "all processes of this host together have as many open files as fs.file-max allows"
        cure = "close some, or ask for a higher one (sysctl fs.file-max)"
    else:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = f"{process} has as many open files as it may have (RLIMIT_NOFILE, at most {hard})"
        cure = "close some, or ask for a higher hard limit (ulimit -Hn)"
    return ResourceError(f"{what}: {limit}; {cure}")


@contextmanager
def above_the_limit() -> Iterator[None]:
    """While this is open, in any thread, this process may have more files open than its soft limit says.

    What is opened meanwhile has to be closed soon, or never to be given to ``select()``.

    Raises
    ------
    OSError
        EMFILE, if the hard limit is reached too.
    """
    global _above, _soft
    with _lock:
        if not _above:
            _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            more = _soft + SPARE_DESCRIPTORS_COUNT
            more = more if hard == resource.RLIM_INFINITY else min(more, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        _above += 1
    try:
        yield
    finally:
        with _lock:
            _above -= 1
            if not _above:
                restore_limit(_soft)


def opened(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `make` gives, which opens a descriptor: above this process's soft limit meanwhile, if that is reached."""
    try:
        return make(*args, **kwargs)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    with above_the_limit():
        return make(*args, **kwargs)
