"""Which session new tasks and objects go to.

The stack of open ``with`` blocks is per thread and per asyncio task (a context variable), the default is per process.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.session import Session

_stack: ContextVar[tuple[Session, ...]] = ContextVar("rain_sessions", default=())
_default: Session | None = None


def get_active_session() -> Session:
    """The session that new tasks and objects go to: of the innermost ``with`` block, else the default one.

    Returns
    -------
    Session

    Raises
    ------
    RainException
        If there is neither.
    SessionException, TaskException
        If that session is closed, lost, or stopped by a failure.

    Examples
    --------
    >>> with client.new_session("first"):
    ...     get_active_session().name
    'first'
    """
    stack = _stack.get()
    session = stack[-1] if stack else _default
    if session is not None:
        session._check_open()
        return session
    if getattr(sys.modules.get("rain.executor.loop"), "serving", False):  # not imported: clients have none
        raise RainException(
            "a task cannot make tasks or data objects: it returns data (see ctx.blob, ctx.pickled), "
            "and calls the plain function of a remote one as fn.function(ctx, ...)"
        )
    raise RainException(
        "no session is active here: create tasks and objects inside `with client.new_session(...) as session:`, "
        "or make a session the default with session.set_as_default() or client.new_session(..., default=True)"
    )


def push(session: Session) -> None:
    """Make `session` the active one of this thread or asyncio task."""
    _stack.set((*_stack.get(), session))


def pop(session: Session) -> None:
    """Undo the last `push` of `session`; nothing if there was none here."""
    stack = _stack.get()
    for index in range(len(stack) - 1, -1, -1):
        if stack[index] is session:
            _stack.set(stack[:index] + stack[index + 1 :])
            return


def set_default(session: Session | None) -> None:
    """Make `session` the default of this process."""
    global _default
    _default = session


def unset_default(session: Session) -> None:
    """`session` is no longer the default, if it was."""
    global _default
    if _default is session:
        _default = None
