"""The file of the event log: an SQLite database, to which one thread writes.

Events are gathered as the core tells of them, so that those of a task cost an append to a list, and written a row per
batch. The log is a view: nothing is ever restored from it. It keeps the newest `EVENTS_BYTES_MAX` bytes of events.
Other users may not read it.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

import msgspec

from rain.common.errors import NO_ROOM, NoRoom, RainException
from rain.common.limits import EVENTS_BYTES_MAX, MIB
from rain.processes.logs import open_log
from rain.server.core.effects import Logged
from rain.server.event_log.batches import FORMAT, Entry, EventRecord, batch_of, events_of
from rain.server.event_log.queries import Query

BATCH_EVENTS_MAX = 4000
FLUSH_S = 10.0
_JOURNAL_BYTES_MAX = 4 * MIB


_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What SQLite says of a full disk: the second where it cannot make a file larger that it maps."""


def _kind(error: sqlite3.Error | OSError) -> type[RainException]:
    if isinstance(error, OSError):
        return NoRoom if error.errno in NO_ROOM else RainException
    return NoRoom if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM else RainException


def _make_private(path: str) -> None:
    """What SQLite makes beside the file later gets the same permissions."""
    os.close(open_log(path))
    for name in (f"{path}-wal", f"{path}-shm"):
        if os.path.exists(name):
            os.chmod(name, 0o600)


class EventLog:
    """Appends events; a thread writes them.

    Parameters
    ----------
    path : str
        File of the SQLite database; created if it is not there, continued if it is.
    bytes_max : int
        How many bytes of events it keeps.
    commit : callable
        Called before events are written: writes down what they follow from. While it returns False they wait.
    numbered : bool
        Whether `rewind` will say what number the next event has. Then the log goes on without its file while there is
        no room for that, as it does when it cannot be written: it is a view, for which no server stays away.

    Attributes
    ----------
    next : int
        Number of the next event.
    error : str or None
        Why the last events could not be written.

    Raises
    ------
    RainException
        If the file cannot be opened as a database.
    """

    def __init__(
        self,
        path: str,
        bytes_max: int = EVENTS_BYTES_MAX,
        commit: Callable[[], bool] = lambda: True,
        *,
        numbered: bool = False,
    ) -> None:
        self.path = path
        self._bytes_max = bytes_max
        self._bytes = 0
        self._database: sqlite3.Connection | None = None
        self.error: str | None = None
        self._had = 0
        try:
            self._had = self._open()
        except NoRoom as error:
            if not numbered:
                raise
            self.error = str(error)
        self.next = self._written = self._had + 1
        self._commit = commit
        self._gathered: list[Entry] = []
        self._count = 0  # of the events that are gathered
        self._to_write: queue.SimpleQueue[tuple[int, list[Entry]] | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="rain-events", daemon=True)
        self._thread.start()

    def _open(self) -> int:
        """Open the file, or make it; the number of the last event in it."""
        database = None
        try:
            _make_private(self.path)
            database = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES_MAX}")
            database.execute("PRAGMA synchronous=OFF")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version < FORMAT:
                database.execute(f"PRAGMA user_version={FORMAT}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS batches (first_id INTEGER PRIMARY KEY, last_id INTEGER, records BLOB)"
            )
            last, self._bytes = database.execute(
                "SELECT max(last_id), coalesce(sum(length(records)), 0) FROM batches"
            ).fetchone()
        except (sqlite3.Error, OSError) as error:
            if database is not None:
                database.close()
            raise _kind(error)(f"the event log {self.path} cannot be opened: {error}") from None
        if version > FORMAT:
            database.close()
            raise RainException(
                f"the event log {self.path} was written by a newer version of Rain, in format {version}, and this one "
                f"knows formats up to {FORMAT}: move the file away, or choose another folder for logs"
            )
        self._database = database
        return last or 0

    def rewind(self, number: int) -> None:
        """The events from `number` on come again; those that are in the log already are not added twice."""
        self.push()
        self.next = number

    def add(self, what: Logged, at: float | None = None) -> None:
        """Append events; they have the present time, or that of `at`."""
        first, count = self.next, what.count
        self.next += count
        if first < self._written:
            return
        self._gathered.append(Entry(first, time.time() if at is None else at, what))  # type: ignore[arg-type]
        self._count += count
        if self._count >= BATCH_EVENTS_MAX:
            self.push()

    def push(self) -> None:
        """Hand what is gathered to the writing thread."""
        if self._gathered and self._commit():
            last = self._gathered[-1]
            self._written = last.first + last.what.count
            self._to_write.put((self._written - 1, self._gathered))
            self._gathered, self._count = [], 0

    def flush(self) -> None:
        """Wait until all that was added can be queried (for a thread; never on the loop)."""
        written = threading.Event()
        self._to_write.put(written)
        written.wait(FLUSH_S)

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._thread.is_alive():
            self.push()
            self._to_write.put(None)
            self._thread.join(FLUSH_S)
        if self._database is not None:
            self._database.close()

    def _write_all(self) -> None:
        while (batch := self._to_write.get()) is not None:
            if isinstance(batch, threading.Event):
                batch.set()
                continue
            try:
                self._write(*batch)
                self.error = None
            except Exception as error:
                # The log is a view: the server goes on without these events, and its status page says so.
                self.error = str(error)

    def _write(self, last: int, entries: list[Entry]) -> None:
        """Write a batch; where the file had not been opened, what it lacks of that."""
        if self._database is None:
            self._had = self._open()
        if entries[0].first <= self._had:
            entries = [entry for entry in entries if entry.first > self._had]
            if not entries:
                return
        assert self._database is not None
        records = batch_of(entries)
        self._make_room(len(records))
        self._database.execute("INSERT INTO batches VALUES (?, ?, ?)", (entries[0].first, last, records))
        self._bytes += len(records)

    def _make_room(self, size: int) -> None:
        """Let go of the oldest batches, a tenth at a time, so that `size` bytes more stay within the limit."""
        if self._bytes + size <= self._bytes_max:
            return
        assert self._database is not None
        far_over = self._bytes > 2 * self._bytes_max
        over = self._bytes + size - self._bytes_max + self._bytes_max // 10
        last = None
        for first, length in self._database.execute("SELECT first_id, length(records) FROM batches ORDER BY first_id"):
            if over <= 0:
                break
            last = first
            over -= length
            self._bytes -= length
        if last is not None:
            self._database.execute("DELETE FROM batches WHERE first_id <= ?", (last,))
        if far_over:  # an older version's; from now on freed pages are used again, and the file does not grow
            self._database.execute("VACUUM")

    def query(self, query: Query) -> Iterator[EventRecord]:
        """The events that match, in id order; for a thread of its own.

        Raises
        ------
        RainException
            If the query names an unknown type or mode, or the file holds what this version cannot read.
        """
        matches = query.matcher()
        left = query.limit if query.limit is not None else -1
        begun = 0
        try:
            reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise RainException(f"the event log {self.path} cannot be read: {error}") from None
        try:
            for first, records in reader.execute("SELECT first_id, records FROM batches ORDER BY first_id"):
                begun = first
                for record in events_of(records):
                    if left == 0:
                        return
                    if matches(record):
                        left -= 1
                        yield record
        except (msgspec.MsgspecError, sqlite3.Error) as error:
            raise RainException(f"the event log {self.path} cannot be read from event {begun} on: {error}") from None
        finally:
            reader.close()
