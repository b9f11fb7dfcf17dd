"""A graph of objects as bytes."""

from __future__ import annotations

import gc
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, NoReturn

import msgspec

from rain.server.journal.images.finding import path_to
from rain.server.journal.images.types import Codec, Column, ImageError, Members, Type

VERSION = 1
PREFIX = struct.Struct("<I")
TRAILER = struct.Struct("<Q8s")
MAGIC = b"RainImg1"

CONSTANT, PLAIN, BIG, SAME, RANGE, REFERENCES, MIXED, NATIVE, SHARED = range(9)
"""How a column is written: one number or None for all; numbers and None; ints of more than 64 bits among them; one
reference for all; rows of one table that follow each other; any rows of one table; of several; as msgpack has it; so,
and which of these values it is, where some are the same object."""

BATCH_ROWS = 8192
_NUMBERS = frozenset({int, bool, float, type(None)})
_CONTAINERS = frozenset({list, dict})
_EXACT = frozenset({int, bool, type(None)})
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1


class _Table:
    """The objects of a type that were met: the rows that they have, by identity or value, and which are to be written.

    Batches that wait are each of one column, so that what is in them is mostly alike.
    """

    __slots__ = ("alive", "code", "memo", "met", "pending", "type")

    def __init__(self, code: int, kind: Type) -> None:
        self.code = code
        self.type = kind
        self.memo: dict[Any, int] = {(None if kind.by_value else id(None)): 0}
        self.memo.update(zip(map(id, kind.constants), count(1), strict=False))
        self.met = 1 + len(kind.constants)  # row 0 is None
        self.pending: deque[Column] = deque()
        self.alive: list[Column] = []
        if isinstance(kind, Members):
            self.memo.update(zip(map(id, kind.kind.__members__.values()), count(1), strict=False))

    def next_batch(self) -> Column:
        batch = self.pending.popleft()
        if len(batch) > BATCH_ROWS:
            self.pending.appendleft(batch[BATCH_ROWS:])
            batch = batch[:BATCH_ROWS]
        return batch


class _Dump:
    def __init__(self, codec: Codec, root: object) -> None:
        self._codec = codec
        self._root = root
        self._tables: dict[Type, _Table] = {}
        self._by_class: dict[type, _Table] = {}
        self._out: list[bytes] = []
        self._encode = msgspec.msgpack.Encoder().encode

    def pieces(self) -> Iterator[bytes]:
        root = self._column([self._root])
        while True:
            table = next((one for one in self._tables.values() if one.pending), None)
            if table is None:
                break
            batch = table.next_batch()
            self._emit(table, batch, self._columns(table.type, batch))
            yield from self._drain()
        yield from self._drain()
        types = [
            (table.type.name, table.type.fields, len(table.type.constants), table.met)
            for table in self._tables.values()
        ]
        trailer = self._encode((VERSION, types, root))
        yield trailer + TRAILER.pack(len(trailer), MAGIC)

    def _drain(self) -> Iterator[bytes]:
        out, self._out = self._out, []
        yield from out

    def _columns(self, kind: Type, values: Column) -> list[tuple[Any, ...]]:
        return [
            _native(column) if number in kind.native else self._column(column)
            for number, column in enumerate(kind.split(values))
        ]

    def _emit(self, table: _Table, values: Column, columns: list[tuple[Any, ...]]) -> None:
        try:
            try:
                piece = self._encode((table.code, len(values), columns))
            except OverflowError:
                piece = self._encode((table.code, len(values), list(map(_shortened, columns))))
        except (TypeError, OverflowError, ValueError, RecursionError) as error:
            raise ImageError(f"the image cannot hold a value of a {table.type.name}: {error}") from None
        self._out.append(PREFIX.pack(len(piece)) + piece)

    def _column(self, values: Column) -> tuple[Any, ...]:
        kinds = set(map(type, values))
        if kinds <= _NUMBERS:
            return _numbers(values, kinds)
        kinds.discard(type(None))
        if len(kinds) == 1 or len({self._codec.types.get(kind, kind) for kind in kinds}) == 1:
            return _rows(*self._references(kinds.pop(), values))
        return self._mixed(values, kinds)

    def _mixed(self, values: Column, kinds: set[type]) -> tuple[Any, ...]:
        met = list(map(type, values))
        codes: dict[type, int] = {type(None): -1}
        rows: dict[type, Iterator[Any]] = {type(None): iter(lambda: None, 0)}
        for kind in dict.fromkeys(met):  # in their order here, not in that of a set
            if kind in kinds:
                chosen = [value for value in values if type(value) is kind]
                codes[kind], numbers = (-1, chosen) if kind in _NUMBERS else self._references(kind, chosen)
                rows[kind] = iter(numbers)
        return MIXED, [codes[kind] for kind in met], [next(rows[kind]) for kind in met]

    def _table(self, kind: type) -> _Table:
        table = self._by_class.get(kind)
        if table is None:
            known = self._codec.types.get(kind)
            if known is None:
                self._unknown(kind)
            table = self._tables.get(known)
            if table is None:
                table = self._tables[known] = _Table(len(self._tables), known)
            self._by_class[kind] = table
        return table

    def _unknown(self, kind: type) -> NoReturn:
        where = path_to(self._codec, self._root, kind)
        raise ImageError(f"{where} is a {kind.__module__}.{kind.__qualname__}, which no image may hold")

    def _references(self, kind: type, values: Column) -> tuple[int, Sequence[int]]:
        """The rows of objects of one type (and None) in its table, where those that are new are put."""
        table = self._table(kind)
        memo = table.memo
        keys = values if table.type.by_value else list(map(id, values))
        try:
            return table.code, list(map(memo.__getitem__, keys))
        except KeyError:
            pass
        fresh = dict(zip(keys, values, strict=True))
        _drop(fresh, memo)
        items = list(fresh.values())
        if table.type.filled:
            table.pending.append(items)
        else:
            columns = self._columns(table.type, items)
            if _drop(fresh, memo):  # some of them stand in others of them too, and were written
                items = list(fresh.values())
                columns = self._columns(table.type, items)
            if items:
                self._emit(table, items, columns)
        if not table.type.by_value:
            table.alive.append(items)  # so that their ids stay theirs
        rows = range(table.met, table.met + len(items))
        memo.update(zip(fresh, rows, strict=True))
        table.met += len(items)
        return table.code, rows if len(items) == len(values) else list(map(memo.__getitem__, keys))


def _drop(fresh: dict[Any, Any], memo: dict[Any, int]) -> bool:
    """Take out of `fresh` what has a row; whether there was any."""
    met = fresh.keys() & memo.keys()
    for key in met:
        del fresh[key]
    return bool(met)


def _native(values: Column) -> tuple[Any, ...]:
    if type(values[0] if values else None) in _CONTAINERS:
        distinct = dict(zip(map(id, values), values, strict=True))
        if len(distinct) < len(values):
            places = dict(zip(distinct, count()))
            return SHARED, list(distinct.values()), [places[id(value)] for value in values]
    return NATIVE, values


def _rows(code: int, rows: Sequence[int]) -> tuple[Any, ...]:
    first, last, size = rows[0], rows[-1], len(rows)
    if last - first == size - 1 and (type(rows) is range or rows == list(range(first, last + 1))):
        return RANGE, code, first, size
    if first == last and rows.count(first) == size:
        return SAME, code, first, size
    return REFERENCES, code, rows


def _numbers(values: Column, kinds: set[type]) -> tuple[Any, ...]:
    if len(kinds) == 1 and kinds <= _EXACT:
        first = values[0]
        if first == values[-1] and values.count(first) == len(values):
            return CONSTANT, first, len(values)
    return PLAIN, values


def _shortened(column: tuple[Any, ...]) -> tuple[Any, ...]:
    """A column with text in the place of ints that msgpack does not have."""
    way, *rest = column
    if way == PLAIN:
        return BIG, [_short(value) for value in rest[0]]
    if way == CONSTANT:
        return BIG, [_short(rest[0])] * rest[1]
    if way == MIXED:
        return MIXED, rest[0], [_short(value) for value in rest[1]]
    return column


def _short(value: Any) -> Any:
    return hex(value) if type(value) is int and not _INT_MIN <= value <= _INT_MAX else value


def pieces(codec: Codec, root: object) -> Iterator[bytes]:
    """The image of a graph, piece by piece; nothing of the graph may change meanwhile.

    Parameters
    ----------
    codec : Codec
    root : object
        From which all of it can be reached.

    Raises
    ------
    ImageError
        If there is an object of a class that `codec` does not know; the text says where.
    """
    return _Dump(codec, root).pieces()


def dump(codec: Codec, root: object) -> bytes:
    """The image of a graph.

    Raises
    ------
    ImageError
        As `pieces`.

    Examples
    --------
    >>> from rain.server.journal.images.loading import load
    >>> from rain.server.journal.images.types import Codec
    >>> row: list = [1, "two", (3.0, None)]
    >>> row.append(row)
    >>> again = load(Codec([]), dump(Codec([]), row))
    >>> again[:3], again[3] is again
    ([1, 'two', (3.0, None)], True)
    """
    collecting = gc.isenabled()
    gc.disable()  # it would look through all columns again and again
    try:
        return b"".join(pieces(codec, root))
    finally:
        if collecting:
            gc.enable()
