"""The notes that a store takes of its objects, for the governor that is started after this one has died."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.governor.core.effects import Known
from rain.governor.inheritance.index_file import IndexFile
from rain.governor.inheritance.index_format import About
from rain.objects.held import Held
from rain.objects.store import Entry, StoreIndex
from rain.processes.scratch import Scratch

log = logging.getLogger("rain.governor.inheritance")


class Notes:
    """The notes of one store, which holds a lock around every call.

    As soon as an object in a folder is noted, the folder's mark says that it is to stay after this process's death.

    Parameters
    ----------
    about : About
    index : StoreIndex
    fast : Scratch or None
        The store's folder in memory.
    disk : Scratch
    objects_disk : str
        The folder for objects in `disk`.
    kept_s : float
        How many seconds the folders stay after this process's death.
    """

    def __init__(
        self, about: About, index: StoreIndex, fast: Scratch | None, disk: Scratch, objects_disk: str, kept_s: float
    ) -> None:
        self._index = index
        self._first = fast or disk  # has the file
        self._disk = disk
        self._kept_s = kept_s
        self._file = IndexFile(self._first.path, about, objects_disk)
        self._awaiting: set[Scratch] = set()

    def note(self, known: Known) -> None:
        """Note an object of the store."""
        entry = self._index.look(known.spec.id)
        if entry is None or not isinstance(entry.held.location, LocalFile):
            return
        self._file.note(known, entry.held)
        for scratch in (self._first,) if entry.in_memory else (self._first, self._disk):
            if scratch not in self._awaiting:
                try:
                    scratch.await_heir(self._kept_s)
                except OSError as error:  # the disk is full: it is tried again with the next object
                    log.warning("%s would not outlive this governor: %s", scratch.path, error.strerror)
                    return
                self._awaiting.add(scratch)

    def moved(self, entry: Entry) -> None:
        """Note that an object has moved to another file."""
        noted = self._file.noted
        for known in [noted[id] for id in entry.ids if id in noted]:
            self.note(known)

    def forget(self, ids: Iterable[ID]) -> None:
        """Note that objects are no longer in the store."""
        self._file.forget(ids)

    def flush(self) -> None:
        """Write notes that are not written yet."""
        self._file.flush(self._all())

    @property
    def waiting(self) -> bool:
        """Whether there are notes that are not written yet."""
        return self._file.waiting

    def _all(self) -> Iterator[tuple[Known, Held]]:
        for id, known in self._file.noted.items():
            entry = self._index.look(id)
            if entry is not None:
                yield known, entry.held

    @property
    def noted(self) -> Mapping[ID, Known]:
        """What was noted, by name."""
        return self._file.noted

    def there(self) -> list[tuple[Known, LocalFile]]:
        """What was noted and is in the store, with where."""
        return [(known, held.location) for known, held in self._all() if isinstance(held.location, LocalFile)]

    def rename(self, name: str) -> list[str]:
        """Give the store another name; those that it had are given back, the last one first."""
        return self._file.rename(name, self._all())

    def touch(self) -> None:
        """Renew the folders' marks: this process lives."""
        for scratch in self._awaiting:
            scratch.touch()

    def close(self) -> None:
        """Write no more notes."""
        self._file.close()
