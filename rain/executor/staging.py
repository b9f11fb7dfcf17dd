"""Where an executor leaves large values: new files in the store's incoming folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeGuard

from rain.common.errors import RainException
from rain.common.location import Inline, LocalFile, Stored
from rain.common.protocol.messages import ExecutorSetup
from rain.common.spec import ObjectInfo
from rain.objects import dirtree
from rain.objects.content_types import codecs
from rain.objects.data_instance import DataInstance
from rain.objects.files import local_file
from rain.objects.intake import Folders, Intake
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
        What their names begin with, before its `number`.

    Attributes
    ----------
    number : int
        With the prefix unique to the attempt on this governor. Until something is staged it may be changed: most tasks
        stage nothing, and what they did not use is the next one's.
    used : bool
        Whether anything may have been staged.
    """

    __slots__ = ("_made", "_prefix", "_setup", "number", "used")

    def __init__(self, setup: ExecutorSetup, prefix: str) -> None:
        self._setup = setup
        self._made: Intake | None = None
        self._prefix = prefix
        self.number = 0
        self.used = False

    @property
    def _intake(self) -> Intake:
        if self._made is None:
            self.used = True
            self._made = Intake(Folders.of(self._setup), f"{self._prefix}-{self.number}")
        return self._made

    def store(self, value: Any, content_type: str | None) -> Stored:
        """`value` encoded: as bytes if they are few, else as a file.

        Raises
        ------
        RainException
            If it cannot be encoded, or the disk is full (names path and free space).
        """
        intake = self._intake
        return intake.took(codecs.encode_to_file(value, content_type, intake.sink()), given=False)

    def store_bytes(self, data: Any) -> Stored:
        """Bytes-like `data` as they are; like `store`."""
        return self._intake.put(data, given=False)

    def instance(self, stored: Stored, content_type: str | None, encoded: bool = False) -> DataInstance:
        """What `store` gave, as a value that the task can return; `encoded` as of `ObjectInfo`."""
        reader = BytesReader(stored.data) if isinstance(stored, Inline) else StagedFile(stored)
        return DataInstance(reader, None, ObjectInfo(size=stored.size, content_type=content_type, encoded=encoded))

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
        move = dirtree.copy_file if shared else dirtree.move
        target = self._intake.bring(seen, lambda target: move(seen, target))
        if shared:
            os.unlink(path)
        reader = StagedFile(local_file(target))
        return DataInstance(reader, None, ObjectInfo(size=reader.size, content_type=content_type))

    def move_directory(self, path: str, lent: Sequence[str] = ()) -> DataInstance:
        """The directory at the relative `path` as a value; it is gone from there.

        Links to the task's inputs (`lent` are their paths) become the files that they mean; other links must stay
        inside.

        Raises
        ------
        RainException
            If there is no directory, it holds a file of a kind that directory objects cannot hold, the path leads out
            of the task's folder, or the disk is full.
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
        target = self._intake.bring(seen, lambda target: dirtree.move(seen, target))
        os.chmod(target, 0o755)
        reader = StagedDirectory(local_file(target, size))
        return DataInstance(reader, None, ObjectInfo(size=size, content_type=None))

    def give(self, stored: Stored) -> Stored:
        """What `store` gave, for an output."""
        return self._intake.took(stored) if isinstance(stored, LocalFile) else stored

    def give_staged(self, staged: StagedFile | StagedDirectory) -> Stored:
        """A staged file or directory for an output."""
        return self._intake.give(staged.ref, staged.is_dir)

    def copy_directory(self, value: DataInstance) -> Stored:
        """A directory that another task made, as a new one for an output."""
        target = self._intake.new_path()
        value.reader.save(target)
        return local_file(target, dirtree.own_tree(target))

    def is_own(self, reader: object) -> TypeGuard[StagedFile | StagedDirectory]:
        """Whether `reader` was staged by this task (not by one before it)."""
        return isinstance(reader, StagedFile | StagedDirectory) and self._intake.owns(reader.ref.path)

    def take_back(self) -> None:
        """No value became an output after all: values that are not given once more will be discarded."""
        if self._made is not None:
            self._made.take_back()

    def discard(self, everything: bool) -> None:
        """Remove the files that became no output; with `everything` the others too, because the attempt failed."""
        if self._made is not None:
            self._made.discard(everything)


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
