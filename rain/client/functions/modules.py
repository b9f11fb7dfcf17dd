"""The user's own modules: which ones code imports, where they are, and which of them the server has.

Nothing is imported to find this out: the path is searched as `import` would, and sources are parsed.
"""

from __future__ import annotations

import ast
import dis
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from rain.common.limits import MODULE_BYTES_MAX
from rain.common.protocol.messages import SessionEnv
from rain.common.task_configs import UserModule
from rain.host.installed import is_installed, stamp
from rain.host.machine import host_id

_BY_NAME = ("import_module", "__import__")
_SKIPPED = frozenset({"EXTENDED_ARG", "CACHE", "NOP"})


class Found(NamedTuple):
    """Where a module of the user's is. A package's path is that of ``__init__.py``, also if that does not exist."""

    path: str
    is_package: bool
    has_file: bool = True


# -- where modules are -----------------------------------------------------------------------------


def folder() -> str:
    """The current folder; empty if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def file_of(module: ModuleType) -> str:
    """The source file of a module, empty if there is none."""
    path = getattr(module, "__file__", None)
    return path if isinstance(path, str) and path.endswith(".py") else ""


def find(name: str) -> Found | None:
    """A module of the user's: from a source file (or a folder without one) that belongs to no installed package."""
    if name == "__main__" or name.partition(".")[0] in sys.stdlib_module_names:
        return None
    module = sys.modules.get(name)
    if isinstance(module, ModuleType):
        path = file_of(module)
        if path:
            return None if is_installed(path) else Found(path, hasattr(module, "__path__"))
        return _namespace(list(getattr(module, "__path__", ()))) if not getattr(module, "__file__", None) else None
    return _search(name)


def _search(name: str) -> Found | None:
    parts = name.split(".")
    if not all(map(str.isidentifier, parts)):
        return None
    where: list[str] | None = None
    spec = None
    for number, part in enumerate(parts):
        try:
            spec = PathFinder.find_spec(".".join(parts[: number + 1]), where)
        except KeyError:  # a folder without __init__.py inside a package that was not imported here
            spec = None
        except (ImportError, ValueError, OSError):
            return None
        if spec is None or spec.loader is None:
            spec = None
            folders = [os.path.join(entry, part) for entry in (sys.path if where is None else where)]
            where = [folder for folder in folders if os.path.isdir(folder)]
            if not where:
                return None
        elif spec.origin and is_installed(spec.origin):
            return None
        else:
            where = list(spec.submodule_search_locations or ())
    if spec is None:
        return _namespace(where or [])
    if not spec.has_location or not spec.origin or not spec.origin.endswith(".py"):
        return None
    return Found(os.path.abspath(spec.origin), spec.submodule_search_locations is not None)


def _namespace(folders: list[str]) -> Found | None:
    own = [folder for folder in folders if not is_installed(os.path.join(folder, "any"))]
    return Found(os.path.join(os.path.abspath(own[0]), "__init__.py"), True, False) if own else None


@lru_cache(maxsize=8192)
def is_users(name: str) -> bool:
    """Whether a module that was imported here is the user's own."""
    found = find(name) if name in sys.modules else None
    return found is not None and found.has_file


def read(name: str, found: Found) -> UserModule | None:
    """The module as it is sent; None if its source cannot be read or is too large."""
    if not found.has_file:
        return UserModule(name, found.path, 0, 0, b"", True)
    seen = stamp(found.path)
    if seen is None or seen[1] > MODULE_BYTES_MAX:
        return None
    try:
        with open(found.path, "rb") as file:
            return UserModule(name, found.path, *seen, file.read(), found.is_package)
    except OSError:
        return None


# -- what code imports -----------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def imported_by(code: CodeType, package: str) -> frozenset[str]:
    """Names of modules that `code`, or code inside it, may import; also of what it imports from a module, as that may
    be a module."""
    found: set[str] = set()
    steps = [step for step in dis.get_instructions(code) if step.opname not in _SKIPPED]
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME" and number > 1:
            level, names = steps[number - 2].argval, steps[number - 1].argval
            found.update(_named(step.argval, names or (), level if isinstance(level, int) else 0, package))
    by_name = any(name in code.co_names for name in _BY_NAME)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= imported_by(constant, package)
        elif by_name and isinstance(constant, str):
            found.add(constant)
    return frozenset(found)


@lru_cache(maxsize=4096)
def _imported_by_file(path: str, _seen: tuple[int, int] | None, package: str) -> frozenset[str]:
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.update(_named(alias.name, (), 0, package))
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            found.update(_named(node.module or "", names, node.level, package))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in _BY_NAME and isinstance(node.args[0].value, str):
                found.add(node.args[0].value)
    return frozenset(found)


def _named(module: str, names: Iterable[str], level: int, package: str) -> Iterator[str]:
    """What one import statement may import: the module, and modules inside it."""
    if level:
        parts = package.split(".")
        if level > len(parts) or not package:
            return
        module = ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
    if module:
        yield module
    for name in names:
        if name != "*":
            yield f"{module}.{name}"


def closure(names: Iterable[str]) -> dict[str, Found]:
    """The user's modules among these, those that they import, and the packages that these are in."""
    found: dict[str, Found] = {}
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        here = find(name)
        if here is None:
            continue
        found[name] = here
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
        if here.has_file:
            package = name if here.is_package else parent
            waiting += _imported_by_file(here.path, stamp(here.path), package)
    return found


# -- what other hosts have ---------------------------------------------------------------------------


class Surroundings:
    """What a client has told the server of its process for one session: its paths, and the sources of its modules.

    Attributes
    ----------
    previews : bool
        Whether executors make previews of results.
    """

    def __init__(self) -> None:
        self.previews = True
        self._lock = threading.Lock()
        self._paths: tuple[list[Any], str, bool] | None = None
        self._moved = False  # whether names may mean other files than when the modules were sent
        self._needed: set[str] = set()
        self._given: list[UserModule] = []
        self._seen: dict[str, tuple[Found, tuple[int, int] | None]] = {}

    def environment(self) -> SessionEnv | None:
        """The environment as it is now; None if it is as it was sent."""
        here = self._folder()
        if self._paths is not None and self._paths == (sys.path, here, self.previews):
            return None
        self._paths = (list(sys.path), here, self.previews)
        self._moved = True
        return self.present()

    def present(self) -> SessionEnv:
        """The environment as it is now, whatever was sent."""
        return SessionEnv(
            host_id(),
            sys.executable,
            ".".join(map(str, sys.version_info[:3])),
            [entry if isinstance(entry, str) else os.fspath(entry) for entry in sys.path],
            self._folder(),
            self.previews,
        )

    def _folder(self) -> str:
        return folder() or (self._paths[1] if self._paths is not None else "/")

    def need(self, names: Iterable[str]) -> None:
        """Note modules to which the arguments of tasks refer that will be submitted."""
        with self._lock:
            self._needed.update(names)

    def give(self, modules: Iterable[UserModule]) -> None:
        """Note modules that a new function needs: they are sent with the next submit."""
        with self._lock:
            for module in modules:
                has_file = bool(module.mtime_ns or module.size)
                found = Found(module.path, module.is_package, has_file)
                seen = (found, (module.mtime_ns, module.size) if has_file else None)
                if module.source is not None and self._seen.get(module.name) != seen:
                    self._seen[module.name] = seen
                    self._given.append(module)

    def modules(self) -> list[UserModule]:
        """The modules to be sent with the next submit: new ones, and those that have changed since they were sent."""
        with self._lock:
            needed, self._needed = self._needed, set()
            moved, self._moved = self._moved, False
            changed = [
                name
                for name, (found, seen) in self._seen.items()
                if moved or (found.has_file and stamp(found.path) != seen)
            ]
            wanted = closure([*needed, *changed]) if needed or changed else {}
            modules, self._given = self._given, []
            for name, found in wanted.items():
                now = stamp(found.path) if found.has_file else None
                if self._seen.get(name) == (found, now):
                    continue
                self._seen[name] = (found, now)
                module = read(name, found)
                if module is not None:
                    modules.append(module)
            return modules

    def refused(self) -> None:
        """The server refused the submit that carried the last environment."""
        with self._lock:
            self._paths = None
            self._needed |= set(self._seen)
            self._seen, self._given = {}, []

    def asked(self, name: str) -> UserModule | None:
        """The module that an executor on another host wants to import; from now on changes of its file are sent."""
        found = find(name)
        if found is None:
            return None
        now = stamp(found.path) if found.has_file else None
        module = read(name, found)
        if module is not None:
            with self._lock:
                self._seen[name] = (found, now)
        return module
