"""`RainExecutor`: `concurrent.futures.Executor` whose calls run as tasks."""

from __future__ import annotations

import concurrent.futures
import itertools
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rain.client.report.echo import begin_unasked
from rain.interfaces.calls import checked
from rain.interfaces.dispatcher import Dispatcher
from rain.interfaces.futures import ExecutorLost, RainFuture

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.session import Session

__all__ = ["ExecutorLost", "RainExecutor", "RainFuture"]


class RainExecutor(concurrent.futures.Executor):
    """Calls plain functions in executors of a client's governors; made by `Client.executor`.

    Parameters
    ----------
    client : Client
    options : dict
        Options of every task.
    session : Session, optional
        The session of the tasks; a new one of this executor if not given.

    Examples
    --------
    >>> with client.executor() as executor:
    ...     list(executor.map(pow, [2, 3], [5, 2]))
    [32, 9]
    """

    def __init__(self, client: Client, options: dict[str, Any], session: Session | None = None) -> None:
        checked({**options, "session": session})  # a wrong one makes no session
        owned = session is None
        self.session = client.new_session("executor") if session is None else session
        begin_unasked(self.session)
        self._dispatcher = Dispatcher(self.session, options, owned)
        # What was submitted goes on; then all ends.
        self._finalizer = weakref.finalize(self, self._dispatcher.end)
        self._finalizer.atexit = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> RainFuture:
        """Call a function.

        Parameters
        ----------
        fn : callable
            A plain function: it gets the arguments and no context.
        *args, **kwargs
            Any values; futures of this executor, and tasks and data objects of its session, arrive as what they give.

        Returns
        -------
        RainFuture
            Its exception is what `fn` raised, caused by a `TaskException` with the remote traceback.

        Raises
        ------
        RuntimeError
            After `shutdown`.
        ExecutorLost
            If the session has ended.
        """
        return self._dispatcher.submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """The results of a function for each item, in order.

        Parameters
        ----------
        fn : callable
        *iterables
            One for each argument; the shortest says how many calls are made.
        timeout : float, optional
            Seconds from now on for all of them.
        chunksize : int
            How many calls are one task.
        buffersize : int, optional
            How many tasks, at most, are submitted whose results were not taken yet; all at once if not given.

        Returns
        -------
        iterator

        Raises
        ------
        ValueError
            If `chunksize` or `buffersize` is less than 1.
        TimeoutError
            By the iteration, if the next result is not there after `timeout`.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables, strict=False)
        futures: deque[RainFuture] = deque()
        if chunksize == 1:
            submits = (self.submit(fn, *args) for args in calls)
        else:
            submits = (self.submit(_chunk, fn, chunk) for chunk in _chunks(calls, chunksize))
        futures.extend(submits if buffersize is None else itertools.islice(submits, buffersize))
        results = _results(weakref.ref(self), futures, submits if buffersize is not None else iter(()), deadline)
        return results if chunksize == 1 else itertools.chain.from_iterable(results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the executor's own session is closed when the last one has ended.

        Parameters
        ----------
        wait : bool
            Whether to wait for that.
        cancel_futures : bool
            Whether calls that do not run yet are cancelled.
        """
        self._dispatcher.end(cancel_futures)
        if wait:
            self._dispatcher.join()

    def __repr__(self) -> str:
        return f"<RainExecutor of {self.session!r}>"


def _chunks(calls: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(calls, size)):
        yield chunk


def _chunk(fn: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    return [fn(*args) for args in calls]


def _next(
    executor: weakref.ref[RainExecutor], futures: deque[RainFuture], more: Iterator[RainFuture], timeout: float | None
) -> Any:
    value = futures[0].result(timeout)
    futures.popleft()
    following = next(more, None) if executor() is not None else None
    if following is not None:
        futures.append(following)
    return value


def _results(
    executor: weakref.ref[RainExecutor], futures: deque[RainFuture], more: Iterator[RainFuture], deadline: float | None
) -> Iterator[Any]:
    """Results in order; calls whose results were not taken are cancelled when the iteration is given up."""
    try:
        while futures:
            # Nothing here may hold a result that was given.
            yield _next(executor, futures, more, None if deadline is None else max(0.0, deadline - time.monotonic()))
    finally:
        for future in futures:
            future.cancel()
