"""What is in modules that were loaded from files, and cannot be imported by their names, is pickled by value."""

from __future__ import annotations

import importlib
import importlib.util
import json
import multiprocessing
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudpickle import unregister_pickle_by_value

from rain.objects.pickling import buffers
from rain.objects.pickling.callables import by_reference

TEXT = """
from dataclasses import dataclass
from enum import Enum

STEP = 3

class Color(Enum):
    RED = 1

@dataclass
class Point:
    x: int

def helper(x):
    return Point(x + STEP)

def work(x):
    return helper(x).x, Color.RED.value

TOLD = TELL(work) if "TELL" in globals() else None
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module that is on no path; what tests load is forgotten."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "of_a_file.py").write_text(TEXT)
    yield tmp_path
    for name in set(sys.modules) - known:
        try:
            unregister_pickle_by_value(sys.modules[name])
        except ValueError:
            pass
        del sys.modules[name]


def loaded(path: Path, name: str) -> Any:
    """The module, as a tool that loads files would have it."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def elsewhere(value: Any, tmp_path: Path) -> str:
    """What a process prints that has no such module: the value (or what a pickle holds), called with 1."""
    (tmp_path / "data").write_bytes(value if isinstance(value, bytes) else buffers.dumps(value, cloud=True))
    program = f"import pickle; print(pickle.load(open({str(tmp_path / 'data')!r}, 'rb'))(1))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd="/")
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("name", ["of_a_file", "other.name", "tests.of_a_file", "json.of_a_file"])
def test_functions_and_classes_of_loaded_files_go_by_value(name: str, folder: Path) -> None:
    module = loaded(folder / "of_a_file.py", name)
    assert not by_reference(module.work)
    assert elsewhere(module.work, folder) == "(4, 1)"
    assert elsewhere(module.Point, folder).endswith("Point(x=1)")
    assert elsewhere(lambda x: module.work(x), folder) == "(4, 1)"


def test_another_file_of_that_name_on_the_path_is_not_taken_for_it(folder: Path) -> None:
    (folder / "path").mkdir()
    (folder / "path" / "of_a_file.py").write_text("def work(x): return 'another'")
    sys.path.insert(0, str(folder / "path"))
    module = loaded(folder / "of_a_file.py", "of_a_file")
    assert elsewhere(module.work, folder) == "(4, 1)"


def test_a_script_under_another_name_goes_by_value_while_it_runs(folder: Path) -> None:
    told: list[bytes] = []
    runpy.run_path(str(folder / "of_a_file.py"), {"TELL": lambda f: told.append(buffers.dumps(f, cloud=True))})
    assert elsewhere(told[0], folder) == "(4, 1)"


def test_what_can_be_imported_stays_a_reference(folder: Path) -> None:
    package = folder / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "deep.py").write_text(TEXT)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    for name in ("of_a_file", "package.inner.deep"):
        module = importlib.import_module(name)
        assert by_reference(module.work)
        assert by_reference(module.Point)
        assert len(buffers.dumps(module.work, cloud=True)) < 100
    for value in (by_reference, multiprocessing.Process, json.JSONDecoder):
        assert by_reference(value)
