"""Reading a journal: its files in order, each record checked, a torn tail told from damage."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator
from itertools import pairwise
from typing import NamedTuple

from rain.server.journal.files import Folder, image_name, segment_name
from rain.server.journal.format import (
    CHECKSUM,
    COMMIT,
    COUNT,
    END,
    HEAD_BYTES_MAX,
    IMAGE,
    KIND_MAX,
    OVERHEAD_BYTES,
    Bad,
    Head,
    JournalDamaged,
    JournalUnreadable,
    commit_number,
    decode_head,
    find_commit,
    read_record,
    seed_of,
)

READ_BYTES = 1 << 20
_LOOK_BYTES = 64
"""By how much two pieces overlap in which a COMMIT is looked for."""


class Record(NamedTuple):
    """A record, and where it stands."""

    kind: int
    payload: bytes
    offset: int


def head_of(file: int, path: str, number: int) -> tuple[Head, int] | Bad:
    """The head of a file, and where it ends.

    Raises
    ------
    JournalUnreadable
        If the file is of another format.
    JournalDamaged
        If it is the head of another file.
    """
    found = decode_head(os.pread(file, HEAD_BYTES_MAX, 0), path)
    if not isinstance(found, Bad) and found[0].number != number:
        raise JournalDamaged(path, 0, f"its head says that its number is {found[0].number}")
    return found


class Segment:
    """One segment of a journal that is read.

    Attributes
    ----------
    number : int
    path : str
    head : Head or None
        None: it cannot be read.
    end : int
        How far its records reach; known when they were read, or from the next segment's head.
    torn_bytes : int
        What stands behind that and is dropped.
    commits : int
        Number of the last commit that was read.
    """

    def __init__(self, folder: Folder, number: int) -> None:
        self._folder = folder
        self._name = segment_name(number)
        self.number = number
        self.path = folder.where(self._name)
        self.head: Head | None = None
        self.torn_bytes = 0
        self.last = True
        self._at = 0
        with folder.reading(self._name) as file:
            self.size = os.fstat(file).st_size
            found = head_of(file, self.path, number)
        self.end = self.size
        self.commits = 0
        self._begin = 0
        self._bad_head: Bad | None = None
        if isinstance(found, Bad):
            self._bad_head = found
        else:
            self.head, self._begin = found
            self.commits = self.head.commits

    def ends_at(self, following: Head) -> None:
        """The head of the next segment says where this one ended."""
        self.last = False
        self.end = following.previous_bytes
        self._commits_wanted = following.commits
        if self.size < self.end:
            raise JournalDamaged(self.path, self.size, f"the file is shorter than the {self.end} bytes that it had")
        self.torn_bytes = self.size - self.end

    def records(self) -> Iterator[Record]:
        """All records, COMMIT among them, up to the torn tail.

        Raises
        ------
        JournalDamaged
        """
        with self._folder.reading(self._name) as file:
            bad = self._bad_head
            if bad is None:
                bad = yield from self._read(file)
            if bad is not None:
                self._broken(file, self._at, bad)
        if not self.last and self.commits != self._commits_wanted:
            raise JournalDamaged(
                self.path, self.end, f"it ends with commit {self.commits}, and {self._commits_wanted} were written"
            )

    def _read(self, file: int) -> Generator[Record, None, Bad | None]:
        """Yield records up to `_at`; returns what is wrong there, or None at the end."""
        seed = seed_of(self.number)
        start, data, place = self._begin, b"", 0  # `data` begins at `start` in the file
        while (at := start + place) < self.end:
            self._at = at
            found = read_record(data, place, seed + start)
            if isinstance(found, Bad):
                have = len(data) - place
                if not found.missing or at + have >= self.end:
                    return found
                start, place = at, 0
                data = os.pread(file, min(max(READ_BYTES, have + found.missing), self.end - at), at)
                if len(data) <= have:
                    return found
                continue
            if found.kind == COMMIT:
                number = commit_number(data, found)
                if number != self.commits + 1:
                    return Bad(f"commit {number} follows commit {self.commits}")
                self.commits = number
            elif at == self._begin:
                return Bad("the first record is not the beginning of a commit")
            yield Record(found.kind, data[found.begin : found.end], at)
            place = found.end + CHECKSUM.size
        self._at = at
        return None

    def _broken(self, file: int, at: int, bad: Bad) -> None:
        """Something is wrong at `at`: a torn tail, or damage."""
        if not self.last or self._commit_after(file, at):
            raise JournalDamaged(self.path, at, bad.why)
        self.end = at
        self.torn_bytes = self.size - at

    def _commit_after(self, file: int, at: int) -> bool:
        seed = seed_of(self.number)
        at += 1
        while at < self.end:
            data = os.pread(file, min(READ_BYTES, self.end - at), at)
            if not data:
                return False
            if find_commit(data, seed + at) >= 0:
                return True
            if at + len(data) >= self.end:
                return False
            at += max(len(data) - _LOOK_BYTES, 1)
        return False


class Contents:
    """All that counts of a journal: the newest image, and the segments from there on.

    Parameters
    ----------
    folder : Folder
    kinds : collection of int or None
        The kinds of records that the reader knows; None: any.

    Attributes
    ----------
    image_number : int or None
        The segment before which that image was made.
    segments : list of Segment
    heads : list of Head
        Of the image and the segments, as far as they have one.
    leftover : list of str
        Files that count no more.

    Raises
    ------
    JournalDamaged, JournalUnreadable
    """

    def __init__(self, folder: Folder, kinds: Collection[int] | None = None) -> None:
        self._folder = folder
        self._kinds = kinds
        images, numbers = folder.numbers("image"), folder.numbers("journal")
        self.image_number = images[-1] if images else None
        first = self.image_number if self.image_number is not None else 1
        counted = [number for number in numbers if number >= first]
        self.leftover = [
            *(image_name(number) for number in images[:-1]),
            *(image_name(number) + ".part" for number in folder.numbers("image.part")),
            *(segment_name(number) for number in numbers if number < first),
        ]
        self.heads: list[Head] = []
        if self.image_number is not None:
            name = image_name(self.image_number)
            with folder.reading(name) as file:
                found = head_of(file, folder.where(name), self.image_number)
            if isinstance(found, Bad):
                raise JournalDamaged(folder.where(name), 0, found.why)
            self._image_begin = found[1]
            self.heads.append(found[0])
        for expected, number in enumerate(counted, first):
            if number != expected:
                raise JournalDamaged(
                    folder.where(segment_name(expected)), 0, f"it is missing, and {segment_name(number)} is there"
                )
        self.segments = [Segment(folder, number) for number in counted]
        if self.segments and self.segments[-1].head is None:
            self._drop_headless()
        self.heads += [segment.head for segment in self.segments if segment.head is not None]
        for segment, following in pairwise(self.segments):
            if following.head is not None:
                segment.ends_at(following.head)

    @property
    def next_number(self) -> int:
        """Number of the segment that follows."""
        return self.segments[-1].number + 1 if self.segments else self.image_number or 1

    def image(self) -> bytes | None:
        """The image, whole.

        Raises
        ------
        JournalDamaged
        """
        number = self.image_number
        if number is None:
            return None
        name = image_name(number)
        path, seed = self._folder.where(name), seed_of(number, image=True)
        pieces: list[bytes] = []
        with self._folder.reading(name) as file:
            size, at = os.fstat(file).st_size, self._image_begin
            while True:
                data = os.pread(file, min(READ_BYTES + OVERHEAD_BYTES, size - at), at)
                found = read_record(data, 0, seed + at)
                if isinstance(found, Bad):
                    raise JournalDamaged(path, at, found.why)
                if found.kind == IMAGE:
                    pieces.append(data[found.begin : found.end])
                elif found.kind == END:
                    break
                else:
                    raise JournalDamaged(path, at, f"a record of kind {found.kind} does not belong there")
                at += found.end + CHECKSUM.size
        image = b"".join(pieces)
        if len(image) != COUNT.unpack_from(data, found.begin)[0]:
            raise JournalDamaged(path, at, f"the image has {len(image)} bytes, and another number was written")
        return image

    def _drop_headless(self) -> None:
        """The writer of the last segment died before its head was whole: there is nothing in it."""
        last = self.segments[-1]
        for _ in last.records():
            pass
        self.leftover.append(segment_name(last.number))
        self.segments.pop()

    def records(self) -> Iterator[Record]:
        """The records after the image, without those of the journal itself.

        Raises
        ------
        JournalDamaged
        JournalUnreadable
            If a record is of a kind that the reader does not know.
        """
        for segment in self.segments:
            yield from self.records_of(segment)

    def records_of(self, segment: Segment) -> Iterator[Record]:
        """Those of one segment."""
        for record in segment.records():
            if record.kind == COMMIT:
                continue
            if not 0 < record.kind <= KIND_MAX or (self._kinds is not None and record.kind not in self._kinds):
                raise JournalUnreadable(
                    f"{segment.path} has at byte {record.offset} a record of kind {record.kind}, which this "
                    f"version of Rain does not know; Rain {segment.head.rain if segment.head else '?'} wrote it"
                )
            yield record
