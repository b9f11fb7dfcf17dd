"""The index of a governor's store, as a file that grows with the store and is written anew when it is long."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable

from rain.common.ids import ID
from rain.common.limits import INDEX_BYTES_MIN
from rain.common.location import LocalFile
from rain.governor.core.effects import Known
from rain.governor.inheritance.index_format import HEAD, About, Entry, Gone, Noted, record
from rain.objects.held import Held

log = logging.getLogger("rain.governor.inheritance")

INDEX = "index"
"""The file's name in the store's folder."""
_AGAIN_S = 2.0
NAMES_MAX = 8
"""Names that a store had before which are remembered: its governor may have registered with the last ones in vain."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class IndexFile:
    """The index of what a store has, for a governor that takes it over.

    If it cannot be written any longer (the memory file system is full), the store goes on without an index, which is
    written anew as soon as that is possible: objects that are not in it are made again after a death.

    Parameters
    ----------
    folder : str
        The store's folder; that in memory, if it has one.
    about : About
    on_disk : str
        The folder with the objects that are on disk.

    Attributes
    ----------
    noted : dict of ID to Known
    """

    def __init__(self, folder: str, about: About, on_disk: str) -> None:
        self._path = os.path.join(folder, INDEX)
        self._about = about
        self._on_disk = on_disk
        self.noted: dict[ID, Known] = {}
        self._waiting: list[Entry] = []
        self._size = self._least = 0
        self._fd = -1
        self._again_at = 0.0  # when it is tried again to write what could not be
        self._write_anew([])

    def note(self, known: Known, held: Held) -> None:
        """An object is in the store: it is noted with the next `flush`."""
        entry = self._noted(known, held)
        if entry is not None:
            self.noted[entry.id] = known
            self._waiting.append(entry)

    def _noted(self, known: Known, held: Held) -> Noted | None:
        file = held.location
        if not isinstance(file, LocalFile):
            return None
        folder, name = os.path.split(file.path)
        return Noted(
            known.spec.id, folder == self._on_disk, name, file.inode, file.size, file.mtime_ns, file.checksum,
            held.is_dir, known.spec, known.info,
        )  # fmt: skip

    def rename(self, name: str, store: Iterable[tuple[Known, Held]]) -> list[str]:
        """Give the store, in which this is, another name; those that it had are given back, the last one first."""
        about = self._about
        about.store, about.before = name, [about.store, *about.before][:NAMES_MAX]
        self._write_anew(store)
        return about.before

    def forget(self, ids: Iterable[ID]) -> None:
        """These objects are no longer in the store."""
        gone = [id for id in ids if self.noted.pop(id, None) is not None]
        if gone:
            self._waiting.append(Gone(gone))

    def flush(self, store: Iterable[tuple[Known, Held]] | None = None) -> None:
        """Write entries that wait; if the index has become long, or could not be written, write it anew from `store`,
        all that the store has."""
        if self._again_at:
            self._waiting.clear()
            if store is not None and time.monotonic() >= self._again_at:
                self._write_anew(store)
            return
        if not self._waiting:
            return
        if store is not None and self.is_long:
            self._write_anew(store)
            return
        waiting, self._waiting = self._waiting, []
        parts, size = [], self._size
        for entry in waiting:
            parts.append(record(entry, size))
            size += len(parts[-1])
        try:
            _write(self._fd, b"".join(parts))
        except OSError as error:
            self._give_up(error)
            return
        self._size = size

    @property
    def waiting(self) -> bool:
        """Whether there are entries that are not written yet, and may be."""
        return bool(self._waiting) or 0 < self._again_at <= time.monotonic()

    @property
    def is_long(self) -> bool:
        """Whether most of the file's entries are obsolete."""
        return self._size > max(INDEX_BYTES_MIN, 2 * self._least)

    def _write_anew(self, store: Iterable[tuple[Known, Held]]) -> None:
        self._waiting.clear()
        entries: list[Entry] = [self._about]
        entries += filter(None, (self._noted(known, held) for known, held in store))
        parts, size = [HEAD], len(HEAD)
        for entry in entries:
            parts.append(record(entry, size))
            size += len(parts[-1])
        part = f"{self._path}.part"
        try:
            fd = os.open(part, _FLAGS, 0o600)
            try:
                _write(fd, b"".join(parts))
                os.rename(part, self._path)
            except OSError:
                os.close(fd)
                os.unlink(part)
                raise
        except OSError as error:
            self._give_up(error)
            return
        self.close()
        self._fd, self._size, self._least = fd, size, size
        if self._again_at:
            self._again_at = 0.0
            log.warning("the index %s of the store is written again", self._path)

    def _give_up(self, error: OSError) -> None:
        """Stop writing for a while: half a record would hide all that is written behind it."""
        if not self._again_at:
            log.warning(
                "the index %s of the store cannot be written (%s): should this governor die before it can, what it "
                "holds is made again", self._path, error.strerror,
            )  # fmt: skip
        self._again_at = time.monotonic() + _AGAIN_S
        self._waiting.clear()

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
