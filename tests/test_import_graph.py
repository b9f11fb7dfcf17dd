"""Imports inside functions are few and have a reason; no module of the client is in an import circle, whatever is
counted.

The graph is read from the text of all modules. An edge is an ``import`` statement, also one inside a function; not one
under ``if TYPE_CHECKING``, which never runs, nor a name that a package offers through importlib (the ``__init__`` of
`rain` and `rain.client`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LAZY_IN_CLIENT = {
    ("rain.client.functions.local_call", "rain.executor.context"): "an executor's code, for `Remote.local` only",
    ("rain.client.functions.local_call", "rain.executor.staging"): "an executor's code, for `Remote.local` only",
    ("rain.client.functions.pickling", "cloudpickle"): "30 ms that a client without Python functions does not need",
    ("rain.client.report.graphviz_export", "graphviz"): "for `Session.make_graph` only",
    ("rain.client.report.progress", "tqdm.auto"): "for progress bars only; it looks for Jupyter when it is imported",
    ("rain.client.task", "rain.capsule.writer"): "above the client; for `Task.capsule` only",
}
"""(module, what it imports inside a function) -> why not at the top."""

Edge = tuple[str, str, bool]
"""Module, what it imports, and whether that is inside a function."""


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(file): file for file in sorted((ROOT / "rain").rglob("*.py"))}


def imports(node: ast.AST, module: str, inside: bool = False) -> Iterator[Edge]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from imports(ast.Module([other], []), module, inside)
            continue
        if isinstance(child, ast.Import):
            yield from ((module, alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.module is not None, f"{module}: imports are absolute"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield module, whole if whole in FILES else child.module, inside
        yield from imports(child, module, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


EDGES = [edge for module, file in FILES.items() for edge in imports(ast.parse(file.read_text()), module)]


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The strongly connected components of more than one module (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        open_.append(module)
        for other in sorted(edges[module]):
            if other not in number:
                visit(other)
            if other in open_:
                low[module] = min(low[module], low[other])
        if low[module] == number[module]:
            circle = set(open_[open_.index(module) :])
            del open_[open_.index(module) :]
            if len(circle) > 1:
                found.append(circle)

    for module in edges:
        if module not in number:
            visit(module)
    return found


def test_imports_inside_functions_of_the_client_are_listed() -> None:
    lazy = {(module, other) for module, other, inside in EDGES if inside and module.startswith("rain.client")}
    assert lazy == set(LAZY_IN_CLIENT)


def test_no_module_of_the_client_is_in_a_circle() -> None:
    edges: dict[str, set[str]] = {module: set() for module in FILES}
    for module, other, _ in EDGES:
        if other in FILES and other != module:
            edges[module].add(other)
    found = [circle for circle in circles(edges) if any(module.startswith("rain.client") for module in circle)]
    assert found == []


def test_circles_are_seen() -> None:
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(map(sorted, circles(edges))) == [["a", "b", "c"], ["d", "e"]]
