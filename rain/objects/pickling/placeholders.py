"""Data objects inside pickled arguments: placeholders, and what they become where they are unpickled."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.common.ids import ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_resolver: ContextVar[Callable[[ID], Any] | None] = ContextVar("rain_resolver", default=None)


def placeholder(session_id: int, id: int) -> Any:
    """Stands for a data object inside pickled arguments: unpickling calls it, and gets what the resolver says.

    Raises
    ------
    RainException
        If no resolver is installed: data objects only make sense in the arguments of a task.
    """
    resolver = _resolver.get()
    if resolver is None:
        raise RainException(
            f"data object {session_id}/{id} was pickled into something that is not the argument of a task; "
            "give the object itself to the task, as an argument or input"
        )
    return resolver(ID(session_id, id))


@contextmanager
def resolving(resolver: Callable[[ID], Any]) -> Iterator[None]:
    """While this is open (in this thread), unpickled placeholders become ``resolver(id)``."""
    token = _resolver.set(resolver)
    try:
        yield
    finally:
        _resolver.reset(token)
