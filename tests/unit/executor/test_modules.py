"""Imports in executors: paths, sources, stamps."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.common.builtins import FunctionPayload, SourceText, UserModule
from rain.executor.modules import Modules, prepare_path


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
    modules = Modules(shipped=False)
    assert modules.prepare(payload(sources=[SourceText("<cell 5>", "a = 1\nb = 2\n", "Cell In[5]")]))
    assert linecache.getline("<cell 5>", 2) == "b = 2\n"
    assert modules.shown == {"<cell 5>": "Cell In[5]"}


def test_a_changed_module_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "user_module_a.py"
    path.write_text("x = 1\n")
    sys.path.insert(0, str(tmp_path))
    modules = Modules(shipped=False)
    needs = payload(stamped(path))
    assert modules.prepare(needs)
    __import__("user_module_a")
    modules.imported(needs)
    assert modules.prepare(needs)
    path.write_text("x = 123\n")
    assert not modules.prepare(payload(stamped(path)))
    # An executor that has not imported it may go on.
    del sys.modules["user_module_a"]
    assert Modules(shipped=False).prepare(payload(stamped(path)))


def test_a_module_imported_by_other_ways(tmp_path: Path) -> None:
    path = tmp_path / "user_module_b.py"
    path.write_text("x = 1\n")
    sys.path.insert(0, str(tmp_path))
    os.utime(path, ns=(1, 1))
    modules = Modules(shipped=False)
    __import__("user_module_b")
    assert modules.prepare(payload(stamped(path)))
    os.utime(path, ns=(2**62, 2**62))
    assert not modules.prepare(payload(stamped(path)))


def test_shipped_sources_are_imported() -> None:
    modules = Modules(shipped=True)
    package = UserModule("far_package", "/far/far_package/__init__.py", 1, 1, b"y = 2\n", True)
    inner = UserModule("far_package.inner", "/far/far_package/inner.py", 1, 1, b"from . import y\nz = y + 1\n")
    assert modules.prepare(payload(package, inner))
    import far_package.inner

    assert far_package.inner.z == 3
    assert far_package.inner.__file__ == "/far/far_package/inner.py"
    assert modules.prepare(payload(package, inner))
    assert not modules.prepare(payload(UserModule("far_package", "/far/x.py", 2, 1, b"y = 3\n", True)))
