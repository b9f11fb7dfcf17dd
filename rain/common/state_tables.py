"""Tables of states: which state of a record may follow which, when it does, and where that is checked and counted.

Theory of operation
-------------------
A state is an enum, and a `StateTable` beside it lists its arrows, each with the reason in words; `docs/states.md` is
drawn from the tables. A class says which of its attributes hold such states::

    @states(placement=PLACEMENT)
    class Task: ...

That alone changes nothing: the attribute stays a plain slot, at a plain slot's cost. `watch` puts a descriptor in its
place that refuses what the table lacks and reports each arrow that is taken for the first time. Tests watch, and the
processes that they start (`rain.processes.state_checks`); so an arrow that no test takes is found too. Where states are
values of a dict, as those of a governor's copies of objects, `states_of_values` does the same for the dict.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import partial
from types import MemberDescriptorType
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound=enum.Enum)
C = TypeVar("C", bound=type)
Observer = Callable[[str, str, str], None]

_declared: list[Callable[[], None]] = []
_observer: Observer | None = None
_taken: list[set[tuple[str | None, str | None]]] = []
"""For each attribute that is watched: arrows that were checked and reported, as names of states."""
_MISSING = object()


class StateTable(Generic[S]):
    """The arrows of one kind of state.

    Parameters
    ----------
    kind : type of enum.Enum
    title : str
        What is in these states, as a heading: "A task's placement".
    arrows : dict of (state, state) to str
        When each arrow is taken. None stands for "not there": before the record is made, or after a value has left
        its dict.

    Examples
    --------
    >>> class Light(enum.Enum):
    ...     GREEN = "green"  # go
    ...     RED = "red"  # stop
    >>> light = StateTable(
    ...     Light, "A light", {(None, Light.RED): "switched on", (Light.RED, Light.GREEN): "cars go"}
    ... )
    >>> light.allows(Light.GREEN, Light.RED)
    False
    """

    __slots__ = ("arrows", "kind", "name", "title")

    def __init__(self, kind: type[S], title: str, arrows: Mapping[tuple[S | None, S | None], str]) -> None:
        self.kind = kind
        self.name = kind.__name__
        self.title = title
        self.arrows = dict(arrows)

    def allows(self, old: S | None, new: S | None) -> bool:
        """Whether `new` may follow `old`."""
        return (old, new) in self.arrows

    def after(self, old: S | None) -> frozenset[S]:
        """The states that may follow."""
        return frozenset(new for before, new in self.arrows if before is old and new is not None)

    def changed(self, record: object, old: S | None, new: S | None) -> None:
        """Check one change, and report it.

        Raises
        ------
        AssertionError
            If the table lacks this arrow.
        """
        if (old, new) not in self.arrows:
            raise AssertionError(f"{record!r} may not go from {old} to {new}: the table of {self.name} lacks that")
        if _observer is not None:
            _observer(self.name, name_of(old), name_of(new))

    def names(self) -> set[tuple[str, str, str]]:
        """All arrows as (name of the table, name of a state, name of a state)."""
        return {(self.name, name_of(old), name_of(new)) for old, new in self.arrows}


def name_of(state: enum.Enum | None) -> str:
    """A state's name; a dash for "not there"."""
    return "-" if state is None else state.name


def states(**tables: StateTable[Any]) -> Callable[[C], C]:
    """Declare attributes of a class that hold states.

    Parameters
    ----------
    **tables : StateTable
        By attribute: a slot, or an attribute of instances.
    """

    def declare(cls: C) -> C:
        for attribute, table in tables.items():
            _declare(partial(_watch_attribute, cls, attribute, table))
        return cls

    return declare


def states_of_values(attribute: str, table: StateTable[S], state_of: Callable[[Any], S]) -> Callable[[C], C]:
    """Declare an attribute of a class whose value is a dict of states, or of what `state_of` takes for a state."""

    def declare(cls: C) -> C:
        _declare(partial(_watch_dict, cls, attribute, table, state_of))
        return cls

    return declare


def watch(observer: Observer) -> None:
    """From now on check all changes of states in this process, and call ``observer(table, old, new)`` for new arrows.

    Records that were made before may not be used any more.
    """
    global _observer
    first = _observer is None
    seen: set[tuple[str, str, str]] = set()

    def once(table: str, old: str, new: str) -> None:
        if (table, old, new) not in seen:
            seen.add((table, old, new))
            observer(table, old, new)

    _observer = once
    for taken in _taken:
        taken.clear()
    if first:
        for install in _declared:
            install()


def slot_of(cls: type, attribute: str) -> MemberDescriptorType:
    """The plain slot of an attribute, watched or not: what sets it changes no state, but makes a record as it was."""
    found = next(base.__dict__[attribute] for base in cls.__mro__ if attribute in base.__dict__)
    slot = found.fget.__self__ if isinstance(found, property) else found  # type: ignore[union-attr]
    assert isinstance(slot, MemberDescriptorType), f"{cls.__name__}.{attribute} is no slot"
    return slot


def _declare(install: Callable[[], None]) -> None:
    _declared.append(install)
    if _observer is not None:
        install()


class _Watched:
    """In the place of an attribute of instances that holds a state."""

    def __init__(self, cls: type, name: str, table: StateTable[Any]) -> None:
        self._default = cls.__dict__.get(name, _MISSING)
        self._name = name
        self._table = table

    def __get__(self, record: Any, owner: type | None = None) -> Any:
        if record is None:
            return self if self._default is _MISSING else self._default
        value = record.__dict__.get(self._name, self._default)
        if value is _MISSING:
            raise AttributeError(self._name)
        return value

    def __set__(self, record: Any, new: Any) -> None:
        old = record.__dict__.get(self._name, _MISSING)
        if old is not new:
            self._table.changed(record if old is not _MISSING else type(record), None if old is _MISSING else old, new)
        record.__dict__[self._name] = new


def _watch_attribute(cls: type, attribute: str, table: StateTable[Any]) -> None:
    slot = cls.__dict__.get(attribute)
    watched = (
        _watched_slot(cls, slot, table) if isinstance(slot, MemberDescriptorType) else _Watched(cls, attribute, table)
    )
    setattr(cls, attribute, watched)


def _watched_slot(cls: type, slot: Any, table: StateTable[Any]) -> property:
    """In the place of a slot that holds a state: reading it calls no Python, as the simulator does that most."""
    get, put = slot.__get__, slot.__set__
    taken: set[tuple[str | None, str | None]] = set()
    _taken.append(taken)

    def change(record: Any, new: Any) -> None:
        try:
            old = get(record)
            where = record
        except AttributeError:
            old, where = None, cls
        if old is not new:
            # By name: the hash of an enum's member is Python code, and ``id`` calls the simulator's audit hook.
            arrow = (None if old is None else old._name_, None if new is None else new._name_)
            if arrow not in taken:
                table.changed(where, old, new)
                taken.add(arrow)
        put(record, new)

    return property(get, change)


class WatchedDict(dict[Any, Any]):
    """In the place of a dict whose values are states."""

    __slots__ = ("_state_of", "_table")

    def __init__(self, items: dict[Any, Any], table: StateTable[Any], state_of: Callable[[Any], Any]) -> None:
        super().__init__()
        self._table = table
        self._state_of = state_of
        for key, value in items.items():
            self[key] = value

    def _state(self, key: Any) -> Any:
        return self._state_of(self[key]) if key in self else None

    def __setitem__(self, key: Any, value: Any) -> None:
        old, new = self._state(key), self._state_of(value)
        if old is not new:
            self._table.changed(key, old, new)
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        old = self._state(key)
        super().__delitem__(key)
        self._table.changed(key, old, None)

    def pop(self, key: Any, *default: Any) -> Any:
        if key in self:
            self._table.changed(key, self._state(key), None)
        return super().pop(key, *default)

    def _refuse(self, *_args: Any, **_values: Any) -> Any:
        raise AssertionError("states in a dict change one by one")

    update = setdefault = popitem = clear = __ior__ = _refuse


def _watch_dict(cls: type, attribute: str, table: StateTable[Any], state_of: Callable[[Any], Any]) -> None:
    slot = cls.__dict__.get(attribute)
    assert isinstance(slot, MemberDescriptorType), f"{cls.__name__}.{attribute} is no slot"

    def put(record: Any, value: dict[Any, Any]) -> None:
        slot.__set__(record, WatchedDict(value, table, state_of))

    setattr(cls, attribute, property(slot.__get__, put))
