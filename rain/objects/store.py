"""The index of an object store: which ids name which object, what is counted where, what is to be spilled.

Pure: it touches no file. What it gives back tells the store what to do with files. The store holds a lock around every
call but the plain questions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from rain.common.ids import ID
from rain.common.limits import SPARE_MEMORY_SHARE
from rain.common.location import LocalFile
from rain.objects.held import Held


class Entry:
    """One object's data; several ids may name it, and it goes with the last of them.

    Attributes
    ----------
    held : Held
    ids : set of ID
    in_memory : bool
        Whether its file is on the memory file system.
    spilling : bool
        Whether the spiller has it: then that removes its files, if no id names it any more.
    left_behind : str or None
        The link at its old path.
    unread : bool
        Whether it is from a governor that died, and its bytes have not been compared since.
    """

    __slots__ = ("held", "ids", "in_memory", "left_behind", "spilling", "unread")

    def __init__(self, held: Held, in_memory: bool) -> None:
        self.held = held
        self.ids: set[ID] = set()
        self.in_memory = in_memory
        self.spilling = False
        self.left_behind: str | None = None
        self.unread = False


class StoreIndex:
    """The entries of a store, and how many bytes they have.

    Parameters
    ----------
    memory_bytes_max : int
        Bytes of objects in memory files before the longest unused are to be spilled.

    Attributes
    ----------
    inline_bytes, memory_bytes, disk_bytes : int
        In messages' bytes, in memory files, in files on disk.
    spilled_bytes : int
        Moved to disk so far.
    memory_bytes_max : int
    """

    def __init__(self, memory_bytes_max: int) -> None:
        self.inline_bytes = self.memory_bytes = self.disk_bytes = self.spilled_bytes = 0
        self.memory_bytes_max = self._allowed = memory_bytes_max
        self._entries: dict[ID, Entry] = {}
        self._sessions: dict[int, set[ID]] = {}
        self._recent: OrderedDict[Entry, None] = OrderedDict()  # entries with memory files, longest unused first

    # -- asking ---------------------------------------------------------------------------------

    def get(self, id: ID) -> Entry | None:
        """The entry that `id` names; it is used now."""
        entry = self._entries.get(id)
        if entry is not None and entry.in_memory:
            self._recent.move_to_end(entry)
        return entry

    def look(self, id: ID) -> Entry | None:
        """The entry that `id` names, which is not used by that."""
        return self._entries.get(id)

    def ids(self, session_id: int | None = None) -> list[ID]:
        """All ids, or those of a session."""
        return list(self._entries if session_id is None else self._sessions.get(session_id, ()))

    def __contains__(self, id: ID) -> bool:
        return id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Whether memory files have more bytes than they may: writers are sent to disk."""
        return self.memory_bytes > self.memory_bytes_max

    # -- taking and dropping --------------------------------------------------------------------

    def add(self, id: ID, held: Held, in_memory: bool) -> list[Entry]:
        """Let `id` name a new entry; gives what it named before, as `drop` does."""
        entry = Entry(held, in_memory)
        gone = self.name(id, entry)
        self._count(entry, 1)
        if in_memory:
            self._recent[entry] = None
        return gone

    def name(self, id: ID, entry: Entry) -> list[Entry]:
        """Let `id` name `entry`; gives what it named before, as `drop` does."""
        if self._entries.get(id) is entry:
            return []
        gone = self.drop([id])
        self._entries[id] = entry
        entry.ids.add(id)
        self._sessions.setdefault(id.session_id, set()).add(id)
        return gone

    def drop(self, ids: Iterable[ID]) -> list[Entry]:
        """Forget these ids; gives the entries whose files are to be removed, because no id names them any more."""
        gone = []
        for id in ids:
            entry = self._entries.pop(id, None)
            if entry is None:
                continue
            of_session = self._sessions[id.session_id]
            of_session.discard(id)
            if not of_session:
                del self._sessions[id.session_id]
            entry.ids.discard(id)
            if not entry.ids:
                self._count(entry, -1)
                self._recent.pop(entry, None)
                if not entry.spilling:
                    gone.append(entry)
        return gone

    def _count(self, entry: Entry, sign: int) -> None:
        held = entry.held
        change = sign * held.size
        if not isinstance(held.location, LocalFile):
            self.inline_bytes += change
        elif entry.in_memory:
            self.memory_bytes += change
        else:
            self.disk_bytes += change

    # -- spilling -------------------------------------------------------------------------------

    def to_spill(self) -> list[Entry]:
        """What has to go so that memory files are within their limit once all spills are done, the longest unused
        first; the newest stays, unless it alone is too much. The entries are `spilling` from now on."""
        over = self.memory_bytes - self.memory_bytes_max
        chosen: list[Entry] = []
        if over <= 0:
            return chosen
        newest = next(reversed(self._recent))
        for entry in self._recent:
            if over <= 0:
                break
            if not entry.spilling:
                if entry is newest and entry.held.size <= self.memory_bytes_max:
                    continue
                entry.spilling = True
                chosen.append(entry)
            over -= entry.held.size
        return chosen

    def spilled(self, entry: Entry, held: Held, left_behind: str) -> None:
        """An entry lies on disk now, as `held`."""
        self._count(entry, -1)
        self._recent.pop(entry, None)
        entry.held, entry.in_memory, entry.left_behind, entry.unread = held, False, left_behind, False
        self._count(entry, 1)
        self.spilled_bytes += held.size

    def heed(self, left: int, limit: int) -> None:
        """Of a control group's `limit` of bytes of memory `left` are left: objects have to go while that is less than
        `SPARE_MEMORY_SHARE`, and need not any more when it is twice that."""
        spare = int(limit * SPARE_MEMORY_SHARE)
        if left < spare:
            self.memory_bytes_max = max(0, min(self.memory_bytes_max, self.memory_bytes - (spare - left)))
        elif left > 2 * spare:
            self.memory_bytes_max = self._allowed
