"""Operations that wait, written once and driven in two ways.

Theory of operation
-------------------
What a session or client does over time is an *operation*: a generator that yields `concurrent.futures.Future`s and gets
their results. `block` drives one in the calling thread, `perform` awaits it from any asyncio loop. Whatever ends the
wait early (a time-out, Ctrl-C, cancellation of the asyncio task) is thrown into the generator, whose ``finally`` blocks
take back what it had armed; so the session stays usable.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from rain.common.errors import RainException
from rain.common.jupyter.tracebacks import shorten

T = TypeVar("T")
Operation: TypeAlias = Generator["Future[Any]", Any, T]

LOOK_UP_S = 0.2
"""How often an asyncio loop in which an operation waits is woken to see whether that was cancelled."""


def resolve(future: Future[Any], value: Any) -> None:
    """Give `future` its result, unless it was cancelled or has one."""
    try:
        future.set_result(value)
    except InvalidStateError:
        pass


def reject(future: Future[Any], error: BaseException) -> None:
    """Give `future` its exception, unless it was cancelled or has a result."""
    try:
        future.set_exception(error)
    except InvalidStateError:
        pass


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C until the end of a short block that must not be interrupted half-way."""
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(handler):
        yield
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda *what: came.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[0])


def check_timeout(timeout: Any) -> float | None:
    """`timeout` in seconds, None for no limit.

    Raises
    ------
    RainException
        If `timeout` is something else.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise RainException(f"timeout is a number of seconds that is not negative, or None, not {timeout!r}")
    return None if timeout > threading.TIMEOUT_MAX else float(timeout)


def block(operation: Operation[T], timeout: float | None = None) -> T:
    """Carry out `operation`, waiting in this thread.

    Parameters
    ----------
    timeout : float or None
        Seconds in all.

    Raises
    ------
    TimeoutError
        After `timeout`.
    """
    limit = check_timeout(timeout)
    deadline = None if limit is None else time.monotonic() + limit
    try:
        future = operation.send(None)
        while True:
            try:
                value = future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except TimeoutError as error:
                future = operation.throw(error if future.done() else TimeoutError(f"not done after {limit:g} s"))
            except BaseException as error:
                future = operation.throw(error)
            else:
                future = operation.send(value)
    except StopIteration as stop:
        result: T = stop.value
        return result
    except (KeyboardInterrupt, TimeoutError) as error:
        shorten(error)
        raise


async def perform(operation: Operation[T], timeout: float | None = None) -> T:
    """Carry out `operation`, waiting in the running asyncio loop; see `block`."""
    limit = check_timeout(timeout)
    deadline = None if limit is None else time.monotonic() + limit
    waker = _Waker.of(asyncio.get_running_loop())
    waker.begin()
    try:
        future = operation.send(None)
        while True:
            try:
                wrapped = asyncio.wrap_future(future)
                if deadline is None:
                    value = await wrapped
                else:
                    value = await asyncio.wait_for(wrapped, max(0.0, deadline - time.monotonic()))
            except TimeoutError as error:
                late = future.cancelled() or not future.done()
                future = operation.throw(TimeoutError(f"not done after {limit:g} s") if late else error)
            except BaseException as error:
                future = operation.throw(error)
            else:
                future = operation.send(value)
    except StopIteration as stop:
        result: T = stop.value
        return result
    except (KeyboardInterrupt, TimeoutError, asyncio.CancelledError) as error:
        shorten(error)
        raise
    finally:
        waker.end()


class _Waker:
    """Wakes a loop now and then while operations wait in it.

    The stop button of a notebook cancels the waiting task in a signal's handler, which does not wake the loop that has
    to notice.
    """

    _all: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Waker] = weakref.WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _Waker:
        """The waker of `loop`; to be called in the loop's thread."""
        found = cls._all.get(loop)
        if found is None:
            found = cls._all[loop] = cls(loop)
        return found

    def begin(self) -> None:
        """An operation begins to wait."""
        self._waiting += 1
        if self._timer is None:
            self._tick()

    def end(self) -> None:
        """An operation waits no more."""
        self._waiting -= 1

    def _tick(self) -> None:
        loop = self._loop()
        self._timer = loop.call_later(LOOK_UP_S, self._tick) if self._waiting and loop is not None else None
