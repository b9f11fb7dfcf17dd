"""Docstrings of what users can call: numpydoc, complete, with examples where users begin.

That the examples are right is seen by `tests/integration/test_docstrings.py`, which runs them.
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import public_names

SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "See Also", "Notes", "Examples")
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)})\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\S.*?)(?: : (.+))?$", re.MULTILINE)

MADE_BY_RAIN = {"rain.Context"}
"""Classes of which users make no instances: their attributes are described instead of parameters."""
NO_EXAMPLE = {
    "rain.InputBase",
    "rain.OutputBase",
    "rain.notebook.load_ipython_extension",
    "rain.notebook.unload_ipython_extension",
    "rain.notebook.magics.load",
    "rain.notebook.magics.unload",
}
"""Where no user begins: bases, and what IPython calls."""


def sections(doc: str) -> dict[str, str]:
    """The text of each section by its heading; the rest under ''."""
    parts = _HEADING.split(inspect.cleandoc(doc))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(text: str) -> dict[str, str]:
    """What a section lists: name to type."""
    return {
        name.lstrip("*"): kind or ""
        for names, kind in _ENTRY.findall(textwrap.dedent(text))
        if not names.startswith(" ")
        for name in names.split(", ")
    }


def callables() -> Iterator[tuple[str, Any]]:
    """Public functions and methods, each once: an awaitable twin has the docstring of the one that blocks."""
    yield from public_names.functions().items()
    for path, kind in public_names.classes().items():
        for name, value in public_names.members(kind).items():
            function = getattr(kind, name) if isinstance(value, classmethod | staticmethod) else value
            if inspect.isroutine(function) and (name[0] != "_" or name == "__call__") and not name.endswith("_async"):
                yield f"{path}.{name}", function


def is_plain(kind: type) -> bool:
    """Whether a class has no parameters of its own: errors and enumerations."""
    return issubclass(kind, enum.Enum | Exception)


def is_data(kind: type) -> bool:
    """Whether a class is a record, whose attributes are its parameters."""
    return hasattr(kind, "__struct_fields__") or hasattr(kind, "_fields")


CALLABLES = [pytest.param(path, value, id=path) for path, value in callables()]
CLASSES = [pytest.param(path, kind, id=path) for path, kind in public_names.classes().items()]
BEGINNINGS = [
    *(path for path in public_names.functions() if not path.endswith("_async")),
    *(path for path, kind in public_names.classes().items() if not is_plain(kind) and not is_data(kind)),
]


def check_parameters(path: str, function: Any, text: str) -> None:
    wanted = [name for name in inspect.signature(function).parameters if name not in ("self", "cls", "_given")]
    told = entries(text)
    assert sorted(told) == sorted(wanted), f"{path}: the docstring has {[*told]}, the function {wanted}"
    untyped = [name for name, kind in told.items() if not kind and f"*{name}" not in text]
    assert not untyped, f"{path}: these have no type: {untyped}"


def raises(function: Any) -> bool:
    """Whether a function's own code raises, or waits for what can fail."""
    if hasattr(function, "__wrapped__") and "Operation" in str(function.__wrapped__.__annotations__.get("return")):
        return True
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


@pytest.mark.parametrize(("path", "function"), CALLABLES)
def test_a_function_says_what_it_takes_gives_and_raises(path: str, function: Any) -> None:
    assert function.__doc__, f"{path} has no docstring"
    doc = sections(function.__doc__)
    assert doc[""].strip()
    check_parameters(path, function, doc.get("Parameters", ""))
    result = inspect.signature(function).return_annotation
    if result not in (inspect.Signature.empty, "None", None):
        assert doc.keys() & {"Returns", "Yields"}, f"{path} does not say what it returns ({result})"
    if raises(function):
        assert doc.get("Raises", "").strip(), f"{path} does not say what it raises"


@pytest.mark.parametrize(("path", "kind"), CLASSES)
def test_a_class_says_what_it_takes_and_has(path: str, kind: type) -> None:
    assert kind.__doc__, f"{path} has no docstring"
    doc = sections(kind.__doc__)
    if is_plain(kind):
        return
    if path not in MADE_BY_RAIN:
        check_parameters(path, kind, doc.get("Attributes" if is_data(kind) else "Parameters", ""))
        if not is_data(kind) and raises(kind.__init__):
            assert doc.get("Raises", "").strip(), f"{path} does not say what it raises"
    told = entries(doc.get("Attributes", "")) | entries(doc.get("Parameters", ""))
    for name, value in public_names.members(kind).items():
        if isinstance(value, property):
            assert value.__doc__, f"{path}.{name} has no docstring"
            assert value.fget.__annotations__.get("return"), f"{path}.{name} has no type"
        elif not inspect.isroutine(value) and not isinstance(value, classmethod | staticmethod) and name.islower():
            assert name in told, f"{path} does not say what {name} is"


@pytest.mark.parametrize("path", [path for path in BEGINNINGS if path not in NO_EXAMPLE])
def test_where_users_begin_there_is_an_example(path: str) -> None:
    found = {**public_names.functions(), **public_names.classes()}[path]
    assert "Examples" in sections(found.__doc__ or ""), f"{path} has no example"
