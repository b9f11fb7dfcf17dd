"""Pickles, read without doing what they say: a machine that follows the opcodes and only takes notes.

Theory of operation
-------------------
A pickle is a program for a small stack machine, of which some opcodes call anything that can be imported. Here the same
machine runs with notes in place of values: `Named` for what would be imported, `Made` for what would be the result of a
call, `Items` for containers, `Long` for strings whose bytes are not even read. Nothing is imported and nothing is
called. Notes are small, whatever the pickle does: each opcode makes at most one, containers keep the first few items.
"""

from __future__ import annotations

import pickletools
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rain.notebook.inspectors.limits import BLOCK_BYTES, PICKLE_OPCODES_MAX
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import cut
from rain.notebook.inspectors.subject import Allowance

_STRING_BYTES_MAX = 1000
"""Longer strings are passed without being read."""
_ITEMS_KEPT = 64
_OPCODES = {ord(info.code): info for info in pickletools.opcodes}
_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_MARK = object()


class Named(NamedTuple):
    """What would be imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module not in ("builtins", "__builtin__") else self.name


@dataclass
class Made:
    """What would be the result of a call, and the state it would be given."""

    callable: Any
    arguments: Any
    state: Any = None
    items: int = 0


@dataclass
class Items:
    """A list, tuple, dict or set."""

    kind: str
    count: int = 0
    first: list[Any] = field(default_factory=list)  # of a dict keys and values in turn

    def add(self, items: list[Any]) -> None:
        self.count += len(items) // 2 if self.kind == "dict" else len(items)
        self.first += items[: max(_ITEMS_KEPT - len(self.first), 0)]

    def get(self, key: str) -> Any:
        """The value of one of the first keys of a dict."""
        for at in range(0, len(self.first) - 1, 2):
            if self.first[at] == key and type(self.first[at]) is str:
                return self.first[at + 1]
        return None


class Long(NamedTuple):
    """A string, bytes or number that was passed without being read."""

    kind: str
    size: int


class Opaque(NamedTuple):
    """Something else."""

    what: str


@dataclass
class PickleReport:
    """What the opcodes of a pickle tell.

    Attributes
    ----------
    protocol : int or None
    opcodes : collections.Counter of str
    globals : list of str
        What would be imported, in the order of first use.
    value : Any
        A note of the pickled value; None if the end was not reached.
    end : int
        How many bytes were passed.
    problem : str
        Why the end was not reached.
    """

    protocol: int | None = None
    opcodes: Counter[str] = field(default_factory=Counter)
    globals: dict[str, None] = field(default_factory=dict)
    value: Any = None
    end: int = 0
    problem: str = ""


class _Broken(Exception):
    """The opcodes make no sense."""


def read_report(ranges: Ranges, allowance: Allowance) -> PickleReport:
    """Follow the opcodes of a pickle up to its end, or as far as may be read."""
    machine = _Machine()
    report = machine.report
    window = _Window(ranges)
    try:
        for _ in range(PICKLE_OPCODES_MAX):
            if not allowance.left:
                report.problem = f"only the first {report.end:,} bytes were looked at"
                return report
            if machine.step(*_opcode(window, report)):
                return report
        report.problem = f"only the first {PICKLE_OPCODES_MAX:,} opcodes were looked at (PICKLE_OPCODES_MAX)"
    except _Broken as error:
        report.problem = f"this is not a whole pickle: at byte {report.end:,} {error}"
    return report


class _Window:
    """Reads little pieces, one behind the other, faster than `Ranges` does."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._base, self._data = 0, b""
        self.size = ranges.size

    def read(self, offset: int, length: int) -> bytes:
        at = offset - self._base
        if not 0 <= at <= len(self._data) - length:
            if length > BLOCK_BYTES or offset >= self.size:
                return self._ranges.read(offset, length)
            self._base, self._data, at = offset, self._ranges.read(offset, BLOCK_BYTES), 0
        return self._data[at : at + length]


def _opcode(ranges: _Window, report: PickleReport) -> tuple[str, Any]:
    """Name and argument of the next opcode; of a long argument only how long it is."""
    head = ranges.read(report.end, 9)
    if not head:
        raise _Broken("it is cut off")
    info = _OPCODES.get(head[0])
    if info is None:
        raise _Broken(f"{head[:1].hex()} is no opcode")
    argument: Any = None
    at = report.end + 1
    if info.arg is not None:
        width = info.arg.n
        if width >= 0:
            raw = head[1 : 1 + width]
            argument = raw
            at += width
        elif width == pickletools.UP_TO_NEWLINE:
            argument, at = _lines(ranges, at, 2 if info.name in ("GLOBAL", "INST") else 1)
            raw = b""
        else:
            raw = head[1 : 1 + _COUNTED[width]]
            length = int.from_bytes(raw, "little", signed=width == pickletools.TAKEN_FROM_ARGUMENT4)
            at += len(raw) + length
            width = _COUNTED[width]
            if length < 0:
                raise _Broken(f"{info.name} has a negative length")
            short = length <= _STRING_BYTES_MAX
            argument = ranges.read(at - length, length) if short else Long(info.name, length)
        if len(raw) < max(width, 0) or at > ranges.size:
            raise _Broken(f"{info.name} is cut off")
    report.end = at
    report.opcodes[info.name] += 1
    return info.name, argument


def _lines(ranges: _Window, at: int, count: int) -> tuple[list[bytes], int]:
    lines = []
    for _ in range(count):
        raw = ranges.read(at, 4 * _STRING_BYTES_MAX)
        end = raw.find(b"\n")
        if end < 0:
            raise _Broken("a line does not end")
        lines.append(raw[:end])
        at += end + 1
    return lines, at


def _text(argument: Any, kind: str = "str") -> Any:
    return Long(kind, argument.size) if isinstance(argument, Long) else argument.decode("utf-8", "replace")


class _Machine:
    """The stack and the memo, with notes in them."""

    def __init__(self) -> None:
        self.report = PickleReport()
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> bool:
        """Take note of one opcode; gives whether it was the last."""
        if name == "STOP":
            self.report.value = self._pop()
            return True
        action = _ACTIONS.get(name)
        if action is not None:
            action(self, argument)
        else:
            self._push_simple(name, argument)
        return False

    # -- the stack --------------------------------------------------------------------------------

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise _Broken("more is taken from the stack than there is")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise _Broken("there is nothing on the stack")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                items = self._stack[at + 1 :]
                del self._stack[at:]
                return items
        raise _Broken("a mark is missing")

    def _global(self, module: Any, name: Any) -> Named:
        parts = [part if isinstance(part, str) else "?" for part in (module, name)]
        found = Named(cut(parts[0]), cut(parts[1]))
        self.report.globals[str(found)] = None
        return found

    def _container(self, kind: str, items: list[Any]) -> None:
        note = Items(kind)
        note.add(items)
        self._push(note)

    def _extend(self, items: list[Any]) -> None:
        into = self._top()
        if isinstance(into, Items):
            into.add(items)
        elif isinstance(into, Made):
            into.items += len(items)

    # -- values -----------------------------------------------------------------------------------

    def _push_simple(self, name: str, argument: Any) -> None:
        """Opcodes that push what their argument says, or something that is of no interest here."""
        if name in ("FRAME", "READONLY_BUFFER"):
            return
        if name in ("NONE", "NEWTRUE", "NEWFALSE"):
            self._push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"):
            self._push(_text(argument))
        elif name in ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING"):
            kind = "bytearray" if name == "BYTEARRAY8" else "bytes"
            self._push(Long(kind, argument.size if isinstance(argument, Long) else len(argument)))
        elif name in ("BININT1", "BININT2", "BININT", "LONG1", "LONG4"):
            signed = name not in ("BININT1", "BININT2")
            long = isinstance(argument, Long)
            self._push(Long("int", argument.size) if long else int.from_bytes(argument, "little", signed=signed))
        elif name == "BINFLOAT":
            self._push(struct.unpack(">d", argument)[0])
        elif name in ("INT", "LONG", "FLOAT", "STRING", "UNICODE"):
            self._push(self._written(name, argument[0].decode("latin-1")))
        elif name == "NEXT_BUFFER":
            self._push(Opaque("buffer"))
        else:  # extension registry and persistent ids
            self._push(Opaque(name.lower()))

    @staticmethod
    def _written(name: str, text: str) -> Any:
        """A value that protocol 0 writes in characters."""
        if name == "INT" and text in ("00", "01"):
            return text == "01"
        try:
            if name in ("INT", "LONG"):
                return int(text.rstrip("L"))
            return float(text) if name == "FLOAT" else cut(text.strip("'\""))
        except ValueError:
            raise _Broken(f"{cut(text, 40)!r} is no number") from None

    def _do_proto(self, argument: bytes) -> None:
        self.report.protocol = argument[0]

    def _do_mark(self, _: Any) -> None:
        self._push(_MARK)

    def _do_pop(self, _: Any) -> None:
        self._pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _do_dup(self, _: Any) -> None:
        self._push(self._top())

    def _do_binpersid(self, _: Any) -> None:
        self._pop()
        self._push(Opaque("persistent id"))

    # -- the memo -----------------------------------------------------------------------------------

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _do_binput(self, argument: bytes) -> None:
        self._memo[int.from_bytes(argument, "little")] = self._top()

    _do_long_binput = _do_binput

    def _do_binget(self, argument: bytes) -> None:
        self._push(self._memo.get(int.from_bytes(argument, "little"), Opaque("unknown")))

    _do_long_binget = _do_binget

    def _do_put(self, argument: list[bytes]) -> None:
        self._memo[self._place(argument)] = self._top()

    def _do_get(self, argument: list[bytes]) -> None:
        self._push(self._memo.get(self._place(argument), Opaque("unknown")))

    @staticmethod
    def _place(argument: list[bytes]) -> int:
        if not argument[0].isdigit() or len(argument[0]) > 10:
            raise _Broken("a place of the memo is no number")
        return int(argument[0])

    # -- containers -------------------------------------------------------------------------------------

    def _do_empty_list(self, _: Any) -> None:
        self._container("list", [])

    def _do_empty_dict(self, _: Any) -> None:
        self._container("dict", [])

    def _do_empty_set(self, _: Any) -> None:
        self._container("set", [])

    def _do_empty_tuple(self, _: Any) -> None:
        self._container("tuple", [])

    def _do_list(self, _: Any) -> None:
        self._container("list", self._since_mark())

    def _do_dict(self, _: Any) -> None:
        self._container("dict", self._since_mark())

    def _do_tuple(self, _: Any) -> None:
        self._container("tuple", self._since_mark())

    def _do_frozenset(self, _: Any) -> None:
        self._container("frozenset", self._since_mark())

    def _do_tuple1(self, _: Any) -> None:
        self._container("tuple", [self._pop()])

    def _do_tuple2(self, _: Any) -> None:
        last, first = self._pop(), self._pop()
        self._container("tuple", [first, last])

    def _do_tuple3(self, _: Any) -> None:
        last, middle, first = self._pop(), self._pop(), self._pop()
        self._container("tuple", [first, middle, last])

    def _do_append(self, _: Any) -> None:
        item = self._pop()
        self._extend([item])

    def _do_appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    _do_setitems = _do_appends
    _do_additems = _do_appends

    def _do_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._extend([key, value])

    # -- what would run code ------------------------------------------------------------------------------

    def _do_global(self, argument: list[bytes]) -> None:
        self._push(self._global(*(part.decode("utf-8", "replace") for part in argument)))

    def _do_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._push(self._global(module, name))

    def _do_inst(self, argument: list[bytes]) -> None:
        named = self._global(*(part.decode("utf-8", "replace") for part in argument))
        items = Items("tuple")
        items.add(self._since_mark())
        self._push(Made(named, items))

    def _do_obj(self, _: Any) -> None:
        callable, *rest = self._since_mark() or [Opaque("nothing")]
        items = Items("tuple")
        items.add(rest)
        self._push(Made(callable, items))

    def _do_reduce(self, _: Any) -> None:
        arguments, callable = self._pop(), self._pop()
        self._push(Made(callable, arguments))

    _do_newobj = _do_reduce

    def _do_newobj_ex(self, _: Any) -> None:
        self._pop()
        self._do_reduce(None)

    def _do_build(self, _: Any) -> None:
        state, made = self._pop(), self._top()
        if isinstance(made, Made):
            made.state = state


_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    name[4:].upper(): action for name, action in vars(_Machine).items() if name.startswith("_do_")
}
