"""Writing a segment: records are gathered and written once a commit, into room that was taken before."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import time

from rain.common.errors import NO_ROOM
from rain.common.formatting import size_text
from rain.common.limits import (
    JOURNAL_AHEAD_BYTES,
    JOURNAL_RECORD_BYTES_MAX,
    JOURNAL_RESERVE_BYTES,
    JOURNAL_RESERVE_SHARE,
    JOURNAL_RETRY_S,
    MIB,
)
from rain.objects.file_systems import is_memory
from rain.server.journal.files import Folder, segment_name
from rain.server.journal.format import (
    CHECKSUM,
    KIND_MAX,
    RECORD,
    Bad,
    Head,
    encode_commit,
    encode_head,
    find_record,
    seed_of,
    xxh3_64,
)

log = logging.getLogger(__name__)

_NO_ROOM = NO_ROOM | {errno.EFBIG}
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})
"""What file systems say that take no room ahead."""
_LOOK_BYTES = 1 * MIB
"""... on these it is looked each time this much was written how much is left."""
_AHEAD_BYTES_MIN = MIB // 4
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def write_all(file: int, data: bytes | bytearray | memoryview, at: int | None = None) -> None:
    """Write all of `data`, however much the kernel takes at once; `at`: at this offset.

    Raises
    ------
    OSError
    """
    done = os.write(file, data) if at is None else os.pwrite(file, data, at)
    if done == len(data):
        return
    with memoryview(data) as view:
        while done < len(view):
            rest = view[done:]
            done += os.write(file, rest) if at is None else os.pwrite(file, rest, at + done)


def take_room(file: int, begin: int, size: int) -> int:
    """Have the file system set blocks aside, without making the file longer; the number of the error, or 0."""
    while _libc.fallocate(file, _KEEP_SIZE, begin, size):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            return number
    return 0


def ahead_bytes(reserve: int) -> int:
    """How much room is taken at a time: an eighth of the reserve, so that on a small disk it is little too.

    Examples
    --------
    >>> ahead_bytes(64 << 20) >> 20, ahead_bytes(20 << 20) >> 10, ahead_bytes(0) >> 10
    (8, 2560, 256)
    """
    return max(_AHEAD_BYTES_MIN, min(JOURNAL_AHEAD_BYTES, reserve // 8))


class SegmentWriter:
    """A segment that is being written; its file is made with the first commit.

    Parameters
    ----------
    folder : Folder
    head : Head
    durable : bool
        Whether each commit is brought to the disk.

    Attributes
    ----------
    number : int
    size : int
        Bytes that are written.
    commits : int
        Number of the last commit that was begun.
    gathered : bool
        Whether there are records that are not written.
    full : str
        Why nothing new should be taken on; empty: there is room.
    error : int
        Number of the error for which the last commit failed, or 0.
    """

    def __init__(self, folder: Folder, head: Head, durable: bool) -> None:
        self._folder = folder
        self._durable = durable
        self._file: int | None = None
        self._buffer = bytearray(encode_head(head))
        self._seed = seed_of(head.number)
        self._taken = 0  # up to this offset blocks are set aside
        self._ahead = True  # whether the file system does that
        self._look_at = 0
        self._reserve = 0
        self._retry_at = 0.0
        self.error = 0
        self.number = head.number
        self.path = folder.where(segment_name(head.number))
        self.size = 0
        self.commits = head.commits
        self.gathered = False
        self.full = ""

    def add(self, kind: int, payload: bytes | bytearray | memoryview) -> None:
        """Gather a record."""
        if not 0 < kind <= KIND_MAX or len(payload) > JOURNAL_RECORD_BYTES_MAX:
            raise ValueError(f"a record of kind {kind} with {len(payload)} bytes cannot be in a journal")
        buffer = self._buffer
        if not self.gathered:
            self.gathered = True
            self.commits += 1
            buffer += encode_commit(self.commits, self._seed + self.size + len(buffer))
        begin = len(buffer)
        buffer += RECORD.pack(len(payload), kind)
        buffer += payload
        buffer += CHECKSUM.pack(xxh3_64(memoryview(buffer)[begin:], self._seed + self.size + begin))

    def commit(self) -> bool:
        """Write what was gathered; False: it stays gathered, and is to be tried again."""
        if self._retry_at and time.monotonic() < self._retry_at:
            return False
        buffer = self._buffer
        try:
            file = self._file
            if file is None:
                file = self._file = self._create()
            if self.size + len(buffer) + self._reserve > self._taken:
                self._take_room(file, len(buffer))
            write_all(file, buffer, self.size)
            if self._durable:
                os.fdatasync(file)
        except OSError as error:
            self._failed(error)
            return False
        self.size += len(buffer)
        buffer.clear()
        self.gathered = False
        if self._retry_at:
            self._retry_at, self.error = 0.0, 0
            log.warning("%s is written again", self.path)
        return True

    def _create(self) -> int:
        file = self._folder.create(segment_name(self.number))
        try:
            if self._durable:
                self._folder.sync()
            total = os.fstatvfs(file)
            self._reserve = min(JOURNAL_RESERVE_BYTES, int(total.f_blocks * total.f_frsize * JOURNAL_RESERVE_SHARE))
            self._ahead = not is_memory(file)
        except BaseException:
            os.close(file)
            self._folder.remove(segment_name(self.number))
            raise
        return file

    def _take_room(self, file: int, size: int) -> None:
        """Have room for `size` bytes, and beyond that the reserve; without that `full` says so.

        Raises
        ------
        OSError
            If there is no room for these bytes either.
        """
        need = self.size + size
        if not self._ahead:
            if need >= self._look_at or self.full:
                self._look_at = need + _LOOK_BYTES
                self._judge(_free(file), self._reserve)
            return
        # What is taken piece by piece until the disk is full would be all that is left to others.
        piece = ahead_bytes(self._reserve)
        wanted = -(-(need + self._reserve - self._taken) // piece) * piece
        free = _free(file)
        number = errno.ENOSPC if free < wanted else take_room(file, self._taken, wanted)
        if not number:
            self._taken += wanted
            self._judge(wanted, wanted)
        elif number in _CANNOT:
            self._ahead = False
            self._take_room(file, size)
        elif number in _NO_ROOM:
            self._judge(free, wanted, number)
            if need > self._taken:
                number = take_room(file, self._taken, need - self._taken)
                if number:
                    raise OSError(number, os.strerror(number))
                self._taken = need
        else:
            raise OSError(number, os.strerror(number))

    def _judge(self, free: int, wanted: int, number: int = errno.ENOSPC) -> None:
        before = self.full
        self.full = ""
        if free < wanted:
            self.full = (
                f"the server's journal in {self._folder.path} has no room to take on more ({os.strerror(number)}): "
                f"{size_text(wanted)} are wanted ahead, {size_text(free)} are free"
            )
        if bool(before) is not bool(self.full):
            log.warning("%s", self.full or f"the server's journal in {self._folder.path} has room again")

    def _failed(self, error: OSError) -> None:
        if not self._retry_at:
            log.error("%s cannot be written, nothing is answered until it can: %s", self.path, error.strerror)
        self.full = (
            f"the server's journal cannot be written ({error.strerror}): {self._folder.path}, "
            f"{size_text(_free(self._file)) if self._file is not None else 'nothing'} free"
        )
        self.error = error.errno or errno.EIO
        self._retry_at = time.monotonic() + JOURNAL_RETRY_S

    def sync(self) -> None:
        """Bring all of it to the disk."""
        if self._file is not None:
            os.fsync(self._file)

    def take_gathered(self) -> list[tuple[int, bytes]]:
        """The records that are not written, which then are not gathered here any more."""
        records, at = [], 0
        data = bytes(self._buffer)
        while not isinstance(found := find_record(data, at), Bad):
            if found.kind <= KIND_MAX:
                records.append((found.kind, data[found.begin : found.end]))
            at = found.end + CHECKSUM.size
        self.commits -= self.gathered
        self._buffer.clear()
        self.gathered = False
        return records

    def end(self) -> None:
        """Nothing more is written: give back the room that was taken ahead."""
        if self._file is not None:
            os.ftruncate(self._file, self.size)
            if self._durable:
                os.fsync(self._file)

    def close(self) -> None:
        """Give the file up."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _free(file: int) -> int:
    """Bytes that this user may still write to a file's file system."""
    seen = os.fstatvfs(file)
    return seen.f_bavail * seen.f_frsize
