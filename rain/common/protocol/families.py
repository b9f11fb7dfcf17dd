"""Families in messages: how their columns become messages about single members, and how they are divided and joined."""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.columns import count_at, counts_of, float_at, floats_of
from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import (
    Family,
    FamilyAssignment,
    FamilyResults,
    FamilyUpdate,
    ObjectColumn,
    ObjectUpdate,
    OutputColumn,
    OutputResult,
    TaskAssignment,
    TaskResult,
    TaskUpdate,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec
from rain.common.states import DataObjectState, TaskState
from rain.common.task_configs import EXECUTE, PYTHON

_decode_words = msgspec.msgpack.Decoder(list[str]).decode


def member_spec(spec: TaskSpec, place: int, args: bytes) -> TaskSpec:
    """The spec of a member.

    Parameters
    ----------
    spec : TaskSpec
        Spec of the first member.
    place : int
        Place of the member in the family, from 0.
    args : bytes
        The member's own arguments: pickled ones, of a program its encoded words; b"": none, as in a template.

    Examples
    --------
    >>> first = TaskSpec(ID(1, 10), "py/", [b"", False], outputs=[ID(1, 11)])
    >>> second = member_spec(first, 1, b"two")
    >>> second.id, second.outputs, second.config
    (1/12, [1/13], [b'two', False])
    """
    session_id, number = spec.id
    count = len(spec.outputs)
    number += place * (count + 1)
    outputs = [ID(session_id, number + 1)] if count == 1 else [ID(session_id, number + 1 + i) for i in range(count)]
    return TaskSpec(
        ID(session_id, number),
        spec.task_type,
        with_args(spec.config, args),
        spec.inputs,
        outputs,
        spec.resources,
        spec.name,
        spec.user,
        spec.function,
        spec.options,
        spec.environment,
    )


def with_args(config: Any, args: bytes) -> Any:
    """The config of members (a `PyConfig`, an `ExecuteConfig`, or the list that it is on the wire) with other
    arguments."""
    if isinstance(config, list):
        return [args if isinstance(config[0], bytes) else read_words(args), *config[1:]]
    return msgspec.structs.replace(config, args=args if isinstance(config.args, bytes) else read_words(args))


def column_entry(args: bytes | list[str]) -> bytes:
    """The ``args`` of a config as they stand in the column of a family."""
    return args if isinstance(args, bytes) else encode(args)


def read_words(args: bytes) -> list[str]:
    """The words of a program as they stand in the column of a family; b"" stands for none."""
    return _decode_words(args) if args else []


def member_outputs(outputs: list[ObjectSpec], place: int) -> list[ObjectSpec]:
    """The specs of a member's outputs; `outputs` are those of the first member."""
    step = place * (len(outputs) + 1)
    return [
        ObjectSpec(
            ID(spec.id[0], spec.id[1] + step), spec.label, spec.content_type, spec.data_type, spec.size_hint, spec.user
        )
        for spec in outputs
    ]


def is_sound(family: Family | FamilyAssignment) -> bool:
    """Whether the numbers, outputs and config in a message can be those of a family."""
    spec, count = family.spec, len(family.outputs)
    session_id, number = spec.id
    expected = [(session_id, number + 1 + i) for i in range(count)]
    config = spec.config
    args = config[0] if isinstance(config, list) and config else getattr(config, "args", None)
    return (
        bool(family.args)
        and spec.outputs == expected
        and [output.id for output in family.outputs] == expected
        and all(0 <= place < count for place in family.kept)
        and (
            (args == b"" and spec.task_type.startswith(PYTHON))
            or (args == [] and spec.task_type == EXECUTE and all(map(_are_words, family.args)))
        )
    )


def _are_words(args: bytes) -> bool:
    try:
        return bool(_decode_words(args))
    except msgspec.MsgspecError:
        return False


def assignments(family: FamilyAssignment) -> list[TaskAssignment]:
    """An assignment for each of the members."""
    found = []
    for place, args in enumerate(family.args):
        rank = [*family.rank[:-1], family.rank[-1] + place] if family.rank else []
        outputs = member_outputs(family.outputs, place)
        found.append(
            TaskAssignment(member_spec(family.spec, place, args), family.attempt, outputs, rank, [], family.kept)
        )
    return found


def results(family: FamilyResults) -> list[TaskResult]:
    """A result for each of the members.

    Raises
    ------
    ValueError
        If the columns are not of one length.
    """
    session_id, number = family.first
    columns = [_inline(column) for column in family.outputs]
    found = []
    for start_time, duration in zip(floats_of(family.start_times), floats_of(family.durations), strict=True):
        found.append(TaskResult(ID(session_id, number), family.attempt, TaskInfo(None, start_time, duration)))
        number += family.stride
    for place, (column, locations) in enumerate(zip(family.outputs, columns, strict=True)):
        for result, location in zip(found, locations, strict=True):
            id = ID(session_id, result.id[1] + 1 + place)
            info = msgspec.structs.replace(column.info, size=location.size)
            if place == 0:
                result.outputs = [OutputResult(id, info, location)]
            else:
                result.outputs.append(OutputResult(id, info, location))
    return found


def joined(told: list[FamilyResults]) -> list[FamilyResults]:
    """The same results in as few messages as possible, in the order of members: those of neighbours become one.

    Examples
    --------
    >>> parts = [FamilyResults(ID(1, number), 2, 1, bytes(8), bytes(8), []) for number in (14, 10, 12, 20)]
    >>> [(part.first, len(part.durations) // 8) for part in joined(parts)]
    [(1/10, 3), (1/20, 1)]
    """
    runs: list[list[FamilyResults]] = []
    for part in sorted(told, key=lambda part: part.first) if len(told) > 1 else told:
        if runs and _follows(runs[-1][-1], part):
            runs[-1].append(part)
        else:
            runs.append([part])
    return [run[0] if len(run) == 1 else _join(run) for run in runs]


def _follows(before: FamilyResults, part: FamilyResults) -> bool:
    size = len(before.durations)
    return (
        part.first[1] == before.first[1] + before.stride * (size // 8)
        and (part.first[0], part.stride, part.attempt) == (before.first[0], before.stride, before.attempt)
        and len(before.start_times) == size
        and len(part.outputs) == len(before.outputs)
        and all(
            8 * len(one.data) == len(one.checksums) == size and one.info == other.info
            for one, other in zip(before.outputs, part.outputs, strict=True)
        )
    )


def _join(run: list[FamilyResults]) -> FamilyResults:
    first = run[0]
    columns = []
    for at, column in enumerate(first.outputs):
        its = [part.outputs[at] for part in run]
        data = [value for one in its for value in one.data]
        columns.append(OutputColumn(column.info, data, b"".join([one.checksums for one in its])))
    times, durations = [part.start_times for part in run], [part.durations for part in run]
    return FamilyResults(first.first, first.stride, first.attempt, b"".join(times), b"".join(durations), columns)


def _inline(column: OutputColumn) -> list[Inline]:
    return [Inline(data, checksum) for data, checksum in zip(column.data, counts_of(column.checksums), strict=True)]


def are_removed(family: FamilyUpdate) -> bool:
    """Whether an update says that the outputs of members that had finished were removed."""
    return family.state is TaskState.FINISHED and not family.outputs and family.stride > 1


def updates(family: FamilyUpdate) -> tuple[list[TaskUpdate], list[ObjectUpdate]]:
    """An update of each member and of each of its outputs, as far as it has news of them.

    Raises
    ------
    ValueError
        If the columns are shorter than there are members.
    """
    session_id, number = family.first
    tasks: list[TaskUpdate] = []
    objects: list[ObjectUpdate] = []
    if are_removed(family):
        for first in range(number, number + family.count * family.stride, family.stride):
            ids = [ID(session_id, first + 1 + output) for output in range(family.stride - 1)]
            objects += [ObjectUpdate(id, DataObjectState.REMOVED) for id in ids]
        return tasks, objects
    for place in range(family.count):
        tasks.append(TaskUpdate(ID(session_id, number), family.state, task_info(family, place)))
        for output, column in enumerate(family.outputs):
            info, location = object_news(column, place)
            objects.append(ObjectUpdate(ID(session_id, number + 1 + output), column.state, info, location))
        number += family.stride
    return tasks, objects


def task_info(family: FamilyUpdate, place: int) -> TaskInfo | None:
    """The info of a member's attempt in an update; None if it has none."""
    if family.state is not TaskState.FINISHED:
        return None
    start_time, duration = float_at(family.start_times, place), float_at(family.durations, place)
    return TaskInfo(None, start_time, duration, family.governor, attempts=family.attempts)


def object_news(column: ObjectColumn, place: int) -> tuple[ObjectInfo, Inline | None]:
    """The info of a member's output in an update, and its bytes if they are in it."""
    info = msgspec.structs.replace(column.info, size=count_at(column.sizes, place))
    return info, Inline(column.data[place], count_at(column.checksums, place)) if column.data else None


# -- parts ----------------------------------------------------------------------------------------


def halves_of(part: Any) -> tuple[Any, Any] | None:
    """A message about consecutive members as two about the first and the other half; None if it is about one member."""
    if isinstance(part, FamilyAssignment):
        return _halves_of_assignment(part)
    if isinstance(part, FamilyResults):
        return _halves_of_results(part)
    assert isinstance(part, FamilyUpdate)
    return _halves_of_update(part)


def _halves_of_assignment(part: FamilyAssignment) -> tuple[FamilyAssignment, FamilyAssignment] | None:
    middle = len(part.args) // 2
    if not middle:
        return None
    replace = msgspec.structs.replace
    rank = [*part.rank[:-1], part.rank[-1] + middle] if part.rank else []
    spec = member_spec(part.spec, middle, b"")
    outputs = member_outputs(part.outputs, middle)
    return replace(part, args=part.args[:middle]), replace(
        part, spec=spec, outputs=outputs, args=part.args[middle:], rank=rank
    )


def _halves_of_results(part: FamilyResults) -> tuple[FamilyResults, FamilyResults] | None:
    count = len(part.durations) // 8
    middle = count // 2
    return (part_of(part, 0, middle), part_of(part, middle, count)) if middle else None


def part_of(told: FamilyResults, start: int, stop: int) -> FamilyResults:
    """The results of the members from place `start` to `stop` in `told`."""
    cut = slice(8 * start, 8 * stop)
    return FamilyResults(
        _further(told.first, start * told.stride),
        told.stride,
        told.attempt,
        told.start_times[cut],
        told.durations[cut],
        [OutputColumn(one.info, one.data[start:stop], one.checksums[cut]) for one in told.outputs],
    )


def _halves_of_update(part: FamilyUpdate) -> tuple[FamilyUpdate, FamilyUpdate] | None:
    middle = part.count // 2
    if not middle:
        return None
    replace, cut = msgspec.structs.replace, 8 * middle
    first, second = [], []
    for column in part.outputs:
        data, checksums, sizes = column.data, column.checksums, column.sizes
        first.append(replace(column, sizes=sizes[:cut], data=data[:middle], checksums=checksums[:cut]))
        second.append(replace(column, sizes=sizes[cut:], data=data[middle:], checksums=checksums[cut:]))
    times, durations = part.start_times, part.durations
    return (
        replace(part, count=middle, start_times=times[:cut], durations=durations[:cut], outputs=first),
        replace(
            part,
            first=_further(part.first, middle * part.stride),
            count=part.count - middle,
            start_times=times[cut:],
            durations=durations[cut:],
            outputs=second,
        ),
    )


def _further(id: ID, step: int) -> ID:
    return ID(id[0], id[1] + step)
