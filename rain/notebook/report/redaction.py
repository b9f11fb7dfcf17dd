"""Secrets stay out of reports: environment variables that tasks were given, and what is called a secret here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from rain.client.report.call_text import HIDDEN, SECRET_NAME

CHARS_MIN = 6
"""Shorter values are too likely to be ordinary words."""
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
    >>> secrets.hide("hunter22 in /home/me, secretive")
    '••• in /home/me, •••'
    """

    def __init__(
        self, environment: Mapping[str, str], given: Iterable[Mapping[str, str]], others: Iterable[str] = ()
    ) -> None:
        values = {value for name, value in environment.items() if SECRET_NAME.search(name)}
        values.update(value for one in given for value in one.values())
        values.update(others)
        lines = {line for value in values for line in (value, *value.splitlines())}
        kept = sorted((one for one in lines if len(one) >= CHARS_MIN), key=len, reverse=True)
        self._written = [json.dumps(one, ensure_ascii=False)[1:-1].encode("utf-8", "replace") for one in kept]
        self._pattern = re.compile("|".join(map(re.escape, kept))) if kept else None

    def are_in(self, data: bytes) -> bool:
        """Whether one of them is in JSON."""
        return any(one in data for one in self._written)

    def hide(self, text: str) -> str:
        """`text` without them."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def hide_all(self, value: Any) -> Any:
        """Structs, lists and dicts without them, keys of users' dicts included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, msgspec.Struct):
            fields = [field for field in value.__struct_fields__ if field not in _NO_TEXTS]
            return replace(value, **{field: self.hide_all(getattr(value, field)) for field in fields})
        if isinstance(value, dict):
            return {self.hide(key) if isinstance(key, str) else key: self.hide_all(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_all(one) for one in value]
        return value
