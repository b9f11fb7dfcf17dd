"""All that Rain offers to users, read from the package as it is; ``python -m tests.support.public_names`` prints it."""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

MODULES = (
    "rain",
    "rain.client",
    "rain.client.session",
    "rain.client.tasks",
    "rain.common",
    "rain.common.content_type",
    "rain.common.errors",
    "rain.notebook",
    "rain.notebook.magics",
)
"""Where users find names: the paths that the documentation and the specification name."""

PATHS = (
    "rain.client.client",
    "rain.client.data",
    "rain.client.io_spec",
    "rain.client.program",
    "rain.client.remote",
    "rain.client.task",
    "rain.common.ids",
    "rain.common.labeled_list",
    "rain.common.spec",
    "rain.common.states",
    "rain.executor.context",
)
"""Further modules that users import the same names from."""

PROTOCOLS = (
    "__aenter__", "__aiter__", "__await__", "__call__", "__contains__", "__delitem__", "__enter__", "__getitem__",
    "__iter__", "__len__", "__setitem__",
)  # fmt: skip


def public(module: Any) -> dict[str, Any]:
    """What `module` offers: what it lists, else what it defines."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
        ]
    return {name: getattr(module, name) for name in sorted(names)}


def members(kind: type) -> dict[str, Any]:
    """The public members of a class, by name, without those of bases that are public as well."""
    inherited = {name for base in kind.__mro__[1:] if base in set(classes().values()) for name in dir(base)}
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] == "rain":
            found |= {name: value for name, value in vars(base).items() if name[0] != "_" or name in PROTOCOLS}
    return {name: value for name, value in sorted(found.items()) if name in vars(kind) or name not in inherited}


@functools.cache
def classes() -> dict[str, type]:
    """The public classes by the shortest path of each."""
    found: dict[type, str] = {}
    for path in MODULES:
        for name, value in public(importlib.import_module(path)).items():
            if inspect.isclass(value):
                found.setdefault(value, f"{path}.{name}")
    return {path: kind for kind, path in found.items()}


def functions() -> dict[str, Any]:
    """The public functions by the shortest path of each."""
    found: dict[Any, str] = {}
    for path in MODULES:
        for name, value in public(importlib.import_module(path)).items():
            if inspect.isroutine(value):
                found.setdefault(value, f"{path}.{name}")
    return {path: function for function, path in found.items()}


def described(path: str, value: Any) -> Iterator[str]:
    """Lines about `value`, which is found at `path`."""
    if inspect.ismodule(value):
        yield f"{path} is module {value.__name__}"
    elif inspect.isclass(value):
        yield from _class(path, value)
    elif inspect.isroutine(value):
        yield f"{path}{_signature(value)}"
    else:
        yield f"{path}: {type(value).__name__}"


def _class(path: str, kind: type) -> Iterator[str]:
    public_ones = classes().values()
    shown = [base for base in kind.__bases__ if base in public_ones or base.__module__.partition(".")[0] != "rain"]
    bases = ", ".join(base.__name__ for base in shown if base is not object)
    yield f"class {path}({bases})" if bases else f"class {path}"
    if issubclass(kind, enum.Enum):
        yield from (f"{path}.{member.name} = {member.value!r}" for member in kind)
        return
    if not issubclass(kind, Exception | Warning):
        yield f"{path}{_signature(kind)}"
    for name, value in members(kind).items():
        if isinstance(value, classmethod | staticmethod):
            yield f"{path}.{name}{_signature(getattr(kind, name))}"
        elif inspect.isfunction(value):
            yield f"{path}.{name}{_signature(value)}"
        else:
            yield f"{path}.{name}"


def _signature(function: Any) -> str:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "(…)"
    parameters = [item.replace(annotation=_annotation(item.annotation)) for item in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=_annotation(signature.return_annotation)))


class _Written(str):
    """An annotation as it is written."""

    def __repr__(self) -> str:
        return str(self)


def _annotation(annotation: Any) -> Any:
    """`annotation` if it is a text; how others look depends on the interpreter."""
    return _Written(annotation) if isinstance(annotation, str) else inspect.Parameter.empty


def lines() -> Iterator[str]:
    """All public names, one a line; a name that is offered at several paths is described at the first."""
    seen: dict[int, str] = {}
    for module in MODULES:
        for name, value in public(importlib.import_module(module)).items():
            path = f"{module}.{name}"
            if (inspect.isclass(value) or inspect.isroutine(value)) and id(value) in seen:
                yield f"{path} is {seen[id(value)]}"
            else:
                seen[id(value)] = path
                yield from described(path, value)
    for module in PATHS:
        for name, value in sorted(vars(importlib.import_module(module)).items()):
            if name[0] != "_" and getattr(value, "__module__", "") == module and id(value) in seen:
                yield f"{module}.{name} is {seen[id(value)]}"


if __name__ == "__main__":
    print(*lines(), sep="\n")
