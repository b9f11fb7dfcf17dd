"""States of tasks and data objects that users see, and which may follow which.

The server's graph refuses any change that is not in `TASKS` and `DATA_OBJECTS`. A state goes back (`RUNNING` to
`READY`, `FINISHED` to `WAITING`) when a governor is lost, an attempt crashes or is retried, or a lost object has to be
computed again; what failed or was cancelled goes back when it is retried.
"""

from __future__ import annotations

import enum

from rain.common.state_tables import StateTable


class DataType(enum.Enum):
    """Whether a data object is a blob or a directory."""

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
    REMOVED = "removed"  # finished once; no task and no client needed it any more
    FAILED = "failed"  # its task failed or was cancelled


_T, _O = TaskState, DataObjectState

TASKS = StateTable(
    TaskState,
    "Tasks",
    {
        (None, _T.WAITING): "submitted",
        (_T.WAITING, _T.READY): "its last input is finished",
        (_T.WAITING, _T.RUNNING): "work ahead: its governor made the input itself and started it at once",
        (_T.WAITING, _T.FINISHED): (
            "work ahead: its governor made the input and ran it, and reports both in one batch; or what it was to make "
            "again is not needed any more"
        ),
        (_T.WAITING, _T.FAILED): "a task that it needs failed",
        (_T.WAITING, _T.CANCELLED): "cancelled, or its session ended",
        (_T.READY, _T.RUNNING): "an executor was seen working on it",
        (_T.READY, _T.FINISHED): (
            "it was done before it was seen running; or what it was to make again is not needed any more"
        ),
        (_T.READY, _T.WAITING): "an input was lost with a governor",
        (_T.READY, _T.FAILED): "it failed before it was seen running, or no governor could ever hold it",
        (_T.READY, _T.CANCELLED): "cancelled, or its session ended",
        (_T.RUNNING, _T.FINISHED): "all outputs are there",
        (_T.RUNNING, _T.READY): "its attempt crashed, is retried, or its governor was lost",
        (_T.RUNNING, _T.WAITING): "as before, and an input was lost too",
        (_T.RUNNING, _T.FAILED): "it raised, or ran out of attempts",
        (_T.RUNNING, _T.CANCELLED): "cancelled, or its session ended",
        (_T.FINISHED, _T.WAITING): "an output was lost with a governor and is needed, so it is made again",
        (_T.FAILED, _T.WAITING): "retried",
        (_T.CANCELLED, _T.WAITING): "retried",
    },
)

DATA_OBJECTS = StateTable(
    DataObjectState,
    "Data objects",
    {
        (None, _O.UNFINISHED): "submitted",
        (_O.UNFINISHED, _O.FINISHED): "its task finished, or it is a constant",
        (_O.UNFINISHED, _O.FAILED): "its task failed or was cancelled",
        (_O.FINISHED, _O.REMOVED): "no task needs it, and it is not kept",
        (_O.FINISHED, _O.UNFINISHED): "lost with a governor, so it is made again",
        (_O.REMOVED, _O.UNFINISHED): "it is an input of a task that has to run again",
        (_O.FAILED, _O.UNFINISHED): "its task is retried",
    },
)

SETTLED = frozenset({_T.FINISHED, _T.FAILED, _T.CANCELLED})
"""States in which a task no longer moves by itself."""
