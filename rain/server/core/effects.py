"""What a server's core wants done: everything that `ServerCore.step` returns.

The shell carries effects out in order. A message to a peer that has gone is dropped by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from rain.common.protocol.columns import counts_of, floats_of
from rain.common.protocol.messages import ServerToClient, ServerToGovernor


class ToClient(msgspec.Struct):
    """Say this to a client."""

    client_id: str
    message: ServerToClient


class ToGovernor(msgspec.Struct):
    """Say this to a governor."""

    governor_id: str
    message: ServerToGovernor


class DropGovernor(msgspec.Struct):
    """End the conversation with a governor that cannot be sent what it should do. `GovernorGone` follows."""

    governor_id: str
    reason: str


class AllowPool(msgspec.Struct):
    """Let governors in that have the key which this salt makes, and say this number."""

    pool: int
    salt: bytes


class ForbidPool(msgspec.Struct):
    """Let no governor in any more that says this number."""

    pool: int


class InternalError(msgspec.Struct):
    """An error of this code was met, and what it was about has failed: for the log."""

    about: str
    error: Exception


class DiscardUpload(msgspec.Struct):
    """Delete the files of these uploads."""

    names: list[str]


class Logged(msgspec.Struct, array_like=True, tag=True, tag_field="kind", gc=False):
    """Base of what is for the event log, which keeps it in this form: a field may only be added at the end, with a
    default."""

    @property
    def count(self) -> int:
        """How many events it is."""
        raise NotImplementedError

    def each(self) -> Iterator[Happened]:
        """The events one by one."""
        raise NotImplementedError


class Happened(Logged):
    """One event. `session` and `id` are numbers where the event is about a session or one of its items."""

    type: str
    session: int | None
    id: int | None
    values: dict[str, Any]

    @property
    def count(self) -> int:
        return 1

    def each(self) -> Iterator[Happened]:
        yield self


class TasksStarted(Logged):
    """Attempts that were seen running on a governor: session, number and attempt of each task."""

    governor: str
    tasks: list[tuple[int, int, int]]

    @property
    def count(self) -> int:
        return len(self.tasks)

    def each(self) -> Iterator[Happened]:
        for session, number, attempt in self.tasks:
            yield started(self.governor, session, number, attempt)


class TasksFinished(Logged):
    """Attempts on a governor that were good, and what they made: of each task session, number, attempt, whether it is
    also news that it has started, its time of start and its duration, and numbers and sizes of its objects."""

    governor: str
    tasks: list[tuple[int, int, int, bool, float | None, float | None, list[tuple[int, int | None]]]]

    @property
    def count(self) -> int:
        return len(self.tasks) + sum([task[3] + len(task[6]) for task in self.tasks])

    def each(self) -> Iterator[Happened]:
        governor = self.governor
        for session, number, attempt, starts, start_time, duration, objects in self.tasks:
            if starts:
                yield started(governor, session, number, attempt)
            values = {"state": "finished", "governor": governor, "start_time": start_time, "duration": duration}
            yield Happened("TaskFinished", session, number, values)
            for id, size in objects:
                yield Happened("DataObjectFinished", session, id, {"size": size, "governor": governor})


class MembersFinished(Logged):
    """First attempts of consecutive members of a family, on a governor, that were good, and what they made; that they
    started is news too. Columns as of `rain.common.protocol.messages.FamilyResults`; `sizes` has one for each output.
    """

    governor: str
    session: int
    first: int
    stride: int
    start_times: bytes
    durations: bytes
    sizes: list[bytes]

    @property
    def count(self) -> int:
        return len(self.durations) // 8 * (2 + len(self.sizes))

    def each(self) -> Iterator[Happened]:
        governor, session, number = self.governor, self.session, self.first
        columns = [counts_of(column) for column in self.sizes]
        times = zip(floats_of(self.start_times), floats_of(self.durations), strict=True)
        for place, (start_time, duration) in enumerate(times):
            yield started(governor, session, number, 1)
            values = {"state": "finished", "governor": governor, "start_time": start_time, "duration": duration}
            yield Happened("TaskFinished", session, number, values)
            for at, sizes in enumerate(columns):
                id = number + 1 + at
                yield Happened("DataObjectFinished", session, id, {"size": sizes[place], "governor": governor})
            number += self.stride


class ObjectsUnkept(Logged):
    """Objects of a session that its client keeps no longer, by number."""

    session: int
    objects: list[int]

    @property
    def count(self) -> int:
        return len(self.objects)

    def each(self) -> Iterator[Happened]:
        for number in self.objects:
            yield Happened("ClientUnkeep", self.session, number, {})


def started(governor: str, session: int, number: int, attempt: int) -> Happened:
    """The event that an attempt of a task has started on a governor."""
    return Happened("TaskStarted", session, number, {"governor": governor, "attempt": attempt})


LOGGED: tuple[type[Logged], ...] = (Happened, TasksStarted, TasksFinished, MembersFinished, ObjectsUnkept)
"""All that is for the event log."""

Effect: TypeAlias = (
    ToClient | ToGovernor | DropGovernor | AllowPool | ForbidPool | InternalError | DiscardUpload | Logged
)
