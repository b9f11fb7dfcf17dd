"""`Intake`: new objects on their way into a store; what decides between inline bytes, memory files and disk.

Theory of operation
-------------------
A store has two folders for new files, `Folders`: one in memory (where there is a memory file system) and one on disk.
What is few travels as bytes. A file is begun in memory and goes on on disk when the folder is marked as full
(`FullMark`), its file system is full or the file outgrows what one file may have. What lies on one of the two file
systems already is renamed and not copied. The names of an intake's files begin with its prefix, so that each attempt
has its own, and nothing that it made outlives `discard`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rain.common.errors import ResourceError
from rain.common.limits import BATCH_BYTES_TARGET, CHUNK_BYTES, INLINE_BYTES_MAX
from rain.common.location import Inline, LocalFile, Stored
from rain.common.protocol.messages import ExecutorSetup, OutputResult
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.objects.dirtree import copy_tree, own_tree, remove_any
from rain.objects.files import checksum_fd, inline, local_file
from rain.objects.nameless_file import NamelessFile
from rain.objects.sink import Sink

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Folders(NamedTuple):
    """Where new files go.

    Attributes
    ----------
    memory, disk : str
        The same where there is only one.
    bytes_max : int
        Largest file in `memory`.
    room : int
        Bytes that may still be written to `memory`, as far as is known.
    """

    memory: str
    disk: str
    bytes_max: int = 1 << 62
    room: int = 1 << 62

    @classmethod
    def of(cls, setup: ExecutorSetup) -> Folders:
        """Those that an executor was told of."""
        return cls(setup.store_dir, setup.spill_dir, setup.store_bytes_max)


def output_of(spec: ObjectSpec, stored: Stored, content_type: str | None = None) -> OutputResult:
    """What an intake took, as an output of an attempt."""
    return OutputResult(spec.id, ObjectInfo(size=stored.size, content_type=content_type), stored)


class Intake:
    """What one attempt, or one transfer, brings.

    In a ``with`` statement that an exception ends, it is discarded.

    Parameters
    ----------
    folders : Folders
    prefix : str
        What the names of its files begin with; unique to it.
    """

    __slots__ = ("_folders", "_inline_left", "_made", "_numbers", "_prefix")

    def __init__(self, folders: Folders, prefix: str) -> None:
        self._folders = folders
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._inline_left = BATCH_BYTES_TARGET
        self._made: dict[str, bool] = {}  # path -> whether it became an output

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self.discard()

    # -- paths --------------------------------------------------------------------------------------

    def _paths(self, size: int = 0, near: str = "") -> tuple[str, str]:
        """Where a new file of about `size` bytes begins and where it goes on: twice the same for what is too much for
        memory, and for what lies on the disk's file system at `near`."""
        folders = self._folders
        name = f"{self._prefix}-{next(self._numbers)}"
        memory, disk = f"{folders.memory}/{name}", f"{folders.disk}/{name}"
        if folders.memory == folders.disk or size > folders.room:
            return disk, disk
        if near:
            device = os.lstat(near).st_dev
            if device == os.stat(folders.disk).st_dev != os.stat(folders.memory).st_dev:
                return disk, disk
        return memory, disk

    def new_path(self, size: int = 0, near: str = "") -> str:
        """A new path for a file or directory of about `size` bytes, on disk if `near` lies there."""
        path, _ = self._paths(size, near)
        self._made[path] = True
        return path

    def _beside(self, device: int) -> str | None:
        """A new path on `device`, to which something may be renamed."""
        for folder in (self._folders.memory, self._folders.disk):
            if os.stat(folder).st_dev == device:
                return f"{folder}/{self._prefix}-{next(self._numbers)}"
        return None

    # -- bytes --------------------------------------------------------------------------------------

    @property
    def inline_max(self) -> int:
        """Outputs up to this size travel with the result; so many of them do that a frame holds it."""
        return min(INLINE_BYTES_MAX, self._inline_left)

    def sink(self, size: int = 0, inline_max: int | None = None) -> Sink:
        """Takes the bytes of one object, about `size`; what its `finish` gives is to be told to `took`."""
        path, spill = self._paths(size)
        most = self.inline_max if inline_max is None else inline_max
        if path == spill:
            return Sink(path, most)
        return Sink(path, most, spill_path=spill, bytes_max=self._folders.bytes_max)

    def took(self, stored: Stored, given: bool = True) -> Stored:
        """Count what a sink made; `given` tells whether it is an output already."""
        if isinstance(stored, Inline):
            self._inline_left -= stored.size
        else:
            self._made[stored.path] = given
        return stored

    def put(self, data: Buffer, given: bool = True) -> Stored:
        """One object of these bytes; see `write`."""
        if type(data) is bytes and len(data) <= self.inline_max:
            return self.took(inline(data), given)
        return self.write([data], given=given)

    def write(self, pieces: Iterable[Buffer], size: int = 0, given: bool = True) -> Stored:
        """One object of these bytes, about `size`.

        Raises
        ------
        ResourceError
            If the disk is full; names path and free space.
        OSError
        """
        return self.took(self.sink(size).write_all(pieces, 0o444), given)

    def nameless_file(self) -> NamelessFile:
        """For what a process writes by itself; what its `finish` gives is to be told to `took`."""
        return NamelessFile(*self._paths())

    # -- files and directories -----------------------------------------------------------------------

    def take_file(self, path: str, *, keep: bool = False) -> Stored:
        """One object from a regular file; with `keep` the file stays where it is.

        A file that has other names too may be read and written by others: it is copied and stays as it is.

        Raises
        ------
        RainException
            If the disk is full.
        OSError
        """
        seen = os.stat(path)
        size = seen.st_size
        keep = keep or seen.st_nlink > 1
        target = self._beside(seen.st_dev) if not keep and size > self.inline_max else None
        if not keep and not seen.st_mode & 0o400:
            os.chmod(path, 0o400)
        if target is not None:
            os.chmod(path, 0o444)
            digest = _checksum_of(path, size)
            if _renamed(path, target):
                return self.took(local_file(target, checksum=digest))
        return self.write(_pieces(path))

    def take_tree(
        self, root: str, *, keep: bool = False, follow: Sequence[str] = (), lent: Sequence[str] = ()
    ) -> LocalFile:
        """One object from a directory; `follow` and `lent` as of `own_tree`.

        Raises
        ------
        RainException
            If there is something in it that a directory object cannot have, or the disk is full.
        OSError
        """
        target = self._beside(os.stat(root).st_dev)
        keep = keep or target is None
        target = target or self._paths()[1]
        self._made[target] = True
        size = 0 if keep else own_tree(root, follow, lent)
        if keep or not _renamed(root, target):
            copy_tree(root, target, follow=follow)
            size = own_tree(target)
        return local_file(target, size)

    def bring(self, source: str, move: Callable[[str], Any]) -> str:
        """Call `move` with the new path of what lies at `source`, on disk if memory is full; gives the path. It is no
        output until `give`."""
        target, spill = self._paths(near=source)
        try:
            move(target)
        except ResourceError:
            if target == spill:
                raise
            move(spill)
            target = spill
        self._made[target] = False
        return target

    def give(self, file: LocalFile, is_dir: bool = False) -> Stored:
        """A file or directory of this intake as an output, which may be the second one that is the same: the store
        takes each away, so that this one is linked or copied."""
        if not is_dir:
            if file.size <= self.inline_max:
                with open(file.path, "rb", buffering=0) as source:
                    return self.took(inline(source.read()))
            if file.checksum is None:
                file.checksum = _checksum_of(file.path, file.size)
        if self._made.get(file.path):
            path = self._paths()[0]
            if is_dir:
                copy_tree(file.path, path)
                own_tree(path)
            else:
                os.link(file.path, path)
            file = local_file(path, file.size, file.checksum)
        self._made[file.path] = True
        return file

    # -- end ----------------------------------------------------------------------------------------

    def owns(self, path: str) -> bool:
        """Whether `path` was made by this intake."""
        return path in self._made

    def take_back(self) -> None:
        """Nothing became an output after all: what is not given once more will be discarded."""
        self._made = dict.fromkeys(self._made, False)

    def discard(self, everything: bool = True) -> None:
        """Remove what it made, or only what became no output."""
        for path, given in self._made.items():
            if everything or not given:
                remove_any(path)


def _renamed(source: str, target: str) -> bool:
    try:
        os.rename(source, target)
    except OSError:  # another file system, or a mount between
        return False
    return True


def _checksum_of(path: str, size: int) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return checksum_fd(fd, size)
    finally:
        os.close(fd)


def _pieces(path: str) -> Iterable[memoryview]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with open(path, "rb", buffering=0) as source:
        while count := source.readinto(buffer):
            yield buffer[:count]
