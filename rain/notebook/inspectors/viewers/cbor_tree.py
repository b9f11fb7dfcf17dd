"""CBOR (RFC 8949) as a tree that is opened node by node; nothing is built from it, so that no tag can do harm."""

from __future__ import annotations

import struct
from typing import NamedTuple

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import BLOCK_BYTES, SCAN_ITEMS_MAX, TREE_TEXT_CHARS, TREE_VALUE_CHARS
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import CUT, clean, cut, number_text
from rain.notebook.inspectors.subject import Allowance
from rain.notebook.inspectors.tree import Container, Description, Document

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_KINDS = {_ARRAY: "array", _MAP: "object", _TAG: "tag"}
_BREAK = b"\xff"
_WORDS = {20: ("bool", "false"), 21: ("bool", "true"), 22: ("null", "null"), 23: ("null", "undefined")}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_TAGS = {
    0: "date and time",
    1: "seconds since 1970",
    2: "large integer",
    3: "large negative integer",
    4: "decimal fraction",
    5: "large float",
    24: "CBOR in bytes",
    30: "fraction",
    32: "URI",
    36: "MIME message",
    37: "UUID",
    55799: "CBOR",
}
_DEPTH_MAX = 10_000
_FIRST_ITEMS_MAX = 10_000
_ALL_ITEMS = -1
"""Where the items as a whole begin, which is not where the first of them does."""

# What ends a container that does not say how many children it has.
_UNTIL_BREAK, _UNTIL_END = -1, -2


class _Head(NamedTuple):
    """How an item begins."""

    major: int
    info: int
    value: int
    start: int  # of what comes behind the head
    indefinite: bool


class _Damaged(Exception):
    """What is there is not CBOR; the text says why."""


class _Skip:
    """Passes one item, in as many steps as it takes; of each open container it knows how many items are left."""

    __slots__ = ("left", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self.left = [1]  # -1: until a break


class CborDocument(Document):
    """A CBOR item, or several one after another (RFC 8742).

    Parameters
    ----------
    ranges : Ranges
    """

    def __init__(self, ranges: Ranges) -> None:
        super().__init__(ranges)
        if not ranges.size:
            raise RainException("this is not CBOR: it is empty")
        self._root = 0
        skip = _Skip(0)
        try:  # what follows the first item is seen at once if that is short
            self._skip(skip, _FIRST_ITEMS_MAX, Allowance(ranges, True), min(ranges.size, BLOCK_BYTES))
        except _Damaged:
            return
        if not skip.left and skip.position < ranges.size:
            self._root = _ALL_ITEMS
            self.note = f"From byte {skip.position} on there is more than one CBOR item: all are shown."

    def root(self) -> int:
        return self._root

    def _head(self, position: int) -> _Head:
        raw = self.ranges.read(position, 9)
        if not raw:
            raise _Damaged("the document ends here: it is cut off")
        major, info = raw[0] >> 5, raw[0] & 31
        if info < 24:
            return _Head(major, info, info, position + 1, False)
        if info == 31 and major in (_BYTES, _TEXT, _ARRAY, _MAP):
            return _Head(major, info, 0, position + 1, True)
        if info > 27:
            raise _Damaged(f"byte {position} ({raw[0]:#04x}) is not the beginning of a CBOR item")
        width = 1 << (info - 24)
        if len(raw) <= width:
            raise _Damaged("the document ends here: it is cut off")
        return _Head(major, info, int.from_bytes(raw[1 : 1 + width], "big"), position + 1 + width, False)

    def _count(self, head: _Head) -> int | None:
        """Children of a container, if it says so, and so many fit into the document."""
        if head.major == _TAG:
            return 1
        return None if head.indefinite or head.value > self.ranges.size - head.start else head.value

    def open(self, start: int) -> Container | None:
        if start == _ALL_ITEMS:
            container = Container("sequence", 0)
            container.state = (_UNTIL_END, None)
            return container
        try:
            head = self._head(start)
        except _Damaged:
            return None
        if head.major not in _KINDS:
            return None
        container = Container(_KINDS[head.major], head.start, self._count(head))
        # How many children there are, or what ends them, and the key or value that is being passed.
        container.state = (_UNTIL_BREAK if head.indefinite else 1 if head.major == _TAG else head.value, None)
        return container

    def advance(self, container: Container, count: int, allowance: Allowance) -> None:
        items = SCAN_ITEMS_MAX
        try:
            while len(container.starts) < count and not container.done:
                total, skip = container.state
                if skip is not None:
                    items = self._skip(skip, items, allowance)
                    if skip.left:
                        return
                    self._passed(container, skip.position)
                elif self._ends(container, total):
                    container.stop()
                else:
                    self._begin(container)
        except _Damaged as error:
            del container.keys[len(container.starts) :]
            container.stop(str(error))

    def _ends(self, container: Container, total: int) -> bool:
        """Whether there is no further child; behind a break it is passed, too."""
        if total == _UNTIL_END:
            return container.position >= self.ranges.size
        if total == _UNTIL_BREAK and self.ranges.read(container.position, 1) == _BREAK:
            container.position += 1
            return True
        return len(container.starts) == total

    def behind(self, position: int) -> str:
        if self._root == _ALL_ITEMS or position >= self.ranges.size:
            return ""
        return f"from byte {position} on there is more, behind the item: these may be several"

    def _begin(self, container: Container) -> None:
        """The next child, or its key, begins here."""
        self._head(container.position)  # so that what is not there is not a child
        if container.kind == "object" and len(container.keys) == len(container.starts):
            container.keys.append(container.position)
        else:
            container.starts.append(container.position)
        container.state = (container.state[0], _Skip(container.position))

    def _passed(self, container: Container, position: int) -> None:
        if len(container.ends) < len(container.starts):
            container.ends.append(position)
        container.position = position
        container.state = (container.state[0], None)

    def _skip(self, skip: _Skip, items: int, allowance: Allowance, until: int | None = None) -> int:
        """Go on passing an item, perhaps not beyond a byte; gives how many more may be passed. It is done when nothing
        is `left`."""
        stack = skip.left
        while stack:
            if stack[-1] == 0:
                stack.pop()
                continue
            if items <= 0 or not allowance.left or (until is not None and skip.position >= until):
                return items
            items -= 1
            if stack[-1] < 0 and self.ranges.read(skip.position, 1) == _BREAK:
                stack.pop()
                skip.position += 1
                continue
            head = self._head(skip.position)
            if stack[-1] > 0:
                stack[-1] -= 1
            skip.position = head.start
            if head.indefinite:
                stack.append(-1)
            elif head.major in (_BYTES, _TEXT):
                skip.position += head.value
                if skip.position > self.ranges.size:
                    raise _Damaged("the document ends inside a string: it is cut off")
            elif head.major in _KINDS:
                stack.append({_ARRAY: head.value, _MAP: 2 * head.value, _TAG: 1}[head.major])
            if len(stack) > _DEPTH_MAX:
                raise _Damaged(f"what is here is nested deeper than {_DEPTH_MAX} levels")
        return items

    def describe(self, start: int, end: int | None, long: bool) -> Description:
        if start == _ALL_ITEMS:
            return Description("sequence", "", None)
        chars = TREE_VALUE_CHARS if long else TREE_TEXT_CHARS
        try:
            head = self._head(start)
            if head.major in _KINDS:
                text = f"{head.value} {_TAGS.get(head.value, '')}".strip() if head.major == _TAG else ""
                return Description(_KINDS[head.major], text, self._count(head))
            kind, text = self._scalar(head, chars)
        except _Damaged as error:
            kind, text = "error", str(error)
        return Description(kind, cut(text, chars), 0)

    def _scalar(self, head: _Head, chars: int) -> tuple[str, str]:
        if head.major in (_UNSIGNED, _NEGATIVE):
            return "number", str(head.value if head.major == _UNSIGNED else -1 - head.value)
        if head.major in (_BYTES, _TEXT):
            return self._string(head, chars)
        if head.info in _FLOATS:
            width = struct.calcsize(_FLOATS[head.info])
            (number,) = struct.unpack(_FLOATS[head.info], self.ranges.read(head.start - width, width))
            return "number", number_text(number)
        return _WORDS.get(head.value, ("other", f"simple value {head.value}"))

    def _string(self, head: _Head, chars: int) -> tuple[str, str]:
        """The beginning of a string, of bytes in hexadecimal."""
        width = 4 * chars if head.major == _TEXT else chars // 2
        data = self._chunks(head, width) if head.indefinite else self.ranges.read(head.start, min(head.value, width))
        more = len(data) >= width if head.indefinite else head.value > len(data)
        if head.major == _TEXT:
            text = clean(data.decode("utf-8", "ignore" if more else "replace"))
            return "string", cut(text, chars) if not more else text[: chars - 1] + CUT
        size = "" if head.indefinite else f" ({head.value} bytes)"
        return "bytes", data.hex()[: chars - 30] + CUT * (more or 2 * len(data) > chars - 30) + size

    def _chunks(self, head: _Head, width: int) -> bytes:
        """The beginning of a string that is written in chunks."""
        data, position = b"", head.start
        for _ in range(TREE_TEXT_CHARS):
            chunk = self._head(position) if self.ranges.read(position, 1) != _BREAK else None
            if chunk is None or len(data) >= width:
                break
            if chunk.major != head.major or chunk.indefinite:
                raise _Damaged("a string in chunks has one that is not such a string")
            data += self.ranges.read(chunk.start, min(chunk.value, width - len(data)))
            position = chunk.start + chunk.value
        return data

    def label(self, container: Container, number: int) -> str:
        if container.kind != "object":
            return "" if container.kind == "tag" else str(number)
        key = self.describe(container.keys[number], None, False)
        return key.text if key.kind not in _KINDS.values() else f"({key.kind}) {key.text}".strip()
