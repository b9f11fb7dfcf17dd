"""A progress bar beside a wait: it counts what the wait is about, and moves when something has changed."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rain.client.core.change_feed import ChangeFeed
from rain.client.handles import inside
from rain.client.operations.operation import Operation, T, resolve
from rain.common.formatting import progress_text

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror
    from rain.client.session import Session

_SHOWN_EVERY_S = 0.1


def with_bar(session: Session, operation: Operation[T]) -> Operation[T]:
    """`operation`, and until it ends, however it ends, a bar that counts the tasks which no earlier wait was about.

    Tasks that are submitted meanwhile count too.
    """
    mirror = inside(session).mirror
    if mirror.submitted == mirror.wave.before:
        return (yield from operation)
    import tqdm.auto

    with tqdm.auto.tqdm(total=mirror.submitted - mirror.wave.before, desc=session.name, unit="task") as bar:
        shown = _Shown(session, bar)
        try:
            return (yield from _watched(session, operation, shown))
        finally:
            shown.renew()


class _Shown:
    """What the bar shows: how many of the tasks have ended, and how those ended that did not finish."""

    def __init__(self, session: Session, bar: Any) -> None:
        own = inside(session)
        self._lock, self._mirror, self._bar = own.connection.lock, own.mirror, bar
        self._wave = own.mirror.wave
        self._said = ""

    def renew(self) -> None:
        """Have the bar show the present figures."""
        mirror, bar = self._mirror, self._bar
        with self._lock:
            before = self._wave.before
            total, done = mirror.submitted - before, mirror.finished - before
            ended = Counter(record.shown for record in self._wave.failed.values())
            said = _said_last(mirror)
        bar.total = total
        if said or self._said:
            self._said = said
            parts = [f"{word}={number}" for word, number in ended.items()]
            bar.set_postfix_str(", ".join([*parts, said] if said else parts), refresh=False)
        elif ended:
            bar.set_postfix(ended, refresh=False)
        bar.update(done - bar.n)
        bar.refresh()


def _said_last(mirror: SessionMirror) -> str:
    """What the running task that spoke last said of itself."""
    record = next(reversed(mirror.speaking.values()), None)
    told = None if record is None else record.progress
    if record is None or told is None:
        return ""
    return f"{record.spec.name or record.spec.id}: {progress_text(told.done, told.total, told.note)}"


def _watched(session: Session, operation: Operation[T], shown: _Shown) -> Operation[T]:
    woken: Future[Any] = Future()

    def wake(_: Any = None) -> None:
        resolve(woken, None)

    watch = ChangeFeed(inside(session).mirror, wake, members=False)
    last = 0.0
    try:
        future = operation.send(None)
        future.add_done_callback(wake)
        while True:
            watch.take()
            now = time.monotonic()
            if now - last >= _SHOWN_EVERY_S:
                last = now
                shown.renew()
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
