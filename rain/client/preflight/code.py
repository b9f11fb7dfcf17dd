"""What code uses that may be missing: names that nothing defines, and modules. Nothing is run or imported.

What stands in a ``try`` with an ``except`` is left out: its author counts on its failing.
"""

from __future__ import annotations

import ast
import builtins
import dis
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from rain.client.functions.function_snapshot import HoldsFunction
from rain.client.functions.modules import Found, find
from rain.host.installed import stamp
from rain.objects.pickling.callables import by_reference

_FUNCTIONS_MAX = 1000
_CATCH_STEPS = 12
_CATCHES = frozenset({"CHECK_EXC_MATCH", "CHECK_EG_MATCH", "JUMP_IF_NOT_EXC_MATCH"})
_NO_CATCH = frozenset({"WITH_EXCEPT_START", "RERAISE"})
_OF_CLASS_BODIES = frozenset({"__name__", "__module__", "__qualname__", "__class__", "__annotations__", "__dict__"})


class Uses:
    """What a function, and all that travels with it, uses.

    Attributes
    ----------
    undefined : dict of str to str
        Names that nothing defines, and the function that uses each.
    modules : dict of str to str
        Top-level modules that are no sources of the user's, and what uses each.
    texts : dict of str to str
        Texts that stand in the code, and the function that has each.
    """

    def __init__(self) -> None:
        self.undefined: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._waiting: list[FunctionType] = []
        self._seen: set[int] = set()
        self._files: set[str] = set()

    @classmethod
    def of(cls, function: Any) -> Uses:
        """What a function (or another callable) uses."""
        found = cls()
        found._value(function, "")
        while found._waiting and len(found._seen) < _FUNCTIONS_MAX:
            found._function(found._waiting.pop())
        return found

    def module(self, name: str, why: str) -> None:
        """Note that a module is needed; of the user's own the modules that it imports are."""
        waiting = [(name, why)]
        while waiting:
            name, why = waiting.pop()
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top in ("__main__", "rain"):
                continue
            here = find(name)
            if here is None and top != name:
                here = find(top)
            if here is None:
                self.modules.setdefault(top, why)
            elif here.path not in self._files:
                self._files.add(here.path)
                waiting += [(imported, f"the module {name}") for imported in _imports_of(here, name)]

    def _function(self, function: FunctionType) -> None:
        name = function.__qualname__.rpartition("<locals>.")[2]
        known, stored = function.__globals__, _stored(function.__code__)
        for code in _codes(function.__code__):
            for used, is_guarded in names_of(code):
                if used in known:
                    self._value(known[used], name)
                elif not (is_guarded or used in stored or hasattr(builtins, used)):
                    self.undefined.setdefault(used, name)
            for module in imports_of(code):
                self.module(module, name)
            for text in code.co_consts:
                if isinstance(text, str):
                    self.texts.setdefault(text, name)
        for cell in function.__closure__ or ():
            try:
                self._value(cell.cell_contents, name)
            except ValueError:  # not assigned yet
                continue
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._value(value, name)

    def _value(self, value: Any, user: str) -> None:
        if id(value) in self._seen:
            return
        if isinstance(value, HoldsFunction):
            self._value(value.function, user)
        elif isinstance(value, ModuleType):
            self.module(value.__name__, user)
        elif isinstance(value, FunctionType):
            self._seen.add(id(value))
            module = value.__module__ or "__main__"
            if not user or module == "__main__" or not by_reference(value) or find(module) is not None:
                self._waiting.append(value)
            if by_reference(value):
                self.module(module, user or value.__qualname__)
        elif isinstance(value, type):
            self._seen.add(id(value))
            self._class(value, user or value.__qualname__)
        elif isinstance(value, BuiltinFunctionType):
            if isinstance(value.__module__, str):
                self.module(value.__module__, user or value.__qualname__)
        elif isinstance(type(value).__module__, str) and type(value).__module__ != "builtins":
            self.module(type(value).__module__, user or type(value).__qualname__)

    def _class(self, kind: type, user: str) -> None:
        if by_reference(kind) and find(kind.__module__) is None:
            self.module(kind.__module__, user)
            return
        for item in vars(kind).values():
            item = getattr(item, "__func__", item)
            if isinstance(item, FunctionType) and id(item) not in self._seen:
                self._seen.add(id(item))
                self._waiting.append(item)
        for base in kind.__mro__[1:]:
            if base.__module__ != "builtins":
                self.module(base.__module__, user)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _stored(code: CodeType) -> set[str]:
    return {
        step.argval
        for one in _codes(code)
        for step in dis.get_instructions(one)
        if step.opname == "STORE_GLOBAL"
    }  # fmt: skip


@lru_cache(maxsize=1024)
def names_of(code: CodeType) -> list[tuple[str, bool]]:
    """The globals that `code` reads, not code inside it, and whether each is only read where an error is caught."""
    guarded = _guard(code)
    own = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"} | _OF_CLASS_BODIES
    found: dict[str, bool] = {}
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL" or (step.opname == "LOAD_NAME" and step.argval not in own):
            found[step.argval] = found.get(step.argval, True) and guarded(step.offset)
    return list(found.items())


@lru_cache(maxsize=1024)
def imports_of(code: CodeType) -> list[str]:
    """The modules that `code` imports, not code inside it, where no error is caught."""
    guarded = _guard(code)
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "CACHE", "NOP")]
    found = []
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME" and number > 1 and not guarded(step.offset):
            level = steps[number - 2].argval
            if not level:
                found.append(step.argval)
    return found


def _guard(code: CodeType) -> Callable[[int], bool]:
    """Tells of an offset in `code` whether an error there is caught by an ``except``."""
    table: Any = dis.Bytecode(code)
    entries = table.exception_entries
    steps = list(dis.get_instructions(code))
    places = {step.offset: number for number, step in enumerate(steps)}
    suppresses = "suppress" in code.co_names

    def catches(target: int) -> bool:
        first = places.get(target, len(steps))
        for number, step in enumerate(steps[first : first + _CATCH_STEPS]):
            if step.opname in _CATCHES or (number == 1 and step.opname == "POP_TOP"):
                return True
            if step.opname in _NO_CATCH:
                return False
        return False

    def guarded(offset: int) -> bool:
        seen: set[int] = set()
        while True:
            entry = next((one for one in entries if one.start <= offset < one.end), None)
            if entry is None or entry.target in seen:
                return suppresses and bool(seen)
            if catches(entry.target):
                return True
            seen.add(entry.target)
            offset = entry.target

    return guarded


def _imports_of(found: Found, name: str) -> list[str]:
    if not found.has_file:
        return []
    package = name if found.is_package else name.rpartition(".")[0]
    return _imports_of_file(found.path, stamp(found.path), package)


@lru_cache(maxsize=1024)
def _imports_of_file(path: str, _seen: tuple[int, int] | None, package: str) -> list[str]:
    """What a file imports when it is imported itself: not in functions, nor where an error is caught."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    found: list[str] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                found.append(node.module or "")
            elif package:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1])
                found += [f"{base}.{node.module}"] if node.module else [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Try):
            waiting += [*node.orelse, *node.finalbody] if node.handlers else [*node.body, *node.finalbody]
        elif isinstance(node, ast.If):
            # One branch runs, and which one is known at its time only: TYPE_CHECKING, platforms, versions.
            continue
        elif isinstance(node, ast.With | ast.ClassDef):
            waiting += node.body
    return [name for name in found if name]
