"""`TaskList`, which `map` returns: a list of tasks that are made when the list is first read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from rain.client.building.member import MemberHandle, member_of
from rain.client.handles import inside
from rain.common.errors import RainException
from rain.common.limits import INLINE_BYTES_MAX
from rain.objects.content_types.codecs import decode_value

if TYPE_CHECKING:
    from rain.client.core.families.family import Family
    from rain.client.session import Session
    from rain.client.task import Task


class _Unmade:
    """The placeholder in the memory of a `TaskList` for each task that is not made yet."""

    __slots__ = ()

    def _refuse(self, *_: Any) -> Any:
        raise RainException(
            "this code looks into the memory of a list of tasks that are made when they are first looked at: give it "
            "list(tasks), which holds them"
        )

    __getattr__ = __lt__ = __gt__ = __le__ = __ge__ = __eq__ = __ne__ = __hash__ = __reduce_ex__ = _refuse

    def __repr__(self) -> str:
        return "<task that is not made yet>"


_UNMADE: Any = _Unmade()


class TaskList(list["Task[Any]"]):
    """A list of the members of a family, in order.

    Until it is iterated or changed it holds no tasks, only the family; from then on it is a list like any other.
    Operations on all of it, like waiting, need no tasks. Code in C that reads a list's memory directly (`heapq`,
    extension modules) finds a placeholder there for each task, any use of which raises an error, rather than an empty
    list.
    """

    __slots__ = ("_family", "_session")
    _family: Family | None
    _session: Session

    def __init__(self, *items: Any) -> None:
        super().__init__(*items)
        self._family = None

    @classmethod
    def _of(cls, session: Session, family: Family) -> TaskList:
        made = cls((_UNMADE,) * family.count)
        made._session = session
        made._family = family
        family.listed = True
        return made

    def _whole(self) -> tuple[Session, Family] | None:
        """The family that the list stands for; None if it holds tasks."""
        family = self._family
        return None if family is None else (self._session, family)

    def _fill(self) -> list[Task[Any]]:
        """Make the tasks of the family, and hold these."""
        family = self._family
        if family is not None:
            session = self._session
            places = range(family.count)
            list.__setitem__(self, slice(len(places)), [member_of(session, family, place) for place in places])
            self._family = None
            family.listed = False
        return self

    def __del__(self) -> None:
        # May run anywhere, in any thread: only notes that the list is gone.
        family = getattr(self, "_family", None)
        if family is not None:
            family.listed = False
            if family.kept.find(1) >= 0 or family.taken:
                inside(self._session).mirror.dropped.append((family, None))

    # -- without tasks --------------------------------------------------------------------------

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Task[Any]: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Task[Any]]: ...
    def __getitem__(self, index: Any, /) -> Any:
        family = self._family
        if family is None:
            return list.__getitem__(self, index)
        session, places = self._session, range(family.count)
        if isinstance(index, slice):
            return [member_of(session, family, place) for place in places[index]]
        try:
            place = places[index]
        except IndexError:
            raise IndexError("list index out of range") from None
        return member_of(session, family, place)

    def __iter__(self) -> Iterator[Task[Any]]:
        return list.__iter__(self._fill())

    def __radd__(self, other: list[Any]) -> Any:
        # Called before `[…] + this` and `[…] += this` read this list's memory.
        self._fill()
        return NotImplemented

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(self._fill()),)

    def __copy__(self) -> list[Any]:
        return list(self)


def families_of(session: Session, items: Any) -> list[Family] | None:
    """The families of which `items` are exactly the members, each once; None if `items` are anything else."""
    found = members_of(session, items)
    if found is None:
        return None
    count = sum(family.count for family in found)
    if len(items) != count or any(len(places) != family.count for family, places in found.items()):
        return None
    return list(found)


def members_of(session: Session, items: Any) -> dict[Family, Collection[int]] | None:
    """Families and the places of their members that `items` are; None if `items` are anything else."""
    if isinstance(items, TaskList):
        whole = items._whole()
        if whole is not None:
            return {whole[1]: range(whole[1].count)} if whole[0] is session else None
    if not isinstance(items, list | tuple):
        return None
    found: dict[Family, set[int]] = {}
    for item in items:
        if not isinstance(item, MemberHandle) or item._session is not session:
            return None
        family = item._family
        if family is None:
            return None
        places = found.get(family)
        if places is None:
            places = found[family] = set()
        places.add(item._place)
    return {**found}


def values_of(items: Sequence[Any]) -> list[Any] | None:
    """The values of the outputs of members of families; None if some are not in this process or not simply decoded."""
    values = []
    whole = items._whole() if isinstance(items, TaskList) else None
    if whole is None:
        members: Any = ((item._family, item._place) for item in items)
    else:
        members = ((whole[1], place) for place in range(whole[1].count))
    for family, place in members:
        found = family.data_of(place) if family is not None else None
        if found is None or found[0] is None or len(found[1]) > INLINE_BYTES_MAX // 2:
            return None
        content_type, data = found
        values.append(decode_value(data, content_type))
    return values


def _filled(name: str) -> Callable[..., Any]:
    method = getattr(list, name)

    def call(self: TaskList, /, *args: Any, **kwargs: Any) -> Any:
        for other in args:
            if isinstance(other, TaskList):
                other._fill()
        return method(self._fill(), *args, **kwargs)

    call.__name__, call.__qualname__, call.__doc__ = name, f"TaskList.{name}", method.__doc__
    return call


for _name in (
    "__add__", "__contains__", "__delitem__", "__eq__", "__ge__", "__gt__", "__iadd__", "__imul__", "__le__", "__lt__",
    "__mul__", "__ne__", "__repr__", "__reversed__", "__rmul__", "__setitem__", "append", "clear", "copy", "count",
    "extend", "index", "insert", "pop", "remove", "reverse", "sort",
):  # fmt: skip
    setattr(TaskList, _name, _filled(_name))
TaskList.__hash__ = None
