"""How objects of each type are taken apart into columns of values, and put together again."""

from __future__ import annotations

import copy
import enum
import inspect
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice, repeat, starmap
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any, NamedTuple, get_type_hints

import msgspec

from rain.common.errors import RainException
from rain.common.state_tables import slot_of

Column = list[Any]


class ImageError(RainException):
    """An image cannot be made, or cannot be read by this version of Rain."""


class Unset(enum.Enum):
    """In the place of an attribute that has no value."""

    UNSET = "unset"


UNSET = Unset.UNSET


class Conversion(NamedTuple):
    """What stands in an image for the value of an attribute, and the way back; it has to be text, a number or a tuple
    of such, as lists and dicts may not be filled yet on the way back."""

    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


class Type:
    """How objects of one type are written.

    Attributes
    ----------
    name : str
        In images.
    fields : tuple of str
        What each column is, where that can differ between versions.
    native : frozenset of int
        Columns that msgpack takes as they are.
    filled : bool
        Whether objects are made empty and filled later.
    by_value : bool
        Whether equal ones become one.
    constants : list
        Objects that are not written, but are this process's own also after an image was read.
    """

    fields: tuple[str, ...] = ()
    native: frozenset[int] = frozenset()
    filled = False
    by_value = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.constants: list[Any] = []

    def default(self, field: str) -> Callable[[], Any] | None:
        """What gives a field its value in objects of an image that lacks it; None: nothing does."""
        return None

    def split(self, values: Column) -> list[Column]:
        """The columns of these objects."""
        raise NotImplementedError

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        """Objects from columns; not of types that are filled."""
        raise NotImplementedError

    def new(self, count: int) -> Iterable[Any]:
        """Empty objects."""
        raise NotImplementedError

    def fill(self, values: Column, columns: list[Column]) -> None:
        """Fill empty objects."""
        raise NotImplementedError


def exhaust(iterator: Iterable[Any]) -> None:
    """Run an iterator to its end."""
    deque(iterator, maxlen=0)


def _pieces(lengths: Column, items: Column) -> Iterator[Any]:
    """`items` cut into tuples of these lengths."""
    if lengths and lengths.count(lengths[0]) == len(lengths):
        length = lengths[0]
        return zip(*[iter(items)] * length, strict=True) if length else repeat((), len(lengths))
    rest = iter(items)
    return (tuple(islice(rest, length)) for length in lengths)


class Values(Type):
    """Text or bytes: one column, the values themselves."""

    native = frozenset({0})
    by_value = True

    def split(self, values: Column) -> list[Column]:
        return [values]

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        return columns[0]


class Text(Values):
    """Text; what has no UTF-8 form is written as bytes."""

    def split(self, values: Column) -> list[Column]:
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            return [[_encodable(value) for value in values]]
        return [values]

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        return [value if isinstance(value, str) else value.decode("utf-8", "surrogatepass") for value in columns[0]]


def _encodable(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


class Tuples(Type):
    """Tuples. Of those that are all as long as each other a column for each place, behind that length; else one for all
    items, behind all lengths."""

    native = frozenset({0})

    def split(self, values: Column) -> list[Column]:
        lengths = list(map(len, values))
        if lengths and lengths.count(lengths[0]) == len(lengths):
            return [lengths[:1], *map(list, zip(*values, strict=True))]
        return [lengths, list(chain.from_iterable(values))]

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        lengths, *places = columns
        if len(lengths) > 1:
            return _pieces(lengths, places[0])
        return zip(*places, strict=True) if places else repeat((), count)


class Frozensets(Tuples):
    """Frozensets."""

    by_value = True

    def split(self, values: Column) -> list[Column]:
        return super().split(list(map(_sorted, values)))

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        return map(frozenset, super().make(count, columns))


class Sequences(Type):
    """Lists and sets, which are filled by one method."""

    native = frozenset({0})
    filled = True

    def __init__(self, name: str, kind: Callable[[], Any], fill: Callable[[Any, Any], None], is_set: bool) -> None:
        super().__init__(name)
        self._kind = kind
        self._fill = fill
        self._is_set = is_set

    def split(self, values: Column) -> list[Column]:
        items = map(_sorted, values) if self._is_set else values
        return [list(map(len, values)), list(chain.from_iterable(items))]

    def new(self, count: int) -> Iterable[Any]:
        return [self._kind() for _ in range(count)]

    def fill(self, values: Column, columns: list[Column]) -> None:
        exhaust(map(self._fill, values, _pieces(*columns)))


class Deques(Sequences):
    """Deques that are not bounded."""

    def __init__(self) -> None:
        super().__init__("deque", deque, deque.extend, False)

    def split(self, values: Column) -> list[Column]:
        if any(value.maxlen is not None for value in values):
            raise ImageError("a deque with maxlen cannot be in an image")
        return super().split(values)


class Bytearrays(Type):
    """Bytearrays."""

    native = frozenset({0})
    filled = True

    def __init__(self) -> None:
        super().__init__("bytearray")

    def split(self, values: Column) -> list[Column]:
        return [list(map(bytes, values))]

    def new(self, count: int) -> Iterable[Any]:
        return [bytearray() for _ in range(count)]

    def fill(self, values: Column, columns: list[Column]) -> None:
        exhaust(map(bytearray.extend, values, columns[0]))


class Dicts(Type):
    """Dicts, in their order."""

    native = frozenset({0})
    filled = True

    def __init__(self) -> None:
        super().__init__("dict")

    def split(self, values: Column) -> list[Column]:
        return [
            list(map(len, values)),
            list(chain.from_iterable(values)),
            list(chain.from_iterable(map(dict.values, values))),
        ]

    def new(self, count: int) -> Iterable[Any]:
        return [{} for _ in range(count)]

    def fill(self, values: Column, columns: list[Column]) -> None:
        lengths, keys, items = columns
        pairs = zip(keys, items, strict=True)
        for value, length in zip(values, lengths, strict=True):
            if length:
                value.update(islice(pairs, length))


class Members(Type):
    """Members of an enum."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        super().__init__(kind.__name__)
        self.kind = kind
        self.fields = tuple(kind.__members__)


class NamedTuples(Type):
    """A class made by `NamedTuple`."""

    def __init__(self, kind: type[Any]) -> None:
        super().__init__(kind.__name__)
        self.fields = kind._fields
        self._defaults: dict[str, Any] = kind._field_defaults
        self._make = partial(tuple.__new__, kind)

    def default(self, field: str) -> Callable[[], Any] | None:
        return _giving(self._defaults[field]) if field in self._defaults else None

    def split(self, values: Column) -> list[Column]:
        return [list(column) for column in zip(*values, strict=True)]

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        return map(self._make, zip(*columns, strict=True))


class Structs(Type):
    """A msgspec Struct. What it declares as `Any` came as msgpack, and is written so."""

    def __init__(self, kind: type[msgspec.Struct], converted: Mapping[str, Conversion]) -> None:
        super().__init__(kind.__name__)
        self.fields = kind.__struct_fields__
        hints = get_type_hints(kind)
        self.native = frozenset(
            number for number, field in enumerate(self.fields) if hints.get(field) in (Any, dict[str, Any])
        )
        self._kind = kind
        self._getters = [attrgetter(field) for field in self.fields]
        named = [one.kind is one.KEYWORD_ONLY for one in inspect.signature(kind).parameters.values()]
        self._by_name = any(named)
        self._converted = {self.fields.index(name): conversion for name, conversion in converted.items()}

    def default(self, field: str) -> Callable[[], Any] | None:
        (found,) = (one for one in msgspec.structs.fields(self._kind) if one.name == field)
        if found.default_factory is not msgspec.NODEFAULT:
            made: Callable[[], Any] = found.default_factory
            return made
        return _giving(found.default) if found.default is not msgspec.NODEFAULT else None

    def split(self, values: Column) -> list[Column]:
        columns = [list(map(getter, values)) for getter in self._getters]
        for number, conversion in self._converted.items():
            columns[number] = list(map(conversion.there, columns[number]))
        return columns

    def make(self, count: int, columns: list[Column]) -> Iterable[Any]:
        if not columns:
            return [self._kind() for _ in range(count)]
        for number, conversion in self._converted.items():
            columns[number] = list(map(conversion.back, columns[number]))
        if self._by_name:
            fields = self.fields
            return [self._kind(**dict(zip(fields, row, strict=True))) for row in zip(*columns, strict=True)]
        return starmap(self._kind, zip(*columns, strict=True))


class Records(Type):
    """A class with ``__slots__``. The last column lists those in which an attribute of some object has no value."""

    filled = True

    def __init__(
        self,
        kind: type,
        left_out: Collection[str],
        converted: Mapping[str, Conversion],
        added: Mapping[str, Callable[[], Any]],
    ) -> None:
        super().__init__(kind.__name__)
        self._added = added
        slots = [
            name
            for base in kind.__mro__
            for name in base.__dict__.get("__slots__", ())
            if name not in ("__weakref__", "__dict__")
        ]
        unknown = (set(left_out) | set(converted) | set(added)) - set(slots)
        if unknown or (not slots and kind.__dictoffset__):
            raise TypeError(f"{kind.__name__} has no slots {', '.join(unknown) or 'at all'}")
        self.fields = tuple(sorted(set(slots) - set(left_out)))
        self.native = frozenset({len(self.fields)})
        self._kind = kind
        self._slots: list[MemberDescriptorType] = [slot_of(kind, name) for name in self.fields]
        self._getters = [attrgetter(name) for name in self.fields]
        self._converted = {self.fields.index(name): conversion for name, conversion in converted.items()}
        self._open = bool(kind.__dictoffset__)

    def default(self, field: str) -> Callable[[], Any] | None:
        if field in self._added:
            return self._added[field]
        found = inspect.signature(self._kind).parameters.get(field)
        return _giving(found.default) if found is not None and type(found.default) in _PLAIN else None

    def split(self, values: Column) -> list[Column]:
        columns: list[Column] = []
        unset: list[int] = []
        if self._open and any(map(attrgetter("__dict__"), values)):
            raise ImageError(f"a {self.name} has attributes that are not slots of it")
        for number, getter in enumerate(self._getters):
            try:
                column = list(map(getter, values))
            except AttributeError:
                column = [getattr(value, self.fields[number], UNSET) for value in values]
                unset.append(number)
            if number in self._converted:
                column = list(map(self._converted[number].there, column))
            columns.append(column)
        columns.append(unset)
        return columns

    def new(self, count: int) -> Iterable[Any]:
        make: Any = self._kind.__new__
        return map(make, repeat(self._kind, count))

    def fill(self, values: Column, columns: list[Column]) -> None:
        unset = columns.pop()
        for number, (slot, column) in enumerate(zip(self._slots, columns, strict=True)):
            if number in self._converted:
                column = map(self._converted[number].back, column)  # type: ignore[assignment]
            if number in unset:
                for value, item in zip(values, column, strict=True):
                    if item is not UNSET:
                        slot.__set__(value, item)
            else:
                exhaust(map(slot.__set__, values, column))


def _giving(value: Any) -> Callable[[], Any]:
    return lambda: value


_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""What objects may have in common."""


def _sorted(items: Any) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        pass
    for item in items:
        if "__slots__" in type(item).__dict__:
            raise ImageError(f"a set of {type(item).__name__} has no order that stays: it has to be a dict")
    return sorted(items, key=repr)


BUILT_IN: dict[type, Type] = {
    str: Text("str"),
    bytes: Values("bytes"),
    tuple: Tuples("tuple"),
    frozenset: Frozensets("frozenset"),
    list: Sequences("list", list, list.extend, False),
    set: Sequences("set", set, set.update, True),
    deque: Deques(),
    bytearray: Bytearrays(),
    dict: Dicts(),
    Unset: Members(Unset),
}


class Codec:
    """The classes that an image may hold.

    Parameters
    ----------
    classes : iterable of type
        Classes with ``__slots__``, msgspec Structs, NamedTuples and enums, each with a name of its own.
    left_out : dict of type to collection of str, optional
        Attributes that are not written, and that objects lack when they were read.
    converted : dict of (type, str) to Conversion, optional
        Attributes in whose place something else is written.
    alike : dict of type to type, optional
        Types that are written as another one, which they become.
    constants : iterable, optional
        Objects of modules that others refer to, in an order that stays: they are not written, and are the modules' own
        again afterwards.
    added : dict of (type, str) to callable, optional
        Attributes that images of earlier versions lack, and what gives them a value. Fields with a default, also one
        of ``__init__`` that is text, a number or None, need none.
    migrations : iterable of Migration, optional
        What becomes of attributes of earlier versions, in the order in which they came to be.
    """

    def __init__(
        self,
        classes: Iterable[type],
        left_out: Mapping[type, Collection[str]] | None = None,
        converted: Mapping[tuple[type, str], Conversion] | None = None,
        alike: Mapping[type, type] | None = None,
        constants: Iterable[Any] = (),
        added: Mapping[tuple[type, str], Callable[[], Any]] | None = None,
        migrations: Iterable[Any] = (),
    ) -> None:
        self.migrations = tuple(migrations)
        self.types = {kind: copy.copy(one) for kind, one in BUILT_IN.items()}
        for kind in classes:
            ways = {name: way for (owner, name), way in (converted or {}).items() if owner is kind}
            given = {name: value for (owner, name), value in (added or {}).items() if owner is kind}
            self.types[kind] = _type_of(kind, (left_out or {}).get(kind, ()), ways, given)
        self.named = {one.name: one for one in self.types.values()}
        if len(self.named) < len(self.types):
            raise TypeError("two classes of an image have the same name")
        for kind, other in (alike or {}).items():
            self.types[kind] = self.types[other]
        for constant in constants:
            one = self.types[type(constant)]
            one.constants = [*one.constants, constant]


def _type_of(
    kind: type,
    left_out: Collection[str],
    converted: Mapping[str, Conversion],
    added: Mapping[str, Callable[[], Any]],
) -> Type:
    if issubclass(kind, enum.Enum):
        return Members(kind)
    if issubclass(kind, msgspec.Struct):
        return Structs(kind, converted)
    if issubclass(kind, tuple):
        return NamedTuples(kind)
    return Records(kind, left_out, converted, added)
