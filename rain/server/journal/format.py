"""The format of the journal's files: bytes to records and back, and what a broken end means. No IO.

Theory of operation
-------------------
A journal is a folder of *segments* ``00000001.journal``, ``00000002.journal`` …, which hold records one after another,
and of *images* ``00000005.image`` of the state before the first record of the segment with that number. Each file::

    | magic, 8 bytes | format : u32 | record HEAD | record | record | …
    record:  | payload bytes : u32 | kind : u8 | payload | checksum : u64 |

Integers are little-endian. The checksum is xxh3-64 of all of the record that stands before it, seeded with the file's
number and the record's place in the file, so that a record is valid only where it was written; that of the head covers
the magic and the format too. Records are written in *commits*: each begins with a record COMMIT, which counts them,
and is one write. A segment's head tells at how many bytes the one before it ended and how many commits there were.

**A torn tail** is what a process or a machine that died in the middle of its last write leaves. Nothing that the server
has said depends on it, so readers drop it. Before a commit is begun the last one was written (and with ``durable``
synced); so what is wrong in the last segment is a torn tail if no valid COMMIT follows it anywhere in the rest of the
file, and else, as in any other file, **damage**, which is refused. A flipped bit in the last commit cannot be told from
a write that was cut short.

Readers know the kinds of records; one that they do not know is refused. A record may get further fields at its end, and
new kinds may be added; what changes the meaning of these bytes is another format.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgspec
import xxhash

from rain.common.errors import RainException, ResourceError
from rain.common.limits import JOURNAL_RECORD_BYTES_MAX

FORMAT = 1
MAGIC = b"RainJrnl"
START = struct.Struct("<8sI")
"""Magic and format, with which each file begins."""
RECORD = struct.Struct("<IB")
CHECKSUM = struct.Struct("<Q")
COUNT = struct.Struct("<Q")
OVERHEAD_BYTES = RECORD.size + CHECKSUM.size
"""What a record takes beside its payload."""
COMMIT_BYTES = OVERHEAD_BYTES + COUNT.size

HEAD, COMMIT, IMAGE, END = 0xF0, 0xF1, 0xF2, 0xF3
"""Kinds of the journal's own records."""
KIND_MAX = 0xEF
"""Largest kind of any other record; the smallest is 1."""
COMMIT_MARK = RECORD.pack(COUNT.size, COMMIT)
HEAD_BYTES_MAX = 4096
IMAGE_CHUNK_BYTES = 1 << 20

xxh3_64 = xxhash.xxh3_64_intdigest


class JournalError(RainException):
    """A journal cannot be used."""


class JournalDamaged(JournalError):
    """Bytes of a journal are not what was written.

    Attributes
    ----------
    path : str
    offset : int
        Where the first record begins that cannot be read.
    why : str
    """

    def __init__(self, path: str, offset: int, why: str) -> None:
        self.path = path
        self.offset = offset
        self.why = why
        super().__init__(
            f"the journal's file {path} is damaged at byte {offset}: {why}. `rain journal check` looks at all files of "
            "the journal; `rain journal repair` sets aside what is damaged and keeps what was recorded before it"
        )


class JournalUnreadable(JournalError):
    """A journal is of a format, or has kinds of records, that this version of Rain does not know."""


class JournalInUse(JournalError):
    """Another process has the journal."""


class JournalFull(ResourceError):
    """There is no room to write into."""


class Head(msgspec.Struct, array_like=True, frozen=True):
    """How a file begins.

    Attributes
    ----------
    number : int
        Of the file.
    rain : str
        The version of Rain that wrote it.
    fingerprint : str
        Of the code that decided.
    previous_bytes : int
        Where the segment before it ended; what stands there behind that is a torn tail.
    commits : int
        How many commits there were in all segments before it.
    """

    number: int
    rain: str
    fingerprint: str
    previous_bytes: int = 0
    commits: int = 0


class Bad(NamedTuple):
    """Why there is no record at a place. `missing`: bytes that lack, where only that is wrong."""

    why: str
    missing: int = 0


class Found(NamedTuple):
    """A record: its kind, where its payload begins, and where it ends and the checksum begins."""

    kind: int
    begin: int
    end: int


def seed_of(number: int, image: bool = False) -> int:
    """What seeds the checksums of a file, beside a record's place in it."""
    return ((number << 1 | image) << 40) & 0xFFFF_FFFF_FFFF_FFFF


def encode_record(kind: int, payload: bytes | bytearray | memoryview, seed: int) -> bytes:
    """A record; `seed` is that of its file plus its offset there."""
    record = RECORD.pack(len(payload), kind) + payload
    return record + CHECKSUM.pack(xxh3_64(record, seed))


def encode_commit(number: int, seed: int) -> bytes:
    """The record with which a commit begins."""
    return encode_record(COMMIT, COUNT.pack(number), seed)


def encode_head(head: Head) -> bytes:
    """How a file begins."""
    payload = msgspec.msgpack.encode(head)
    begin = START.pack(MAGIC, FORMAT) + RECORD.pack(len(payload), HEAD) + payload
    return begin + CHECKSUM.pack(xxh3_64(begin, 0))


def decode_head(data: bytes, path: str) -> tuple[Head, int] | Bad:
    """A file's head and where it ends, from the first `HEAD_BYTES_MAX` bytes of the file.

    Raises
    ------
    JournalUnreadable
        If the file is of another format.
    """
    if len(data) < START.size:
        return Bad("the file ends in its head", START.size - len(data))
    magic, version = START.unpack_from(data)
    if magic != MAGIC:
        return Bad("it does not begin as a file of a journal does")
    if version != FORMAT:
        raise JournalUnreadable(
            f"{path} is of format {version} of the journal; this version of Rain reads format {FORMAT}. Start the "
            "version that wrote it, or name another folder"
        )
    found = find_record(data, START.size)
    if isinstance(found, Bad):
        return found
    if found.kind != HEAD or CHECKSUM.unpack_from(data, found.end)[0] != xxh3_64(data[: found.end], 0):
        return Bad("the checksum of its head does not fit")
    try:
        return msgspec.msgpack.decode(data[found.begin : found.end], type=Head), found.end + CHECKSUM.size
    except msgspec.MsgspecError as error:
        raise JournalUnreadable(f"the head of {path} is not one that this version of Rain knows: {error}") from None


def find_record(data: bytes, at: int) -> Found | Bad:
    """The record that begins at `at`, whether its checksum fits or not."""
    begin = at + RECORD.size
    if begin > len(data):
        return Bad("the file ends in a record", begin - len(data))
    length, kind = RECORD.unpack_from(data, at)
    if length > JOURNAL_RECORD_BYTES_MAX:
        return Bad(f"a record of {length} bytes cannot be (JOURNAL_RECORD_BYTES_MAX is {JOURNAL_RECORD_BYTES_MAX})")
    end = begin + length
    if end + CHECKSUM.size > len(data):
        return Bad("the file ends in a record", end + CHECKSUM.size - len(data))
    return Found(kind, begin, end)


def read_record(data: bytes, at: int, seed: int) -> Found | Bad:
    """The record that begins at `at` of `data`; `seed`: that of its file plus the offset there of `data`."""
    found = find_record(data, at)
    if isinstance(found, Bad):
        return found
    if CHECKSUM.unpack_from(data, found.end)[0] != xxh3_64(memoryview(data)[at : found.end], seed + at):
        return Bad("the checksum of the record does not fit")
    return found


def find_commit(data: bytes, seed: int) -> int:
    """Where in `data` a valid COMMIT begins; -1: nowhere."""
    at = data.find(COMMIT_MARK)
    while at >= 0:
        if isinstance(read_record(data, at, seed), Found):
            return at
        at = data.find(COMMIT_MARK, at + 1)
    return -1


def commit_number(data: bytes, found: Found) -> int:
    """The number in a record COMMIT."""
    number: int = COUNT.unpack_from(data, found.begin)[0]
    return number
