"""The recorder: gathers a running server's records for its journal, and holds back actions until these are written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from rain.server.journal.journal import Journal
from rain.server.recovery.records import KINDS, Record, encode_record

log = logging.getLogger("rain.server")


class Recorder:
    """Takes records, and the actions that have to wait until they are written.

    Parameters
    ----------
    journal : Journal or None
        None: nothing is recorded, and nothing waits.

    Attributes
    ----------
    journal : Journal or None
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal
        self._ahead_s = 0.0
        self._over = False
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def begin(self, now: float) -> None:
        """Begin at `now`, the last time that was recorded, so that time never goes back."""
        self._ahead_s = now - time.monotonic()

    def now(self) -> float:
        """The time for the next record, in seconds."""
        return time.monotonic() + self._ahead_s

    def add(self, record: Record) -> None:
        """Add a record to the next commit."""
        if self.journal is not None and not self._over:
            self.journal.add(KINDS[type(record)], encode_record(record))

    def commit(self) -> bool:
        """Write the records of a commit; False while there is no room for it, so that nothing may leave the server."""
        if self._over or (self.journal is not None and not self.journal.commit()):
            return False
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for action, arguments in waiting:
                try:
                    action(*arguments)
                except Exception:  # what is written counts, and others wait for it
                    log.exception("what waited for the journal raised an error")
        return True

    def end(self) -> None:
        """Stop: another server has the records now; nothing is added to them, and nothing leaves any more."""
        self._over = True

    def detach(self) -> None:
        """In a child that writes an image: drop the journal and all actions."""
        self.journal, self._waiting = None, []

    def after_commit(self, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action`, which cannot be undone, once all records that were added are written."""
        if self.journal is None:
            action(*arguments)
        else:
            self._waiting.append((action, arguments))

    @property
    def full(self) -> str:
        """Why the server should accept no new work; empty: there is room."""
        return "" if self.journal is None else self.journal.full
