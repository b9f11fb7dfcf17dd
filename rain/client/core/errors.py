"""Failures as the core sees them: the shell makes the exceptions and texts that users get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.core.records import TaskRecord
    from rain.client.core.session_mirror import End, SessionMirror


class TaskFailed(Exception):
    """A task failed or was cancelled, and with it what was waited for.

    Attributes
    ----------
    mirror : SessionMirror
    record : TaskRecord
    others, not_run : int
        How many more tasks have failed, and how many were not run because of failed ones; none of them will be raised.
    """

    def __init__(self, mirror: SessionMirror, record: TaskRecord, others: int = 0, not_run: int = 0) -> None:
        super().__init__(record.spec.id)
        self.mirror = mirror
        self.record = record
        self.others = others
        self.not_run = not_run


class SessionEnded(Exception):
    """The session cannot be used any more.

    Attributes
    ----------
    mirror : SessionMirror
    end : End
    """

    def __init__(self, mirror: SessionMirror, end: End) -> None:
        super().__init__(end.text)
        self.mirror = mirror
        self.end = end


class ValueGone(RainException):
    """The value of a constant is not what it was when the constant was made, so that it cannot be submitted."""
