"""Members of families as executors of paper get and tell them."""

from __future__ import annotations

import msgspec

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.columns import counts, floats
from rain.common.protocol.families import assignments
from rain.governor.core import effects as fx


def is_plain(result: m.TaskResult) -> bool:
    """Whether a member's result may be told in columns."""
    return (
        result.error is None
        and not (result.stdout or result.stderr)
        and all(isinstance(output.location, Inline) for output in result.outputs)
    )


def apart(item: fx.ExecutorItem | fx.MemberItems) -> list[fx.ExecutorItem]:
    """Members of a family one by one."""
    if isinstance(item, fx.ExecutorItem):
        return [item]
    return [
        fx.ExecutorItem(item.number + count, assignment, item.inputs, item.function, item.function_cached or count > 0)
        for count, assignment in enumerate(assignments(item.family)[item.start : item.stop])
    ]


def as_columns(result: m.TaskResult) -> m.FamilyResults:
    """A result of a member, as its executor tells it."""
    outputs = [
        m.OutputColumn(
            msgspec.structs.replace(output.info, size=None),
            [output.location.data],
            counts([output.location.checksum or 0]),
        )
        for output in result.outputs
        if isinstance(output.location, Inline)
    ]
    info = result.info
    return m.FamilyResults(
        result.id,
        len(outputs) + 1,
        result.attempt,
        floats([info.start_time or 0.0]),
        floats([info.duration or 0.0]),
        outputs,
    )


def joined(columns: list[m.FamilyResults]) -> list[m.FamilyResults]:
    """Neighbours as one."""
    found: list[m.FamilyResults] = []
    for told in columns:
        last = found[-1] if found else None
        count = 0 if last is None else len(last.durations) // 8
        follows = last is not None and told.first == ID(last.first[0], last.first[1] + count * last.stride)
        alike = last is not None and [one.info for one in last.outputs] == [one.info for one in told.outputs]
        if last is None or not follows or not alike or last.attempt != told.attempt or last.stride != told.stride:
            found.append(told)
            continue
        last.start_times += told.start_times
        last.durations += told.durations
        for column, other in zip(last.outputs, told.outputs, strict=True):
            column.data += other.data
            column.checksums += other.checksums
    return found
