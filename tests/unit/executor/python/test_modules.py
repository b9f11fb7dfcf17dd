"""Imports in executors: paths, sources, stamps."""

from __future__ import annotations

import importlib.util
import linecache
import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.common.task_configs import FunctionPayload, SourceText, UserModule
from rain.executor.python.modules import Modules, prepare_path


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    path, finders, modules = list(sys.path), list(sys.meta_path), dict(sys.modules)
    yield
    sys.path[:] = path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


def payload(*modules: UserModule, sources: list[SourceText] | None = None) -> FunctionPayload:
    return FunctionPayload(b"", "f", sources or [], list(modules))


def stamped(path: Path) -> UserModule:
    seen = path.stat()
    return UserModule(path.stem, str(path), seen.st_mtime_ns, seen.st_size)


def test_path_is_the_clients() -> None:
    prepare_path(["", "lib", "/abs"], "/client")
    assert sys.path[:3] == ["/client", "/client/lib", "/abs"]
    import rain

    assert os.path.dirname(os.path.dirname(rain.__file__)) in sys.path


def test_path_stays_for_clients_elsewhere() -> None:
    before = list(sys.path)
    prepare_path(None, None)
    assert sys.path == before


def test_sources_are_there_for_tracebacks() -> None:
    modules = Modules([])
    assert modules.prepare(payload(sources=[SourceText("<cell 5>", "a = 1\nb = 2\n", "Cell In[5]")]))
    assert linecache.getline("<cell 5>", 2) == "b = 2\n"
    assert modules.shown == {"<cell 5>": "Cell In[5]"}


here_or_there = pytest.mark.parametrize("here", [True, False], ids=["client's host", "another host"])


def modules_below(folder: Path, here: bool) -> Modules:
    """On the client's host, or on another one that has the folder on its own path."""
    return Modules([str(folder)] if here else None)


@here_or_there
def test_a_changed_module_is_noticed(tmp_path: Path, here: bool) -> None:
    path = tmp_path / "user_module_a.py"
    path.write_text("x = 1\n")
    sys.path.insert(0, str(tmp_path))
    modules = modules_below(tmp_path, here)
    needs = payload(stamped(path))
    assert modules.prepare(needs)
    __import__("user_module_a")
    assert modules.prepare(needs)
    assert not modules.outdated()
    path.write_text("x = 123\n")
    assert modules.outdated()
    assert not modules.prepare(payload(stamped(path)))
    # An executor that has not imported it may go on.
    del sys.modules["user_module_a"]
    assert Modules([str(tmp_path)]).prepare(payload(stamped(path)))


def test_a_module_that_is_gone_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "user_module_b.py"
    path.write_text("x = 1\n")
    sys.path.insert(0, str(tmp_path))
    modules = Modules(["", *sys.path[1:]], str(tmp_path))  # an empty entry is the client's folder
    __import__("user_module_b")
    assert not modules.outdated()
    path.unlink()
    assert modules.outdated()


def test_only_modules_below_the_clients_paths_are_noted(tmp_path: Path) -> None:
    client, task = tmp_path / "client", tmp_path / "client" / "executor-1" / "task"
    task.mkdir(parents=True)
    modules = Modules([str(client), *sys.path], None, [str(client / "executor-1")])
    for number, folder in enumerate((tmp_path, task)):
        (folder / f"user_module_own{number}.py").write_text("x = 1\n")
        sys.path.insert(0, str(folder))
        __import__(f"user_module_own{number}")
    import xmlrpc.client  # noqa: F401

    for folder, number in ((tmp_path, 0), (task, 1)):
        (folder / f"user_module_own{number}.py").unlink()
    assert not modules.outdated()


@here_or_there
def test_code_that_was_compiled_in_the_second_of_a_change_is_not_trusted(tmp_path: Path, here: bool) -> None:
    path = tmp_path / "user_module_c.py"
    sys.path.insert(0, str(tmp_path))
    for value in (1, 2):
        path.write_text(f"x = {value}\n")
        os.utime(path, ns=(10**18, 10**18 + value))
        compiled = Path(importlib.util.cache_from_source(str(path)))
        if compiled.exists():
            os.utime(compiled, ns=(10**18, 10**18 + 10**9))
        importlib.invalidate_caches()
        sys.modules.pop("user_module_c", None)
        finders = list(sys.meta_path)
        modules_below(tmp_path, here)
        assert __import__("user_module_c").x == value
        sys.meta_path[:] = finders
        if value == 1:
            py_compile.compile(str(path))


def test_shipped_sources_are_imported() -> None:
    modules = Modules(None)
    package = UserModule("far_package", "/far/far_package/__init__.py", 1, 1, b"y = 2\n", True)
    inner = UserModule("far_package.inner", "/far/far_package/inner.py", 1, 1, b"from . import y\nz = y + 1\n")
    assert modules.prepare(payload(package, inner))
    import far_package.inner

    assert far_package.inner.z == 3
    assert far_package.inner.__file__ == "/far/far_package/inner.py"
    assert not modules.outdated()
    assert modules.prepare(payload(package, inner))
    assert not modules.prepare(payload(UserModule("far_package", "/far/x.py", 2, 1, b"y = 3\n", True)))


def test_missing_modules_are_asked_for_once() -> None:
    asked: list[str] = []
    have = {
        "asked_package": UserModule("asked_package", "/far/asked_package/__init__.py", 0, 0, b"", True),
        "asked_package.inner": UserModule("asked_package.inner", "/far/asked_package/inner.py", 1, 5, b"v = 4\n"),
    }

    def ask(name: str) -> UserModule | None:
        asked.append(name)
        return have.get(name)

    modules = Modules(None, ask=ask)
    import asked_package.inner

    assert asked_package.inner.v == 4
    for name in ("asked_nowhere", "asked_nowhere", "asked_package.other", "json.nothing", "xml.nothing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    # Nothing below a package that is installed here, and of Python's own.
    assert asked == ["asked_package", "asked_package.inner", "asked_nowhere", "asked_package.other"]
    modules.arrived()
    have["asked_nowhere"] = UserModule("asked_nowhere", "/far/asked_nowhere.py", 1, 1, b"v = 5\n")
    assert importlib.import_module("asked_nowhere").v == 5
