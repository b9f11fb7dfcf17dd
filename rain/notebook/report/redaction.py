"""Secrets stay out of reports: environment variables that tasks were given, and what is called a secret here.

Theory of operation
-------------------
There may be thousands of secrets (a variable of its own for each task) and millions of texts, so they are found by
their heads: the first `CHARS_MIN` characters, all of them in one pattern that branches character by character. Texts
may have been cut before they come here, also in other processes: of a secret beside a `CUT` the rest is hidden too, if
it has at least `CHARS_MIN` characters.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from operator import is_not
from typing import Any

import msgspec
from msgspec.structs import replace

from rain.client.report.call_text import HIDDEN, SECRET_NAME
from rain.common.protocol.encoding import encode_json
from rain.notebook.inspectors.sanitize import CUT

CHARS_MIN = 6
"""Shorter values are too likely to be ordinary words."""
_FOLDERS = frozenset(("PWD", "OLDPWD"))
"""Variables that only sound like passwords."""
_NO_TEXTS = frozenset(
    ("key", "state", "frame", "tail", "head", "path", "opened", "above", "keys", "severity", "members")
)
"""Fields of the protocol that hold no text of a user."""


class Secrets:
    """What must not be in a report.

    Parameters
    ----------
    environment : mapping of str to str
        Of this process; values of variables whose names sound like it are secrets.
    given : iterable of mappings of str to str
        Environment variables that tasks were given; all are secrets.
    others : iterable of str

    Examples
    --------
    >>> secrets = Secrets({"API_KEY": "hunter22", "HOME": "/home/me"}, [{"WHO": "secretive"}])
    >>> secrets.hide("hunter22 in /home/me, secretive, and secretiv…")
    '••• in /home/me, •••, and •••…'
    """

    def __init__(
        self, environment: Mapping[str, str], given: Iterable[Mapping[str, str]], others: Iterable[str] = ()
    ) -> None:
        values = {value for name, value in environment.items() if SECRET_NAME.search(name) and name not in _FOLDERS}
        values.update(value for one in given for value in one.values())
        values.update(others)
        lines = {line for value in values for line in (value, *value.splitlines())}
        self._all = {line for line in lines if len(line) >= CHARS_MIN}
        self._sorted = sorted(self._all)
        self._mirrored = sorted(one[::-1] for one in self._all)
        lengths: dict[str, set[int]] = {}
        for one in self._all:
            lengths.setdefault(one[:CHARS_MIN], set()).add(len(one))
        self._lengths = {head: sorted(found, reverse=True) for head, found in lengths.items()}
        self._longest = max(map(len, self._all), default=0)
        self._head = re.compile(_any_of(lengths)) if lengths else None
        written = [_in_json(head) for head in lengths]
        self._head_in_json = re.compile(_any_of(written).encode("latin-1")) if written else None

    def may_be_in(self, data: bytes) -> bool:
        """Whether JSON has to be looked through: it has a head of one of them, or a text that was cut."""
        found = self._head_in_json
        return found is not None and (found.search(data) is not None or _CUT_IN_JSON in data)

    def hide(self, text: str) -> str:
        """`text` without them."""
        if self._head is None:
            return text
        out, done = [], 0
        for start, end in _joined(sorted([*self._whole(text), *self._rests(text)])):
            out += [text[done:start], HIDDEN]
            done = end
        return "".join([*out, text[done:]]) if out else text

    def _whole(self, text: str) -> Iterator[tuple[int, int]]:
        """Where they stand from their beginning on; one may begin within another."""
        assert self._head is not None
        found = self._head.search(text)
        while found is not None:
            start = found.start()
            if end := self._end(text, start, found[0]):
                yield start, end
            found = self._head.search(text, start + 1)

    def _end(self, text: str, start: int, head: str) -> int:
        """Where the secret ends that begins at `start`, whole or up to where the text was cut; 0 if none does."""
        for length in self._lengths[head]:
            if text[start : start + length] in self._all:
                return start + length
        cut = text.find(CUT, start)
        return cut if cut > start and _begins_one(self._sorted, text[start:cut]) else 0

    def _rests(self, text: str) -> Iterator[tuple[int, int]]:
        """Where there is what is left of those whose beginning was cut off."""
        if CUT not in text:
            return
        before, *parts = text.split(CUT)
        at = len(before)
        for number, part in enumerate(parts):
            at += len(CUT)
            if end := self._rest(part, cut=number < len(parts) - 1):
                yield at, at + end
            at += len(part)

    def _rest(self, part: str, cut: bool) -> int:
        """How many first characters of `part` are the end of a secret or, if `part` was `cut` too, stand in one."""
        if cut and len(part) >= CHARS_MIN and any(part in one for one in self._all):
            return len(part)
        for length in range(min(len(part), self._longest), CHARS_MIN - 1, -1):
            if _begins_one(self._mirrored, part[length - 1 :: -1]):
                return length
        return 0

    def hide_all(self, value: Any) -> Any:
        """Structs, lists and dicts without them, keys of users' dicts included."""
        if self._head is None:
            return value
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, msgspec.Struct):
            changed = {}
            for field in value.__struct_fields__:
                before = getattr(value, field)
                if field not in _NO_TEXTS and (after := self.hide_all(before)) is not before:
                    changed[field] = after
            return replace(value, **changed) if changed else value
        if isinstance(value, dict):
            return {self.hide(key) if isinstance(key, str) else key: self.hide_all(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            items = [self.hide_all(one) for one in value]
            return items if any(map(is_not, items, value)) else value
        return value


_CUT_IN_JSON = CUT.encode()


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in their order, those that overlap as one.

    Examples
    --------
    >>> list(_joined([(0, 8), (5, 13), (13, 20), (30, 40), (31, 35)]))
    [(0, 13), (13, 20), (30, 40)]
    """
    begun, until = 0, 0
    for start, end in spans:
        if start < until:
            until = max(until, end)
            continue
        if until:
            yield begun, until
        begun, until = start, end
    if until:
        yield begun, until


def _begins_one(known: list[str], text: str) -> bool:
    """Whether one of these sorted texts begins so."""
    at = bisect_left(known, text)
    return at < len(known) and known[at].startswith(text)


def _in_json(text: str) -> str:
    """How `text` stands in JSON, a character for each byte."""
    return encode_json(text)[1:-1].decode("latin-1")


def _any_of(words: Iterable[str]) -> str:
    """A pattern that matches any of the words, each character looked at once."""
    tree: dict[str, Any] = {}
    for word in words:
        at = tree
        for char in word:
            at = at.setdefault(char, {})
    return _branches(tree)


def _branches(tree: dict[str, Any]) -> str:
    each = [re.escape(char) + _branches(below) for char, below in tree.items()]
    return each[0] if len(each) == 1 else f"(?:{'|'.join(each)})" if each else ""
