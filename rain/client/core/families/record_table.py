"""The records of a session by number: a dict that makes the records of members of families when they are looked up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rain.client.core.families.family import Family
from rain.client.core.records import Record, TaskRecord


class RecordTable(dict[int, Record]):
    """Records by number, in the order of numbers where families are among them.

    Looking up a number makes the record of that member; iteration makes the records of all members.

    Attributes
    ----------
    families : list of Family
        The families of which not all members have records, by number.
    lock : context manager
        Held while the record of a member is made: user code looks records up in any thread.
    """

    __slots__ = ("_mixed", "_over", "_starts", "families", "lock")

    def __init__(self, *records: Any) -> None:
        super().__init__(*records)
        self.families: list[Family] = []
        self.lock: AbstractContextManager[Any] = nullcontext()
        self._starts: list[int] = []
        self._over = 0  # families without members, about
        self._mixed = False  # whether members were added behind records of larger numbers

    def add(self, family: Family) -> None:
        """Add a family."""
        at = bisect_right(self._starts, family.first)
        self._starts.insert(at, family.first)
        self.families.insert(at, family)

    def forget(self, family: Family) -> None:
        """Take note that all members of a family have records. It may stay in `families` a while, without effect."""
        self._over += 1
        if 2 * self._over > len(self.families):
            self._over = 0
            self.families = [other for other in self.families if other is not family and not other.is_over]
            self._starts = [other.first for other in self.families]

    def family_of(self, number: int) -> Family | None:
        """The family that has this number; its member may have a record already."""
        at = bisect_right(self._starts, number) - 1
        if at < 0:
            return None
        family = self.families[at]
        return family if number < family.end else None

    def take(self, family: Family, place: int) -> TaskRecord:
        """The record of a member."""
        with self.lock:
            record = family.taken.get(place)
            if record is None:
                record = family.take(place)
                dict.__setitem__(self, record.spec.id.id, record)
                for output in record.outputs:
                    dict.__setitem__(self, output.spec.id.id, output)
                self._mixed = True
            return record

    def untaken(self, number: int) -> tuple[Family, int] | None:
        """The family and place of the member with this task or object, if it has no record and was submitted."""
        if not self._starts or dict.__contains__(self, number):
            return None
        family = self.family_of(number)
        if family is None or not family.submitted:
            return None
        return family, (number - family.first) // family.stride

    def take_all(self, family: Family) -> list[TaskRecord]:
        """The records of all members of a family, which is then a family no longer."""
        records = [self.take(family, place) for place in range(family.count)]
        self.forget(family)
        return records

    def all(self) -> list[Record]:
        """All records, in the order of their numbers where families were among them."""
        for family in [family for family in self.families if not family.is_over]:
            self.take_all(family)
        return [record for _, record in sorted(dict.items(self))] if self._mixed else list(dict.values(self))

    def made(self) -> list[Record]:
        """The records that exist, without those of members that were never looked up."""
        return list(dict.values(self))

    # -- a dict ---------------------------------------------------------------------------------

    def __missing__(self, number: int) -> Record:
        family = self.family_of(number)
        if family is None:
            raise KeyError(number)
        self.take(family, (number - family.first) // family.stride)
        return dict.__getitem__(self, number)

    def get(self, number: int, default: Any = None) -> Any:
        found = dict.get(self, number)
        if found is None and self._starts:
            try:
                return self[number]
            except KeyError:
                return default
        return default if found is None else found

    def __contains__(self, number: object) -> bool:
        return dict.__contains__(self, number) or (isinstance(number, int) and self.family_of(number) is not None)

    def __len__(self) -> int:
        return dict.__len__(self) + sum((family.count - len(family.taken)) * family.stride for family in self.families)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[int]:
        self.all()
        return dict.__iter__(self)

    def values(self) -> list[Record]:  # type: ignore[override]
        return self.all()

    def items(self) -> Any:
        return [(record.spec.id.id, record) for record in self.all()]
