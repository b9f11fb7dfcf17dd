"""YAML of plain values, for readers: blocks of mappings and lists, and texts in JSON's quotes wherever they could be
taken for something else.

JSON's quoted texts and numbers are YAML (https://yaml.org/spec/1.2.2/, section 1.3) but for one thing: a character
beyond the first 65,536 is one escape there and two in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KEY = re.compile(r"[A-Za-z_][\w.-]*(?:/[\w.-]+)*\Z", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What YAML 1.1, which most readers of it know, takes for something else than a text."""


KEY_CHARS_MAX = 1024
"""A longer key needs a mark before it (https://yaml.org/spec/1.2.2/, section 7.4.2)."""


def yaml_of(value: Any) -> str:
    """`value` as a YAML document.

    Parameters
    ----------
    value : dict, list, str, int, float, bool or None
        Of any depth; the keys of mappings are texts.

    Raises
    ------
    TypeError
        If there is anything else in it.

    Examples
    --------
    >>> print(yaml_of({"kind": "Job", "args": ["on", "1:30"], "spec": {"parallelism": 2}}), end="")
    kind: Job
    args:
      - "on"
      - "1:30"
    spec:
      parallelism: 2
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key is a text, not {key!r}")
            text = _text(key)
            if len(text) <= KEY_CHARS_MAX:
                yield from _item(f"{text}:", item)
            else:
                yield f"? {text}"
                yield from _item(":", item)
    elif _is_list(value) and value:
        for item in value:
            first = True
            for line in _lines(item):
                yield f"{'- ' if first else '  '}{line}"
                first = False
    else:
        yield _scalar(value)


def _item(head: str, value: Any) -> Iterator[str]:
    if (isinstance(value, Mapping) or _is_list(value)) and value:
        yield head
        for line in _lines(value):
            yield f"  {line}"
    else:
        yield f"{head} {_scalar(value)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{}"
    if _is_list(value):
        return "[]"
    raise TypeError(f"{value!r} cannot be written as YAML")


def _text(value: str) -> str:
    if _KEY.match(value) and value.lower() not in _WORDS:
        return value
    # JSON's escapes of two halves are not YAML's, and some characters may not stand for themselves.
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(char if " " <= char <= "~" else f"\\U{ord(char):08x}" for char in quoted)
