"""Results that are held for a moment so that many travel at once, and written down meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET, MEMBERS_HOLD_S, RESULT_HOLD_S
from rain.common.protocol.columns import counts, floats
from rain.common.protocol.ledger import Ledger
from rain.common.protocol.messages import ExecutorFamily, FamilyResults, OutputColumn, Results, TaskResult
from rain.common.spec import ObjectInfo


class HeldResults:
    """In the order in which they came; for one thread at a time.

    Parameters
    ----------
    ledger : Ledger or None
        Where they are written down until they are sent.

    Attributes
    ----------
    items : list
        What is held; whether it is empty any thread may ask.
    since : float
        When the first of them ended, by `time.perf_counter`.
    full : bool
        Whether `add_short` has met a bound since the last `take`.
    hold_s : float
        For how long members of families and links of chains are held; longer the longer there are any. Others are for
        `RESULT_HOLD_S`.
    """

    __slots__ = ("_bytes", "_family", "_ledger", "_next", "_rows", "_run", "full", "hold_s", "items", "since")

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self.items: list[msgspec.Raw | _Neighbours] = []
        self._run: _Neighbours | None = None  # the last item, if these are members
        # A member at this place of this family, and with the same infos, can be put beside the last by a row alone.
        self._family: ExecutorFamily | None = None
        self._next = -1
        self._rows: list[tuple[Any, ...]] = []
        self._bytes = 0
        self.full = False
        self.since = 0.0
        self.hold_s = RESULT_HOLD_S

    @property
    def may_wait_s(self) -> float:
        """For how long what is held may be held if what runs takes long; any thread may ask."""
        return self.hold_s if self._run is not None else RESULT_HOLD_S

    def add(self, result: msgspec.Raw, ended: float) -> bool:
        """Hold an encoded `TaskResult` of what ended at that time; True if what is held should go now."""
        data = memoryview(result)
        if not self.items:
            self.since = ended
        self.items.append(result)
        self._run, self._next = None, -1
        self._bytes += len(data)
        return (self._ledger is not None and not self._ledger.write(data)) or self._bytes > BATCH_BYTES_TARGET

    def add_member(
        self,
        family: ExecutorFamily,
        place: int,
        start_time: float,
        duration: float,
        data: Sequence[bytes],
        checksums: Sequence[int],
        infos: Sequence[ObjectInfo],
        ended: float,
    ) -> bool:
        """Hold how a member of a family ended plainly; as `add`."""
        run = self._run
        if (
            run is None
            or run.family is not family
            or run.first + len(run.rows) != place
            or (run.infos is not infos and run.infos != infos)
        ):
            run = self._begin(family, place, infos, ended)
        self._next = -1
        run.rows.append((start_time, duration, *data, *checksums))
        self._bytes += sum(map(len, data))
        ledger, number = self._ledger, family.number + place
        return (
            ledger is not None and not ledger.write_member(number, start_time, duration, data, checksums)
        ) or self._bytes > BATCH_BYTES_TARGET

    def add_short(
        self,
        family: ExecutorFamily,
        place: int,
        start_time: float,
        duration: float,
        value: bytes,
        checksum: int,
        infos: Sequence[ObjectInfo],
        ended: float,
    ) -> None:
        """As `add_member`, of one that has one output, and for a family always the same `infos`: this is done for each
        short task. `full` tells whether what is held should go now."""
        if place != self._next or family is not self._family:
            self._begin(family, place, infos, ended)
        self._next = place + 1
        self._rows.append((start_time, duration, value, checksum))
        self._bytes = bytes = self._bytes + len(value)
        ledger = self._ledger
        if bytes > BATCH_BYTES_TARGET or (
            ledger is not None and not ledger.write_short(family.number + place, start_time, duration, value, checksum)
        ):
            self.full = True

    def _begin(self, family: ExecutorFamily, place: int, infos: Sequence[ObjectInfo], ended: float) -> _Neighbours:
        if not self.items:
            self.since = ended
        run = self._run = _Neighbours(family, place, infos)
        self._family, self._rows = family, run.rows
        self.items.append(run)
        if self._ledger is not None:
            self._ledger.write_infos(infos)
        return run

    def held_longer(self) -> None:
        """What was held went because of its time: the next is held for longer."""
        self.hold_s = min(2 * self.hold_s, MEMBERS_HOLD_S)

    def take(self) -> list[Results]:
        """All that is held, as messages; they are to be sent, and then `sent` is to be called."""
        held, self.items, self._bytes, self.full = self.items, [], 0, False
        self._run, self._next = None, -1
        return _messages(held)

    def sent(self) -> None:
        """What was taken has left; what was added since is still to be known if this process dies."""
        if self._ledger is not None and not self.items:
            self._ledger.clear()


class _Neighbours:
    """Members of a family that are held, one right behind the other, with outputs of the same kinds."""

    __slots__ = ("family", "first", "infos", "rows")

    def __init__(self, family: ExecutorFamily, place: int, infos: Sequence[ObjectInfo]) -> None:
        self.family = family
        self.first = place
        self.infos = infos
        self.rows: list[tuple[Any, ...]] = []  # start time, duration, the outputs, and their checksums

    def columns(self) -> FamilyResults:
        """What they tell."""
        family, count = self.family, len(self.infos)
        session_id, number = family.spec.id
        stride = len(family.outputs) + 1
        start_times, durations, *rest = zip(*self.rows, strict=True)
        outputs = [
            OutputColumn(info, list(data), counts(checksums))
            for info, data, checksums in zip(self.infos, rest[:count], rest[count:], strict=True)
        ]
        return FamilyResults(
            ID(session_id, number + self.first * stride),
            stride,
            family.attempt,
            floats(start_times),
            floats(durations),
            outputs,
        )


def _messages(held: Sequence[msgspec.Raw | _Neighbours]) -> list[Results]:
    """Results in their order: ordinary ones side by side in one message, neighbours in a family as columns in one."""
    messages: list[Results] = []
    single: list[Any] = []
    for item in held:
        if type(item) is not _Neighbours:
            single.append(item)
            continue
        if single:
            messages.append(Results(cast(list[TaskResult], single)))
            single = []
        messages.append(Results([], families=[item.columns()]))
    if single:
        messages.append(Results(single))
    return messages
