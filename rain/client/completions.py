"""Items in the order in which they end."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rain.client.state import QueueGate, Record, target
from rain.client.waiting import Operation, block, perform
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task


class Completions(Iterator["Task | DataObject"], AsyncIterator["Task | DataObject"]):
    """Iterates over items as they end; made by `Session.as_completed`."""

    def __init__(self, session: Session, items: list[Task | DataObject]) -> None:
        self._session = session
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
        found = block(self._take())
        if found is None:
            raise StopIteration
        return found

    async def __anext__(self) -> Task | DataObject:
        self._session._check_usable()
        found = await perform(self._take())
        if found is None:
            raise StopAsyncIteration
        return found

    def _take(self) -> Operation[Task | DataObject | None]:
        session, gate = self._session, self._gate
        while True:
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
            yield future
