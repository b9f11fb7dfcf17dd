"""What a running server records, and when what follows from it may leave: the journal, or none."""

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
        """Let time go on from `now`, the last time that was recorded: it never goes back."""
        self._ahead_s = now - time.monotonic()

    def now(self) -> float:
        """Seconds, for the next record."""
        return time.monotonic() + self._ahead_s

    def add(self, record: Record) -> None:
        """Gather a record."""
        if self.journal is not None and not self._over:
            self.journal.add(KINDS[type(record)], encode_record(record))

    def commit(self) -> bool:
        """Write what was gathered; False while there is no room for it: nothing may leave then."""
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
        """Another server has what was recorded: nothing is added to it, and nothing leaves any more."""
        self._over = True

    def detach(self) -> None:
        """In a child that writes an image: nothing is written and nothing is done any more."""
        self.journal, self._waiting = None, []

    def after_commit(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do something in the world that cannot be taken back, once all that was gathered is written."""
        if self.journal is None:
            action(*arguments)
        else:
            self._waiting.append((action, arguments))

    @property
    def full(self) -> str:
        """Why nothing new should be taken on; empty: there is room."""
        return "" if self.journal is None else self.journal.full
