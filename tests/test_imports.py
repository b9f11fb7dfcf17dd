"""The import rules, checked from the other side than import-linter's.

import-linter reads names, and can be green and false (a package's ``__init__``, importlib, a library's own imports). So
each pure module is also imported in a process that has imported nothing else, and `sys.modules` tells what came along.
What the interpreter itself always loads (os, time) is looked for in the modules' text.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from rain.server.policy_loading import CALLED_BY_NOTHING_PURE, LOADED_BY_NOTHING_PURE, NAMED_BY_NOTHING_PURE

ROOT = Path(__file__).resolve().parent.parent

PURE = (
    "rain.common",
    "rain.server.core",
    "rain.server.environments",
    "rain.server.graph",
    "rain.server.journal.format",
    "rain.server.journal.images",
    "rain.server.records",
    "rain.server.recovery.machine",
    "rain.server.recovery.records",
    "rain.server.states",
    "rain.server.scheduling",
    "rain.governor.core",
    "rain.client.core",
    "rain.objects.held",
    "rain.objects.store",
    "rain.notebook.graph_model",
    "rain.notebook.drawing.layout",
    "rain.notebook.drawing.row_assignment",
    "rain.notebook.drawing.coordinates",
    "rain.notebook.drawing.geometry",
    "rain.notebook.drawing.text_metrics",
    "rain.notebook.drawing.svg",
)
"""Packages and modules that touch no world."""
PURE_OF_OBJECTS = {"rain.objects", "rain.objects.held", "rain.objects.store"}
"""Of `rain.objects` these alone may come along with a pure module, and only with each other."""

LAZY = {
    ROOT / "rain/common/__init__.py": {"rain.objects"},
    ROOT / "rain/common/content_type.py": {"rain.objects"},
    ROOT / "rain/common/jupyter/display_hooks.py": {"importlib"},
}
"""What these name in order to offer names of other layers on demand."""


def pure_files() -> list[Path]:
    files: list[Path] = []
    for name in PURE:
        path = ROOT.joinpath(*name.split("."))
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return [file for file in files if file.exists()]


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


# One interpreter, a fork for each module: each child starts with what a bare interpreter has loaded, and with what
# most modules need. That counts as loaded by each.
LOAD_EACH_ALONE = """
import os, sys
before = set(sys.modules)
import msgspec
needed = set(sys.modules) - before
print(*needed)
before |= needed
for name in sys.argv[1:]:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        for package in ("rain.notebook", "rain.client"):
            if name.startswith(package + "."):
                # The package itself offers what is not asked about here: displays of sessions, `remote`.
                sys.modules[package] = type(sys)(package)
                sys.modules[package].__path__ = [package.replace(".", "/")]
                before.add(package)
        __import__(name)
        print(name, *sorted(set(sys.modules) - before), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("cannot import " + name)
"""


@pytest.fixture(scope="module")
def loaded_along() -> dict[str, set[str]]:
    names = [module_name(file) for file in pure_files()]
    done = subprocess.run([sys.executable, "-c", LOAD_EACH_ALONE, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    needed, *lines = [line.split() for line in done.stdout.splitlines()]
    return {name: {*needed, *loaded} for name, *loaded in lines}


@pytest.mark.parametrize("name", [module_name(file) for file in pure_files()])
def test_nothing_impure_comes_along(name: str, loaded_along: dict[str, set[str]]) -> None:
    along = loaded_along[name]
    if name in PURE_OF_OBJECTS:
        assert {module for module in along if module.startswith("rain.objects")} <= PURE_OF_OBJECTS
        along = along - PURE_OF_OBJECTS
    assert not along & LOADED_BY_NOTHING_PURE
    assert not {
        other for other in along if other.startswith("rain.client") and not other.startswith("rain.client.core")
    }


@pytest.mark.parametrize("file", pure_files(), ids=module_name)
def test_nothing_impure_is_named(file: Path) -> None:
    found = set()
    tree = ast.parse(file.read_text())
    for_checkers = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - for_checkers:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in CALLED_BY_NOTHING_PURE, f"{file}:{node.lineno}"
    forbidden = NAMED_BY_NOTHING_PURE - LAZY.get(file, set())
    if module_name(file) in PURE_OF_OBJECTS:
        found = {name for name in found if not name.startswith(tuple(PURE_OF_OBJECTS - {"rain.objects"}))}
    bad = {name for name in found if any(name == rule or name.startswith(rule + ".") for rule in forbidden)}
    if "rain/client/core" in str(file):
        bad = {name for name in bad if not name.startswith("rain.client.core")}
    assert not bad, f"{file} imports {bad}"


def loaded_by(module: str) -> set[str]:
    code = "import sys; before = set(sys.modules); __import__(sys.argv[1]); print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code, module], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_rain_loads_nothing_until_used() -> None:
    loaded = loaded_by("rain")
    heavy = (
        "tornado",
        "asyncio",
        "cloudpickle",
        "IPython",
        "ipywidgets",
        "numpy",
        "rain.client.",
        "rain.server",
        "rain.host",
        "rain.net",
        "rain.objects",
        "rain.processes",
    )
    assert not {name for name in loaded if name.startswith(heavy)}


def test_commands_load_what_they_need_when_they_run() -> None:
    heavy = ("asyncio", "ssl", "numpy", "rain.client", "rain.net", "rain.objects", "rain.server", "rain.notebook")
    assert not {name for name in loaded_by("rain.cli.commands") if name.startswith(heavy)}


@pytest.mark.parametrize("module", ["rain.server.shell", "rain.governor.shell"])
def test_daemons_load_no_client_and_no_decoder(module: str) -> None:
    loaded = loaded_by(module)
    assert not loaded & {
        "rain.client",
        "rain.objects.content_types.codecs",
        "cloudpickle",
        "rich",
        "typer",
        "numpy",
        "pandas",
        "psutil",
        "importlib.metadata",
        "IPython",
        "tornado",
    }


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("rain.cli.daemon", ("server", "governor.shell")),
        ("rain.governor.shell", ("server",)),
        ("rain.server.shell", ("governor",)),
    ],
)
def test_a_daemon_loads_nothing_of_the_other(module: str, others: tuple[str, ...]) -> None:
    assert not [name for name in loaded_by(module) if name.startswith(tuple(f"rain.{other}" for other in others))]
