"""What the builtin tasks have in common: reading inputs, making outputs, laying out trees."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence

from rain.common.errors import RainException
from rain.common.limits import CHUNK_BYTES, MIB
from rain.common.location import Inline, SameAs
from rain.common.protocol.messages import OutputResult, TaskAssignment
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.core.effects import Known
from rain.governor.store import Store
from rain.objects.dirtree import Entry, link_or_copy, open_entry, read_only, remove_any, walk
from rain.objects.files import local_file, no_room
from rain.objects.held import Held
from rain.objects.intake import output_of

_PIECE_BYTES = 16 * MIB
"""How much is copied between two looks at whether the task was cancelled."""
_NO_KERNEL_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EBADF})


class Cancelled(Exception):
    """The task shall end."""


class Work:
    """One attempt: its inputs, and the new files that it has made so far."""

    def __init__(
        self,
        assignment: TaskAssignment,
        inputs: Sequence[Held],
        known: Sequence[Known],
        store: Store,
        cancelled: threading.Event,
    ) -> None:
        self.spec = assignment.spec
        self.outputs = assignment.outputs
        self.inputs = inputs
        self.known = known
        self.cancelled = cancelled
        self.store = store
        self.intake = store.intake()

    def check(self) -> None:
        """Go on only if the task was not cancelled."""
        if self.cancelled.is_set():
            raise Cancelled

    def only_input(self) -> Held:
        if len(self.inputs) != 1:
            raise RainException(f"the task takes one input and has {len(self.inputs)}")
        return self.inputs[0]

    def only_output(self) -> ObjectSpec:
        if len(self.outputs) != 1:
            raise RainException(f"the task makes one output and declares {len(self.outputs)}")
        return self.outputs[0]

    def name(self, number: int) -> str:
        """Input `number`, for a message."""
        label = self.spec.inputs[number].label or self.known[number].spec.label
        return f"input {number}" + (f" ({label!r})" if label else "")

    # -- results --------------------------------------------------------------------------------------

    def blob(self, pieces: Iterator[bytes | memoryview], size: int) -> OutputResult:
        """An output of these bytes; `size` is about how many they are."""
        output = self.only_output()
        if output.data_type != "blob":
            raise RainException("the task makes a blob, but its output is declared a directory")
        return output_of(output, self.intake.write(pieces, size))

    def same(self, number: int, keep_info: bool = False) -> OutputResult:
        """An output that is input `number`, with its content type and user's values if `keep_info`."""
        output, known = self.only_output(), self.known[number]
        is_dir = self.inputs[number].is_dir
        if (output.data_type == "dir") != is_dir:
            raise RainException(f"the output is declared {_a(output.data_type == 'dir')}, but it is {_a(is_dir)}")
        info = ObjectInfo(size=self.inputs[number].size)
        if keep_info:
            content_type = known.info.content_type or known.spec.content_type
            info.content_type = content_type if content_type != output.content_type else None
            info.user = dict(known.info.user)
        return OutputResult(output.id, info, SameAs(known.spec.id))

    def directory(self, path: str, size: int) -> OutputResult:
        """An output that was made as the directory `path`."""
        output = self.only_output()
        if output.data_type != "dir":
            raise RainException("the task makes a directory, but its output is declared a blob")
        return output_of(output, local_file(path, size))

    # -- bytes ----------------------------------------------------------------------------------------

    def pieces(self, held: Held) -> Iterator[bytes | memoryview]:
        """A blob's bytes; each piece is valid until the next."""
        if isinstance(held.location, Inline):
            self.check()
            yield held.location.data
            return
        fd = os.open(held.location.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from self.read(fd)
        finally:
            os.close(fd)

    def read(self, fd: int) -> Iterator[memoryview]:
        """A file's bytes, to its end; each piece is valid until the next."""
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while True:
            self.check()
            count = os.readv(fd, [buffer])
            if not count:
                return
            yield buffer[:count]

    def copy(self, source: int, path: str, mode: int) -> int:
        """Copy a file from its start into the new file `path` (`mode` less the umask); gives the number of bytes."""
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            done = self._copy(source, target)
        except OSError as error:
            raise (no_room(error, path, os.fstat(source).st_size) or error) from None
        finally:
            os.close(target)
        return done

    def _copy(self, source: int, target: int) -> int:
        done = 0
        shared = True  # copy_file_range lets some file systems share the blocks
        while True:
            self.check()
            try:
                if shared:
                    count = os.copy_file_range(source, target, _PIECE_BYTES, done, done)
                else:
                    os.lseek(target, done, os.SEEK_SET)
                    count = os.sendfile(target, source, done, _PIECE_BYTES)
            except OSError as error:
                if not shared or error.errno not in _NO_KERNEL_COPY:
                    raise
                shared = False
                continue
            if not count:
                if shared and not done:  # some file systems claim to have copied nothing
                    shared = False
                    continue
                return done
            done += count

    # -- trees ----------------------------------------------------------------------------------------

    def plant(self, source: str, target: str, put: Callable[[str, Entry, str], int]) -> int:
        """Lay the directory `source` over the directory `target`, whose files it replaces; returns the bytes of its
        files.

        ``put(source, entry, path)`` makes the new file `path`.
        """
        size = 0
        for entry in walk(source):
            self.check()
            path = f"{target}/{entry.path}"
            if entry.kind == "d":
                make_folder(path)
                continue
            make_free(path)
            if entry.kind == "l":
                os.symlink(entry.target, path)
            else:
                size += put(source, entry, path)
        return size

    def link(self, source: str, entry: Entry, path: str) -> int:
        """`put` for files of the store, which never change."""
        link_or_copy(f"{source}/{entry.path}", path)
        return entry.stat.st_size

    def copy_entry(self, source: str, entry: Entry, path: str) -> int:
        """`put` for other files: a read-only copy."""
        return self._copy_entry(entry, path, read_only(entry.stat.st_mode))

    def copy_out(self, source: str, entry: Entry, path: str) -> int:
        """`put` for files that leave the store: a writable copy."""
        return self._copy_entry(entry, path, 0o777 if entry.stat.st_mode & 0o100 else 0o666)

    def _copy_entry(self, entry: Entry, path: str, mode: int) -> int:
        fd = open_entry(entry)
        try:
            return self.copy(fd, path, mode)
        finally:
            os.close(fd)


def make_folder(path: str) -> None:
    """See to it that `path` is a folder; a file or link there goes."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
            os.mkdir(path)


def make_free(path: str) -> None:
    """See to it that there is nothing at `path`."""
    if os.path.lexists(path):
        remove_any(path)


def _a(is_dir: bool) -> str:
    return "a directory" if is_dir else "a blob"
