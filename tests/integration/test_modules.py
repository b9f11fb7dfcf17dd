"""The user's own modules in executors: on the client's host, on another one, and what happens when they change."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rain import Client, Session, TaskException, remote


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or not file:
            del sys.modules[name]


@pytest.fixture
def far(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The cluster, whose governor takes the client's files for those of another host."""
    monkeypatch.setattr("rain.client.functions.modules.host_id", lambda: "another-host")
    monkeypatch.setattr(client._connection, "has_other_hosts", True)
    return client


@pytest.fixture(params=["client", "far"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    with request.getfixturevalue(request.param).new_session("modules") as session:
        yield session


def write(path: Path, text: str) -> None:
    """Write a module; never so soon after the last time that nobody could tell."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    if path.stat().st_mtime_ns == before:
        os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def _functions() -> SimpleNamespace:
    """Functions that travel by value, as those of a notebook do."""

    @remote(auto_encode="json")
    def by_statement(ctx: Any) -> int:
        import mod_a

        return mod_a.VALUE

    @remote(auto_encode="json")
    def from_package(ctx: Any) -> int:
        from pack.inner import deep

        return deep.value()

    @remote(auto_encode="json")
    def by_text(ctx: Any) -> int:
        import importlib

        return importlib.import_module("mod_a").VALUE

    @remote(auto_encode="json")
    def by_name(ctx: Any, name: str) -> int:
        return importlib.import_module(name).VALUE

    @remote(auto_encode="json")
    def call(ctx: Any, function: Any) -> int:
        return function()

    @remote(auto_encode="json")
    def method(ctx: Any, items: list[Any]) -> int:
        return items[0].value()

    return SimpleNamespace(**locals())


F = _functions()


def test_a_module_that_is_imported_inside_a_function_changes(session: Session, home: Path) -> None:
    for value in (1, 2, 3):  # of one size, in one second
        write(home / "mod_a.py", f"VALUE = {value}\n")
        assert session.run(F.by_statement()) == value
        assert session.run(F.by_text()) == value
        assert session.run(F.by_name("mod_a")) == value


def test_packages_and_what_their_functions_import(session: Session, home: Path) -> None:
    write(home / "pack/inner/deep.py", "def value():\n    from ..other import VALUE\n    return VALUE\n")
    write(home / "pack/__init__.py", "")
    write(home / "pack/other.py", "VALUE = 5\n")  # pack.inner is a folder without __init__.py
    assert session.run(F.from_package()) == 5
    # Of another size: Python tells compiled modules, which an executor may find beside it, by size and second.
    write(home / "pack/other.py", "VALUE = 66\n")
    assert session.run(F.from_package()) == 66


def test_functions_and_instances_of_a_module_as_arguments(session: Session, home: Path) -> None:
    text = (
        "import mod_c\nclass Thing:\n    def value(self):\n        return {} + mod_c.ZERO\ndef give():\n    return {}\n"
    )
    write(home / "mod_c.py", "ZERO = 0\n")
    write(home / "mod_b.py", text.format(1, 1))
    import mod_b

    for value in (1, 2):
        write(home / "mod_b.py", text.format(value, value))
        assert session.run(F.call(mod_b.give)) == value
        assert session.run(F.method([mod_b.Thing()])) == value
        assert session.run(F.call.options(name="class")(mod_b.Thing().value)) == value
    write(home / "mod_c.py", "ZERO = 40\n")
    assert session.run(F.method([mod_b.Thing()])) == 42


def test_what_one_function_brought_has_changed_for_another(session: Session, home: Path) -> None:
    write(home / "mod_a.py", "VALUE = 1\n")
    write(home / "mod_d.py", "class Thing:\n    def value(self):\n        import mod_a\n        return mod_a.VALUE\n")
    import mod_d

    assert session.run(F.by_statement()) == 1
    for value in (2, 3):
        write(home / "mod_a.py", f"VALUE = {value}\n")
        assert session.run(F.by_name("mod_a")) == value
    write(home / "mod_a.py", "VALUE = 4\n")
    assert session.run(F.method([mod_d.Thing()])) == 4


def test_the_path_grows_after_the_session_was_made(
    session: Session, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "src" / "mod_late.py", "VALUE = 8\n")
    with pytest.raises(TaskException, match="No module named 'mod_late'"):
        session.run(F.by_name("mod_late"))
    (tmp_path / "book").mkdir()
    monkeypatch.chdir(tmp_path / "book")
    monkeypatch.setattr(sys, "path", ["../src", *sys.path])
    assert session.run(F.by_name("mod_late")) == 8


def test_a_task_keeps_the_path_of_its_submit(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        write(tmp_path / f"src{number}" / "mod_twice.py", f"VALUE = {number}\n")
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    @remote(auto_encode="json")
    def late(ctx: Any, gate: str) -> int:
        with open(gate) as file:
            file.read()
        import mod_twice

        return mod_twice.VALUE

    @remote(auto_encode="json")
    def after(ctx: Any, first: Any) -> list[int]:
        import mod_twice

        return [first.load(), mod_twice.VALUE]

    with client.new_session("paths") as session:
        monkeypatch.setattr(sys, "path", [str(tmp_path / "src1"), *sys.path])
        task = after(late(str(gate)))
        task.output.keep()
        session.submit()
        monkeypatch.setattr(sys, "path", [str(tmp_path / "src2"), *sys.path])
        assert session.run(F.by_name("mod_twice")) == 2
        gate.write_text("go")
        assert task.output.fetch().load() == [1, 1]


def test_a_retry_has_the_present_path(session: Session, tmp_path: Path, home: Path) -> None:
    task = F.by_name("mod_missing")
    task.keep_outputs()
    session.submit()
    session.wait_all(raise_on_failure=False)
    write(tmp_path / "more" / "mod_missing.py", "VALUE = 3\n")
    sys.path.insert(0, str(tmp_path / "more"))
    session.retry()
    assert task.output.fetch().load() == 3


def test_what_tasks_write_is_their_own(client: Client, home: Path) -> None:
    @remote(auto_encode="json")
    def own(ctx: Any) -> list[Any]:
        with open("mod_own.py", "w") as file:
            file.write("VALUE = 1\n")
        sys.path.insert(0, os.getcwd())
        try:
            sys.modules.pop("mod_own", None)
            importlib.invalidate_caches()
            import mod_own

            return [os.getpid(), mod_own.VALUE]
        finally:
            del sys.path[0]

    with client.new_session("own") as session:
        assert session.run(own()) == session.run(own())


def test_other_hosts_are_sent_nothing_that_is_installed(far: Client, home: Path) -> None:
    asked: list[str] = []
    with far.new_session("installed") as session:
        surroundings = session._inside.surroundings
        real = surroundings.asked

        def note(name: str) -> Any:
            asked.append(name)
            return real(name)

        surroundings.asked = note  # type: ignore[method-assign]
        with pytest.raises(TaskException, match="No module named 'mod_nowhere'"):
            session.run(F.by_name("mod_nowhere"))
        assert asked == ["mod_nowhere"]
        assert surroundings.asked("pytest") is None
        assert surroundings.asked("rain.client") is None
        assert surroundings.asked("json") is None


def test_a_session_that_lives_on_has_the_modules_of_its_arguments(far: Client, home: Path) -> None:
    write(home / "mod_held.py", "def give():\n    import mod_behind\n    return mod_behind.VALUE\n")
    write(home / "mod_behind.py", "VALUE = 9\n")
    import mod_held

    with far.new_session("held") as session:
        session._inside.surroundings.asked = lambda name: None  # type: ignore[method-assign]
        assert session.run(F.call(mod_held.give)) == 9
