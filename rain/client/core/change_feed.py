"""Seeing what changes in a session, for whoever shows it: views are folds over what the client already got."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rain.client.core.session_mirror import Record

if TYPE_CHECKING:
    from rain.client.session import Session


class ChangeFeed:
    """Collects the records of a session that were made or changed since it was last asked.

    Costs whoever changes records one append each; all else is done by `take`, in the thread of whoever watches.

    Parameters
    ----------
    session : Session
    notify : callable
        Called without arguments when there is something to take after there was nothing; in any thread, perhaps with
        the session's lock held: it must return at once.
    """

    __slots__ = ("_changed", "_notify", "_pending", "session")

    def __init__(self, session: Session, notify: Callable[[], None]) -> None:
        self.session = session
        self._notify = notify
        self._changed: deque[Record] = deque()
        self._pending = False
        with session._lock:
            session._mirror.watches = (*session._mirror.watches, self)
            self._changed.extend(list(session._mirror.records.values()))
        self.poke()

    def poke(self) -> None:
        """Something is to be looked at: a record that changed, or the session's end."""
        if not self._pending:
            self._pending = True
            self._notify()

    def note(self, records: Iterable[Record]) -> None:
        """These were made or have changed. Any thread may call it, with the session's lock or without."""
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
        """ChangeFeed no longer."""
        with self.session._lock:
            mirror = self.session._mirror
            mirror.watches = tuple(watch for watch in mirror.watches if watch is not self)
