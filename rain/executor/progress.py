"""What the running task says of itself, `ctx.progress` and `ctx.show`: the last is kept, and told now and then.

Theory of operation
-------------------
The task's threads only note what is to be told, at the cost of an assignment. The responder thread sends it, at most
every `PROGRESS_EVERY_S`, and only while a task takes long: short ones cost nothing, whatever they say. A signal that
ends the task cannot cut a message in two, as the main thread sends none of these.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import PROGRESS_EVERY_S, PROGRESS_NOTE_CHARS_MAX, SHOW_SHARE
from rain.common.protocol.messages import TaskProgress
from rain.executor.python.attempt import Attempt


class Teller:
    """Notes what the running task says of itself; one for each executor.

    Parameters
    ----------
    send : callable
        Called with a `TaskProgress`, by `tell`.

    Attributes
    ----------
    attempt : Attempt or None
        What runs, and has said nothing when it begins; none: what is said now is said by threads that were left. The
        main thread sets it.
    """

    def __init__(self, send: Callable[[TaskProgress], None] = lambda told: None) -> None:
        self._send = send
        self._pid = os.getpid()
        self.attempt: Attempt | None = None
        self._told: TaskProgress | None = None
        self._told_of: Attempt | None = None
        self._due = False
        self._sent_at = 0.0
        self._rest_until = 0.0

    @property
    def running(self) -> ID | None:
        """The running task, if what is said in this process is told: not in one that the task forked."""
        attempt = self.attempt
        return attempt.spec.id if attempt is not None and os.getpid() == self._pid else None

    def _note(self, id: ID) -> TaskProgress | None:
        """Where to note what the task `id` says; None if it is not the one that runs."""
        attempt, told = self.attempt, self._told
        if attempt is None or attempt.spec.id != id:
            return None
        if told is None or self._told_of is not attempt:
            self._rest_until = 0.0
            told = TaskProgress(id, attempt.task.attempt)
            self._told, self._told_of = told, attempt
        return told

    def progress(self, id: ID, done: float | None, total: float | None, note: str) -> None:
        """Note how far a task is."""
        told = self._note(id)
        if told is not None:
            told.done, told.total, told.note = done, total, note
            self._due = True

    def show(self, id: ID, value: Any, title: str) -> None:
        """Note what a task shows, unless that would take more of its time than `SHOW_SHARE`."""
        begin = time.monotonic()
        told = self._note(id)
        if told is None or begin < self._rest_until:
            return
        from rain.executor.views.preview import fitted, preview_of

        told.shown, told.title = fitted(preview_of(value)), title
        self._due = True
        took = time.monotonic() - begin
        self._rest_until = begin + took / SHOW_SHARE

    def tell(self) -> None:
        """Send what was noted, if it is time; in the responder thread."""
        told, attempt = self._told, self.attempt
        if told is None or attempt is None or attempt is not self._told_of or not self._due:
            return
        if time.monotonic() - self._sent_at < PROGRESS_EVERY_S:
            return
        self._due = False
        self._sent_at = time.monotonic()
        self._send(told)


def checked_amount(value: Any, name: str) -> float | None:
    """An amount of work: a number that is not negative, or None.

    Raises
    ------
    RainException
        If it is anything else.
    """
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise RainException(f"ctx.progress: {name} is a number that is not negative, or None, not {value!r}")
    return number


def checked_note(text: Any, name: str) -> str:
    """A line of text, of bounded length.

    Raises
    ------
    RainException
        If it is no text.
    """
    if text is None:
        return ""
    if not isinstance(text, str):
        raise RainException(f"{name} is a str or None, not {type(text).__name__}")
    return text.partition("\n")[0][:PROGRESS_NOTE_CHARS_MAX]
