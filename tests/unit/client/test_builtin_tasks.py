"""The builtin tasks as they are declared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from rain import DataType, Output, OutputDir, RainException, Session, Task, blob, directory, tasks
from rain.common.task_configs import MakeDirectoryConfig, PathConfig, SleepConfig


@pytest.fixture
def folder(detached: Session, tmp_path: Path) -> Any:
    return directory(tmp_path)


def test_they_are_tasks(detached: Session) -> None:
    joined = tasks.Concat([blob("a"), blob(b"b")], name="both", cpus=0)
    assert isinstance(joined, Task)
    assert (joined.task_type, joined.name, joined.output.label) == ("builtin/concat", "both", "output")
    assert tasks.Concat([joined]).inputs[0] == joined.output
    assert tasks.Concat([]).output is not None
    assert tasks.Concat([], output="x").output.label == "x"
    assert tasks.Concat([], output=Output("x", content_type="text")).output.content_type == "text"


def test_sleep(detached: Session, folder: Any) -> None:
    nap = tasks.Sleep(blob("a"), 0.5)
    assert nap.spec.config == SleepConfig(0.5)
    assert nap.output.content_type == "text"
    assert tasks.Sleep(folder, 0).output.data_type is DataType.DIRECTORY
    limited = tasks.Sleep.options(timeout=9)(blob("a"), 1)
    assert limited.spec.options is not None
    assert (limited.spec.options.timeout, limited.spec.config) == (9, SleepConfig(1))
    for wrong in (-1, "1", math.nan, math.inf, 10**400, True):
        with pytest.raises(RainException, match="seconds"):
            tasks.Sleep(blob("a"), wrong)


def test_load_and_store(detached: Session, folder: Any) -> None:
    assert tasks.Load(Path("/a/b")).spec.config == PathConfig("/a/b")
    assert tasks.Load("relative").spec.config == PathConfig("relative")  # judged when it runs
    assert tasks.Load("/a", Output("x", content_type="json")).output.content_type == "json"
    assert tasks.LoadDir("/a").output.data_type is DataType.DIRECTORY
    with pytest.raises(RainException, match="directory"):
        tasks.LoadDir("/a", Output("x"))
    stored = tasks.Store(folder, "/x")
    assert (len(stored.outputs), stored.spec.config) == (0, PathConfig("/x"))
    with pytest.raises(RainException, match="path"):
        tasks.Load(7)  # type: ignore[arg-type]


def test_make_directory(detached: Session, folder: Any) -> None:
    a = blob("a")
    made = tasks.MakeDirectory({"x/y": a, "": folder})
    assert made.spec.config == MakeDirectoryConfig(["x/y", ""])
    assert list(made.inputs) == [a, folder]
    assert tasks.MakeDirectory([("x", a), ("x", folder), (Path("z"), a)]).spec.config.paths == ["x", "x", "z"]
    assert made.output.data_type is DataType.DIRECTORY
    with pytest.raises(RainException, match="'x' of MakeDirectory"):
        tasks.MakeDirectory({"x": "text"})
    with pytest.raises(RainException, match="pairs"):
        tasks.MakeDirectory([1])  # type: ignore[list-item]


def test_slice_directory(detached: Session, folder: Any) -> None:
    assert tasks.SliceDirectory(folder, "a.txt").output.data_type is DataType.BLOB
    assert tasks.SliceDirectory(folder, "a/").output.data_type is DataType.DIRECTORY
    assert tasks.SliceDirectory(folder, "a", OutputDir("x")).spec.config == PathConfig("a/")
    with pytest.raises(RainException, match="takes a directory"):
        tasks.SliceDirectory(blob("a"), "a")
    with pytest.raises(RainException, match="directory"):
        tasks.SliceDirectory(folder, "a/", Output("x"))


def test_concat_takes_blobs_only(detached: Session, folder: Any) -> None:
    with pytest.raises(RainException, match="takes blobs"):
        tasks.Concat([folder])
    with pytest.raises(RainException, match="wrap it as blob"):
        tasks.Concat(["a"])
    with pytest.raises(RainException, match="list of blobs"):
        tasks.Concat("abc")
    with pytest.raises(TypeError, match="colour"):
        tasks.Concat([], colour="red")


def test_the_module_is_importable() -> None:
    import rain
    import rain.client
    import rain.client.tasks as module

    assert rain.tasks is module
    assert rain.client.tasks is module
