"""Files of large constants: what clients bring before the `Submit` that names it.

A client on this host writes the file straight into a folder of its own in `incoming`, which it has locked; another one
sends it over a data connection (`DataPut`) into `incoming` itself. `claim` takes a file over when its submit arrives:
from then on it is the server's, read-only, and lives until the core discards it (`DiscardUpload`). What
was never claimed goes with its client (`sweep`, `abandon`) or the server.

Files are in memory while there is room. Clients on this host know how much that is (`Welcome.incoming_max`) and write
to disk beyond it, or when the memory file system is full; a mark tells all of them when what was claimed is too much.

A server that was started anew takes the folders of the one before over (`take_over`). What had been claimed there, and
not been written into the journal, is claimed once more when the client repeats its submit.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable, Sequence

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import LocalFile, Upload
from rain.objects.dirtree import remove_tree
from rain.objects.sink import NEVER_INLINE, FullMark, Sink
from rain.processes.memory_folders import constants_memory, fast_folder
from rain.processes.private_folders import sync
from rain.processes.scratch import CONSTANTS, MARK, MEMORY_FILES, UPLOADS, Scratch, clean

_NAME = re.compile(r"[A-Za-z0-9_-]{8,80}")
_OWN_NAME = re.compile(rf"(?:{UPLOADS}[a-z0-9_]{{8}}/)?{_NAME.pattern}")


class ConstantFiles:
    """The server's folder of large constants.

    Parameters
    ----------
    folder : str
        A private folder, made here; best on a tmpfs, so that readers on this host map memory.
    disk : str, optional
        Another one, on disk, for what is too much for `folder`; empty: nothing is.
    bytes_max : int
        How much that is.
    durable : bool
        Whether what is claimed is on the disk, so that it survives a loss of power.

    Attributes
    ----------
    incoming, incoming_disk : str
        Where clients on this host write.
    bytes_max : int

    Raises
    ------
    OSError
        If a folder cannot be made.
    """

    def __init__(self, folder: str, disk: str = "", bytes_max: int = 1 << 62, durable: bool = False) -> None:
        self.folder = folder
        self.disk = disk
        self.bytes_max = bytes_max
        self._durable = durable
        self.incoming = os.path.join(folder, "incoming")
        self.incoming_disk = os.path.join(disk, "incoming") if disk else ""
        self._sizes: dict[str, int] = {}  # of claimed files in memory
        self._bytes = 0
        self._unknown: dict[str, tuple[str, int, int]] = {}  # by name: files that nothing names, what they are
        self._mark = FullMark(self.incoming)
        for top in filter(None, (folder, disk)):
            for path in (os.path.join(top, "incoming"), os.path.join(top, "constants")):
                os.makedirs(path, mode=0o700, exist_ok=True)

    def take_over(self, names: set[str]) -> None:
        """Count what the server before this one had claimed, of which `names` are the uploads that are needed."""
        needed = {os.path.basename(name) for name in names}
        for top in self._tops:
            for part in ("constants", "incoming"):
                with os.scandir(os.path.join(top, part)) as entries:
                    for entry in entries:
                        if not entry.is_file(follow_symlinks=False) or not _NAME.fullmatch(entry.name):
                            continue
                        if entry.name not in needed:
                            seen = entry.stat(follow_symlinks=False)
                            self._unknown[entry.name] = (entry.path, seen.st_ino, seen.st_mtime_ns)
                        elif part == "constants" and top == self.folder:
                            self._sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        self._count(sum(self._sizes.values()))

    def drop_unknown(self) -> None:
        """Remove what was found and not claimed since."""
        unknown, self._unknown = self._unknown, {}
        for path, inode, mtime_ns in unknown.values():
            try:
                seen = os.lstat(path)
                if (seen.st_ino, seen.st_mtime_ns) == (inode, mtime_ns):
                    os.unlink(path)
            except FileNotFoundError:
                pass

    def sink(self, name: str) -> Sink:
        """Takes an upload called `name` that is sent to the server.

        Raises
        ------
        RainException
            If the name is not of the form that clients make (it becomes a file's name).
        """
        if not _NAME.fullmatch(name):
            raise RainException(f"{name!r} is not the name of an upload: 8 to 80 letters, digits, '-' and '_'")
        spill = os.path.join(self.incoming_disk, name) if self.disk else None
        return Sink(os.path.join(self.incoming, name), NEVER_INLINE, spill_path=spill, bytes_max=self.bytes_max)

    def claim(self, id: ID, upload: Upload) -> LocalFile:
        """Take over the file of the constant `id`, which is being submitted.

        Raises
        ------
        RainException
            If the file is not there, is not a regular file or has another size than announced.
        """
        name = upload.name
        if not _OWN_NAME.fullmatch(name):
            raise RainException(f"{name!r} is not the name of an upload of constant {id}")
        path, top = os.path.join(self.incoming, name), self.folder
        if self.disk and not os.path.lexists(path):
            path, top = os.path.join(self.incoming_disk, name), self.disk
        name = os.path.basename(name)
        kept = os.path.join(top, "constants", name)
        if not os.path.lexists(path) and name in self._unknown:  # the server before had claimed it
            path = kept = self._unknown[name][0]
            top = os.path.dirname(os.path.dirname(kept))
        self._unknown.pop(name, None)
        try:
            if path != kept:
                os.rename(path, kept)
            found = os.lstat(kept)
        except OSError as error:
            raise RainException(f"the bytes of constant {id} did not arrive: {error.strerror or error}") from None
        if not stat.S_ISREG(found.st_mode) or found.st_size != upload.size:
            os.unlink(kept)
            raise RainException(
                f"constant {id} was announced with {upload.size} bytes and arrived with {found.st_size}"
            )
        if self._durable:
            sync(kept)
            sync(os.path.dirname(kept))
        os.chmod(kept, 0o400)
        if top == self.folder:
            self._sizes[name] = found.st_size
            self._count(found.st_size)
        return LocalFile(kept, found.st_ino, found.st_size, found.st_mtime_ns, upload.checksum)

    def discard(self, names: list[str]) -> None:
        """Remove files that the core discarded; readers that mapped one keep what they mapped."""
        for name in names:
            if not _OWN_NAME.fullmatch(name):
                continue
            kept = os.path.basename(name)
            self._count(-self._sizes.pop(kept, 0))
            for top in self._tops:
                _unlink(os.path.join(top, "constants", kept))
                _unlink(os.path.join(top, "incoming", name))

    def abandon(self, names: Iterable[str]) -> None:
        """Remove those of these that were sent by a client that is gone, and were not claimed."""
        for name in names:
            for top in self._tops:
                _unlink(os.path.join(top, "incoming", name))

    def sweep(self) -> None:
        """Remove what clients on this host wrote that are dead. In any thread."""
        for top in self._tops:
            clean(os.path.join(top, "incoming"), UPLOADS)

    def _count(self, change: int) -> None:
        self._bytes += change
        self._mark.set(bool(self.disk) and self._bytes >= self.bytes_max)

    @property
    def _tops(self) -> list[str]:
        return [self.folder, self.disk] if self.disk else [self.folder]

    def close(self) -> None:
        """Remove the folders."""
        for top in self._tops:
            remove_tree(top)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def constant_files(
    work_dir: str, allowed_bytes: int | None, *, before: Sequence[str] = (), needed_by: str = "", durable: bool = False
) -> tuple[list[Scratch], ConstantFiles]:
    """The folders of large constants: in memory if there is a file system in it, so that clients and governors on this
    host map what they are sent, and on disk. Those `before` are taken over, with what is in them, if they are
    `needed_by` the same as this server. What is `durable` is on disk alone."""
    allowed = constants_memory() if allowed_bytes is None else allowed_bytes
    allowed = 0 if durable else allowed
    taken = [scratch for path in before if (scratch := Scratch.needed(path, needed_by)) is not None]
    taken_fast = next((one for one in taken if os.path.dirname(one.path) == MEMORY_FILES), None)
    taken_disk = next((one for one in taken if one is not taken_fast), None)
    fast, bytes_max = fast_folder(MEMORY_FILES, CONSTANTS, allowed, taken=taken_fast, needed_by=needed_by)
    try:
        disk = taken_disk or Scratch(work_dir or tempfile.gettempdir(), CONSTANTS, needed_by=needed_by)
    except OSError:
        if fast is not None:
            fast.close()
        raise
    if fast is None:
        files = ConstantFiles(disk.path, durable=durable)
        if durable:  # also the names that lead to its files, and whose it is
            for path in (os.path.join(disk.path, MARK), disk.path, os.path.dirname(disk.path)):
                sync(path)
        return [disk], files
    return [fast, disk], ConstantFiles(fast.path, disk.path, bytes_max, durable=durable)
