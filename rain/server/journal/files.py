"""The journal's folder: its lock, and its files by name, opened so that no file of another user is touched."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import re
import stat
from collections.abc import Iterator
from typing import NoReturn

from rain.common.errors import ResourceError
from rain.processes.private_folders import check_private, made_dir, sync
from rain.server.journal.format import JournalError, JournalInUse

_NAME = re.compile(r"([0-9]{8,})\.(journal|image|image\.part)")
_LOCK = "lock"
_COPY_BYTES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_locked: set[tuple[int, int]] = set()
"""Folders (device, inode) that this process has. The kernel's locks are between processes: they end with the process
that took one, whatever its children still have open, and would not keep it from taking the same one twice."""


def segment_name(number: int) -> str:
    """The file of a segment."""
    return f"{number:08}.journal"


def image_name(number: int) -> str:
    """The file of the image of the state before a segment's first record."""
    return f"{number:08}.image"


def has_journal(path: str) -> bool:
    """Whether a server has kept a journal in the folder at `path`."""
    try:
        return any(_NAME.fullmatch(name) for name in os.listdir(path))
    except OSError:
        return False


RESTART = "restart.json"
"""In a journal's folder while `rain restart` is at work: what is to come in the server's place."""


def remove_journal(path: str, *others: str) -> None:
    """Remove what a journal has in the folder at `path`, the files called `others`, and the folder if nothing else is
    in it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(path):
            if _NAME.fullmatch(name) or name in (_LOCK, RESTART) or name.removesuffix(".part") in others:
                os.unlink(os.path.join(path, name))
        os.rmdir(path)


class Folder:
    """The folder of a journal, made if it does not exist.

    Parameters
    ----------
    path : str
    locked : bool
        Whether no other process may have it at the same time.

    Raises
    ------
    RainException
        If it is not this user's alone, cannot be made, or another process has it.
    """

    def __init__(self, path: str | os.PathLike[str], locked: bool = True) -> None:
        made = made_dir(path) if locked else os.path.abspath(path)
        self.path = str(made)
        self._lock: int | None = None
        try:
            check_private(self.path, "journal's folder", 0o700)
            self._fd = os.open(self.path, _FOLDER)
        except OSError as error:
            raise ResourceError(f"the journal's folder {self.path} cannot be opened: {error.strerror}") from None
        if locked:
            try:
                self._take_lock()
            except BaseException:
                self.close()
                raise

    def _take_lock(self) -> None:
        status = os.fstat(self._fd)
        key = status.st_dev, status.st_ino
        if key in _locked:
            self._in_use(f"process {os.getpid()} on {platform.node()}, this one")
        try:
            lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._fd)
        except OSError as error:
            raise ResourceError(f"cannot lock the journal's folder {self.path}: {error.strerror}") from None
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 400, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(lock)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                self._in_use(holder)
            raise ResourceError(f"cannot lock the journal's folder {self.path}: {error.strerror}") from None
        _locked.add(key)
        self._lock, self._key = lock, key
        with contextlib.suppress(OSError):  # on a full disk the lock holds without the name
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)

    def _in_use(self, holder: str) -> NoReturn:
        raise JournalInUse(
            f"the journal in {self.path} is in use by {holder}: a folder serves one server at a time. Stop that one, "
            "or name another folder"
        )

    def close(self) -> None:
        """Give the folder up."""
        if self._lock is not None:
            _locked.discard(self._key)
            os.close(self._lock)
            self._lock = None
        os.close(self._fd)

    def where(self, name: str) -> str:
        """A file's path, for texts."""
        return os.path.join(self.path, name)

    def numbers(self, kind: str) -> list[int]:
        """Numbers of the files of a kind (``"journal"``, ``"image"``, ``"image.part"``), ascending."""
        found = (_NAME.fullmatch(name) for name in os.listdir(self._fd))
        return sorted(int(match[1]) for match in found if match is not None and match[2] == kind)

    def open(self, name: str) -> int:
        """A descriptor that reads a file.

        Raises
        ------
        JournalError
            If it cannot be opened, or is not a file of this user alone.
        """
        try:
            file = os.open(name, _READ, dir_fd=self._fd)
        except OSError as error:
            raise JournalError(f"{self.where(name)} cannot be opened: {error.strerror}") from None
        status = os.fstat(file)
        wrong = ""
        if not stat.S_ISREG(status.st_mode):
            wrong = "is not a file"
        elif status.st_uid != os.geteuid():
            wrong = f"belongs to another user (uid {status.st_uid})"
        elif stat.S_IMODE(status.st_mode) & 0o077:
            wrong = f"is open to other users (mode {stat.S_IMODE(status.st_mode):04o})"
        if wrong:
            os.close(file)
            raise JournalError(f"{self.where(name)} {wrong}; it is not used as a part of a journal")
        return file

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[int]:
        """`open`, for the time of a block."""
        file = self.open(name)
        try:
            yield file
        finally:
            os.close(file)

    def create(self, name: str) -> int:
        """A descriptor that writes a new file, which only this user can read.

        Raises
        ------
        OSError
        """
        return os.open(name, _NEW, 0o600, dir_fd=self._fd)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def make(self, name: str) -> None:
        """Make a folder in this one."""
        os.mkdir(name, 0o700, dir_fd=self._fd)

    def copy(self, name: str, folder: str) -> None:
        """Copy a file into a folder that was made in this one."""
        with self.reading(name) as source:
            copy = os.open(f"{folder}/{name}", _NEW, 0o600, dir_fd=self._fd)
            try:
                while data := os.read(source, _COPY_BYTES):
                    view = memoryview(data)
                    while view:
                        view = view[os.write(copy, view) :]
                os.fsync(copy)
            finally:
                os.close(copy)

    def truncate(self, name: str, size: int) -> None:
        """Cut a file."""
        file = os.open(name, _WRITE, dir_fd=self._fd)
        try:
            os.ftruncate(file, size)
            os.fsync(file)
        finally:
            os.close(file)

    def sync_name(self) -> None:
        """Bring the folder's own name, and that of the folder that it is in, to the disk."""
        above = os.path.dirname(self.path)
        for path in (above, os.path.dirname(above)):
            with contextlib.suppress(PermissionError):  # another user's, which was there before
                sync(path)

    def sync(self) -> None:
        """Bring names that were made or changed to the disk."""
        os.fsync(self._fd)
