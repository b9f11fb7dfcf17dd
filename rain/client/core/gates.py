"""Gates: what stands between an operation and records that are not settled yet.

A gate stands at the records that it waits for; an update that settles one of them counts the gate down. The gate opens
when its condition holds, when the session ends, or when something stands in the session's way, of which the waiting
thread is then warned. An open gate says only that the operation must look at the records again. An object is finished
when its task is, so gates stand at tasks, and at constants, which have no task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from rain.client.core.families.family import Family
from rain.client.core.records import Record
from rain.client.core.waiting import Waiting


class Gate(Waiting):
    """Opens when all of some records are settled, or one of them failed."""

    __slots__ = ("missing", "records")

    def __init__(self, records: Sequence[Record | Family]) -> None:
        super().__init__()
        self.records = list(records)
        self.missing = sum([record.left if isinstance(record, Family) else 1 for record in records])

    def passed(self, record: Record) -> bool:
        """Take note that a record has settled; whether the gate opens now."""
        self.missing -= 1
        return self.missing <= 0 or record.failed

    def passed_members(self, count: int) -> bool:
        """Take note that so many members of a family are finished; whether the gate opens now."""
        self.missing -= count
        return self.missing <= 0

    @property
    def unsettled(self) -> int:
        """How many of those for which it stands are not settled yet."""
        return sum(record.left if isinstance(record, Family) else not record.settled for record in self.records)


class AnyGate(Gate):
    """Opens when one of some records is settled."""

    __slots__ = ()

    def passed(self, record: Record) -> bool:
        return True


class QueueGate(Gate):
    """Opens at each record that settles, and lines these up."""

    __slots__ = ("done",)

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(records)
        self.done: deque[Record] = deque()

    def passed(self, record: Record) -> bool:
        self.done.append(record)
        return True

    def reopen(self) -> None:
        """Close the gate, for another wait."""
        self.over, self.value, self.error, self.waiter = False, None, None, None
