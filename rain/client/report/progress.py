"""A progress bar beside an operation; it moves when something has changed, not by a clock."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rain.client.core.change_feed import ChangeFeed
from rain.client.handles import inside
from rain.client.operations.operation import Operation, T, resolve

if TYPE_CHECKING:
    from rain.client.session import Session

_SHOWN_EVERY_S = 0.1


def with_bar(session: Session, operation: Operation[T]) -> Operation[T]:
    """`operation`, with a bar of the session's tasks until it ends, however it ends."""
    import tqdm.auto

    with tqdm.auto.tqdm(total=inside(session).mirror.submitted, desc=session.name, unit="task") as bar:
        try:
            return (yield from _watched(session, operation, bar))
        finally:
            _show(session, bar)


def _watched(session: Session, operation: Operation[T], bar: Any) -> Operation[T]:
    woken: Future[Any] = Future()

    def wake(_: Any = None) -> None:
        resolve(woken, None)

    watch = ChangeFeed(inside(session).mirror, wake)
    shown = 0.0
    try:
        future = operation.send(None)
        future.add_done_callback(wake)
        while True:
            watch.take()
            now = time.monotonic()
            if now - shown >= _SHOWN_EVERY_S:
                shown = now
                _show(session, bar)
            try:
                yield woken
                woken = Future()
                if not future.done():
                    continue
                value = future.result()
            except BaseException as error:
                future = operation.throw(error)
            else:
                future = operation.send(value)
            future.add_done_callback(wake)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        watch.close()


def _show(session: Session, bar: Any) -> None:
    own = inside(session)
    mirror = own.mirror
    with own.connection.lock:
        total, done = mirror.submitted, mirror.finished
        ended = Counter(record.shown for record in mirror.failed.values())
    bar.total = total
    if ended:
        bar.set_postfix(ended, refresh=False)
    bar.update(done - bar.n)
    bar.refresh()
