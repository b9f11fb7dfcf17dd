"""Which scheduling policy a server runs: Rain's own, or one that an option names and another distribution brings.

Theory of operation
-------------------
A policy is named by an entry point of the group `GROUP`, or by its place, as ``package.module:Class``. It becomes part
of the pure core, so it obeys the same import rules, and obeys them before a line of it runs: the sources of the module
and of its package's other modules that it imports are read, and an import or call that a pure module may not make is
refused by name. What it imports from elsewhere may not in turn load what `LOADED_BY_NOTHING_PURE` lists.
`tests/test_imports.py` holds Rain's pure modules to the same lists.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from rain.common.errors import RainException
from rain.server.bounded_policy import BoundedPolicy
from rain.server.scheduling.locality import LocalityPolicy
from rain.server.scheduling.policy import DEFAULT_POLICY, SchedulingPolicy

GROUP = "rain.scheduling_policies"

LOADED_BY_NOTHING_PURE = frozenset({
    "asyncio", "cloudpickle", "concurrent.futures", "cryptography", "multiprocessing", "numpy", "pandas", "pickle",
    "psutil", "random", "select", "socket", "ssl", "subprocess", "tempfile", "threading", "tornado",
    "rain.client", "rain.host", "rain.net", "rain.objects", "rain.processes",
})  # fmt: skip
"""Modules that a pure module does not load, not even through another one."""

NAMED_BY_NOTHING_PURE = LOADED_BY_NOTHING_PURE | {
    "importlib", "io", "logging", "os", "pathlib", "secrets", "shutil", "signal", "time", "uuid",
}  # fmt: skip
"""Modules that a pure module does not import itself; the interpreter loads some of them always."""

CALLED_BY_NOTHING_PURE = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})
"""Functions that a pure module does not call."""

OFFERED = ("rain.common", "rain.server.records", "rain.server.scheduling", "rain.server.states")
"""What a policy may import of Rain."""

METHODS = ("task_ready", "task_withdrawn", "assignments", "steals", "governor_lost", "session_ended")


class ChosenPolicy(NamedTuple):
    """A policy that a server is to run."""

    name: str
    make: Callable[[], SchedulingPolicy]


def choose_policy(name: str = "") -> ChosenPolicy:
    """The policy of a name; nothing is looked for unless another one than Rain's own is named.

    Parameters
    ----------
    name : str
        Of an entry point, or a place ``package.module:Class``; empty for Rain's own.

    Raises
    ------
    RainException
        If there is none, if it imports what a pure module may not, or if it is no policy.
    """
    if name in ("", DEFAULT_POLICY):
        return ChosenPolicy(DEFAULT_POLICY, LocalityPolicy)
    module, attribute = _place(name)
    refused = f'the scheduling policy "{name}" ({module}:{attribute}) cannot be used: '
    problem = next(_Sources(module).problems(), None)
    if problem is not None:
        raise RainException(refused + problem)
    try:
        make = getattr(importlib.import_module(module), attribute)
        policy = BoundedPolicy(make).policy
    except Exception as error:
        raise RainException(f"{refused}{type(error).__name__}: {error}") from error
    lacking = [method for method in METHODS if not callable(getattr(policy, method, None))]
    if lacking:
        raise RainException(
            f"{refused}it has no method {lacking[0]}; derive it from rain.server.scheduling.policy.SchedulingPolicy"
        )
    return ChosenPolicy(name, partial(BoundedPolicy, make))


def _place(name: str) -> tuple[str, str]:
    """Module and attribute of a policy."""
    module, colon, attribute = name.partition(":")
    if not colon:
        from importlib.metadata import entry_points  # 30 modules, which few servers need

        entries = entry_points(group=GROUP)
        places = sorted({entry.value for entry in entries if entry.name == name})
        if len(places) > 1:
            raise RainException(
                f'several distributions bring a scheduling policy "{name}": {", ".join(places)}; name one by its place'
            )
        if not places:
            known = ", ".join(sorted({DEFAULT_POLICY, *(entry.name for entry in entries)}))
            raise RainException(
                f'there is no scheduling policy "{name}"; here are: {known}. Another one needs an entry point of the '
                f"group {GROUP} in the server's Python environment, or is named by its place, package.module:Class"
            )
        module, colon, attribute = places[0].partition(":")
    if not module or not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise RainException(
            f'the scheduling policy "{name}" is at {module}:{attribute}, which is no package.module:Class'
        )
    return module, attribute


class _Sources:
    """The sources of a policy and of all that it imports, read and not run."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._own = module.partition(".")[0]
        self._seen: set[str] = set()

    def problems(self) -> Iterator[str]:
        """What keeps the policy from being pure, in words."""
        if self._own == "rain":
            if not _is_of(self._module, OFFERED):
                yield f"{self._module} is a part of Rain that has no policies"
            return
        parts = self._module.split(".")
        for end in range(1, len(parts) + 1):  # a package's own module runs before its modules
            yield from self._problems_of_own(".".join(parts[:end]), end == len(parts))

    def _problems_of_own(self, name: str, required: bool) -> Iterator[str]:
        """All imports and calls of a module of the policy's distribution."""
        if name in self._seen:
            return
        self._seen.add(name)
        spec = _find(name)
        if spec is None:
            if required:
                yield f"there is no module {name} in the server's Python environment"
            return
        source = _source(spec)
        if source is None:
            if spec.loader is not None and spec.submodule_search_locations is None:
                yield f"{name} has no source in Python that could be checked for what it imports"
            return
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in CALLED_BY_NOTHING_PURE
            ):
                yield f"{name} calls {node.func.id}(), line {node.lineno}. {_RULE}"
        for imported in _imports(tree, name, spec.submodule_search_locations is not None, functions=True):
            bad = _one_of(imported, NAMED_BY_NOTHING_PURE)
            if bad:
                yield f"{name} imports {bad}. {_RULE}"
            elif _is_of(imported, (self._own,)):
                yield from self._problems_of_own(imported, False)
            elif _is_of(imported, ("rain",)):
                if not _is_of(imported, OFFERED) and imported not in ("rain", "rain.server"):
                    yield f"{name} imports {imported}; of Rain a policy may import {', '.join(OFFERED)}"
            else:
                yield from (f"{name} imports {chain}. {_RULE}" for chain in self._chains(imported))

    def _chains(self, name: str) -> Iterator[str]:
        """How a module of another distribution, or of Python, comes to load what nothing pure does."""
        if name in self._seen:
            return
        self._seen.add(name)
        bad = _one_of(name, LOADED_BY_NOTHING_PURE)
        if bad:
            yield bad
            return
        spec = _find(name)
        source = None if spec is None else _source(spec)
        if spec is None or source is None:
            return
        is_package = spec.submodule_search_locations is not None
        for imported in _imports(ast.parse(source), name, is_package, functions=False):
            for chain in self._chains(imported):
                yield f"{name}, which imports {chain}"


_RULE = (
    "A policy decides by what the server gives it, the time included: it may not touch files, the network, processes, "
    "threads, clocks or chance"
)


def _is_of(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _one_of(module: str, modules: frozenset[str]) -> str:
    return next((bad for bad in sorted(modules) if _is_of(module, (bad,))), "")


def _imports(tree: ast.AST, module: str, is_package: bool, functions: bool) -> Iterator[str]:
    """The modules that a source names, also those that are perhaps names in a module; in functions too if asked."""
    package = module if is_package else module.rpartition(".")[0]
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module is, found without running the packages that it is in."""
    path = None
    spec = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        full = ".".join(parts[:end])
        found = (finder.find_spec(full, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        try:
            spec = next((spec for spec in found if spec is not None), None)
        except KeyError:  # a folder without `__init__` in another one: Python finds it only once the latter is imported
            return None
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and end < len(parts):
            return None
    return spec


def _source(spec: importlib.machinery.ModuleSpec) -> str | None:
    get_source = getattr(spec.loader, "get_source", None)
    try:
        return None if get_source is None else get_source(spec.name)
    except (ImportError, UnicodeDecodeError):
        return None
