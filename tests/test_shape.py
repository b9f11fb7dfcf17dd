"""The shape of the house: the lengths of its modules, functions and classes, and how many modules a folder has.

A figure that does not fit is a question about the design; no module is made only to lower it.
"""

from __future__ import annotations

import ast
import functools
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "rain").rglob("*.py"))

LINES_MEDIAN_MAX = 130
LINES_MAX = 600
FUNCTION_LINES_MAX = 70
METHODS_MAX = 30
FOLDER_MODULES_MAX = 14

LONG = {
    # One table of all messages is easier to read than its pieces.
    "rain/common/protocol/messages.py",
}
"""Modules, functions and folders that may be longer; the list is not to grow."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def length(path: Path) -> int:
    return len(path.read_text().splitlines())


@dataclass(frozen=True)
class Read:
    """What is asked about a module.

    Attributes
    ----------
    purpose : str
        Its docstring.
    functions, classes : list of (str, int)
        Functions with their lines, and classes with how many public methods they have, wherever they are defined.
    """

    purpose: str
    functions: list[tuple[str, int]]
    classes: list[tuple[str, int]]


@functools.cache
def read(path: Path) -> Read:
    """Read a module once for all tests: to parse them all takes a second and a half of a cpu."""
    tree = ast.parse(path.read_text())
    found = Read(ast.get_docstring(tree) or "", [], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.functions.append((f"{name_of(path)} {node.name}", (node.end_lineno or 0) - node.lineno + 1))
        elif isinstance(node, ast.ClassDef):
            found.classes.append((f"{name_of(path)} {node.name}", len(public_methods(node))))
    return found


def public_methods(node: ast.ClassDef) -> list[str]:
    """Those that a reader has to learn: a property is a value, and an awaitable twin tells nothing new."""
    return [
        item.name
        for item in node.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
        and not item.name.startswith("_")
        and not item.name.endswith("_async")
        and not any(is_property(decorator) for decorator in item.decorator_list)
    ]


def is_property(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).endswith(("property", ".setter", ".deleter"))


def test_the_median_module_is_short() -> None:
    assert statistics.median(map(length, MODULES)) <= LINES_MEDIAN_MAX


def test_no_module_is_long() -> None:
    long = {name_of(path): length(path) for path in MODULES if length(path) > LINES_MAX}
    assert long.keys() <= LONG, long


def test_no_function_is_long() -> None:
    long = {name for path in MODULES for name, lines in read(path).functions if lines > FUNCTION_LINES_MAX}
    assert long <= LONG


def test_no_class_has_many_public_methods() -> None:
    many = {name: count for path in MODULES for name, count in read(path).classes if count > METHODS_MAX}
    assert many == {}


def test_no_folder_is_full() -> None:
    counts = {name_of(folder): len(list(folder.glob("*.py"))) for folder in {path.parent for path in MODULES}}
    assert {folder for folder, count in counts.items() if count > FOLDER_MODULES_MAX} <= LONG, counts


def test_each_module_says_what_it_is_for() -> None:
    assert [name_of(path) for path in MODULES if not read(path).purpose] == []


def test_no_conflict_is_left_in_a_text() -> None:
    """What ruff and mypy do not read: documents, scripts, settings."""
    kinds = ("*.md", "*.sh", "*.toml", "*.yml", "*.json", "*.css")
    listed = subprocess.run(["git", "ls-files", "-z", *kinds], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert paths
    marked = [
        name_of(path)
        for path in paths
        if re.search(r"^(<{7} |>{7} )", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    ]
    assert marked == []
