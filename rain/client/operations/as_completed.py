"""Items in the order in which they end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rain.client.core.session_mirror import QueueGate, Record, target
from rain.client.operations.operation import Operation, block, check_timeout, perform
from rain.client.report import stall
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task


class Completions(Iterator["Task | DataObject"], AsyncIterator["Task | DataObject"]):
    """Iterates over items as they end; made by `Session.as_completed`."""

    def __init__(self, session: Session, items: list[Task | DataObject], timeout: float | None = None) -> None:
        limit = check_timeout(timeout)
        self._deadline = None if limit is None else time.monotonic() + limit
        self._session = session
        self._count = len(set(items))
        self._ready: deque[Any] = deque()
        self._waiting: dict[Record, list[Any]] = {}
        with session._lock:
            for item in dict.fromkeys(items):
                record = item._record
                if record.state is None:
                    raise RainException(f"{item!r} was not submitted: call session.submit() first")
                place = target(record)
                if record.settled:
                    self._ready.append(item)
                else:
                    self._waiting.setdefault(place, []).append(item)
            self._gate = QueueGate(list(self._waiting))
            session._mirror.arm(self._gate)

    def __iter__(self) -> Completions:
        return self

    def __aiter__(self) -> Completions:
        return self

    def __next__(self) -> Task | DataObject:
        self._session._check_usable()
        found = block(self._take(), self._left())
        if found is None:
            raise StopIteration
        return found

    async def __anext__(self) -> Task | DataObject:
        self._session._check_usable()
        found = await perform(self._take(), self._left())
        if found is None:
            raise StopAsyncIteration
        return found

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _take(self) -> Operation[Task | DataObject | None]:
        session, gate = self._session, self._gate
        while True:
            stall.say(session)
            with session._lock:
                while gate.done:
                    self._ready.extend(self._waiting.pop(gate.done.popleft(), ()))
                if self._ready:
                    item: Task | DataObject = self._ready.popleft()
                    return item
                if not self._waiting:
                    session._mirror.disarm(gate)
                    return None
                if gate.future.done():
                    gate.future = Future()
                session._mirror.gates.add(gate)
                future = gate.future
            try:
                yield future
            except TimeoutError:
                left = sum(map(len, self._waiting.values()))
                raise TimeoutError(f"{left} of {self._count} items are not finished in time") from None
