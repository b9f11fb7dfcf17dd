"""Items in the order in which they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from rain.client.core.gates import QueueGate
from rain.client.core.operations.waits import not_submitted
from rain.client.core.records import Record, target
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation


class EndedItems:
    """A line of items that are handed out as they end.

    Parameters
    ----------
    mirror : SessionMirror
    items : iterable of (Record, any)
        What is handed out when a record is settled.

    Raises
    ------
    RainException
        If one was not submitted.
    """

    def __init__(self, mirror: SessionMirror, items: Iterable[tuple[Record, Any]]) -> None:
        self._mirror = mirror
        self._ready: deque[Any] = deque()
        self._waiting: dict[Record, list[Any]] = {}
        self._count = 0
        for record, item in items:
            self._count += 1
            if record.state is None:
                raise not_submitted(mirror, record)
            if record.settled:
                self._ready.append(item)
            else:
                self._waiting.setdefault(target(record), []).append(item)
        self._gate = QueueGate(list(self._waiting))
        mirror.arm(self._gate)

    def take(self) -> Operation[Any]:
        """The next item; None when there are no more.

        Raises
        ------
        SessionEnded
        TimeoutError
            When one is thrown in; its text says how many items are not finished.
        """
        mirror, gate = self._mirror, self._gate
        while True:
            while gate.done:
                self._ready.extend(self._waiting.pop(gate.done.popleft(), ()))
            if self._ready:
                return self._ready.popleft()
            if not self._waiting:
                mirror.disarm(gate)
                return None
            mirror.check_open()
            gate.reopen()
            mirror.gates.add(gate)
            try:
                yield gate
            except TimeoutError:
                left = sum(map(len, self._waiting.values()))
                raise TimeoutError(f"{left} of {self._count} items are not finished in time") from None
