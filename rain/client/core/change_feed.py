"""Seeing what changes in a session: a view is a fold over what the client already got."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rain.client.core.records import Record

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror


class ChangeFeed:
    """Collects the records of a session that were made or changed since it was last asked.

    It costs the thread that changes records one append each; all else is done by `take`, in the thread of the view.

    Parameters
    ----------
    mirror : SessionMirror
    notify : callable
        Called without arguments when there is something to take after there was nothing; in any thread, perhaps with
        the connection's lock held: it must return at once.
    """

    __slots__ = ("_changed", "_mirror", "_notify", "_pending")

    def __init__(self, mirror: SessionMirror, notify: Callable[[], None]) -> None:
        self._mirror = mirror
        self._notify = notify
        self._changed: deque[Record] = deque()
        self._pending = False
        mirror.feeds[self] = None  # first: what changes from now on is noted, at worst twice
        self._changed.extend(list(mirror.records.values()))
        self.poke()

    def poke(self) -> None:
        """Something is to be looked at: a record that changed, or the session's end."""
        if not self._pending:
            self._pending = True
            self._notify()

    def note(self, records: Iterable[Record]) -> None:
        """These were made or have changed. Any thread may call it."""
        self._changed.extend(records)
        if not self._pending:
            self._pending = True
            self._notify()

    @property
    def waiting(self) -> int:
        """About how much there is to take."""
        return len(self._changed)

    def take(self) -> list[Record]:
        """What changed, each record once, in the order of its first change. Outputs go with their task: they are there
        only if they changed by themselves."""
        self._pending = False  # first: what is appended from now on is notified anew
        changed = self._changed
        return list(dict.fromkeys([changed.popleft() for _ in range(len(changed))]))

    def close(self) -> None:
        """Collect no longer."""
        self._mirror.feeds.pop(self, None)
