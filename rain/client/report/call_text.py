"""A call of a remote function as text, so that tasks with one name can be told apart.

The pickle of the arguments is read without running anything of it: what is not a value of a simple builtin type, or a
small container of such, is told by the name of its type. Texts are cut, and arguments whose names say that they are
secret are left out.
"""

from __future__ import annotations

import inspect
import io
import pickle
import re
import weakref
from typing import TYPE_CHECKING, Any

from rain.client.core.records import ObjectRecord
from rain.client.functions.annotations import signature_of
from rain.client.functions.pickling import PLAIN
from rain.common.task_configs import PyConfig
from rain.objects.pickling import placeholders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rain.client.core.records import Record, TaskRecord

SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|pwd|credential|authorization|api_?key|access_?key|private_?key|_key$|^pgpass", re.I
)
"""Names of arguments and variables whose texts are not shown."""
HIDDEN = "•••"
CALL_CHARS_MAX = 300
TEXT_CHARS_MAX = 40
ITEMS_MAX = 6
DEPTH_MAX = 2
ARGUMENTS_MAX = 12
PICKLE_BYTES_MAX = 256 * 1024
"""Larger arguments are not looked into."""


def call_text(record: TaskRecord, records: Mapping[int, Record]) -> str:
    """The call that made a task.

    Parameters
    ----------
    record : TaskRecord
    records : mapping of int to Record
        Those of its session, for the labels of objects.

    Returns
    -------
    str
        Like ``inv(x=0, path='data/a.csv', rest=<DataFrame>)``; empty for tasks that no function was called for.
    """
    name = record.source.name if record.source is not None else record.spec.name or ""
    told = [f"{name}={text}" if name else text for name, text in arguments(record, records)]
    if not told and not isinstance(record.spec.config, PyConfig):
        return ""
    text = f"{name.rpartition('.')[2].rpartition('/')[2]}({', '.join(told)})"
    return text if len(text) <= CALL_CHARS_MAX else f"{text[: CALL_CHARS_MAX - 2]}…)"


def arguments(record: TaskRecord, records: Mapping[int, Record]) -> list[tuple[str, str]]:
    """The arguments of a call: names of parameters (empty if they are not known), and their values as text."""
    config = record.spec.config
    if not isinstance(config, PyConfig) or len(config.args) > PICKLE_BYTES_MAX:
        return []
    try:
        args, kwargs = _Reader(config.args, records).load()
    except Exception:  # written by another version, or by what is not pickle: there is nothing to show then
        return []
    found = [*zip(_names(record, len(args)), args, strict=True), *kwargs.items()]
    told = [(name, _shown(name, value)) for name, value in found[:ARGUMENTS_MAX]]
    return told if len(found) <= ARGUMENTS_MAX else [*told, ("", f"… {len(found) - ARGUMENTS_MAX} more")]


def _names(record: TaskRecord, count: int) -> list[str]:
    """The parameters that so many positional arguments are for."""
    names: list[str] = []
    before = 0 if record.spec.config.plain else 1  # the context
    for parameter in () if record.source is None else _parameters(record.source.function)[before:]:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [""] * (count - len(names))
        elif parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return [*names, *[""] * count][:count]


_known: weakref.WeakKeyDictionary[Any, list[inspect.Parameter]] = weakref.WeakKeyDictionary()


def _parameters(function: Any) -> list[inspect.Parameter]:
    """Those of a function; of thousands of calls of one function they are looked for once."""
    try:
        return _known[function]
    except (KeyError, TypeError):  # not looked for yet, or an object that cannot be a key
        pass
    try:
        found = list(signature_of(function).parameters.values())
    except (TypeError, ValueError):
        found = []
    try:
        _known[function] = found
    except TypeError:
        pass
    return found


class _Told:
    """Stands for an object that is not made: text instead."""

    said = ""

    def __new__(cls, *_: Any, **__: Any) -> _Told:
        return super().__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> _Told:
        return self

    def __setstate__(self, _: Any) -> None:
        """Its state is of no interest."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Nor are its items."""

    def append(self, _: Any) -> None:
        """Nor its elements."""

    def extend(self, _: Any) -> None:
        """Nor those of a list."""

    def add(self, _: Any) -> None:
        """Nor those of a set."""

    __hash__ = object.__hash__


class _Reader(pickle.Unpickler):
    """Reads a pickle without importing or calling anything that it names."""

    def __init__(self, data: bytes, records: Mapping[int, Record]) -> None:
        super().__init__(io.BytesIO(data))
        self._records = records

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in for each function and class."""
        if (module, name) == (placeholders.__name__, placeholders.placeholder.__name__):
            return self._object
        return type("Told", (_Told,), {"said": f"<{name.rpartition('.')[2]}>"})

    def _object(self, _session: int, number: int) -> _Told:
        record = self._records.get(number)
        told = _Told()
        label = record.spec.label if isinstance(record, ObjectRecord) else None
        maker = record.task if isinstance(record, ObjectRecord) else None
        if maker is not None and maker.spec.name is not None:
            label = f"{label} of {maker.spec.name}" if len(maker.outputs) > 1 else f"output of {maker.spec.name}"
        told.said = f"<{_cut(label)}>" if label else f"<object {number}>"
        return told


def _shown(name: str, value: Any, depth: int = 0) -> str:
    """The text of what has that name; numbers are no secrets, whatever their names."""
    known = value is None or isinstance(value, bool | int | float | _Told)
    return HIDDEN if not known and SECRET_NAME.search(name) else _text(value, depth)


def _text(value: Any, depth: int = 0) -> str:
    if isinstance(value, _Told):
        return value.said
    if isinstance(value, str | bytes):
        kept, more = value[:TEXT_CHARS_MAX], len(value) - TEXT_CHARS_MAX
        return (
            repr(kept) if more <= 0 else f"{kept!r}… ({len(value)} {'bytes' if isinstance(value, bytes) else 'chars'})"
        )
    if type(value) in PLAIN:
        return _cut(repr(value) if not isinstance(value, int) or abs(value) < 10**TEXT_CHARS_MAX else "<a large int>")
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _container(value, depth)
    return f"<{type(value).__name__}>"


def _container(value: Any, depth: int) -> str:
    if depth >= DEPTH_MAX and value:
        return f"<{type(value).__name__} of {len(value)}>"
    parts = list(_parts(value, depth))
    if len(value) > ITEMS_MAX:
        parts.append(f"… {len(value) - ITEMS_MAX} more")
    inside = ", ".join(parts)
    if isinstance(value, list):
        return f"[{inside}]"
    if isinstance(value, tuple):
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return f"{{{inside}}}" if value or isinstance(value, dict) else f"{type(value).__name__}()"


def _parts(value: Any, depth: int) -> Iterator[str]:
    for place, item in enumerate(value):
        if place == ITEMS_MAX:
            return
        if not isinstance(value, dict):
            yield _text(item, depth + 1)
            continue
        yield f"{_text(item, depth + 1)}: {_shown(str(item), value[item], depth + 1)}"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 1] + "…"
