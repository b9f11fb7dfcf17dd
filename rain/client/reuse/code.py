"""What a function's results depend on, beside its arguments: its code and values, and those of all that it uses.

What travels with a function by value (all of a notebook or script) is looked at as it is in this process: the
instructions as `rain.client.stale.fingerprint` counts them, so that comments, docstrings, annotations and the place do
not count; defaults, closures and globals by content. What executors import (functions and classes of the user's own
modules) is looked at in its file: `rain.client.reuse.sources`. Of installed packages the version counts.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterable
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from rain.client.core.reuse.keys import Code, Part, digest
from rain.client.functions.call_sites import name_of_file
from rain.client.functions.function_snapshot import global_names
from rain.client.functions.modules import find, is_users
from rain.client.handles import Handle
from rain.client.report.call_text import SECRET_NAME
from rain.client.reuse.sources import Names, Sources
from rain.client.reuse.values import Digester, Unclear
from rain.client.reuse.versions import versions_of
from rain.client.stale.fingerprint import digest_of_code, plain_function
from rain.objects.pickling.callables import by_reference

_SOURCE_CHARS_MAX = 20_000
_VALUE_CHARS_MAX = 80


def code_of(function: Any, path: str, name: str, files: dict[str, Any]) -> Code:
    """The code of a function (or another callable).

    Parameters
    ----------
    function : callable
    path : str
        ``module:qualified name``.
    name : str
        For texts.
    files : dict of str to any
        Takes the files of modules that were looked at, with their stamps.
    """
    walk = _Walk(files)
    walk.root(function, name)
    return walk.found(path, name)


class _Walk:
    """Collects the parts of one function."""

    def __init__(self, files: dict[str, Any]) -> None:
        self._parts: dict[str, Part] = {}
        self._modules: set[str] = set()
        self._sources = Sources(self._modules.add, self._draw, files)
        self._seen: dict[int, Any] = {}
        self._digests: dict[int, str] = {}
        self._objects = 0
        self._draws = False
        self._unclear = ""
        self._place = ""

    def found(self, path: str, name: str) -> Code:
        """All of it."""
        parts = list({**self._parts, **self._sources.parts}.values())
        unclear = self._unclear or self._sources.unclear
        return Code(path, name, parts, versions_of(self._modules), self._draws, unclear)

    def _draw(self) -> None:
        self._draws = True

    def root(self, function: Any, name: str) -> None:
        """Begin with this function."""
        function = plain_function(function)
        if isinstance(function, FunctionType | type) and not by_reference(function):
            code = getattr(function, "__code__", None)
            self._place = code.co_filename if code is not None else ""
            self._look(name, function, "")
        elif isinstance(function, FunctionType | type) and is_users(function.__module__):
            self._look(name, function, "")
        else:
            module = getattr(function, "__module__", None) or type(function).__module__
            self._look(f"{module}.{getattr(function, '__qualname__', name)}", function, "")

    # -- one thing that is used -----------------------------------------------------------------

    def _look(self, name: str, value: Any, of: str, used: Names | None = None) -> None:
        """`value` is used under this name by what is called `of`."""
        value = plain_function(value)
        if isinstance(value, ModuleType):
            self._module(value.__name__, used)
        elif isinstance(value, FunctionType | type):
            if by_reference(value):
                self._imported(value)
            elif isinstance(value, FunctionType):
                self._function(name, value)
            else:
                self._class(name, value)
        elif isinstance(value, Handle):
            self._objects += 1
            self._add(Part(_title(name, of), f"object {self._objects}"))
        elif not self._is_builtin(value):
            self._value(name, value, of)

    def _module(self, name: str, used: Names | None) -> None:
        attributes = None if used is None or used.dynamic else used.attributes | used.names
        self._sources.need(name, attributes)

    def _imported(self, value: Any) -> None:
        """A function or class that executors import."""
        module, qualname = value.__module__, value.__qualname__
        if module == "builtins":
            return
        self._sources.need(module, (qualname.partition(".")[0],))

    def _is_builtin(self, value: Any) -> bool:
        """Whether it is code of an installed library that is written in C; its version counts."""
        module = getattr(value, "__module__", None)
        if not callable(value) or isinstance(value, MethodType) or not isinstance(module, str):
            return False
        if getattr(value, "__self__", None) is not None and not isinstance(value.__self__, ModuleType | type):
            return False
        if not inspect.isbuiltin(value) and not inspect.ismethoddescriptor(value) and not by_name(value, module):
            return False
        if find(module) is None:
            self._modules.add(module)
            return True
        return False

    # -- functions, classes, values -------------------------------------------------------------

    def _function(self, name: str, function: FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen[id(function)] = function
        code = function.__code__
        title = function.__qualname__ if function.__name__ != "<lambda>" else name
        self._add(_with_source(title, digest_of_code(code), function, self._place))
        parameters = inspect.signature(function).parameters if function.__defaults__ or function.__kwdefaults__ else {}
        for parameter in parameters.values():
            if parameter.default is not parameter.empty:
                self._look(f"the default of {parameter.name}", parameter.default, title)
        for key, value in sorted(function.__dict__.items()):
            if key != "__wrapped__":
                self._look(f"attribute {key}", value, title)
        used = _names_of(code)
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
            try:
                value = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            self._look(variable, value, title, used)
        for variable in sorted(global_names(code)):
            if variable in function.__globals__:
                self._look(variable, function.__globals__[variable], title, used)
        self._sources.imported(used, _package(function))

    def _class(self, name: str, kind: type) -> None:
        if id(kind) in self._seen:
            return
        self._seen[id(kind)] = kind
        title = kind.__qualname__
        members = [key for key in sorted(vars(kind)) if key not in _MADE]
        self._add(_with_source(title, digest(f"class {key}" for key in members), kind, self._place))
        for key in members:
            for number, value in enumerate(_functions_in(vars(kind)[key])):
                self._look(f"{title}.{key}" + "'" * number, value, title)
        for base in kind.__bases__:
            self._look(base.__name__, base, title)

    def _value(self, name: str, value: Any, of: str) -> None:
        title = _title(name, of)
        digester = Digester(self._digest_of)
        try:
            found = digester.digest(value)
        except Unclear as why:
            self._unclear = self._unclear or f"the content of {title} cannot be told: {why}"
            return
        if digester.objects:
            self._objects += len(digester.objects)
        self._modules |= {module for module in digester.modules if find(module) is None}
        self._add(Part(title, found, 0, "", "" if SECRET_NAME.search(name) else _short(value)))

    def _digest_of(self, value: Any) -> str:
        """The digest of code inside of a value, which is noted with all that it uses."""
        key = id(value)
        known = self._digests.get(key)
        if known is not None:
            return known
        self._digests[key] = getattr(value, "__qualname__", "")  # where it is inside of itself
        if by_reference(value):
            self._imported(value)
            return self._digests[key]
        self._look(value.__qualname__, value, "")
        part = self._parts.get(value.__qualname__)
        self._digests[key] = part.digest if part is not None else value.__qualname__
        return self._digests[key]

    def _add(self, part: Part) -> None:
        """Add a part; where another one has its name, both count."""
        known = self._parts.get(part.name)
        if known is not None and known.digest != part.digest:
            part = Part(part.name, digest([known.digest, part.digest]), part.line, part.place, part.source)
        self._parts[part.name] = part


def by_name(value: Any, module: str) -> bool:
    """Whether a callable of a library is found there under its name, as NumPy's functions are."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    found: Any = sys.modules.get(module)
    for part in name.split(".") if isinstance(name, str) else ():
        found = getattr(found, part, None)
    return found is value


def _title(name: str, of: str) -> str:
    return f"{name} (used by {of})" if of else name


def _package(function: FunctionType) -> str:
    found = function.__globals__.get("__package__")
    return found if isinstance(found, str) else ""


def _functions_in(member: Any) -> Iterable[Any]:
    if isinstance(member, property):
        return [part for part in (member.fget, member.fset, member.fdel) if part is not None]
    return [member]


_MADE = frozenset(
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
        "__annotations_cache__", "__annotate_func__", "__annotate__", "__abstractmethods__", "_abc_impl",
        "__type_params__", "__parameters__", "__orig_bases__", "__slotnames__",
    }
)  # fmt: skip


def _with_source(name: str, found: str, code: Any, here: str) -> Part:
    """A part with its lines, where they can be found."""
    try:
        lines, first = inspect.getsourcelines(code)
        file = inspect.getsourcefile(code) or ""
    except (OSError, TypeError, IndexError, SyntaxError):
        return Part(name, found)
    place = "" if file == here or not file else name_of_file(file)
    return Part(name, found, max(first, 1), place, "".join(lines)[:_SOURCE_CHARS_MAX])


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # of the user's class
        return ""
    return text if len(text) <= _VALUE_CHARS_MAX else text[: _VALUE_CHARS_MAX - 1] + "…"


def _names_of(code: CodeType) -> Names:
    """What a function's code names."""
    attributes: set[str] = set()
    imports: list[tuple[str, str, int]] = []
    _collect(code, attributes, imports)
    return Names(frozenset(), frozenset(attributes), tuple(imports))


def _collect(code: CodeType, attributes: set[str], imports: list[tuple[str, str, int]]) -> None:
    attributes.update(code.co_names)
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "CACHE", "NOP")]
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME" and number > 1:
            level, names = steps[number - 2].argval, steps[number - 1].argval
            found = names if isinstance(names, tuple) and names else ("",)
            imports += [(step.argval, name, level if isinstance(level, int) else 0) for name in found]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _collect(constant, attributes, imports)
