"""Which modules code imports, and what the server is told of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.client.functions.function_snapshot import examine
from rain.client.functions.modules import Surroundings, closure, find, imported_by, read


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b, c as d", {"a.b", "c"}),
        ("from a import b, c", {"a", "a.b", "a.c"}),
        ("from a.b import *", {"a.b"}),
        ("from . import b", {"pack", "pack.b"}),
        ("from ..x import b", set()),
        ("import importlib; importlib.import_module('a.b')", {"importlib", "a.b"}),
        ("__import__('a')", {"a"}),
        ("def inner():\n  import a\n  class K:\n    import b", {"a", "b"}),
    ],
)
def test_what_code_imports(text: str, names: set[str]) -> None:
    body = "\n".join(f"    {line}" for line in text.split("\n"))
    if "*" in text:
        code = compile(text, "<text>", "exec")
    else:
        space: dict[str, object] = {}
        exec(f"def f():\n{body}", space)
        code = space["f"].__code__  # type: ignore[attr-defined]
    assert imported_by(code, "pack") == names


def test_where_modules_are(home: Path) -> None:
    single = write(home / "cm_single.py")
    package = write(home / "cm_pack/__init__.py")
    inner = write(home / "cm_pack/space/inner.py")
    write(home / "cm_space/mod.py")
    assert find("cm_single") == (str(single), False, True)
    assert find("cm_pack") == (str(package), True, True)
    assert find("cm_pack.space") == (str(home / "cm_pack/space/__init__.py"), True, False)
    assert find("cm_pack.space.inner") == (str(inner), False, True)
    assert find("cm_space") == (str(home / "cm_space/__init__.py"), True, False)
    for name in ("cm_none", "cm_single.inner", "cm_pack.none", "json", "pytest", "rain.client", "__main__", "a..b", ""):
        assert find(name) is None, name
    assert not [name for name in sys.modules if name.startswith("cm_")]


def test_all_that_modules_import_goes_along(home: Path) -> None:
    write(home / "cn_pack/__init__.py", "")
    write(home / "cn_pack/sub/__init__.py", "from ..side import thing\n")
    write(home / "cn_pack/side.py", "import importlib\ndef thing(): return importlib.import_module('cn_far')\n")
    write(home / "cn_far.py", "import json, pytest, cn_missing\n")
    write(home / "cn_broken.py", "def\n")
    assert set(closure(["cn_pack.sub"])) == {"cn_pack", "cn_pack.sub", "cn_pack.side", "cn_far"}
    assert set(closure(["cn_broken", "nowhere"])) == {"cn_broken"}


def test_the_path_is_told_when_it_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    surroundings = Surroundings()
    first = surroundings.environment()
    assert first is not None
    assert first.sys_path == sys.path
    assert surroundings.environment() is None
    monkeypatch.chdir(tmp_path)
    second = surroundings.environment()
    assert second is not None
    assert second.cwd == str(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, "../src"])
    third = surroundings.environment()
    assert third is not None
    assert third.sys_path[-1] == "../src"
    surroundings.refused()
    assert surroundings.environment() == third
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert surroundings.environment() is None


def test_modules_are_sent_once_and_when_they_changed(home: Path) -> None:
    path = write(home / "co_mod.py", "import co_other\n")
    other = write(home / "co_other.py", "")
    surroundings = Surroundings()
    assert surroundings.modules() == []
    surroundings.need(["co_mod", "json"])
    assert {module.name: module.source for module in surroundings.modules()} == {
        "co_mod": b"import co_other\n",
        "co_other": b"",
    }
    surroundings.need(["co_mod"])
    assert surroundings.modules() == []
    other.write_text("X = 1\n")
    assert [module.name for module in surroundings.modules()] == ["co_other"]
    assert surroundings.modules() == []
    found = surroundings.asked("co_mod")
    assert found is not None
    assert (found.path, found.source) == (str(path), b"import co_other\n")
    assert surroundings.asked("pytest") is None
    os.utime(path, ns=(1, 1))
    assert [module.name for module in surroundings.modules()] == ["co_mod"]
    surroundings.refused()
    assert {module.name for module in surroundings.modules()} == {"co_mod", "co_other"}


def test_what_functions_bring_is_watched(home: Path) -> None:
    path = write(home / "cp_mod.py", "X = 1\n")
    found = find("cp_mod")
    assert found is not None
    brought = read("cp_mod", found)
    assert brought is not None
    surroundings = Surroundings()
    for _ in range(2):
        surroundings.give([brought])
    assert surroundings.modules() == [brought]
    surroundings.give([brought])
    assert surroundings.modules() == []
    path.write_text("X = 22\n")
    assert [module.source for module in surroundings.modules()] == [b"X = 22\n"]
    # What changes between call and submit comes after what was brought: so the server sees that it changed.
    path.write_text("X = 333\n")
    other = Surroundings()
    other.give([brought])
    assert [module.source for module in other.modules()] == [b"X = 1\n", b"X = 333\n"]


def test_a_name_may_mean_another_file_when_the_path_changes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / "cq_mod.py", "X = 1\n")
    write(tmp_path / "other" / "cq_mod.py", "X = 2\n")
    surroundings = Surroundings()
    surroundings.environment()
    surroundings.need(["cq_mod"])
    assert [module.source for module in surroundings.modules()] == [b"X = 1\n"]
    found = examine(lambda: None)
    found.follow(["cq_mod"])
    assert found.unchanged()
    monkeypatch.syspath_prepend(tmp_path / "other")
    assert not found.unchanged()
    assert surroundings.environment() is not None
    assert [module.source for module in surroundings.modules()] == [b"X = 2\n"]
    assert surroundings.modules() == []
