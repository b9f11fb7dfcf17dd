"""Whether a function's pickle is still valid, decided without pickling the function again.

Theory of operation
-------------------
What cloudpickle takes along with a function is its code, defaults, attributes, closure and the globals that it names,
and in turn those of functions that travel by value. `examine` walks all that once. If everything in it is immutable (or
importable, and so only named), the function's pickle can only change when one of the references changes: `Examined`
remembers each and compares identities. If anything is mutable, nothing but pickling again can tell.

Modules that are no installed packages are noted with the state of their files, because executors import them from
there.
"""

from __future__ import annotations

import dis
import enum
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, ModuleType, WrapperDescriptorType
from typing import Any

from rain.client.functions.modules import Found, closure, find, folder, is_users
from rain.client.handles import Handle
from rain.host.installed import stamp
from rain.objects.pickling.callables import by_reference

_MISSING = object()
_GLOBAL_OPCODES = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"})
_FIXED = frozenset(
    {int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), range, re.Pattern}
)
_CACHED: Any = type(lru_cache(lambda: None))
_BUILTINS = (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType)


class HoldsFunction:
    """A callable that is examined as the function that it holds: a `Remote`."""

    @property
    def function(self) -> Any:
        """The plain function."""
        raise NotImplementedError


@lru_cache(maxsize=4096)
def global_names(code: CodeType) -> frozenset[str]:
    """Names of globals that `code`, or code inside it, uses."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in _GLOBAL_OPCODES}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= global_names(constant)
    return frozenset(names)


class Examined:
    """What a function's pickle depends on.

    Attributes
    ----------
    fixed : bool
        Whether `unchanged` can be relied on.
    codes : list of CodeType
        The code of all functions that are pickled by value.
    modules : dict of str to Found
        The user's modules that are needed.
    """

    __slots__ = ("_cells", "_entries", "_files", "_functions", "_path", "codes", "fixed", "modules")

    def __init__(self) -> None:
        self.fixed = True
        self.codes: list[CodeType] = []
        self.modules: dict[str, Found] = {}
        self._functions: list[tuple[Any, CodeType, Any, Any, int]] = []
        self._entries: list[tuple[dict[str, Any], str, Any]] = []
        self._cells: list[tuple[Any, Any]] = []
        self._files: list[tuple[str, tuple[int, int] | None]] = []
        self._path: list[Any] | None = None

    def unchanged(self) -> bool:
        """Whether everything is as it was when it was examined, so that a pickle made then is still right."""
        if not self.fixed:
            return False
        for function, code, defaults, kwdefaults, attributes in self._functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not kwdefaults
                or len(function.__dict__) != attributes
            ):
                return False
        for mapping, key, value in self._entries:
            if mapping.get(key, _MISSING) is not value:
                return False
        for cell, value in self._cells:
            if _content(cell) is not value:
                return False
        if self._path is not None and self._path != [*sys.path, folder()]:
            return False
        return all(stamp(path) == seen for path, seen in self._files) if self._files else True

    # -- the walk -------------------------------------------------------------------------------

    def walk(self, root: Any) -> None:
        """Examine a function (or another callable)."""
        waiting: list[Any] = []
        seen: set[int] = set()
        if isinstance(root, FunctionType):
            waiting.append(root)  # also if it can be imported: then only its module is noted
        else:
            self._look([root], waiting)
        while waiting:
            function = waiting.pop()
            if id(function) not in seen:
                seen.add(id(function))
                self._walk_function(function, waiting)
        self.watch(self.modules)

    def follow(self, names: Iterable[str]) -> None:
        """Note these modules too, and all that these and the modules noted so far import."""
        self._path = [*sys.path, folder()]  # on another path the names mean other files
        self.watch(closure([*self.modules, *names]))

    def watch(self, modules: Mapping[str, Found]) -> None:
        """Set the modules that the function depends on."""
        self.modules = dict(modules)
        self._files = [(found.path, stamp(found.path)) for found in self.modules.values() if found.has_file]

    def _walk_function(self, function: Any, waiting: list[Any]) -> None:
        code, attributes = function.__code__, function.__dict__
        self.codes.append(code)
        self._functions.append((function, code, function.__defaults__, function.__kwdefaults__, len(attributes)))
        self._look(function.__defaults__ or (), waiting)
        for mapping in (function.__kwdefaults__ or {}, attributes):
            for key, value in mapping.items():
                self._entries.append((mapping, key, value))
                self._look((value,), waiting)
        for cell in function.__closure__ or ():
            value = _content(cell)
            self._cells.append((cell, value))
            if value is not _MISSING:
                self._look((value,), waiting)
        names = function.__globals__
        for name in global_names(code):
            value = names.get(name, _MISSING)
            self._entries.append((names, name, value))
            if value is not _MISSING:
                self._look((value,), waiting)

    def _look(self, values: Iterable[Any], waiting: list[Any]) -> None:
        """Examine values that a function refers to."""
        for value in values:
            kind = type(value)
            if kind in _FIXED:
                continue
            if kind is tuple or kind is frozenset:
                self._look(value, waiting)
            elif kind is FunctionType:
                if by_reference(value):
                    self._note(value.__module__)
                else:
                    waiting.append(value)
            elif kind is ModuleType:
                name = str(value.__name__)
                if sys.modules.get(name) is value:
                    self._note(name)
                else:
                    self.fixed = False
            elif kind is _CACHED:
                if by_reference(value):
                    self._note(value.__module__)
                else:
                    self._look((value.__wrapped__,), waiting)  # its cache is not pickled
            elif isinstance(value, type):
                self._look_class(value)
            else:
                self._look_other(value, waiting)

    def _look_class(self, kind: type) -> None:
        if by_reference(kind):
            self._note(kind.__module__)
            return
        self.fixed = False
        self.codes += [item.__code__ for item in vars(kind).values() if isinstance(item, FunctionType)]
        for base in kind.__mro__[1:]:
            self._note(base.__module__)

    def _look_other(self, value: Any, waiting: list[Any]) -> None:
        kind = type(value)
        if isinstance(value, HoldsFunction):
            self._look([value.function], waiting)
        elif isinstance(value, _BUILTINS):
            bound = getattr(value, "__self__", None)
            if bound is not None and not isinstance(bound, ModuleType | type):
                self.fixed = False
        elif isinstance(value, Handle | PurePath):
            pass
        elif isinstance(value, enum.Enum) and by_reference(kind):
            self._note(kind.__module__)
        else:
            self.fixed = False
            if isinstance(kind.__module__, str):
                self._note(kind.__module__)

    def _note(self, name: str) -> None:
        """Note a module, and the user's modules that it uses."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            module = sys.modules.get(name)
            if module is None or name in self.modules or not is_users(name):
                continue
            found = find(name)
            if found is None:
                continue
            self.modules[name] = found
            parent = name.rpartition(".")[0]
            if parent:
                waiting.append(parent)
            for value in list(vars(module).values()):
                other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
                if isinstance(other, str) and other not in self.modules:
                    waiting.append(other)


def examine(function: Any) -> Examined:
    """What the pickle of `function` depends on."""
    found = Examined()
    found.walk(function)
    return found


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return _MISSING
