"""Folders that belong to one user: the runtime folder, folders for logs, and the check that a path is private."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from rain.common.errors import RainException, of_system
from rain.common.limits import LOGS_KEPT_S
from rain.processes.scratch import LOGS, Scratch


def check_private(path: str, what: str, mode: int) -> None:
    """Refuse a path that is not this user's, is a link, or is open to other users.

    Parameters
    ----------
    path : str
    what : str
        What the path is, for the error's text.
    mode : int
        The permissions that it should have.

    Raises
    ------
    RainException
    OSError
        If the path does not exist.
    """
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        raise RainException(f"the {what} {path} is a link, which may lead to another user's; remove it")
    if status.st_uid != os.geteuid():
        raise RainException(f"the {what} {path} belongs to another user (uid {status.st_uid}); it is not used")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise RainException(
            f"the {what} {path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}); it is not used. "
            f"If you are sure that no other user has read it, run: chmod {mode:o} {path}"
        )


def runtime_dir() -> Path:
    """The user's runtime folder, made if it does not exist.

    ``$XDG_RUNTIME_DIR/rain``, or ``rain-UID`` in the system's temporary folder.

    Raises
    ------
    RainException
        If it belongs to, or is open to, another user.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    path = Path(base, "rain") if base and os.path.isdir(base) else Path(tempfile.gettempdir(), f"rain-{os.geteuid()}")
    for last in (False, True):
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            check_private(str(path), "runtime folder", 0o700)
            break
        except OSError as error:  # once it may be the `tidy` of another process that came between
            if last or not isinstance(error, FileNotFoundError):
                raise of_system(f"cannot make the runtime folder {path}: {error.strerror}", error) from None
    return path


def here() -> str:
    """The current folder, without links in its path; empty if it does not exist any more."""
    try:
        return os.path.realpath(os.getcwd())
    except OSError:
        return ""


def tidy() -> None:
    """Remove the user's runtime folder if it is empty; `runtime_dir` makes it again."""
    with contextlib.suppress(OSError, RainException):
        os.rmdir(runtime_dir())


def private_logs() -> Scratch:
    """A new folder (0700) for logs where the user named none; should its owner be killed they stay for a day.

    Raises
    ------
    ResourceError
        If it cannot be made.
    """
    parent = tempfile.gettempdir()
    try:
        return Scratch(parent, LOGS, kept_s=LOGS_KEPT_S)
    except OSError as error:
        raise of_system(f"cannot make a folder under {parent}: {error.strerror}", error) from None


def journal_folder(name: str, durable: bool) -> Path:
    """The folder for the journal of the server with the connection file `name`, if the user names none; not made here.

    In the folder for temporary files; one that is to survive a loss of power in that for the user's state
    (``$XDG_STATE_HOME``, or ``~/.local/state``).
    """
    if durable:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "rain"
    else:
        base = Path(tempfile.gettempdir(), f"rain-journals-{os.geteuid()}")
        if os.path.lexists(base):
            check_private(str(base), "folder of journals", 0o700)
    return made_dir(base) / f"journal-{name}"


def sync(path: str | os.PathLike[str]) -> None:
    """Bring a file, or a folder's names, to the disk.

    Raises
    ------
    OSError
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def made_dir(path: str | os.PathLike[str]) -> Path:
    """A folder that the user named, made with its parents if it does not exist (0700).

    Raises
    ------
    ResourceError
        If it cannot be made.
    """
    made = Path(path).absolute()
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise of_system(f"cannot make the folder {made}: {error.strerror}", error) from None
    return made
