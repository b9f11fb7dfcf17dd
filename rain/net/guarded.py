"""Errors in callbacks of a loop: each becomes an error of the task or connection that the callback was about.

A loop logs what a callback raises and goes on; code that waits for what the callback should have done would wait for
ever.
So each method that is given to a loop (or to a transport, a future, a thread that goes on) is `guarded`: what it raises
is logged and given to a method of the same object, which fails the task or ends the connection and frees what it held.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

log = logging.getLogger("rain.guarded")

Method = TypeVar("Method", bound=Callable[..., None])

GUARDED: dict[str, Callable[..., Any]] = {}
"""All guarded methods, by their qualified names."""


def _call(method: Callable[..., None], owner: Any, *args: Any) -> None:
    """Where tests plant errors."""
    method(owner, *args)


def guarded(on_error: str) -> Callable[[Method], Method]:
    """Decorate a method that is used as a callback.

    Parameters
    ----------
    on_error : str
        Name of the method that is called with the error and what the callback was called with. What it raises in turn
        is logged, and that is the end of it.

    Examples
    --------
    ::

        loop.add_reader(fd, self._readable, executor)

        @guarded("_broke")
        def _readable(self, executor): ...

        def _broke(self, error, executor): ...
    """

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def callback(self: Any, *args: Any) -> None:
            try:
                _call(method, self, *args)
            except Exception as error:
                log.exception("%s raised an error", method.__qualname__)
                try:
                    getattr(self, on_error)(error, *args)
                except Exception:
                    log.exception("%s of %s raised an error", on_error, method.__qualname__)

        GUARDED[f"{method.__module__}.{method.__qualname__}"] = callback
        return cast(Method, callback)

    return decorate
