"""The event log: what happened, in SQLite, for users and scripts to query while the server runs and after.

Events are gathered in memory and written by one thread, a row per batch, so that an event costs an append to a list.
The log is a view: nothing is ever restored from it. It keeps the newest `EVENTS_BYTES_MAX` bytes of events. Other users
may not read it.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.common.limits import EVENTS_BYTES_MAX, MIB
from rain.common.protocol.encoding import encode
from rain.processes.logs import open_log

EVENT_TYPES = frozenset(
    {
        "GovernorNew",
        "GovernorDraining",
        "GovernorRemoved",
        "ClientNew",
        "ClientRemoved",
        "SessionNew",
        "SessionClosed",
        "ClientSubmit",
        "ClientUnkeep",
        "TaskStarted",
        "TaskFinished",
        "DataObjectFinished",
        "Monitoring",
        "ClientInvalidRequest",
    }
)
"""The types that are in the log, as `POST /events` names them."""

BATCH_EVENTS_MAX = 1000
FLUSH_S = 10.0
_JOURNAL_BYTES_MAX = 4 * MIB


class EventRecord(msgspec.Struct, array_like=True, gc=False):
    """One event. `session` and `item` are numbers where the event is about them."""

    id: int
    time: float
    type: str
    session: int | None
    item: int | None
    values: dict[str, Any]


class TypeFilter(msgspec.Struct):
    """One alternative of a query's ``event_types``."""

    value: str
    mode: str = "="


class Comparison(msgspec.Struct):
    """A condition on a number."""

    value: int
    mode: str = "="


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": int.__eq__,
    "<": int.__lt__,
    ">": int.__gt__,
    "<=": int.__le__,
    ">=": int.__ge__,
    "!=": int.__ne__,
}


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /events`. Several `event_types` are alternatives; absent fields do not restrict."""

    event_types: list[TypeFilter] | None = None
    session: int | Comparison | None = None
    id: int | Comparison | None = None
    limit: int | None = None

    def matcher(self) -> Callable[[EventRecord], bool]:
        """A predicate for records.

        Raises
        ------
        RainException
            If a type or a mode is unknown.
        """
        types: set[str] | None = None
        if self.event_types is not None:
            types = set()
            for wanted in self.event_types:
                if wanted.value not in EVENT_TYPES:
                    raise RainException(
                        f"unknown event type {wanted.value!r}; there are {', '.join(sorted(EVENT_TYPES))}"
                    )
                if wanted.mode not in ("=", "!="):
                    raise RainException(f"unknown mode {wanted.mode!r} of an event type; there are '=' and '!='")
                types |= {wanted.value} if wanted.mode == "=" else EVENT_TYPES - {wanted.value}
        session, number = _condition(self.session), _condition(self.id)

        def matches(record: EventRecord) -> bool:
            return (
                (types is None or record.type in types)
                and (session is None or (record.session is not None and session(record.session)))
                and (number is None or number(record.id))
            )

        return matches


def _condition(wanted: int | Comparison | None) -> Callable[[int], bool] | None:
    if wanted is None:
        return None
    if isinstance(wanted, int):
        wanted = Comparison(wanted)
    compare = _COMPARE.get(wanted.mode)
    if compare is None:
        raise RainException(f"unknown mode {wanted.mode!r}; there are {' '.join(_COMPARE)}")
    value = wanted.value
    return lambda number: compare(number, value)


def as_json(record: EventRecord) -> dict[str, Any]:
    """The record in the form that `POST /events` answers."""
    event: dict[str, Any] = {"type": record.type}
    if record.session is not None:
        event["session"] = record.session
    if record.item is not None:
        event["id"] = record.item
    event.update(record.values)
    return {"id": record.id, "time": record.time, "event": event}


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

    Attributes
    ----------
    next : int
        Number of the next event.

    Raises
    ------
    RainException
        If the file cannot be opened as a database.
    """

    def __init__(self, path: str, bytes_max: int = EVENTS_BYTES_MAX, commit: Callable[[], bool] = lambda: True) -> None:
        self.path = path
        self._bytes_max = bytes_max
        self._decode = msgspec.msgpack.Decoder(list[EventRecord]).decode
        try:
            _make_private(path)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES_MAX}")
            self._database.execute("PRAGMA synchronous=OFF")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS batches (first_id INTEGER PRIMARY KEY, last_id INTEGER, records BLOB)"
            )
            last, self._bytes = self._database.execute(
                "SELECT max(last_id), coalesce(sum(length(records)), 0) FROM batches"
            ).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise RainException(f"the event log {path} cannot be opened: {error}") from None
        self.next = (last or 0) + 1
        self._written = self.next
        self._commit = commit
        self._gathered: list[EventRecord] = []
        self._to_write: queue.SimpleQueue[list[EventRecord] | threading.Event | None] = queue.SimpleQueue()
        self.error: str | None = None
        self._thread = threading.Thread(target=self._write_all, name="rain-events", daemon=True)
        self._thread.start()

    def rewind(self, number: int) -> None:
        """The events from `number` on come again; those that are in the log already are not added twice."""
        self.push()
        self.next = number

    def add(
        self, type: str, session: int | None, item: int | None, values: dict[str, Any], at: float | None = None
    ) -> None:
        """Append one event; it has the present time, or that of `at`."""
        number = self.next
        self.next += 1
        if number < self._written:
            return
        self._gathered.append(EventRecord(number, time.time() if at is None else at, type, session, item, values))
        if len(self._gathered) >= BATCH_EVENTS_MAX:
            self.push()

    def push(self) -> None:
        """Hand what is gathered to the writing thread."""
        if self._gathered and self._commit():
            self._written = self._gathered[-1].id + 1
            self._to_write.put(self._gathered)
            self._gathered = []

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
        self._database.close()

    def _write_all(self) -> None:
        while (batch := self._to_write.get()) is not None:
            if isinstance(batch, threading.Event):
                batch.set()
                continue
            try:
                records = encode(batch)
                self._make_room(len(records))
                self._database.execute("INSERT INTO batches VALUES (?, ?, ?)", (batch[0].id, batch[-1].id, records))
                self._bytes += len(records)
                self.error = None
            except Exception as error:
                # The log is a view: the server goes on without these events, and its status page says so.
                self.error = str(error)

    def _make_room(self, size: int) -> None:
        """Let go of the oldest batches, a tenth at a time, so that `size` bytes more stay within the limit."""
        if self._bytes + size <= self._bytes_max:
            return
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
            If the query names an unknown type or mode.
        """
        matches = query.matcher()
        left = query.limit if query.limit is not None else -1
        reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            for (records,) in reader.execute("SELECT records FROM batches ORDER BY first_id"):
                for record in self._decode(records):
                    if left == 0:
                        return
                    if matches(record):
                        left -= 1
                        yield record
        finally:
            reader.close()
