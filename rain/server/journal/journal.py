"""The journal that a server keeps: what was recorded before, then what it records itself."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Collection, Iterable, Iterator

from rain import __version__
from rain.server.journal.files import RESTART, Folder, image_name, segment_name
from rain.server.journal.format import (
    COUNT,
    END,
    IMAGE,
    IMAGE_CHUNK_BYTES,
    Head,
    JournalFull,
    encode_head,
    encode_record,
    seed_of,
)
from rain.server.journal.reader import Contents
from rain.server.journal.writer import SegmentWriter, write_all

log = logging.getLogger(__name__)

WISH_BYTES_MAX = 16384


class Journal:
    """The journal of one server. First its `records` are read to the end, then it is written.

    Parameters
    ----------
    path : str
        A folder of the user alone (0700), made if it does not exist.
    fingerprint : str
        Of the code that decides what records lead to.
    durable : bool
        Whether `commit` returns only when the disk has it.
    kinds : collection of int or None
        The kinds of records that the reader knows; None: any.

    Attributes
    ----------
    by_same_code : bool
        Whether the record that `records` gave last was written by code of the same fingerprint.

    Raises
    ------
    JournalInUse
        If another process has it.
    JournalDamaged, JournalUnreadable
        Nothing was changed then.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(folder + "/journal", "code-1")
    ...     journal.add(1, b"a session was opened")
    ...     journal.commit()
    ...     journal.close()
    ...     [payload for kind, payload in Journal(folder + "/journal", "code-1").records()]
    True
    [b'a session was opened']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fingerprint: str,
        durable: bool = False,
        kinds: Collection[int] | None = None,
    ) -> None:
        self._fingerprint = fingerprint
        self._durable = durable
        self._folder = Folder(path)
        if durable:
            self._folder.sync_name()
        self._segment: SegmentWriter | None = None
        self._snapshot: Snapshot | None = None
        try:
            self._contents: Contents | None = Contents(self._folder, kinds)
        except BaseException:
            self._folder.close()
            raise
        contents = self._contents
        self._same_code = all(head.fingerprint == fingerprint for head in contents.heads)
        self.by_same_code = True
        self._tail_bytes = 0
        self._commits = self._previous_bytes = 0
        self._next = contents.next_number

    # -- what was recorded before -------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The folder."""
        return self._folder.path

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded before."""
        contents = self._contents
        return contents is not None and contents.image_number is None and not contents.segments

    @property
    def same_code(self) -> bool:
        """Whether all of it, the image too, was written by code of the same fingerprint."""
        return self._same_code

    def image(self) -> bytes | None:
        """The image of the state before the first of `records`; None: it begins with nothing.

        Raises
        ------
        JournalDamaged
        """
        assert self._contents is not None, "the journal was read already"
        return self._contents.image()

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Kind and payload of each record since the image, oldest first.

        Raises
        ------
        JournalDamaged, JournalUnreadable
        """
        contents = self._contents
        assert contents is not None, "the journal was read already"
        for segment in contents.segments:
            self.by_same_code = segment.head is not None and segment.head.fingerprint == self._fingerprint
            for record in contents.records_of(segment):
                yield record.kind, record.payload
        for segment in contents.segments:
            if segment.torn_bytes:
                log.warning(
                    "the last write to %s was cut short: %d bytes from byte %d on are dropped",
                    segment.path, segment.torn_bytes, segment.end,
                )  # fmt: skip
            self._tail_bytes += segment.end
            self._previous_bytes = segment.end
            self._commits = segment.commits
        for name in contents.leftover:
            self._folder.remove(name)
        if contents.segments:  # its writer may have been killed, and had taken room ahead
            with contextlib.suppress(OSError):
                self._folder.truncate(segment_name(contents.segments[-1].number), contents.segments[-1].size)
        self._contents = None

    # -- what is recorded -----------------------------------------------------------------------------

    def add(self, kind: int, payload: bytes | bytearray | memoryview) -> None:
        """Gather a record; `commit` writes it."""
        segment = self._segment
        if segment is None:
            segment = self._begin()
        segment.add(kind, payload)

    def commit(self) -> bool:
        """Write what was gathered; False: there is no room, or the disk fails, and it is to be tried again."""
        segment = self._segment
        if segment is None or not segment.gathered or segment.commit():
            return True
        if segment.error != errno.EFBIG or not segment.size:
            return False
        # The file may not become larger (RLIMIT_FSIZE, or the file system's limit): another one may.
        records = segment.take_gathered()
        self._next_segment(segment).close()
        for kind, payload in records:
            self.add(kind, payload)
        return self._segment is None or self._segment.commit()

    @property
    def full(self) -> str:
        """Why nothing new should be taken on; empty: there is room."""
        return "" if self._segment is None else self._segment.full

    @property
    def tail_bytes(self) -> int:
        """Bytes of records since the last image."""
        return self._tail_bytes + (0 if self._segment is None else self._segment.size)

    def wish(self) -> bytes | None:
        """What `RESTART` in the folder says, a file that only this user could write; None: it is not there.

        Raises
        ------
        JournalError
            If it is open to other users.
        """
        if not os.path.lexists(self._folder.where(RESTART)):
            return None
        with self._folder.reading(RESTART) as file:
            return os.read(file, WISH_BYTES_MAX)

    def wish_is_granted(self) -> None:
        """Remove that file."""
        self._folder.remove(RESTART)

    def _begin(self) -> SegmentWriter:
        if self._contents is not None:
            if not self.empty:
                raise AssertionError("a journal is read to its end before it is written")
            self._contents = None
        head = Head(self._next, __version__, self._fingerprint, self._previous_bytes, self._commits)
        self._segment = SegmentWriter(self._folder, head, self._durable)
        self._next += 1
        return self._segment

    def close(self) -> None:
        """Write what was gathered, and give the folder up."""
        if self._segment is not None:
            if self.commit():
                self._segment.end()
            self._segment.close()
        self._folder.close()

    # -- images ----------------------------------------------------------------------------------------

    def begin_segment(self) -> Snapshot:
        """What is added from now on goes to another segment; the snapshot takes the image of the present state.

        Raises
        ------
        JournalFull
            If what was gathered cannot be written; the present segment goes on.
        """
        if not self.commit():
            raise JournalFull(self.full)
        if self._contents is not None and not self.empty:
            raise AssertionError("a journal is read to its end before it is written")
        old = self._segment
        if old is not None and old.size:
            self._next_segment(old)
        else:
            old = None  # nothing was recorded since it was begun
        segment = self._segment or self._begin()
        return Snapshot(self, self._folder, Head(segment.number, __version__, self._fingerprint), old)

    def _next_segment(self, old: SegmentWriter) -> SegmentWriter:
        """The present segment has ended; what is added next begins another one."""
        self._tail_bytes += old.size
        self._previous_bytes, self._commits = old.size, old.commits
        old.end()
        self._segment = None
        return old

    def _has_image(self, number: int) -> None:
        """An image is there: what came before counts no more."""
        for kind, name in (("journal", segment_name), ("image", image_name)):
            for old in self._folder.numbers(kind):
                if old < number:
                    self._folder.remove(name(old))
        if self._segment is not None and self._segment.number == number:
            self._tail_bytes = 0


class Snapshot:
    """An image that is being written, of the state before the first record of a new segment, which has its `number`."""

    def __init__(self, journal: Journal, folder: Folder, head: Head, old: SegmentWriter | None) -> None:
        self._journal = journal
        self._folder = folder
        self._head = head
        self._old = old
        self.number = head.number
        self._name = image_name(head.number)

    def write(self, image: bytes | Iterable[bytes]) -> int:
        """Write the image, mostly in a child of this process; returns its bytes.

        Raises
        ------
        OSError
        """
        if self._old is not None:
            self._old.sync()
        head, seed = encode_head(self._head), seed_of(self._head.number, image=True)
        file = self._folder.create(self._name + ".part")
        try:
            write_all(file, head)
            at, size = len(head), 0
            for piece in [image] if isinstance(image, bytes) else image:
                size += len(piece)
                view = memoryview(piece)
                for begin in range(0, len(view), IMAGE_CHUNK_BYTES):
                    record = encode_record(IMAGE, view[begin : begin + IMAGE_CHUNK_BYTES], seed + at)
                    write_all(file, record)
                    at += len(record)
            write_all(file, encode_record(END, COUNT.pack(size), seed + at))
            os.fsync(file)
        finally:
            os.close(file)
        return size

    def done(self) -> int:
        """The image was written: what came before it is removed; returns its bytes.

        Raises
        ------
        OSError
            If it cannot be given its name; then nothing was removed.
        """
        try:
            self._folder.rename(self._name + ".part", self._name)
            self._folder.sync()
            self._journal._has_image(self._head.number)
        finally:
            self._end()
        return os.stat(os.path.join(self._journal.path, self._name)).st_size

    def failed(self) -> None:
        """It was not: the records before it still count."""
        self._folder.remove(self._name + ".part")
        self._end()

    def _end(self) -> None:
        if self._old is not None:
            self._old.close()
            self._old = None
