"""Results of finished tasks are stored, by a thread of its own, as they come.

The thread holds handles of the tasks that it waits for, so that their results stay until they are stored. Small results
that come in quick succession are written together, as a pack; those that come one by one are files, until there are
some of them or the session is closed. What cannot be stored is noted, and told when the session is closed; it is never
an error of the run.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import xxhash

from rain.client.core.change_feed import ChangeFeed
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.core.reuse.entries import Entry, Output
from rain.client.core.reuse.keys import Code
from rain.client.core.reuse.reasons import History, Noted
from rain.client.functions.call_sites import warn
from rain.client.handles import handle_of, held, inside
from rain.client.operations.operation import Operation, block, resolve
from rain.client.report.call_text import call_text
from rain.client.reuse.folder import Folder
from rain.common.errors import RainException
from rain.common.limits import (
    CACHE_FAILURES_MAX,
    CACHE_FLUSH_S,
    CACHE_INLINE_BYTES_MAX,
    CACHE_PACK_HOLD_S,
    CACHE_PACK_RESULTS_MAX,
    CACHE_PACK_RESULTS_MIN,
)
from rain.common.location import Inline
from rain.common.states import TaskState
from rain.objects.readers import BytesReader, ObjectReader

if TYPE_CHECKING:
    from rain.client.reuse.results import ResultCache
    from rain.client.session import Session

log = logging.getLogger("rain.client.reuse.storing")

_EVICT_EVERY_BYTES = 0.05
"""After how much of the folder's limit was written its size is looked at again."""
_NOTE_EVERY = 1000
_TOLD_MAX = 3
_ARGUMENTS_CHARS_MAX = 200


class Storer:
    """Stores results of one session.

    Parameters
    ----------
    session : Session
    results : ResultCache
    folder : Folder
    """

    def __init__(self, session: Session, results: ResultCache, folder: Folder) -> None:
        self._session = session
        self._results = results
        self._folder = folder
        self._condition = threading.Condition()
        self._changed = False
        self._closed = False
        self._expected: dict[TaskRecord, tuple[str, Any]] = {}  # with the key, and handles that keep the result
        self._due: dict[TaskRecord, None] = {}
        self._together: dict[TaskRecord, Entry] = {}  # small results that are written next
        self._together_bytes = 0
        self._together_since = 0.0
        self._files: list[str] = []  # keys of small results that were written one by one
        self._flushes: list[Future[None]] = []
        self._notes: dict[str, tuple[Code, list[Noted]]] = {}
        self._noted = 0
        self._written: float | None = None  # bytes since the folder was last looked at
        self._failures = 0
        self._trouble = ""
        self._not_stored: list[tuple[str, str]] = []
        self._watch = ChangeFeed(inside(session).mirror, self._notify, members=False)
        self._watch.take()
        self._thread = threading.Thread(target=self._run, name="rain-results", daemon=True)
        self._thread.start()

    # -- any thread -----------------------------------------------------------------------------

    def _notify(self) -> None:
        with self._condition:
            self._changed = True
            self._condition.notify_all()

    def expect(self, records: list[TaskRecord]) -> None:
        """These tasks are about to be submitted: their results are to be stored."""
        for record in records:
            handle = handle_of(self._session, record)
            assert record.reuse is not None
            self._expected[record] = (record.reuse.key, (handle, held(handle)))

    def expect_no_more(self, records: list[TaskRecord]) -> None:
        """These tasks are about to be retried, and what they make then is not to be stored."""
        for record in records:
            self._expected.pop(record, None)

    def flush(self) -> Future[None]:
        """Done when the results of all tasks that have finished are stored, or cannot be."""
        future: Future[None] = Future()
        with self._condition:
            if self._closed or not self._thread.is_alive():
                future.set_result(None)
            else:
                self._flushes.append(future)
                self._condition.notify_all()
        return future

    def close(self) -> list[tuple[str, str]]:
        """Store no more; gives what was not stored of what had finished, with reasons."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            unfinished = [(_name(record), "there was no time left") for record in [*self._due, *self._together]]
        return self._not_stored + unfinished

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closed and self._step():
                pass
        except Exception:
            log.exception("results of %r are stored no more", self._session)
        finally:
            self._watch.close()
            with self._condition:
                self._closed = True
                self._expected.clear()
                left, self._flushes = self._flushes, []
            for future in left:
                resolve(future, None)

    def _step(self) -> bool:
        """Store one result, or wait for one; False at the end."""
        self._look()
        record = next(iter(self._due), None)
        if record is not None:
            self._prepare(record)
            if len(self._together) >= CACHE_PACK_RESULTS_MAX or self._together_bytes >= self._folder.pack_bytes:
                self._write_together()
            return True
        if self._hold():
            return True
        self._write_together()
        self._note_all()
        if self._flushes:
            self._tidy()
        with self._condition:
            if self._changed:
                return True
            over = self._closed or not self._session.active
            flushes, self._flushes = self._flushes, []
            if not flushes and not over:
                self._condition.wait()
        for future in flushes:
            resolve(future, None)
        return not over

    def _hold(self) -> bool:
        """Whether small results wait for more that may come; waits for it."""
        if not self._together:
            return False
        left = self._together_since + CACHE_PACK_HOLD_S - time.monotonic()
        with self._condition:
            if left <= 0 or self._flushes or self._closed or not self._session.active:
                return False
            if not self._changed:
                self._condition.wait(left)
        return True

    def _look(self) -> None:
        """See which tasks have finished."""
        self._changed = False
        for record in self._watch.take():
            if isinstance(record, ObjectRecord) or record not in self._expected:
                continue
            if record.state is TaskState.FINISHED:
                self._due[record] = None

    def _prepare(self, record: TaskRecord) -> None:
        """Store a result with large outputs, and put a small one with those that are written together."""
        key, _ = self._expected[record]
        reason = self._trouble
        if not reason:
            try:
                reason = self._prepared(record, key)
            except (RainException, OSError) as error:
                reason = self._failed(error)
        if record not in self._together:
            self._end(record, reason)

    def _prepared(self, record: TaskRecord, key: str) -> str:
        """Why a result is not to be stored; empty if it was, or will be with others."""
        reuse, mirror = record.reuse, inside(self._session).mirror
        if reuse is None or reuse.call is None:
            return "it is not known any more what it depends on"
        if reuse.unclear:
            return reuse.unclear
        outputs: list[Output] = []
        large: dict[int, Any] = {}
        for number, output in enumerate(record.outputs):
            told, data = self._output(output)
            outputs.append(told)
            if data is not None:
                large[number] = data
        size = sum(output.size for output in outputs)
        if size > self._folder.bytes_max // 2:
            return f"it has {size} bytes, more than half of what {self._folder.path} may hold"
        info = record.info
        entry = Entry(
            key, reuse.code.path, reuse.code.name, time.time(), None if info is None else info.duration,
            call_text(record, mirror.records)[:_ARGUMENTS_CHARS_MAX], {} if info is None else dict(info.user),
            "" if info is None else info.debug, outputs,
        )  # fmt: skip
        if large:
            self._folder.write(entry, {number: reader.pieces() for number, reader in large.items()})
            self._stored(record, entry)
            return ""
        if not self._together:
            self._together_since = time.monotonic()
        self._together[record] = entry
        self._together_bytes += size
        with self._condition:
            self._due.pop(record, None)
        return ""

    def _write_together(self) -> None:
        """Store the small results that were put together."""
        together, reason = self._together, self._trouble
        written: set[TaskRecord] = set()
        try:
            if reason:
                pass
            elif len(together) >= CACHE_PACK_RESULTS_MIN:
                self._folder.write_small(list(together.values()))
                written.update(together)
            else:
                for record, entry in together.items():
                    self._folder.write(entry, {})
                    written.add(record)
                    self._files.append(entry.key)
        except OSError as error:
            reason = self._failed(error)
        for record, entry in together.items():
            if record in written:
                self._stored(record, entry)
            self._end(record, "" if record in written else reason)
        self._together, self._together_bytes = {}, 0
        if len(self._files) >= CACHE_PACK_RESULTS_MAX:
            self._tidy()

    def _stored(self, record: TaskRecord, entry: Entry) -> None:
        """A result was written: what follows."""
        self._failures = 0
        assert record.reuse is not None
        assert record.reuse.call is not None
        code = record.reuse.code
        self._notes.setdefault(code.path, (code, []))[1].append(Noted(entry.key, record.reuse.call))
        self._noted += 1
        if self._noted >= _NOTE_EVERY:
            self._note_all()
        self._make_room(sum(output.size for output in entry.outputs))

    def _failed(self, error: Exception) -> str:
        """Why a result was not written, as text; after some failures in a row nothing more is."""
        if isinstance(error, RainException):
            return str(error)
        assert isinstance(error, OSError)
        reason = f"{error.strerror or error}"
        self._failures += 1
        if self._failures >= CACHE_FAILURES_MAX:
            self._trouble = f"{self._folder.path} cannot be written ({reason})"
        return reason

    def _end(self, record: TaskRecord, reason: str) -> None:
        """A result was stored, or, for a reason, will not be."""
        if reason:
            self._not_stored.append((_name(record), reason))
            if record.reuse is not None:
                record.reuse.text += f"; its result was not stored: {reason}"
        with self._condition:
            self._due.pop(record, None)
            self._expected.pop(record, None)

    def _tidy(self) -> None:
        """Put small results into packs, so that a folder has few files however many results it has."""
        files, self._files = self._files, []
        try:
            self._folder.tidy(files if len(files) >= CACHE_PACK_RESULTS_MIN else ())
        except OSError as error:
            log.debug("%s was not tidied: %s", self._folder.path, error)

    def _output(self, record: ObjectRecord) -> tuple[Output, ObjectReader | None]:
        """An output as it is stored; what reads its bytes, if they are many."""
        spec, location, info = record.spec, record.location, record.info
        if isinstance(location, Inline):
            data: bytes | None = location.data
            reader: ObjectReader = BytesReader(location.data)
        else:
            assert self._results.fetch is not None
            (instance,) = block(self._results.fetch(self._session, [handle_of(self._session, record)]))
            info = instance.info
            reader = instance.reader
            data = instance.get_bytes() if instance.size <= CACHE_INLINE_BYTES_MAX else None
            if data is not None and len(data) > CACHE_INLINE_BYTES_MAX:  # the archive of a directory
                reader, data = BytesReader(data), None
        size, hasher = 0, xxhash.xxh3_128()
        for piece in [data] if data is not None else reader.pieces():
            size += memoryview(piece).nbytes
            hasher.update(piece)
        output = Output(
            spec.label, spec.data_type, (info.content_type if info is not None else None) or spec.content_type, size,
            info.size if info is not None and info.size is not None else size, bool(info is not None and info.encoded),
            dict(info.user) if info is not None else {}, hasher.hexdigest(), data,
        )  # fmt: skip
        return output, None if data is not None else reader

    def _note_all(self) -> None:
        """Remember what results depended on, to say later what has changed."""
        notes, self._notes, self._noted = self._notes, {}, 0
        for path, (code, calls) in notes.items():
            history = self._folder.history(path) or History(path)
            history.note(code, calls)
            try:
                self._folder.remember(history)
            except OSError as error:
                log.debug("what %s depends on is not remembered: %s", path, error)

    def _make_room(self, size: int) -> None:
        if self._written is None or self._written + size > _EVICT_EVERY_BYTES * self._folder.bytes_max:
            self._written = 0.0
            self._folder.evict()
        self._written += size


def _name(record: TaskRecord) -> str:
    return record.spec.name or str(record.spec.id)


def closing(session: Session) -> Operation[None]:
    """The session is about to close: results of finished tasks are stored first, and the rest is told."""
    results = inside(session).results
    storer = None if results is None else results.storer
    if results is None or storer is None:
        return
    begin = time.monotonic()
    future = storer.flush()
    timer = threading.Timer(CACHE_FLUSH_S, resolve, (future, None))
    timer.daemon = True
    timer.start()
    try:
        yield future
    finally:
        timer.cancel()
        results.storer = None
        missing = storer.close()
    if missing:
        log.debug("%s results were not stored after %.1f s", len(missing), time.monotonic() - begin)
        warn(_missing_text(missing, results.path))


def _missing_text(missing: list[tuple[str, str]], path: str) -> str:
    reasons: dict[str, list[str]] = {}
    for name, reason in missing:
        reasons.setdefault(reason, []).append(name)
    told = []
    for reason, names in list(reasons.items())[:_TOLD_MAX]:
        more = f" and {len(names) - _TOLD_MAX} more" if len(names) > _TOLD_MAX else ""
        told.append(f"{', '.join(names[:_TOLD_MAX])}{more} ({reason})")
    count = f"{len(missing)} results were" if len(missing) > 1 else "1 result was"
    return f"{count} not stored in {path}, and will be computed again in another run: {'; '.join(told)}"
