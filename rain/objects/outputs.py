"""Files that a task made on their way to the store: inline if they are small, else moved to its incoming folders."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rain.common.limits import BATCH_BYTES_TARGET, CHUNK_BYTES, INLINE_BYTES_MAX
from rain.common.location import LocalFile
from rain.common.protocol.messages import ExecutorSetup, OutputResult
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.objects.dirtree import copy_tree, own_tree, remove_any
from rain.objects.files import Sink, checksum_fd, local_file


class Outgoing:
    """What one attempt gives to the store.

    Files are renamed where the file system allows, so that they are not copied; what is not in memory then goes to the
    folder for spilled objects if that is where it lies already.

    Parameters
    ----------
    setup : ExecutorSetup
    prefix : str
        What names of files in the incoming folders begin with; unique to the attempt.
    """

    def __init__(self, setup: ExecutorSetup, prefix: str) -> None:
        self._setup = setup
        self._prefix = prefix
        self._made: list[str] = []
        self._inline_left = BATCH_BYTES_TARGET

    def file(self, path: str, index: int, spec: ObjectSpec, *, keep: bool = False) -> OutputResult:
        """Output number `index` from a regular file; with `keep` the file stays where it is.

        A file that has other names too is somebody else's: it is copied and stays as it is.

        Raises
        ------
        RainException
            If the disk is full.
        OSError
        """
        seen = os.stat(path)
        size = seen.st_size
        keep = keep or seen.st_nlink > 1
        target = self._place(seen.st_dev, index) if not keep and size > self._inline_max() else None
        if not keep and not seen.st_mode & 0o400:
            os.chmod(path, 0o400)
        if target is not None:
            os.chmod(path, 0o444)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                digest = checksum_fd(fd, size)
            finally:
                os.close(fd)
            if _renamed(path, target):
                self._made.append(target)
                return OutputResult(spec.id, ObjectInfo(size=size), local_file(target, checksum=digest))
        sink = self._sink(index)
        buffer = memoryview(bytearray(CHUNK_BYTES))
        try:
            with open(path, "rb", buffering=0) as source:
                while count := source.readinto(buffer):
                    sink.write(buffer[:count])
            return self._finish(sink, spec)
        except BaseException:
            sink.discard()
            raise

    def data(self, data: bytes, index: int, spec: ObjectSpec) -> OutputResult:
        """Output number `index` from bytes.

        Raises
        ------
        RainException
            If the disk is full.
        OSError
        """
        sink = self._sink(index)
        try:
            sink.write(data)
            return self._finish(sink, spec)
        except BaseException:
            sink.discard()
            raise

    def directory(
        self,
        root: str,
        index: int,
        spec: ObjectSpec,
        *,
        keep: bool = False,
        follow: Sequence[str] = (),
        lent: Sequence[str] = (),
    ) -> OutputResult:
        """Output number `index` from a directory; `follow` and `lent` as of `own_tree`.

        Raises
        ------
        RainException
            If there is something in it that a directory object cannot have, or the disk is full.
        OSError
        """
        target = self._place(os.stat(root).st_dev, index)
        keep = keep or target is None
        target = target or f"{self._setup.spill_dir}/{self._prefix}-{index}"
        self._made.append(target)
        size = 0 if keep else own_tree(root, follow, lent)
        if keep or not _renamed(root, target):
            copy_tree(root, target, follow=follow)
            size = own_tree(target)
        return OutputResult(spec.id, ObjectInfo(size=size), local_file(target, size))

    def discard(self) -> None:
        """Remove what was brought to the store; the attempt failed."""
        for path in self._made:
            remove_any(path)

    def _place(self, device: int, index: int) -> str | None:
        """A path on `device` where an output may be renamed to."""
        for folder in (self._setup.store_dir, self._setup.spill_dir):
            if os.stat(folder).st_dev == device:
                return f"{folder}/{self._prefix}-{index}"
        return None

    def _inline_max(self) -> int:
        """Outputs up to this size travel with the result; so many of them do that a frame holds it."""
        return min(INLINE_BYTES_MAX, self._inline_left)

    def _sink(self, index: int) -> Sink:
        setup, name = self._setup, f"{self._prefix}-{index}"
        if setup.spill_dir == setup.store_dir:
            return Sink(f"{setup.store_dir}/{name}", self._inline_max())
        return Sink(
            f"{setup.store_dir}/{name}",
            self._inline_max(),
            spill_path=f"{setup.spill_dir}/{name}",
            bytes_max=setup.store_bytes_max,
        )

    def _finish(self, sink: Sink, spec: ObjectSpec) -> OutputResult:
        stored = sink.finish(0o444)
        if isinstance(stored, LocalFile):
            self._made.append(stored.path)
        else:
            self._inline_left -= stored.size
        return OutputResult(spec.id, ObjectInfo(size=stored.size), stored)


def _renamed(source: str, target: str) -> bool:
    try:
        os.rename(source, target)
    except OSError:  # another file system, or a mount between
        return False
    return True
