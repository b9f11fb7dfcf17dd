"""The tree of errors that Rain raises.

::

    Exception
    └── RainException          any misuse or failure that Rain reports
        ├── TaskException      a task failed
        │   └── TaskCancelled  it was cancelled
        ├── SessionException   the session is closed or lost
        ├── ProtocolError      a peer sent what it may not (bad frame, version, handshake)
        └── ResourceError      the machine lacks something (disk, memory, a port)
    Warning
    └── RainWarning

A time-out is the builtin `TimeoutError`.
"""

from __future__ import annotations

import errno
from typing import Any

from rain.common.jupyter.tracebacks import rendered


class RainException(Exception):
    """Any misuse or failure that Rain reports."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the user's own frames, and nothing of the client below them."""
        return rendered(self)


class TaskException(RainException):
    """A task failed.

    Attributes
    ----------
    task : rain.Task or None
        The failed task's handle.
    attempts : int
        How many times the task was started.
    """

    def __init__(self, message: str, task: Any = None, attempts: int = 0) -> None:
        super().__init__(message)
        self.task = task
        self.attempts = attempts

    def __reduce__(self) -> Any:
        # A handle belongs to one client: the text is what survives pickling.
        return (type(self), (str(self), None, self.attempts))

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the remote traceback, and nothing of the client that waited for the task."""
        return f"{type(self).__name__}: {self}".splitlines()


class TaskCancelled(TaskException):
    """The task was cancelled."""


class SessionException(RainException):
    """The session is closed or lost."""


class ProtocolError(RainException):
    """A peer sent something that the protocol does not allow; its connection is closed."""


class ResourceError(RainException):
    """The machine lacks something: disk space, memory, a free port."""


class NoRoom(ResourceError):
    """A disk is full, or a quota used up: the same may succeed when there is room again."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def of_system(text: str, error: OSError) -> ResourceError:
    """`text` as an error that says what kind of trouble the system told of.

    Parameters
    ----------
    text : str
        What happened, and to what.
    error : OSError
        What the system told.

    Returns
    -------
    ResourceError
        `NoRoom` where a disk is full or a quota used up.

    Examples
    --------
    >>> of_system("no file", OSError(errno.ENOSPC, "No space left on device"))
    NoRoom('no file')
    """
    return (NoRoom if error.errno in NO_ROOM else ResourceError)(text)


class RainWarning(Warning):
    """Issued through `warnings.warn` for what works but should not be done."""
