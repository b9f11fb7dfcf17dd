"""The part of `Session` that calls plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rain.client.handles import Holder
from rain.client.plain.function import PlainFunction
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.session import Session
    from rain.client.task import Task

R = TypeVar("R")


class PlainCalls(Holder):
    """Calls of functions that know nothing of Rain."""

    @property
    def seed(self) -> int | None:
        """The seed of what `rain.rng` gives to tasks that are made from now on; None (as at first): other numbers each
        time. May be set at any time, to an integer from 0 on; `Client.new_session` takes it as ``seed=``. A client that
        attaches to the session goes on with the seed of its last task."""
        return self._inside.mirror.seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        check_seed(seed)
        self._inside.mirror.seed = seed

    def call(self, function: Callable[..., R], /, *args: Any, **kwargs: Any) -> Task[R]:
        """A task of this session that calls a function: `Task.result` submits it and gives the value.

        Parameters
        ----------
        function : callable
            As `rain.task` takes it, or what that made. With options of the task: ``rain.task(function, cpus=2)``.
        *args, **kwargs
            All are the function's. Tasks and data objects in them arrive as loaded values.

        Returns
        -------
        Task
            With one output, which is kept as long as there is a handle of the task or the output.

        Raises
        ------
        TypeError
            If the arguments do not fit the function's signature.
        RainException
            If function or arguments cannot be pickled, or the function was made by `rain.remote`.
        SessionException
            If the session is closed.

        Examples
        --------
        >>> with client.new_session("powers") as session:
        ...     session.call(pow, 2, 5).result()
        32
        """
        return plain_function(cast("Session", self), function)._task(cast("Session", self), args, kwargs)


def check_seed(seed: Any) -> None:
    """Make sure that `seed` can be a session's.

    Raises
    ------
    RainException
        If it cannot.
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63):
        raise RainException(f"seed is an integer from 0 to 2**63 - 1 or None, not {seed!r}")


def plain_function(session: Session, function: Any) -> PlainFunction[..., Any]:
    """`function` as a `PlainFunction`, which is made once for each function of a session."""
    if isinstance(function, PlainFunction):
        return function
    known = session._inside.plain
    found = known.get(id(function))
    if found is None or found[0] is not function:
        found = known[id(function)] = (function, PlainFunction(function))
    return found[1]
