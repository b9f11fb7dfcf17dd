"""The folder that tasks run in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.executor import task_directory as folder_module
from rain.executor.task_directory import TaskDirectory


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[TaskDirectory]:
    here = os.getcwd()
    yield TaskDirectory(str(tmp_path / "work"))
    os.chdir(here)


def test_it_is_reused_while_it_stays_empty(folder: TaskDirectory) -> None:
    folder.enter()
    inode = os.stat(".").st_ino
    assert os.getcwd() == folder.path
    os.chdir("/")
    folder.enter()
    assert os.stat(".").st_ino == inode


def test_what_a_task_leaves_is_put_aside_and_removed(folder: TaskDirectory) -> None:
    for name in ("a", "b"):
        folder.enter()
        assert os.listdir() == []
        Path(name).write_text(name)
        os.mkdir("locked", 0o000)
    folder.leave()
    assert os.listdir(folder.path) == []
    assert len(os.listdir(os.path.dirname(folder.path))) == 3
    folder.clean()
    assert os.listdir(os.path.dirname(folder.path)) == ["task"]


def test_a_file_made_within_one_tick_of_the_clock_is_seen(folder: TaskDirectory) -> None:
    folder.enter()
    seen = os.stat(".").st_mtime_ns
    for _ in range(3):
        folder.enter()
    Path("quick").touch()
    os.utime(".", ns=(seen, seen))  # as if the clock had not moved on
    folder.enter()
    assert os.listdir() == []


def test_an_old_folder_is_not_listed_again(folder: TaskDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.enter()
    os.utime(".", ns=(1, 1))
    folder.enter()
    listed: list[str] = []
    monkeypatch.setattr(folder_module.os, "listdir", lambda path: listed.append(path) or [])
    for _ in range(3):
        folder.enter()
    assert listed == []


@pytest.mark.parametrize("what", ["remove", "rename", "file", "lock"])
def test_whatever_a_task_does_to_it(folder: TaskDirectory, tmp_path: Path, what: str) -> None:
    folder.enter()
    if what in ("remove", "file"):
        os.rmdir(folder.path)
    if what == "rename":
        os.rename(folder.path, tmp_path / "elsewhere")
        os.mkdir(folder.path)
    if what == "file":
        Path(folder.path).write_text("a file now")
    if what == "lock":
        os.chmod(folder.path, 0)
    folder.enter()
    assert os.getcwd() == folder.path
    Path("can write").touch()
    folder.enter()
    folder.clean()
