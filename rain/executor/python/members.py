"""Members of families in an executor: consecutive ones wait as one record; each is made when it is its turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, cast, final

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
from rain.objects.files import checksum


class Members:
    """Consecutive members of a family that have not begun.

    Parameters
    ----------
    family : ExecutorFamily
    place, stop : int
        Places in ``family.args`` of the first of these members and of the one behind the last.

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
        """Take the first of these members out; it is its turn."""
        place = self.place
        self.place = place + 1
        return Member(self.family, place)

    def leave(self) -> None:
        """None of them waits here any more."""
        self.place = self.stop

    def numbers(self) -> range:
        """The numbers by which the governor knows these members."""
        first = self.family.number
        return range(first + self.place, first + self.stop)

    def without(self, numbers: Iterable[int]) -> list[Members]:
        """These members without those that have the given numbers."""
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
    """One member whose turn it is; it has the attributes of an `ExecutorTask`.

    Attributes
    ----------
    family : ExecutorFamily
    place : int
        Place in ``family.args``.
    """

    __slots__ = ("_spec", "family", "place")

    nodes: ClassVar[Sequence[Node]] = ()

    def __init__(self, family: ExecutorFamily, place: int) -> None:
        # Most of them are plain, and are asked for little of what follows.
        self.family = family
        self.place = place
        self._spec: TaskSpec | None = None

    @property
    def number(self) -> int:
        return self.family.number + self.place

    @property
    def attempt(self) -> int:
        return self.family.attempt

    @property
    def args(self) -> bytes:
        """Its pickled arguments."""
        return self.family.args[self.place]

    @property
    def inputs(self) -> list[ExecutorInput]:
        return self.family.inputs

    @property
    def function(self) -> ExecutorInput | None:
        """Given to the first one only."""
        return None if self.place else self.family.function

    @property
    def id(self) -> ID:
        """The id of the task."""
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


def as_member_result(
    number: int, start_time: float, duration: float, outputs: Sequence[OutputResult]
) -> MemberResult | None:
    """The result of a member that ended plainly; None if not all of its outputs are inline."""
    places = [output.location for output in outputs]
    if not all(type(place) is Inline for place in places):
        return None
    inline = cast(list[Inline], places)
    return MemberResult(
        number,
        start_time,
        duration,
        [place.data for place in inline],
        [checksum(place.data) if place.checksum is None else place.checksum for place in inline],
        [msgspec.structs.replace(output.info, size=None) for output in outputs],
    )


def as_task_result(member: Member, result: MemberResult) -> TaskResult:
    """The result of a member as one of an ordinary task, which can also say what the task printed."""
    outputs = [
        OutputResult(spec.id, msgspec.structs.replace(info, size=len(data)), Inline(data, checksum))
        for spec, info, data, checksum in zip(member.outputs, result.infos, result.data, result.checksums, strict=True)
    ]
    info = TaskInfo(start_time=result.start_time, duration=result.duration, attempts=member.attempt)
    return TaskResult(member.id, member.attempt, info, outputs)
