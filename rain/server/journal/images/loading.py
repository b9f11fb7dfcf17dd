"""Bytes as the graph of objects that they were made of."""

from __future__ import annotations

import gc
import struct
from typing import Any

import msgspec

from rain.server.journal.images.dumping import (
    BIG,
    CONSTANT,
    MAGIC,
    MIXED,
    NATIVE,
    PLAIN,
    PREFIX,
    RANGE,
    REFERENCES,
    SAME,
    SHARED,
    TRAILER,
    VERSION,
)
from rain.server.journal.images.fitting import Fit, fit
from rain.server.journal.images.types import Codec, Column, ImageError, Members, Type


class _Load:
    def __init__(self, codec: Codec, data: bytes) -> None:
        self._view = memoryview(data)
        self._decode = msgspec.msgpack.Decoder().decode
        length, magic = TRAILER.unpack_from(data, len(data) - TRAILER.size)
        self._end = len(data) - TRAILER.size - length
        if magic != MAGIC or self._end < 0:
            raise ImageError("the image is not whole")
        version, types, self._root = self._decode(self._view[self._end : -TRAILER.size])
        if version != VERSION:
            raise ImageError(f"the image is of version {version}; this version of Rain reads version {VERSION}")
        self._types = [_known(codec, name, constants) for name, _, constants, _ in types]
        self._tables = []
        self._fits: list[Fit | None] = []
        for kind, (_, fields, constants, met) in zip(self._types, types, strict=True):
            self._tables.append(_table(kind, fields, constants, met))
            enum = isinstance(kind, Members)
            self._fits.append(None if enum else fit(kind, tuple(fields), codec.migrations))
        self._filled = [1 + constants for *_, constants, _ in types]

    def root(self) -> Any:
        at = 0
        while at < self._end:
            begin = at + PREFIX.size
            at = begin + PREFIX.unpack_from(self._view, at)[0]
            code, rows, columns = self._decode(self._view[begin:at])
            kind, table = self._types[code], self._tables[code]
            values = [self._column(column) for column in columns]
            fits = self._fits[code]
            if fits is not None:
                values = fits(rows, values)
            if kind.filled:
                first = self._filled[code]
                self._filled[code] += rows
                kind.fill(table[first : first + rows], values)
            else:
                table += kind.make(rows, values)
        return self._column(self._root)[0]

    def _column(self, column: list[Any]) -> Column:
        way = column[0]
        if way == REFERENCES:
            return list(map(self._tables[column[1]].__getitem__, column[2]))
        if way in (PLAIN, NATIVE):
            return column[1]  # type: ignore[no-any-return]
        if way == RANGE:
            return self._tables[column[1]][column[2] : column[2] + column[3]]
        if way == SAME:
            return [self._tables[column[1]][column[2]]] * column[3]
        if way == SHARED:
            return list(map(column[1].__getitem__, column[2]))
        if way == CONSTANT:
            return [column[1]] * column[2]
        if way == BIG:
            return [int(value, 16) if type(value) is str else value for value in column[1]]
        assert way == MIXED
        tables = self._tables
        return [
            tables[code][value] if code >= 0 else int(value, 16) if type(value) is str else value
            for code, value in zip(column[1], column[2], strict=True)
        ]


def _known(codec: Codec, name: str, constants: int) -> Type:
    kind = codec.named.get(name)
    if kind is None:
        raise ImageError(f"the image has objects of the class {name}, which this version of Rain does not have")
    if constants > len(kind.constants):
        raise ImageError(f"{name} has {len(kind.constants)} constants in this version of Rain, and had {constants}")
    return kind


def _table(kind: Type, fields: tuple[str, ...], constants: int, met: int) -> Column:
    if isinstance(kind, Members):
        members = kind.kind.__members__
        unknown = [name for name in fields if name not in members]
        if unknown:
            raise ImageError(f"a {kind.name} can be {', '.join(unknown)} in the image, and not in this version of Rain")
        return [None, *(members[name] for name in fields)]
    table = [None, *kind.constants[:constants]]
    return [*table, *kind.new(met - len(table))] if kind.filled else table


def load(codec: Codec, data: bytes) -> Any:
    """The graph of which `data` is the image.

    Parameters
    ----------
    codec : Codec
    data : bytes

    Raises
    ------
    ImageError
        If it is not an image, or another version's, whose classes do not become those of here.
    """
    collecting = gc.isenabled()
    gc.disable()  # nothing of it is garbage
    try:
        return _Load(codec, data).root()
    except (
        msgspec.MsgspecError,
        struct.error,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        AssertionError,
    ) as error:
        raise ImageError(f"the image cannot be read: {type(error).__name__}: {error}") from error
    finally:
        if collecting:
            gc.enable()
