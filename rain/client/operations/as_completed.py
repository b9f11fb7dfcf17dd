"""Items in the order in which they end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from rain.client.core.operations.completions import EndedItems
from rain.client.handles import inside, record_of
from rain.client.operations.operation import Operation, block, check_timeout, perform

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task


class Completions(Iterator["Task | DataObject"], AsyncIterator["Task | DataObject"]):
    """Iterates over items as they end; made by `Session.as_completed`."""

    def __init__(self, session: Session, items: list[Any], timeout: float | None = None) -> None:
        limit = check_timeout(timeout)
        self._deadline = None if limit is None else time.monotonic() + limit
        self._session = session
        own = inside(session)
        with own.connection.lock:
            self._ended = EndedItems(own.mirror, [(record_of(item), item) for item in dict.fromkeys(items)])

    def __iter__(self) -> Completions:
        return self

    def __aiter__(self) -> Completions:
        return self

    def __next__(self) -> Task | DataObject:
        found = block(self._take(), self._left())
        if found is None:
            raise StopIteration
        return found

    async def __anext__(self) -> Task | DataObject:
        found = await perform(self._take(), self._left())
        if found is None:
            raise StopAsyncIteration
        return found

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _take(self) -> Operation[Task | DataObject | None]:
        own = inside(self._session)
        own.connection.check(own.mirror)
        found: Task | DataObject | None = yield from own.connection.drive(self._ended.take(), own.mirror)
        return found
