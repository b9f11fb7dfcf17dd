"""Members of families as they wait in an executor: consecutive ones are one record, and one of them is made when it is
its turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, final

import msgspec

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.families import member_outputs, member_spec
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorInput,
    MemberResult,
    Node,
    OutputResult,
    TaskResult,
)
from rain.common.spec import ObjectSpec, TaskInfo, TaskSpec


class Members:
    """Consecutive members of a family that have not begun.

    Parameters
    ----------
    family : ExecutorFamily
    place, stop : int
        The first of them and the one behind the last, as places in ``family.args``.

    Attributes
    ----------
    family : ExecutorFamily
    place, stop : int
    """

    __slots__ = ("family", "place", "stop")

    def __init__(self, family: ExecutorFamily, place: int, stop: int) -> None:
        self.family = family
        self.place = place
        self.stop = stop

    def take(self) -> Member:
        """The first of them, which waits no longer."""
        place = self.place
        self.place = place + 1
        return Member(self.family, place)

    def numbers(self) -> range:
        """By which the governor knows them."""
        first = self.family.number
        return range(first + self.place, first + self.stop)

    def without(self, numbers: Iterable[int]) -> list[Members]:
        """What is left without these."""
        first, place, left = self.family.number, self.place, []
        for gone in sorted(numbers):
            if gone - first > place:
                left.append(Members(self.family, place, gone - first))
            place = gone - first + 1
        if place < self.stop:
            left.append(Members(self.family, place, self.stop))
        return left


@final
class Member:
    """One member at its turn; it is read like an `ExecutorTask`.

    Attributes
    ----------
    family : ExecutorFamily
    place : int
        In ``family.args``.
    number, attempt : int
    args : bytes
        Its pickled arguments.
    inputs : list of ExecutorInput
    function : ExecutorInput or None
        Given to the first one only.
    """

    __slots__ = ("_spec", "args", "attempt", "family", "function", "inputs", "number", "place")

    nodes: ClassVar[Sequence[Node]] = ()

    def __init__(self, family: ExecutorFamily, place: int) -> None:
        self.family = family
        self.place = place
        self.number = family.number + place
        self.attempt = family.attempt
        self.args = family.args[place]
        self.inputs = family.inputs
        self.function: ExecutorInput | None = None if place else family.function
        self._spec: TaskSpec | None = None

    @property
    def id(self) -> ID:
        """The task's."""
        family = self.family
        session_id, number = family.spec.id
        return ID(session_id, number + self.place * (len(family.outputs) + 1))

    @property
    def spec(self) -> TaskSpec:
        if self._spec is None:
            self._spec = member_spec(self.family.spec, self.place, self.args)
        return self._spec

    @property
    def outputs(self) -> list[ObjectSpec]:
        return member_outputs(self.family.outputs, self.place)


def as_task_result(member: Member, result: MemberResult) -> TaskResult:
    """What ended plainly but for what it wrote, as an ordinary result."""
    outputs = [
        OutputResult(spec.id, msgspec.structs.replace(info, size=len(data)), Inline(data, checksum))
        for spec, info, data, checksum in zip(member.outputs, result.infos, result.data, result.checksums, strict=True)
    ]
    info = TaskInfo(start_time=result.start_time, duration=result.duration, attempts=member.attempt)
    return TaskResult(member.id, member.attempt, info, outputs)
