"""A graph of objects as bytes."""

from __future__ import annotations

import gc
import struct
from collections.abc import Iterator
from itertools import count
from typing import Any, NoReturn

import msgspec

from rain.server.journal.images.finding import path_to
from rain.server.journal.images.types import Codec, Column, ImageError, Members, Type

VERSION = 1
PREFIX = struct.Struct("<I")
TRAILER = struct.Struct("<Q8s")
MAGIC = b"RainImg1"

CONSTANT, PLAIN, BIG, SAME, REFERENCES, MIXED, NATIVE = range(7)
"""How a column is written: one number or None for all; numbers and None; ints of more than 64 bits among them; one
reference for all; references to one table; to several; as msgpack has it."""

BATCH_ROWS = 8192
_NUMBERS = frozenset({int, bool, float, type(None)})
_EXACT = frozenset({int, bool, type(None)})
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1


class _Table:
    """The objects of a type that were met."""

    __slots__ = ("alive", "code", "memo", "met", "pending", "type", "written")

    def __init__(self, code: int, kind: Type) -> None:
        self.code = code
        self.type = kind
        self.memo: dict[Any, int] = {(None if kind.by_value else id(None)): 0}
        self.met = 1  # row 0 is None
        self.written = 1
        self.pending: Column = []
        self.alive: list[Column] = []
        if isinstance(kind, Members):
            self.memo.update(zip(map(id, kind.kind.__members__.values()), count(1), strict=False))


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
            batch, table.pending = table.pending[:BATCH_ROWS], table.pending[BATCH_ROWS:]
            self._emit(table, batch, self._columns(table.type, batch))
            yield from self._drain()
        yield from self._drain()
        types = [(table.type.name, table.type.fields, table.met - 1) for table in self._tables.values()]
        trailer = self._encode((VERSION, types, root))
        yield trailer + TRAILER.pack(len(trailer), MAGIC)

    def _drain(self) -> Iterator[bytes]:
        out, self._out = self._out, []
        yield from out

    def _columns(self, kind: Type, values: Column) -> list[Any]:
        return [
            (NATIVE, column) if number in kind.native else self._column(column)
            for number, column in enumerate(kind.split(values))
        ]

    def _emit(self, table: _Table, values: Column, columns: list[Any]) -> None:
        try:
            piece = self._encode((table.code, len(values), columns))
        except (TypeError, OverflowError, ValueError, RecursionError) as error:
            raise ImageError(f"the image cannot hold a value of a {table.type.name}: {error}") from None
        self._out.append(PREFIX.pack(len(piece)) + piece)

    def _column(self, values: Column) -> tuple[Any, ...]:
        kinds = set(map(type, values))
        if kinds <= _NUMBERS:
            return _numbers(values, kinds)
        kinds.discard(type(None))
        if len(kinds) == 1:
            code, rows = self._references(kinds.pop(), values)
            if rows.count(rows[0]) == len(rows):
                return SAME, code, rows[0], len(rows)
            return REFERENCES, code, rows
        return self._mixed(values, kinds)

    def _mixed(self, values: Column, kinds: set[type]) -> tuple[Any, ...]:
        # By the order in which the types are met, not by that of a set.
        ordered = [kind for kind in dict.fromkeys(map(type, values)) if kind in kinds]
        codes: dict[type, int] = {type(None): -1}
        rows: dict[type, Iterator[Any]] = {type(None): iter(lambda: None, 0)}
        for kind in ordered:
            chosen = [value for value in values if type(value) is kind]
            if kind in _NUMBERS:
                codes[kind] = -1
                rows[kind] = iter(_shortened(chosen) if kind is int else chosen)
            else:
                codes[kind], numbers = self._references(kind, chosen)
                rows[kind] = iter(numbers)
        met = list(map(type, values))
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

    def _references(self, kind: type, values: Column) -> tuple[int, list[int]]:
        """The rows of objects of one type (and None) in its table, where those that are new are put."""
        table = self._table(kind)
        memo = table.memo
        keys = values if table.type.by_value else list(map(id, values))
        try:
            return table.code, list(map(memo.__getitem__, keys))
        except KeyError:
            pass
        if table.type.filled:
            fresh = _fresh(memo, keys, values)
            table.pending += fresh.values()
        else:
            while True:
                fresh = _fresh(memo, keys, values)
                columns = self._columns(table.type, list(fresh.values()))
                if not fresh.keys() & memo.keys():
                    break  # else some of them stand in others of them too, and have a row now
            if fresh:
                self._emit(table, list(fresh.values()), columns)
        if not table.type.by_value:
            table.alive.append(list(fresh.values()))  # so that their ids stay theirs
        memo.update(zip(fresh, count(table.met), strict=False))
        table.met += len(fresh)
        return table.code, list(map(memo.__getitem__, keys))


def _fresh(memo: dict[Any, int], keys: Column, values: Column) -> dict[Any, Any]:
    fresh = dict(zip(keys, values, strict=True))
    for key in fresh.keys() & memo.keys():
        del fresh[key]
    return fresh


def _shortened(values: Column) -> Column:
    """These numbers, with text in the place of ints that msgpack does not have."""
    ints = [value for value in values if type(value) is int]
    if min(ints) >= _INT_MIN and max(ints) <= _INT_MAX:
        return values
    return [hex(value) if type(value) is int and not _INT_MIN <= value <= _INT_MAX else value for value in values]


def _numbers(values: Column, kinds: set[type]) -> tuple[Any, ...]:
    if int in kinds:
        short = _shortened(values)
        if short is not values:
            return BIG, short
    if len(kinds) == 1 and kinds <= _EXACT and values.count(values[0]) == len(values):
        return CONSTANT, values[0], len(values)
    return PLAIN, values


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
