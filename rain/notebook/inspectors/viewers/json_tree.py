"""JSON, and lines of JSON, as a tree that is opened node by node."""

from __future__ import annotations

import codecs
import json
import re

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import BLOCK_BYTES, TREE_TEXT_CHARS, TREE_VALUE_CHARS
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.sanitize import CUT, clean, cut
from rain.notebook.inspectors.subject import Allowance
from rain.notebook.inspectors.tree import Container, Description, Document

_SPACE = b" \t\r\n"
_NO_SPACE = re.compile(rb"[^ \t\r\n]")
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{}]', re.DOTALL)
_STRING_MARK = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb'[\s,:"\[\]{}]')
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WHOLE_ESCAPES = re.compile(rb'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+', re.DOTALL)
_WORDS = {b"true": "bool", b"false": "bool", b"null": "null"}
_ODD_NUMBERS = {b"NaN", b"Infinity", b"-Infinity"}
_SCALAR_BYTES_MAX = BLOCK_BYTES
_ALL_LINES = -1
"""Where the lines as a whole begin, which is not where the first of them does."""

# What is expected next in a container.
_FIRST, _NEXT, _COLON, _VALUE, _AFTER = "first", "next", "colon", "value", "after"


class _Skip:
    """Passes one string or container, in as many steps as it takes."""

    __slots__ = ("depth", "escaped", "in_string", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self.depth = 0
        self.in_string = False
        self.escaped = False

    def run(self, ranges: Ranges, allowance: Allowance) -> bool | None:
        """Whether its end is reached; None if the document ends before."""
        while self.position < ranges.size:
            if not allowance.left:
                return False
            data = ranges.read(self.position, BLOCK_BYTES - self.position % BLOCK_BYTES)
            if not data:
                return None
            end = self._block(data)
            if end is not None:
                self.position += end
                return True
            self.position += len(data)
        return None

    def _block(self, data: bytes) -> int | None:
        """Where in `data` the value ends, None if it goes on behind it."""
        at = 0
        if self.in_string:
            found = self._string_end(data)
            if found is None:
                return None
            self.in_string, at = False, found
            if not self.depth:
                return at
        for match in _TOKEN.finditer(data, at):
            first = data[match.start()]
            if first in b"[{":
                self.depth += 1
            elif first in b"]}":
                self.depth -= 1
            elif match.end() - match.start() == 1:  # a string that goes on in the next block
                rest = data[match.end() :]
                self.in_string = True
                self.escaped = (len(rest) - len(rest.rstrip(b"\\"))) % 2 == 1
                return None
            if self.depth <= 0:
                return match.end()
        return None

    def _string_end(self, data: bytes) -> int | None:
        at = 1 if self.escaped else 0
        self.escaped = False
        while (match := _STRING_MARK.search(data, at)) is not None:
            if match[0] == b'"':
                return match.end()
            at = match.end() + 1
        self.escaped = at > len(data)
        return None


class JsonDocument(Document):
    """JSON in UTF-8.

    Parameters
    ----------
    ranges : Ranges
    lines : bool
        Whether it is one value after another.
    """

    def __init__(self, ranges: Ranges, lines: bool = False) -> None:
        super().__init__(ranges)
        head = ranges.read(0, BLOCK_BYTES)
        self._start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        self._lines = lines
        if not lines:
            found = _NO_SPACE.search(head, self._start)
            if found is None:
                what = "it is empty" if ranges.size <= len(head) else f"the first {len(head)} bytes are white space"
                raise RainException(f"this is not JSON: {what}")
            self._start = found.start()
            if found[0] not in b'"[{' and self._scalar_kind(self._scalar(self._start)) == "error":
                raise RainException(self._not_json(self._start))
            self._see_whether_lines(head)

    def _see_whether_lines(self, head: bytes) -> None:
        """Behind the first value there may be others, where that can be seen at once."""
        if head[self._start : self._start + 1] in (b'"', b"[", b"{"):
            skip = _Skip(self._start)
            beginning = Ranges.of(head)
            end = skip.position if skip.run(beginning, Allowance(beginning, True)) else len(head)
        else:
            end = self._start + len(self._scalar(self._start))
        found = _NO_SPACE.search(head, end)
        if found is not None:
            self._lines = True
            self.note = (
                f"From byte {found.start()} on there is more than one JSON value: all are shown, as in JSON Lines."
            )

    def root(self) -> int:
        return _ALL_LINES if self._lines else self._start

    def open(self, start: int) -> Container | None:
        if start == _ALL_LINES:
            return self._begun("lines", self._start)
        first = self.ranges.read(start, 1)
        if first == b"[":
            return self._begun("array", start + 1)
        return self._begun("object", start + 1) if first == b"{" else None

    @staticmethod
    def _begun(kind: str, position: int) -> Container:
        container = Container(kind, position)
        container.state = (_FIRST, None)
        return container

    def advance(self, container: Container, count: int, allowance: Allowance) -> None:
        while len(container.starts) < count and not container.done:
            stage, skip = container.state
            if skip is not None:
                whole = skip.run(self.ranges, allowance)
                container.position = skip.position
                if whole is None:
                    container.stop(f"the document ends inside this {container.kind}: it is cut off")
                if not whole:
                    return
                if stage == _AFTER:
                    container.ends.append(skip.position)
                container.state = (stage, None)
            elif not self._step(container, stage, allowance):
                return

    def _step(self, container: Container, stage: str, allowance: Allowance) -> bool:
        """Take the next byte that is not white space; False if the allowance is used up."""
        byte = self._next(container, allowance)
        if byte is None:
            return False
        if not byte:
            if container.kind == "lines":
                container.stop()
            else:
                container.stop(f"the document ends inside this {container.kind}: it is cut off")
        elif container.kind == "lines":
            self._value(container, byte)
        elif stage in (_FIRST, _AFTER) and byte == (b"}" if container.kind == "object" else b"]"):
            container.position += 1
            container.stop()
        elif stage == _AFTER and byte == b",":
            container.position += 1
            container.state = (_NEXT, None)
        elif stage == _COLON and byte == b":":
            container.position += 1
            container.state = (_VALUE, None)
        elif stage in (_FIRST, _NEXT) and container.kind == "object" and byte == b'"':
            container.keys.append(container.position)
            container.state = (_COLON, _Skip(container.position))
        elif stage == _VALUE or (stage in (_FIRST, _NEXT) and container.kind == "array"):
            self._value(container, byte)
        else:
            container.stop(self._not_json(container.position))
        return True

    def _next(self, container: Container, allowance: Allowance) -> bytes | None:
        """The next byte that is not white space, empty at the end, None if the allowance is used up."""
        while container.position < self.ranges.size:
            data = self.ranges.read(container.position, BLOCK_BYTES - container.position % BLOCK_BYTES)
            found = _NO_SPACE.search(data)
            if found is not None:
                container.position += found.start()
                return found[0]
            if not data:
                break
            container.position += len(data)
            if not allowance.left:
                return None
        return b""

    def _value(self, container: Container, first: bytes) -> None:
        if first in b'"[{':
            container.starts.append(container.position)
            container.state = (_AFTER, _Skip(container.position))
            return
        raw = self._scalar(container.position)
        if not raw or self._scalar_kind(raw) == "error":
            del container.keys[len(container.starts) :]
            container.stop(self._not_json(container.position))
            return
        container.starts.append(container.position)
        container.position += len(raw)
        container.ends.append(container.position)
        container.state = (_AFTER, None)

    def _scalar(self, start: int) -> bytes:
        raw = self.ranges.read(start, min(64, _SCALAR_BYTES_MAX))
        found = _SCALAR_END.search(raw)
        if found is None and len(raw) == 64:
            raw = self.ranges.read(start, _SCALAR_BYTES_MAX)
            found = _SCALAR_END.search(raw)
        return raw if found is None else raw[: found.start()]

    @staticmethod
    def _scalar_kind(raw: bytes) -> str:
        if raw in _WORDS:
            return _WORDS[raw]
        return "number" if raw in _ODD_NUMBERS or _NUMBER.fullmatch(raw) else "error"

    def _not_json(self, position: int) -> str:
        found = self.ranges.read(position, 20)
        return f"from byte {position} on this is not JSON: {cut(found.decode('utf-8', 'replace'), 20)!r}"

    def describe(self, start: int, end: int | None, long: bool) -> Description:
        if start == _ALL_LINES:
            return Description("lines", "", None)
        first = self.ranges.read(start, 1)
        chars = TREE_VALUE_CHARS if long else TREE_TEXT_CHARS
        if first in (b"[", b"{"):
            kind = "array" if first == b"[" else "object"
            if end is None or end - start > BLOCK_BYTES:
                return Description(kind, "", None)
            raw = self.ranges.read(start, end - start)
            text = raw.decode("utf-8", "replace") if len(raw) <= TREE_TEXT_CHARS else ""
            return Description(kind, clean(" ".join(text.split())), _count(raw))
        if first == b'"':
            return Description("string", self._string(start, chars), 0)
        raw = self._scalar(start)
        kind = self._scalar_kind(raw)
        text = raw.decode("utf-8", "replace") if kind != "error" else self._not_json(start)
        return Description(kind, cut(text, chars), 0)

    def _string(self, start: int, chars: int) -> str:
        """The beginning of a string, decoded."""
        raw = self.ranges.read(start + 1, 6 * chars + 12)
        found = _WHOLE_ESCAPES.match(raw)
        inner = raw[: found.end()] if found is not None else b""
        whole = raw[len(inner) : len(inner) + 1] == b'"'
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(inner, whole)
        try:
            decoded = json.loads(f'"{text}"', strict=False)
        except ValueError:  # an escape that JSON does not have
            decoded = text
        return cut(decoded, chars) if whole else clean(decoded[: chars - 1]) + CUT

    def behind(self, position: int) -> str:
        found = _NO_SPACE.search(self.ranges.read(position, BLOCK_BYTES)) if not self._lines else None
        if found is None:
            return ""
        return f"from byte {position + found.start()} on there is more, behind the value: these may be JSON Lines"

    def label(self, container: Container, number: int) -> str:
        return self._string(container.keys[number], TREE_TEXT_CHARS) if container.kind == "object" else str(number)


def _count(raw: bytes) -> int | None:
    """Children of a small container."""
    try:
        return len(json.loads(raw, object_pairs_hook=tuple, parse_int=str, parse_float=str))
    except (ValueError, RecursionError):
        return None
