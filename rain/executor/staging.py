"""Where an executor leaves large values: new files in the store's incoming folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from rain.common.errors import RainException, ResourceError
from rain.common.limits import BATCH_BYTES_TARGET, INLINE_BYTES_MAX
from rain.common.location import Inline, LocalFile, Stored
from rain.common.protocol.messages import ExecutorSetup
from rain.common.spec import ObjectInfo
from rain.objects import dirtree
from rain.objects.content_types import codecs
from rain.objects.data_instance import DataInstance
from rain.objects.files import checksum_fd, inline, local_file
from rain.objects.readers import BytesReader, FileReader, TreeReader


class StagedFile(FileReader):
    """A file of the running task that can be given to the store as it is."""

    __slots__ = ("ref",)

    def __init__(self, file: LocalFile) -> None:
        super().__init__(file)
        self.ref = file


class StagedDirectory(TreeReader):
    """A directory of the running task that can be given to the store as it is."""

    __slots__ = ("ref",)

    def __init__(self, file: LocalFile) -> None:
        super().__init__(file)
        self.ref = file


class Staging:
    """Makes the files of one task.

    Parameters
    ----------
    setup : ExecutorSetup
    prefix : str
        What their names begin with; unique to the attempt on this governor.
    """

    __slots__ = ("_count", "_inline_left", "_made", "_prefix", "_setup")

    def __init__(self, setup: ExecutorSetup, prefix: str) -> None:
        self._setup = setup
        self._prefix = prefix
        self._count = 0
        self._inline_left = BATCH_BYTES_TARGET
        self._made: dict[str, bool] = {}  # path -> whether it was given away

    def store(self, value: Any, content_type: str | None) -> Stored:
        """`value` encoded: as bytes if they are few, else as a file.

        Raises
        ------
        RainException
            If it cannot be encoded, or the disk is full (names path and free space).
        """
        path, spill = self._paths()
        return self._count_in(
            codecs.encode_to_file(
                value, content_type, path, self._inline_max(), spill_path=spill, bytes_max=self._setup.store_bytes_max
            )
        )

    def store_bytes(self, data: Any) -> Stored:
        """Bytes-like `data` as they are; like `store`."""
        if type(data) is bytes and len(data) <= self._inline_max():
            self._inline_left -= len(data)
            return inline(data)
        path, spill = self._paths()
        return self._count_in(
            codecs.write_file([data], path, self._inline_max(), spill_path=spill, bytes_max=self._setup.store_bytes_max)
        )

    def instance(self, stored: Stored, content_type: str | None) -> DataInstance:
        """What `store` gave, as a value that the task can return."""
        reader = BytesReader(stored.data) if isinstance(stored, Inline) else StagedFile(stored)
        return DataInstance(reader, None, ObjectInfo(size=stored.size, content_type=content_type))

    def move_file(self, path: str, content_type: str | None, lent: Sequence[str] = ()) -> DataInstance:
        """The file at the relative `path` as a value; it is gone from there.

        `lent` are paths of the task's inputs, to which a link may lead.

        Raises
        ------
        RainException
            If there is no file, the path or a link there leads out of the task's folder, or the disk is full.
        """
        seen = _inside(path, "file")
        if not os.path.isfile(seen):
            raise RainException(f"ctx.stage_file({path!r}): {_found(seen)}")
        if not any(dirtree.is_within(seen, os.path.realpath(place)) for place in (os.getcwd(), *lent)):
            raise RainException(
                f"ctx.stage_file({path!r}): this is a link to {os.readlink(path)!r}, which leads out of the task's "
                "directory; copy the file"
            )
        found = os.stat(seen)
        # Others may see this file too; perhaps it is an object of the store.
        shared = os.path.islink(path) or found.st_nlink > 1
        if not shared and not found.st_mode & 0o400:
            os.chmod(seen, 0o600)
        target = self._bring(
            seen, lambda target: dirtree.copy_file(seen, target) if shared else dirtree.move(seen, target)
        )
        if shared:
            os.unlink(path)
        self._made[target] = False
        reader = StagedFile(local_file(target))
        return DataInstance(reader, None, ObjectInfo(size=reader.size, content_type=content_type))

    def move_directory(self, path: str, lent: Sequence[str] = ()) -> DataInstance:
        """The directory at the relative `path` as a value; it is gone from there.

        Links to the task's inputs (`lent` are their paths) become the files that they mean; other links must stay
        inside.

        Raises
        ------
        RainException
            If there is no directory, it holds what a directory object cannot hold, the path leads out of the task's
            folder, or the disk is full.
        """
        seen = _inside(path, "directory")
        if not os.path.isdir(seen):
            raise RainException(f"ctx.stage_directory({path!r}): {_found(seen)}")
        here = os.getcwd()
        if seen != here and not seen.startswith(here + os.sep):
            raise RainException(f"ctx.stage_directory({path!r}): this is a link that leads out of the task's directory")
        real = map(os.path.realpath, lent)
        size = dirtree.own_tree(seen, [os.path.dirname(place) for place in real], lent)
        if seen == here:
            os.mkdir(".rain-staged")
            for name in os.listdir(seen):
                if name != ".rain-staged":
                    os.rename(name, os.path.join(".rain-staged", name))
            seen = os.path.join(here, ".rain-staged")
        target = self._bring(seen, lambda target: dirtree.move(seen, target))
        os.chmod(target, 0o755)
        self._made[target] = False
        reader = StagedDirectory(local_file(target, size))
        return DataInstance(reader, None, ObjectInfo(size=size, content_type=None))

    def give_file(self, reader: StagedFile) -> Stored:
        """A staged file for an output: its bytes if they are few, else a file."""
        file = reader.ref
        if file.size <= self._inline_max():
            data = reader.read()
            self._inline_left -= len(data)
            return inline(data)
        if file.checksum is None:
            fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                file.checksum = checksum_fd(fd, file.size)
            finally:
                os.close(fd)
        if self._made.get(file.path):
            # The second output that is the same file: the store takes each file away.
            path, _ = self._paths(file.path)
            os.link(file.path, path)
            file = local_file(path, checksum=file.checksum)
        self._made[file.path] = True
        return file

    def give(self, stored: Stored) -> None:
        """Note that what `store` gave became an output."""
        if isinstance(stored, LocalFile):
            self._made[stored.path] = True

    def copy_directory(self, value: DataInstance) -> LocalFile:
        """A directory that another task made, as a new one for an output."""
        target, _ = self._paths()
        value.reader.save(target)
        size = dirtree.own_tree(target)
        self._made[target] = True
        return local_file(target, size)

    def give_directory(self, reader: StagedDirectory) -> LocalFile:
        """A staged directory for an output."""
        file = reader.ref
        if self._made.get(file.path):
            path, _ = self._paths(file.path)
            dirtree.copy_tree(file.path, path)
            dirtree.own_tree(path)
            file = local_file(path, file.size)
        self._made[file.path] = True
        return file

    def is_own(self, reader: object) -> bool:
        """Whether `reader` was staged by this task (not by one before it)."""
        return isinstance(reader, StagedFile | StagedDirectory) and reader.ref.path in self._made

    def take_back(self) -> None:
        """Nothing became an output after all: what is not given once more will be discarded."""
        self._made = dict.fromkeys(self._made, False)

    def discard(self, everything: bool) -> None:
        """Remove files that became no output; `everything`: the others too, because the attempt failed."""
        for path, given in self._made.items():
            if given and not everything:
                continue
            if os.path.isdir(path):
                dirtree.remove_tree(path)
            else:
                try:
                    os.unlink(path)
                except OSError:
                    pass

    def _bring(self, source: str, move: Callable[[str], Any]) -> str:
        """Call `move` with the new path, in the spill folder if the other one is full; the path."""
        target, spill = self._paths(source)
        try:
            move(target)
        except ResourceError:
            if target == spill:
                raise
            move(spill)
            return spill
        return target

    def _inline_max(self) -> int:
        return min(INLINE_BYTES_MAX, self._inline_left)

    def _count_in(self, stored: Stored) -> Stored:
        if isinstance(stored, Inline):
            self._inline_left -= stored.size
        else:
            self._made[stored.path] = False
        return stored

    def _paths(self, source: str | None = None) -> tuple[str, str]:
        """Paths of a new file in the fast and in the spill folder (twice the latter for a `source` on its disk)."""
        self._count += 1
        name = f"{self._prefix}-{self._count}"
        fast, spill = f"{self._setup.store_dir}/{name}", f"{self._setup.spill_dir}/{name}"
        if source is not None:
            device = os.stat(source).st_dev
            if device == os.stat(self._setup.spill_dir).st_dev != os.stat(self._setup.store_dir).st_dev:
                return spill, spill
        return fast, spill


def _inside(path: str, kind: str) -> str:
    """The real path of `path`, which must be relative and stay in the current directory."""
    here = os.getcwd()
    if os.path.isabs(path):
        raise RainException(f"ctx.stage_{kind}({path!r}): the path must be relative to the task's current directory")
    normal = os.path.normpath(os.path.join(here, path))
    parent = os.path.realpath(os.path.dirname(normal))
    home = os.path.realpath(here)
    if normal != here and parent != home and not parent.startswith(home + os.sep):
        raise RainException(f"ctx.stage_{kind}({path!r}): the path leads out of the task's current directory")
    return os.path.realpath(normal)


def _found(path: str) -> str:
    if os.path.isdir(path):
        return "this is a directory; use ctx.stage_directory"
    if os.path.isfile(path):
        return "this is a file; use ctx.stage_file"
    names = sorted(os.listdir("."))
    listed = ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
    return f"there is no such file; the task's current directory holds {listed or 'nothing'}"
