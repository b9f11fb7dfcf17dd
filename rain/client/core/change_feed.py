"""The changes of a session, for views of it: made from the updates that the client gets anyway."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rain.client.core.records import Record

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror


class ChangeFeed:
    """Collects the records of a session that were made or changed since it was last asked.

    A change costs the thread that makes it one append; all else is done by `take`, in the thread of the view.

    Parameters
    ----------
    mirror : SessionMirror
    notify : callable
        Called without arguments when there is something to take after there was nothing; in any thread, perhaps with
        the connection's lock held: it must return at once.
    members : bool
        False: members of families come only once there is more to say of them than that they ran: they failed, printed,
        or were looked at. All others remain columns, and their news only notify.
    """

    __slots__ = ("_changed", "_mirror", "_notify", "_pending", "members")

    def __init__(self, mirror: SessionMirror, notify: Callable[[], None], members: bool = True) -> None:
        self._mirror = mirror
        self._notify = notify
        self.members = members
        self._changed: deque[Record] = deque()
        self._pending = False
        mirror.feeds[self] = None  # first: a change from now on is noted, at worst twice
        self._changed.extend(mirror.records.all() if members else mirror.records.made())
        self.poke()

    def poke(self) -> None:
        """Notify the view of a change, for instance the session's end."""
        if not self._pending:
            self._pending = True
            self._notify()

    def note(self, records: Iterable[Record]) -> None:
        """Note that these records were made or have changed. Any thread may call this."""
        self._changed.extend(records)
        if not self._pending:
            self._pending = True
            self._notify()

    @property
    def waiting(self) -> int:
        """About how many records there are to take."""
        return len(self._changed)

    def take(self) -> list[Record]:
        """The records that changed, each once, in the order of its first change. An output is among them only if it
        changed by itself, not with its task."""
        self._pending = False  # first: a record appended from now on notifies anew
        changed = self._changed
        return list(dict.fromkeys([changed.popleft() for _ in range(len(changed))]))

    def close(self) -> None:
        """Collect no longer."""
        self._mirror.feeds.pop(self, None)
