"""`Packs`: the files of a folder of results that hold many small ones.

Theory of operation
-------------------
A pack is written whole under another name and renamed, and never written again: to take an entry out, or to put packs
together, a new one is written before the old ones are removed. So nothing is locked, and it does not matter on which
host another process is: who finds a pack gone looks again at what is there. Two that put the same packs together leave
entries twice, until the next time.

The index of a pack is read once. Whether there are others now is told by the time of the folder's last change.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from rain.client.core.reuse.entries import Damaged, Kept
from rain.client.core.reuse.packing import END_BYTES, Row, Small, batches, index_at, index_of, pack, to_merge
from rain.common.limits import CACHE_PACK_BYTES_MAX, CACHE_PACK_USED_S, CACHE_PACKS_SMALL_MAX

log = logging.getLogger("rain.client.reuse.packs")

_TRIES = 4
_GONE = frozenset({errno.ENOENT, errno.ESTALE})
"""What is said of a file that was removed: here, and by another host."""
_FRESH_NS = 100_000_000
"""A folder that changed within this time may change again without another time of change."""

Write = Callable[[str, Iterable[Any]], None]


class Packs:
    """The packs of one folder; any thread may use it.

    Parameters
    ----------
    path : str
        The folder of the packs, which need not exist.
    write : callable
        ``write(path, pieces)`` writes a file whole or not at all.
    """

    def __init__(self, path: str, write: Write) -> None:
        self._path = path
        self._write = write
        self._lock = threading.RLock()
        self._rows: dict[str, list[Row]] = {}
        self._where: dict[str, tuple[str, Row]] = {}
        self._seen = -1  # the folder's time of change when it was listed
        self._used: dict[str, float] = {}  # when the use of a pack was noted

    def _file(self, name: str) -> str:
        return os.path.join(self._path, name)

    # -- what is there --------------------------------------------------------------------------

    def _look(self, again: bool = False) -> None:
        try:
            changed = os.stat(self._path).st_mtime_ns
        except OSError:
            changed = 0
        if changed == self._seen and not again:
            return
        try:
            names = sorted(os.listdir(self._path))
        except OSError:
            names = []
        gone = self._rows.keys() - set(names)
        for name in gone:
            del self._rows[name]
            self._used.pop(name, None)
        if gone:
            self._where = {row.key: (name, row) for name, rows in self._rows.items() for row in rows}
        for name in names:
            if name not in self._rows:
                self._add(name, self._index(name))
        self._seen = changed if changed < time.time_ns() - _FRESH_NS else -1

    def _add(self, name: str, rows: list[Row]) -> None:
        self._rows[name] = rows
        for row in rows:
            self._where[row.key] = (name, row)

    def _index(self, name: str) -> list[Row]:
        """The index of a pack; if it is damaged the pack is removed."""
        try:
            fd = os.open(self._file(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                size = os.fstat(fd).st_size
                end = os.pread(fd, END_BYTES, max(0, size - END_BYTES))
                begin, length = index_at(end, size)
                return index_of(os.pread(fd, length, begin), end)
            finally:
                os.close(fd)
        except Damaged:
            log.warning("%s was damaged: its results are computed again", self._file(name))
            remove_file(self._file(name))
        except OSError as error:
            log.debug("%s cannot be read: %s", self._file(name), error)
        return []

    def read(self, key: str, use: bool) -> bytes | None:
        """The bytes of the entry with this key; None if it is in no pack.

        Parameters
        ----------
        use : bool
            Whether it is used now: that is noted of its pack.

        Raises
        ------
        OSError
        """
        with self._lock:
            for number in range(_TRIES):
                found = None if number else self._where.get(key)
                if found is None:
                    self._look(again=number > 0)
                    found = self._where.get(key)
                if found is None:
                    return None
                try:
                    data = self._bytes(*found)
                except OSError as error:
                    if error.errno not in _GONE:
                        raise
                    continue  # put together with others meanwhile, or removed to make room
                if use:
                    self._note_use(found[0])
                return data
            return None

    def _bytes(self, name: str, row: Row) -> bytes:
        fd = os.open(self._file(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.pread(fd, row.length, row.begin)
        finally:
            os.close(fd)

    def _note_use(self, name: str) -> None:
        now = time.monotonic()
        if now - self._used.get(name, -CACHE_PACK_USED_S) >= CACHE_PACK_USED_S:
            self._used[name] = now
            try:
                os.utime(self._file(name))
            except OSError:  # only read here, or removed meanwhile
                pass

    def kept(self) -> list[tuple[Kept, list[Row]]]:
        """All packs, with their names, and what is in them."""
        with self._lock:
            self._look()
            found = []
            for name, rows in self._rows.items():
                try:
                    seen = os.stat(self._file(name))
                except OSError:
                    continue
                found.append((Kept(name, seen.st_size, seen.st_mtime), rows))
            return found

    # -- changing it ----------------------------------------------------------------------------

    def write(self, entries: Iterable[Small]) -> None:
        """Write a pack.

        Raises
        ------
        OSError
        """
        chosen = list(entries)
        pieces, rows = pack((one.key, one.data) for one in chosen)
        name = secrets.token_hex(12)
        self._write(self._file(name), pieces)
        used = max((one.used for one in chosen), default=0.0)
        try:
            os.utime(self._file(name), (used, used))
        except OSError:
            pass
        with self._lock:
            self._add(name, rows)

    def remove(self, names: Iterable[str]) -> None:
        """Remove packs with all that is in them."""
        with self._lock:
            for name in names:
                remove_file(self._file(name))
            self._look(again=True)

    def discard(self, keys: set[str]) -> None:
        """Take entries out of their packs."""
        with self._lock:
            self._look()
            for name, rows in list(self._rows.items()):
                if keys.isdisjoint([row.key for row in rows]):
                    continue
                left = [row for row in rows if row.key not in keys]
                try:
                    if entries := self._entries(name, left):
                        self.write(entries)
                except OSError as error:  # it stays, and is found damaged again by the next process
                    log.debug("%s cannot be written anew: %s", self._file(name), error)
                    self._rows[name] = left
                else:
                    remove_file(self._file(name))
            self._where = {key: found for key, found in self._where.items() if key not in keys}
            self._look(again=True)

    def _entries(self, name: str, rows: Iterable[Row]) -> list[Small]:
        """Entries of a pack; none if it is gone.

        Raises
        ------
        OSError
        """
        try:
            used = os.stat(self._file(name)).st_mtime
            return [Small(row.key, self._bytes(name, row), used) for row in rows]
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return []

    def tidy(self, loose: Iterable[Small], bytes_max: int) -> None:
        """Write entries that lie in files of their own into packs, and put small packs together.

        Parameters
        ----------
        bytes_max : int
            Of a pack.

        Raises
        ------
        OSError
            In which case all that was there is there.
        """
        with self._lock:
            kept = self.kept()
            merged = set(to_merge([one for one, _ in kept], CACHE_PACKS_SMALL_MAX, bytes_max))
            entries = list(loose)
            for one, rows in kept:
                if one.key in merged:
                    entries += self._entries(one.key, rows)
            for batch in batches(entries, bytes_max):
                self.write(batch)
            self.remove(merged)


def pack_bytes(bytes_max: int) -> int:
    """How large a pack of a folder becomes that may hold `bytes_max`."""
    return max(1, min(CACHE_PACK_BYTES_MAX, bytes_max // 20))


def remove_file(path: str) -> None:
    """Remove a file if it is there and may be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass
