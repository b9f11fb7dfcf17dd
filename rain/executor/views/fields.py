"""Previews of values with named parts: dataclasses, estimators, dictionaries, instances."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from rain.common.protocol.previews import Field, Preview
from rain.executor.views.texts import TEXT_CHARS, cut, long_text, short_text, type_text

FIELDS_MAX = 24


def fields_preview(value: Any) -> Preview | None:
    """Of what has named parts; None for anything else."""
    kind = type(value)
    if isinstance(value, Mapping):
        parts = ((key if isinstance(key, str) else short_text(key), value[key]) for key in value)
        return Preview(type=type_text(kind), summary=[("items", f"{len(value):,}")], fields=_fields(parts))
    if kind.__module__ == "builtins" or isinstance(value, type):
        return None
    estimators = sys.modules.get("sklearn.base")
    if estimators is not None and isinstance(value, estimators.BaseEstimator):
        learned = {name: part for name, part in vars(value).items() if name.endswith("_") and name[:1] != "_"}
        parameters = value.get_params(deep=False)
        facts = [("parameters", str(len(parameters))), ("fitted", "yes" if learned else "no")]
        return Preview(type=type_text(kind), summary=facts, fields=_fields({**parameters, **learned}.items()))
    found = list(islice(_parts(value), FIELDS_MAX + 1))
    if not found:
        return None
    whole = dataclasses.is_dataclass(value) or kind.__dict__.get("__repr__", object.__repr__) is object.__repr__
    return Preview(type=type_text(kind), text="" if whole else long_text(value), fields=_fields(iter(found)))


def _fields(parts: Any) -> list[Field]:
    shown = [Field(cut(str(name)), type_text(type(part)), short_text(part)) for name, part in islice(parts, FIELDS_MAX)]
    return shown + [Field("…", "", "")] * (next(iter(parts), None) is not None and len(shown) == FIELDS_MAX)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of an instance's parts, as they are stored: no property is called."""
    kind = type(value)
    if isinstance(value, tuple):
        names = getattr(kind, "_fields", ())
        yield from zip(names, value, strict=False)
        return
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        own = getattr(value, "__dict__", {})
        names = [name for name in own if isinstance(name, str)] if isinstance(own, dict) else []
        for base in kind.__mro__:
            slots = base.__dict__.get("__slots__", ())
            names += [slots] if isinstance(slots, str) else [name for name in slots if isinstance(name, str)]
    for name in dict.fromkeys(names):
        if name not in ("__dict__", "__weakref__") and hasattr(value, name):
            yield name, getattr(value, name)


def text_preview(value: Any) -> Preview:
    """Of any value: its `repr`, or the text that it is."""
    facts = [("length", f"{len(value):,}")] if isinstance(value, str | bytes | list | tuple | set | frozenset) else []
    return Preview(type=type_text(type(value)), summary=facts, text=cut(long_text(value), TEXT_CHARS))
