"""Results that are held for a moment so that many travel at once, and written down meanwhile."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from rain.common.ids import ID
from rain.common.limits import BATCH_BYTES_TARGET
from rain.common.protocol.columns import counts, floats
from rain.common.protocol.ledger import Ledger
from rain.common.protocol.messages import FamilyResults, MemberResult, OutputColumn, Results, TaskResult
from rain.executor.python.members import Member


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
    """

    __slots__ = ("_bytes", "_ledger", "_write", "items")

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._write = (lambda data, member: True) if ledger is None else ledger.write
        self.items: list[msgspec.Raw | tuple[Member, MemberResult]] = []
        self._bytes = 0

    def add(self, result: msgspec.Raw) -> bool:
        """Hold an encoded `TaskResult`; True if what is held should go now."""
        data = memoryview(result)
        self.items.append(result)
        self._bytes += len(data)
        return not self._write(data, False) or self._bytes > BATCH_BYTES_TARGET

    def add_member(self, member: Member, result: MemberResult, data: bytes) -> bool:
        """Hold the result of a member of a family, which is encoded as `data`; as `add`."""
        self.items.append((member, result))
        self._bytes += len(data)
        return not self._write(data, True) or self._bytes > BATCH_BYTES_TARGET

    def take(self) -> list[Results]:
        """All that is held, as messages; they are to be sent, and then `sent` is to be called."""
        held, self.items, self._bytes = self.items, [], 0
        return _messages(held)

    def sent(self) -> None:
        """What was taken has left; what was added since is still to be known if this process dies."""
        if self._ledger is not None and not self.items:
            self._ledger.clear()


def _messages(held: list[msgspec.Raw | tuple[Member, MemberResult]]) -> list[Results]:
    """Results in their order: ordinary ones side by side in one message, neighbours in a family as columns in one."""
    messages: list[Results] = []
    single: list[Any] = []
    run: list[tuple[Member, MemberResult]] = []
    for item in held:
        if type(item) is not tuple:
            if run:
                messages.append(_columns(run))
                run = []
            single.append(item)
            continue
        if single:
            messages.append(Results(cast(list[TaskResult], single)))
            single = []
        if run and not _follows(run[-1], item):
            messages.append(_columns(run))
            run = []
        run.append(item)
    if run:
        messages.append(_columns(run))
    if single:
        messages.append(Results(single))
    return messages


def _follows(before: tuple[Member, MemberResult], item: tuple[Member, MemberResult]) -> bool:
    member, last = item[0], before[0]
    return (
        member.family is last.family
        and member.place == last.place + 1
        and (item[1].infos is before[1].infos or item[1].infos == before[1].infos)
    )


def _columns(run: list[tuple[Member, MemberResult]]) -> Results:
    member = run[0][0]
    results = [result for _, result in run]
    outputs = [
        OutputColumn(
            info, [result.data[place] for result in results], counts([result.checksums[place] for result in results])
        )
        for place, info in enumerate(results[0].infos)
    ]
    session_id, number = member.id
    family = FamilyResults(
        ID(session_id, number),
        len(member.family.outputs) + 1,
        member.attempt,
        floats([result.start_time for result in results]),
        floats([result.duration for result in results]),
        outputs,
    )
    return Results([], families=[family])
