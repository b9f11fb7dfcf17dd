"""What a governor that dies leaves on its host in the simulator: files, and the index of its store.

The index is written and read by the real code. A death may take its last entries, or half of one; later a bit of it may
be another one, and the folder may be removed, in whole or in part, before a successor reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.governor.core.effects import Known
from rain.governor.inheritance.index_format import HEAD, About, Entry, Gone, Noted, read, record

LOST_ENTRIES_MAX = 6
TEARS, LOSES_ENTRIES, IS_DAMAGED = 0.2, 0.3, 0.15
"""Shares of the deaths after which the index ends in the middle of an entry; lacks the last ones; is damaged."""
LOSES_FILES, LOSES_ALL, SPOILS_FILES = 0.05, 0.05, 0.1
"""Shares of the files that went before they were read; of the folders of which all of them did; of the files in which
something else stands."""


class Notes:
    """The entries of a store's index, in the order in which they are written.

    Attributes
    ----------
    names : list of str
        Of the store, and of those that it took over.
    noted : dict of ID to Known
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.noted: dict[ID, Known] = {}
        self.entries: list[Entry] = []

    def note(self, known: Known, file: LocalFile | None) -> None:
        """An object is in the store."""
        id = known.spec.id
        self.noted[id] = known
        if file is not None:
            place = (False, file.path, file.inode, file.size, file.mtime_ns, file.checksum, False)
            self.entries.append(Noted(id, *place, known.spec, known.info))

    def moved(self, id: ID, file: LocalFile) -> None:
        """An object has another file."""
        if id in self.noted:
            self.note(self.noted[id], file)

    def forget(self, id: ID) -> None:
        """An object is no longer in the store."""
        if self.noted.pop(id, None) is not None:
            self.entries.append(Gone([id]))

    def remains(self, files: Iterable[tuple[bytes, LocalFile]], dice: Random) -> LeftStore:
        """What is found when the governor has died."""
        left = LeftStore({file.path: (value, file) for value, file in files})
        entries: list[Entry] = [About("", "", False, self.names[0], self.names[1:]), *self.entries]
        if dice.random() < LOSES_ENTRIES:
            del entries[max(1, len(entries) - dice.randint(1, LOST_ENTRIES_MAX)) :]
        ends, data = [], bytearray(HEAD)
        for entry in entries:
            data += record(entry, len(data))
            ends.append(len(data))
        whole = len(data)
        if dice.random() < TEARS:
            whole = dice.randint(ends[-2] if len(ends) > 1 else len(HEAD), len(data))
            del data[whole:]
        if dice.random() < IS_DAMAGED and data:
            bit = dice.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            whole = min(whole, bit // 8)
        left.index = bytes(data)
        left.whole = [entry for entry, end in zip(entries, ends, strict=True) if end <= whole and whole >= len(HEAD)]
        return left


@dataclass
class LeftStore:
    """What a governor that died has left on its host.

    Attributes
    ----------
    files : dict of str to (bytes, LocalFile)
        By their paths.
    index : bytes
    whole : list
        The entries of the index that are in front of what is damaged in it.
    """

    files: dict[str, tuple[bytes, LocalFile]]
    index: bytes = b""
    whole: list[Entry] = field(default_factory=list)

    def taken(self, dice: Random) -> Taken | None:
        """What the governor that is started in the place of the dead one takes over.

        Raises
        ------
        AssertionError
            If it reads in the index what was not written, or does not read what was.
        """
        found = read(self.index)
        if not self.whole:
            assert found is None, f"an index without its first entry was read: {found}"
            return None
        assert found is not None, f"an index was not read, of which these are whole: {self.whole}"
        objects: dict[ID, Noted] = {}
        for entry in self.whole[1:]:
            if isinstance(entry, Noted):
                objects[entry.id] = entry
            elif isinstance(entry, Gone):
                for id in entry.ids:
                    objects.pop(id, None)
        assert found.about == self.whole[0], f"{found.about} was read, {self.whole[0]} was written"
        assert found.objects == objects, f"{found.objects} were read, {objects} were written"
        gone = dice.random() < LOSES_ALL
        taken = Taken([found.about.store, *found.about.before], [])
        for noted in found.objects.values():
            value, file = self.files.get(noted.name, (b"", None))
            if file is not None and not gone and dice.random() >= LOSES_FILES:
                if dice.random() < SPOILS_FILES:
                    value = bytes((value[0] ^ 1,)) + value[1:]
                taken.objects.append((Known(noted.spec, noted.info), value, file))
        return taken


@dataclass
class Taken:
    """What a governor begins with.

    Attributes
    ----------
    names : list of str
        Of the stores that it was in.
    objects : list of (Known, bytes, LocalFile)
    """

    names: list[str]
    objects: list[tuple[Known, bytes, LocalFile]]
