"""States of tasks and data objects, and which may follow which.

Theory of operation
-------------------
`TRANSITIONS` is the whole truth: the server's graph refuses any change that is not in it, the tests walk it, and the
diagram in ``docs/states.md`` is drawn from it. A state goes back (`RUNNING` to `READY`, `FINISHED` to `WAITING`) when a
governor is lost, an attempt crashes or is retried, or a lost object has to be computed again; what failed or was
cancelled goes back when it is retried.
"""

from __future__ import annotations

import enum


class DataType(enum.Enum):
    """What kind of thing a data object is."""

    BLOB = "blob"
    DIRECTORY = "dir"


class TaskState(enum.Enum):
    """Where a submitted task is."""

    WAITING = "waiting"  # an input is not finished
    READY = "ready"  # could run; perhaps already sent to a governor
    RUNNING = "running"  # an executor works on it
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DataObjectState(enum.Enum):
    """Where a submitted data object is."""

    UNFINISHED = "unfinished"
    FINISHED = "finished"
    REMOVED = "removed"  # finished once; nobody needed it any more
    FAILED = "failed"  # its task failed or was cancelled


_T, _O = TaskState, DataObjectState

TRANSITIONS: dict[TaskState | DataObjectState, frozenset[TaskState | DataObjectState]] = {
    _T.WAITING: frozenset({_T.READY, _T.FAILED, _T.CANCELLED, _T.FINISHED, _T.RUNNING}),
    _T.READY: frozenset({_T.RUNNING, _T.FINISHED, _T.WAITING, _T.FAILED, _T.CANCELLED}),
    _T.RUNNING: frozenset({_T.FINISHED, _T.READY, _T.WAITING, _T.FAILED, _T.CANCELLED}),
    _T.FINISHED: frozenset({_T.WAITING, _T.READY}),
    _T.FAILED: frozenset({_T.WAITING, _T.READY}),
    _T.CANCELLED: frozenset({_T.WAITING, _T.READY}),
    _O.UNFINISHED: frozenset({_O.FINISHED, _O.FAILED}),
    _O.FINISHED: frozenset({_O.REMOVED, _O.UNFINISHED}),
    _O.REMOVED: frozenset({_O.UNFINISHED}),
    _O.FAILED: frozenset({_O.UNFINISHED}),
}
"""state -> the states that may follow. `WAITING` to `RUNNING` or `FINISHED` is work ahead: a governor ran a task whose
inputs it made itself, and said so in one batch."""

SETTLED = frozenset({_T.FINISHED, _T.FAILED, _T.CANCELLED})
"""States in which a task no longer moves by itself."""
