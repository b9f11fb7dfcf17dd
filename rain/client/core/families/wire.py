"""The families in the message of a submit: those of the client, and further calls in a row that fit a family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.families.family import Family
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.common.protocol import messages as m
from rain.common.protocol.blobs import Blobs
from rain.common.protocol.families import column_entry, with_args
from rain.common.spec import ObjectSpec, TaskSpec
from rain.common.task_configs import ExecuteConfig, PyConfig

if TYPE_CHECKING:
    from rain.client.functions.call_sites import Site

_MEMBER_BYTES = 4


class Single:
    """One call of a submit's message, with its outputs."""

    __slots__ = ("kept", "made", "outputs", "spec")

    def __init__(self, spec: TaskSpec, outputs: list[ObjectSpec], kept: bool, made: Site) -> None:
        self.spec = spec
        self.outputs = outputs
        self.kept = kept
        self.made = made


class Members:
    """Consecutive members of a family of a submit's message, and their call sites: one for all, or one for each."""

    __slots__ = ("family", "made")

    def __init__(self, family: m.Family, made: list[Site]) -> None:
        self.family = family
        self.made = made


def items_of(records: Sequence[Record | Family], bytes_max: int) -> Iterator[Record | Members | Single]:
    """The records, in which calls in a row that differ by their arguments only are members of families.

    Parameters
    ----------
    records : sequence of Record or Family
        No member of these families has a record of its own.
    bytes_max : int
        How many bytes of arguments go into one family.
    """
    run: list[TaskRecord] = []
    size = 0
    for record in records:
        if isinstance(record, TaskRecord):
            if run and size < bytes_max and _continues(run, record):
                run.append(record)
                size += _args_bytes(record.spec.config.args) + _MEMBER_BYTES
                continue
            yield from _told(run)
            run, size = [record], 0
        else:
            yield from _told(run)
            run = []
            if isinstance(record, Family):
                yield from _parts(record, bytes_max)
            else:
                yield record
    yield from _told(run)


def members_bytes(args: Sequence[bytes]) -> int:
    """About how many bytes members with these arguments take."""
    size = args.size if isinstance(args, Blobs) else sum(map(len, args))
    return size + _MEMBER_BYTES * len(args)


def _told(run: list[TaskRecord]) -> Iterator[Record | Members]:
    if len(run) == 1:
        yield run[0]
    elif run:
        first, outputs = run[0], run[0].outputs
        family = m.Family(
            msgspec.structs.replace(first.spec, config=with_args(first.spec.config, b"")),
            [output.spec for output in outputs],
            [column_entry(record.spec.config.args) for record in run],
            [place for place, output in enumerate(outputs) if output.kept],
        )
        yield Members(family, [record.made for record in run])


def _parts(family: Family, bytes_max: int) -> Iterator[Members | Single]:
    """A family in parts of about `bytes_max` bytes, in each of which either all members are kept or none."""
    template, start = family.template, 0
    for kept, equal in groupby(family.kept):
        end = start + sum(1 for _ in equal)
        while start < end:
            stop = _fitting(family.args, start, end, bytes_max)
            number = family.first + start * family.stride
            outputs = template.output_specs(family.session_id, number)
            if stop == start + 1:
                spec = template.spec(family.session_id, number, family.args[start])
                yield Single(spec, outputs, bool(kept), family.made)
                start = stop
                continue
            its: Any = family.args
            its = its.part(start, stop) if isinstance(its, Blobs) else its[start:stop]
            told = m.Family(
                template.spec(family.session_id, number, b""),
                outputs,
                its,
                list(range(len(outputs))) if kept else [],
            )
            yield Members(told, [family.made])
            start = stop


def _fitting(args: Sequence[bytes], start: int, end: int, bytes_max: int) -> int:
    """Behind the last of the members from `start` on that go into one part; at most `end`."""
    if isinstance(args, Blobs):
        return args.fit(start, end, bytes_max, _MEMBER_BYTES)
    stop, size = start, 0
    while stop < end and size < bytes_max:
        size += len(args[stop]) + _MEMBER_BYTES
        stop += 1
    return stop


def _continues(run: list[TaskRecord], record: TaskRecord) -> bool:
    """Whether a task can be the next member of the family that `run` becomes."""
    first = run[0]
    spec, other = record.spec, first.spec
    config, same = spec.config, other.config
    outputs = first.outputs
    number = other.id.id + len(run) * (len(outputs) + 1)
    return (
        spec.id.id == number
        and type(config) is type(same)
        and spec.task_type == other.task_type
        and spec.function == other.function
        and (spec.function is not None or type(config) is ExecuteConfig)
        and not spec.inputs
        and not other.inputs
        and spec.name == other.name
        and spec.resources == other.resources
        and spec.options == other.options
        and spec.user == other.user
        and _differ_by_args(config, same)
        and len(record.outputs) == len(outputs)
        and all(_is_like(own, outputs[i], number + 1 + i) for i, own in enumerate(record.outputs))
    )


def _differ_by_args(config: Any, other: Any) -> bool:
    """Whether two configs of one type are the same but for their arguments, and may be those of members."""
    if isinstance(config, PyConfig):
        return (
            config.load == other.load
            and config.encode == other.encode
            and config.plain == other.plain
            and config.seed == other.seed
            and not (config.types or config.sources or config.read_only or config.stand_ins)
            and not (other.types or other.sources or other.read_only or other.stand_ins)
        )
    return (
        isinstance(config, ExecuteConfig)
        and bool(config.args and other.args)
        and config.shell == other.shell
        and config.stdin == other.stdin
        and config.stdout == other.stdout
        and config.stderr == other.stderr
        and config.inputs == other.inputs
        and config.outputs == other.outputs
        and config.exit_codes == other.exit_codes
    )


def _args_bytes(args: bytes | list[str]) -> int:
    """About how many bytes arguments take in a message."""
    return len(args) if isinstance(args, bytes) else sum(map(len, args)) + len(args)


def _is_like(record: ObjectRecord, other: ObjectRecord, number: int) -> bool:
    spec, known = record.spec, other.spec
    return (
        spec.id.id == number
        and record.kept == other.kept
        and spec.label == known.label
        and spec.content_type == known.content_type
        and spec.data_type == known.data_type
        and spec.size_hint == known.size_hint
        and spec.user == known.user
    )
