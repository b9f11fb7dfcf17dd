"""Looking at a journal without changing it, and cutting off what is damaged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from rain.server.journal.files import Folder, image_name, segment_name
from rain.server.journal.format import COMMIT, Bad, Head, JournalDamaged, JournalError
from rain.server.journal.reader import Contents, Record, Segment, head_of

ASIDE = "damaged"
"""Folders in that of the journal in which damaged files are kept are called so, with a number."""


class FileState(NamedTuple):
    """One file of a journal.

    Attributes
    ----------
    name : str
    size : int
        Bytes.
    rain : str
        The version that wrote it; empty if its head cannot be read.
    fingerprint : str
    records : int or None
        How many can be read, without the journal's own; None: of an image.
    commits : int
    state : str
        ``"whole"``, ``"counts no more"``, or what is wrong with it.
    """

    name: str
    size: int
    rain: str
    fingerprint: str
    records: int | None
    commits: int
    state: str


class Survey(NamedTuple):
    """A whole journal; `damage` is the first part of it that a server would refuse."""

    files: list[FileState]
    damage: JournalError | None
    torn_bytes: int


class Repair(NamedTuple):
    """What a repair did: where it put the files that it took away or cut, and how many bytes of them count no more;
    empty and 0 if nothing was damaged."""

    folder: str
    files: list[str]
    lost_bytes: int


def survey(path: str, kinds: Collection[int] | None = None) -> Survey:
    """Read all of a journal; nothing is changed, and a server may be writing it.

    Parameters
    ----------
    path : str
    kinds : collection of int or None
        Kinds of records that are known; None: any.

    Raises
    ------
    RainException
        If the folder cannot be opened.
    """
    with contextlib.closing(Folder(path, locked=False)) as folder:
        return _survey(folder, kinds)


def _survey(folder: Folder, kinds: Collection[int] | None) -> Survey:
    damage: JournalError | None = None
    leftover: list[str] = []
    torn: dict[str, int] = {}
    try:
        contents = Contents(folder, kinds)
        leftover = contents.leftover
        contents.image()
        for _ in contents.records():
            pass
        torn = {segment_name(segment.number): segment.torn_bytes for segment in contents.segments if segment.torn_bytes}
    except JournalError as error:
        damage = error
    files = [_image_state(folder, number) for number in folder.numbers("image")]
    files += [_segment_state(folder, number) for number in folder.numbers("journal")]
    states = []
    for file in files:
        state = file.state
        if isinstance(damage, JournalDamaged) and damage.path == folder.where(file.name):
            state = f"damaged at byte {damage.offset}: {damage.why}"
        elif file.name in leftover:
            state = "counts no more"
        elif file.name in torn:
            state = f"{torn[file.name]} bytes at its end were cut short, and count no more"
        states.append(file._replace(state=state))
    return Survey(states, damage, sum(torn.values()))


def _image_state(folder: Folder, number: int) -> FileState:
    name = image_name(number)
    with folder.reading(name) as file:
        size = os.fstat(file).st_size
        head = _head(folder, name, file, number)
    return FileState(name, size, head.rain, head.fingerprint, None, head.commits, "whole")


def _segment_state(folder: Folder, number: int) -> FileState:
    name = segment_name(number)
    with folder.reading(name) as file:
        size = os.fstat(file).st_size
        head = _head(folder, name, file, number)
    records, commits, state = 0, head.commits, "whole"
    try:
        for record in Segment(folder, number).records():
            records += record.kind != COMMIT
            commits += record.kind == COMMIT
    except JournalError as error:
        state = error.why if isinstance(error, JournalDamaged) else str(error)
    return FileState(name, size, head.rain, head.fingerprint, records, commits - head.commits, state)


def _head(folder: Folder, name: str, file: int, number: int) -> Head:
    with contextlib.suppress(JournalError):
        found = head_of(file, folder.where(name), number)
        if not isinstance(found, Bad):
            return found[0]
    return Head(number, "", "")


def records(path: str, kinds: Collection[int] | None = None) -> Iterator[tuple[str, Record]]:
    """The names of files, and the records in them that a server would take.

    Raises
    ------
    JournalError
        Where it would stop.
    """
    with contextlib.closing(Folder(path, locked=False)) as folder:
        contents = Contents(folder, kinds)
        for segment in contents.segments:
            for record in contents.records_of(segment):
                yield segment_name(segment.number), record


def repair(path: str) -> Repair:
    """Cut a journal where it is damaged. What was recorded before stays; the files with the rest are kept aside.

    Raises
    ------
    JournalInUse
        If a server has it.
    JournalError
        If nothing comes before the damage, because it is in the image; or the journal is another version's.
    OSError
    """
    if not os.path.isdir(path):
        raise JournalError(f"there is no folder {path}")
    with contextlib.closing(Folder(path)) as folder:
        found = _survey(folder, None)
        if found.damage is None:
            return Repair("", [], 0)
        if not isinstance(found.damage, JournalDamaged):
            raise found.damage
        return _cut(folder, found.damage, found)


def _cut(folder: Folder, damage: JournalDamaged, found: Survey) -> Repair:
    damaged = os.path.basename(damage.path)
    if damaged.endswith(".image"):
        raise JournalError(
            f"{damage.path} is damaged at byte {damage.offset}: it holds the state from which the journal goes on, so "
            f"nothing of it can be kept. To begin with an empty journal, move {folder.path} away"
        )
    segments = [file for file in found.files if file.name.endswith(".journal") and file.name >= damaged]
    number = 1
    while os.path.lexists(folder.where(f"{ASIDE}-{number}")):
        number += 1
    aside = f"{ASIDE}-{number}"
    folder.make(aside)
    for file in reversed(segments):  # the last one first: whenever this is killed, it can be done again
        folder.copy(file.name, aside)
    folder.sync()
    lost = 0
    for file in reversed(segments):
        kept = damage.offset if file.name == damaged else 0
        lost += file.size - kept
        if kept:
            folder.truncate(file.name, kept)
        else:
            folder.remove(file.name)
    folder.sync()
    return Repair(folder.where(aside), [file.name for file in segments], lost)
