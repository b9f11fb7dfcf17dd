"""The part of `Task` that finds its record, which a member of a family gets when it is first needed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Self, cast

from rain.client.core.records import TaskRecord
from rain.client.handles import Handle, handle_of, inside

if TYPE_CHECKING:
    from rain.client.core.families.family import Family
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.common.labeled_list import LabeledList


def member_of(session: Session, family: Family, place: int) -> Any:
    """The `Task` of a member of a family."""
    return cast("type[MemberHandle]", Handle._kinds[TaskRecord])._of(session, family, place)


class MemberHandle(Handle):
    """Points to the record of a task, or to a member of a family that has none."""

    __slots__ = ("__weakref__", "_family", "_handles", "_inputs", "_known", "_outputs", "_place")
    _family: Family | None
    _known: TaskRecord | None
    _place: int
    _inputs: LabeledList[DataObject] | None
    _outputs: LabeledList[DataObject] | None
    _handles: tuple[DataObject, ...] | None

    @classmethod
    def _of(cls, session: Session, family: Family, place: int) -> Self:
        """The handle of a member; the existing one, if there is one."""
        before = family.handles.get(place)
        living: Self | None = None if before is None else before()
        if living is not None:
            return living
        if place in family.taken:
            found: Self = handle_of(session, family.taken[place])
            return found
        return cls._new(session, family, place)

    @classmethod
    def _new(cls, session: Session, family: Family, place: int) -> Self:
        """A handle of a member that has none."""
        task = cls.__new__(cls)
        task._session = session
        task._known = task._inputs = task._outputs = task._handles = None
        task._family = family
        task._place = place
        family.handles[place] = weakref.ref(task)
        return task

    def _attach(self, session: Session, record: TaskRecord) -> None:
        self._session = session
        self._known = record
        self._inputs = self._outputs = self._handles = None
        record.handle = weakref.ref(self)
        self._family = family = record.family
        self._place = 0
        if family is not None:
            self._place = (record.spec.id.id - family.first) // family.stride
            family.handles[self._place] = record.handle

    @property
    def _record(self) -> TaskRecord:
        known = self._known
        if known is None:
            assert self._family is not None
            known = self._known = inside(self._session).mirror.records.take(self._family, self._place)
        return known

    @property
    def _columns(self) -> Family | None:
        """The family whose columns describe this task; None if the task has a record."""
        family = self._family
        if self._known is not None or family is None or self._place in family.taken:
            return None
        return family

    def __del__(self) -> None:
        # May run anywhere, in any thread: only notes that the handle is gone.
        try:
            family, place = self._family, self._place
        except AttributeError:
            return
        if family is None:
            return
        own = family.handles.get(place)
        living = None if own is None else own()
        if living is None or living is self:  # and not that of another handle, made since
            family.handles.pop(place, None)
        if family.kept[place] or place in family.taken:
            inside(self._session).mirror.dropped.append((family, place))
