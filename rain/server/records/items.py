"""The tasks and objects of a session by number, among them members of families.

Looking up a member that has no record of its own gives it one. Code that goes over many tasks without needing each
record reads `own` and `Families.records` instead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from rain.server.records.family import AT, DONE, DROPPED, FREE, NEW, OWN, TaskFamily

if TYPE_CHECKING:
    from rain.server.records.data_object import Object
    from rain.server.records.task import Task

T = TypeVar("T")


class Families:
    """The tasks and objects of a session or a submit, among them members of families.

    Attributes
    ----------
    firsts : list of int
        Numbers of the first members, in order.
    records : list of TaskFamily
        The families, in the same order; without those whose members all have records of their own, or are released.
    waiting : int
        How many members have not finished and have no record of their own.
    tasks, objects : Tasks, Objects
    """

    __slots__ = ("firsts", "objects", "records", "tasks", "waiting")

    def __init__(self, tasks: dict[int, Task], objects: dict[int, Object]) -> None:
        self.firsts: list[int] = []
        self.records: list[TaskFamily] = []
        self.waiting = 0
        self.tasks = Tasks(tasks, self)
        self.objects = Objects(objects, self)

    def add(self, family: TaskFamily) -> None:
        """Add a family."""
        if not family.waiting:
            return
        place = bisect_right(self.firsts, family.first)
        self.firsts.insert(place, family.first)
        self.records.insert(place, family)
        self.waiting += family.waiting

    def find(self, number: int) -> tuple[TaskFamily, int, int] | None:
        """The family that a number belongs to, the member's place, and which of the member's numbers it is: 0 is that
        of its task, 1 that of its first output."""
        at = bisect_right(self.firsts, number) - 1
        if at < 0:
            return None
        family = self.records[at]
        place, which = divmod(number - family.first, family.stride)
        return (family, place, which) if place < family.count else None

    def take(self, family: TaskFamily, place: int) -> Task:
        """Give a member that has not finished a record of its own; returns it."""
        task = family.take(place)
        self.waiting -= 1
        self.tasks.own[task.id[1]] = task
        objects = self.objects.own
        for obj in task.outputs:
            objects[obj.id[1]] = obj
        self._look_after(family)
        return task

    def take_made(self, family: TaskFamily, place: int) -> None:
        """Give the outputs of a finished member records of their own."""
        objects = self.objects.own
        for obj in family.take_made(place):
            objects[obj.id[1]] = obj
        self._look_after(family)

    def take_free(self) -> None:
        """Give all members that are ready records of their own."""
        for family in list(self.records):
            for members in family.runs(FREE):
                for place in range(members.start, members.stop):
                    self.take(family, place)

    def ended(self, family: TaskFamily, count: int, made: bool) -> None:
        """Count `count` members as finished; `made`: the family holds bytes of their outputs."""
        family.waiting -= count
        self.waiting -= count
        if made:
            family.made += count
        self._look_after(family)

    def drop(self, family: TaskFamily, start: int, stop: int) -> None:
        """Drop what is held of members that have finished."""
        family.drop(start, stop)
        self._look_after(family)

    def finished(self) -> Iterator[tuple[TaskFamily, int]]:
        """The finished members of which results are held, by family and place."""
        objects, tasks = self.objects.own, self.tasks.own
        for family in self.records:
            for place, state in enumerate(family.states):
                number = family.number(place)
                looked_at = state == OWN and number not in tasks
                if state == DONE or (looked_at and any(number + at in objects for at in range(1, family.stride))):
                    yield family, place

    def _look_after(self, family: TaskFamily) -> None:
        if not family.waiting and not family.made:
            at = bisect_right(self.firsts, family.first) - 1
            if at >= 0 and self.records[at] is family:
                del self.firsts[at], self.records[at]

    def clear(self) -> None:
        """Drop all records."""
        self.firsts, self.records, self.waiting = [], [], 0
        self.tasks, self.objects = Tasks({}, self), Objects({}, self)


class _Items(Generic[T]):
    """Records by number; `own` are those that exist, without members of families that have none."""

    __slots__ = ("_families", "own")

    def __init__(self, own: dict[int, T], families: Families) -> None:
        self.own = own
        self._families = families

    def __getitem__(self, number: int) -> T:
        found = self.get(number)
        if found is None:
            raise KeyError(number)
        return found

    def get(self, number: int) -> T | None:
        """The record of this number, if it is known and was not released."""
        raise NotImplementedError

    def __delitem__(self, number: int) -> None:
        del self.own[number]

    def __iter__(self) -> Iterator[int]:
        self._take_all()
        return iter(self.own)

    def values(self) -> Iterable[T]:
        """All records; those that members of families lack are made."""
        self._take_all()
        return self.own.values()

    def update(self, records: Mapping[int, T]) -> None:
        """Add records."""
        self.own.update(records)

    def _take_all(self) -> None:
        raise NotImplementedError


class Tasks(_Items["Task"]):
    """Tasks by number."""

    __slots__ = ()

    def get(self, number: int) -> Task | None:
        task = self.own.get(number)
        families = self._families
        if task is None and families.waiting and (found := families.find(number)) is not None and _waits(*found):
            return families.take(found[0], found[1])
        return task

    def __contains__(self, number: int) -> bool:
        if number in self.own:
            return True
        return bool(self._families.waiting) and (found := self._families.find(number)) is not None and _waits(*found)

    def __len__(self) -> int:
        return len(self.own) + self._families.waiting

    def _take_all(self) -> None:
        families = self._families
        if families.waiting:
            for family in list(families.records):
                for place in range(family.count):
                    if _waits(family, place, 0):
                        families.take(family, place)


class Objects(_Items["Object"]):
    """Objects by number."""

    __slots__ = ()

    def get(self, number: int) -> Object | None:
        obj = self.own.get(number)
        families = self._families
        if obj is None and families.firsts and (found := families.find(number)) is not None and found[2]:
            family, place, _ = found
            if _waits(family, place, 0):
                families.take(family, place)
            elif family.states[place] == DONE:
                families.take_made(family, place)
            return self.own.get(number)
        return obj

    def __contains__(self, number: int) -> bool:
        if number in self.own:
            return True
        families = self._families
        if not families.firsts or (found := families.find(number)) is None or not found[2]:
            return False
        family, place, which = found
        return _waits(family, place, 0) or (family.states[place] == DONE and which - 1 in family.kept)

    def __len__(self) -> int:
        families = self._families.records
        return len(self.own) + sum(one.waiting * len(one.outputs) + one.made * len(one.kept) for one in families)

    def _take_all(self) -> None:
        families = self._families
        for family in list(families.records):
            for place in range(family.count):
                if _waits(family, place, 0):
                    families.take(family, place)
                elif family.states[place] == DONE:
                    families.take_made(family, place)


def _waits(family: TaskFamily, place: int, which: int) -> bool:
    """Whether a number is that of a task that has not finished and has no record of its own."""
    if which:
        return False
    state = family.states[place]
    return state >= AT or state in (FREE, NEW, DROPPED)
