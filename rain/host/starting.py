"""Starting processes: in sessions of their own, without secrets and without inherited descriptors."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from rain.common.errors import ResourceError
from rain.host.descriptors import is_out_of_descriptors, opened, out_of_descriptors
from rain.host.signals import kill_tree

if TYPE_CHECKING:
    import subprocess

_PR_SET_CHILD_SUBREAPER = 36
SECRET_VARIABLES = ("RAIN_TOKEN",)
"""Environment variables that no other process may inherit."""


def become_subreaper() -> None:
    """Make this process the parent of its descendants' orphans."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise ResourceError(f"cannot become the subreaper: {os.strerror(ctypes.get_errno())}")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without Rain's secrets, with `extra`."""
    return {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES} | dict(extra or {})


def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    keep: Iterable[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that no keyboard interrupt reaches it.

    Parameters
    ----------
    command : sequence of str
    environment : dict of str to str, optional
        In addition to this process's, without its secrets.
    folder : str or None
        The program's current directory; None: this process's.
    stdin, stdout, stderr
        As of `subprocess.Popen`; without `stdin` it reads nothing.
    keep : iterable of int
        Descriptors that stay open in it.

    Raises
    ------
    ResourceError
        If the program cannot be started.
    """
    import subprocess

    try:
        return opened(
            subprocess.Popen,
            command,
            env=clean_environment(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(keep),
            start_new_session=True,
        )
    except OSError as error:
        if is_out_of_descriptors(error):
            raise out_of_descriptors(f"cannot start {command[0]}", error) from None
        raise ResourceError(f"cannot start {command[0]}: {error.strerror}") from None


@contextmanager
def or_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process that was just started, and all that it started, if the block raises an error.

    For what belongs to a start and can fail after it: without this the process would go on, unknown to its starter.
    """
    try:
        yield
    except BaseException:
        kill_tree(process.pid)
        process.wait()
        raise


def close_all_but(keep: Collection[int]) -> None:
    """Close all descriptors but these and the standard streams; in a fresh child."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass
