"""`Session.check` without a server: what is told by looking here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain import Input, Program, RainException, RainWarning, Session, Task, blob, pickled, task, tasks
from rain.client.preflight.report import CheckReport

LOCK = threading.Lock()


class Model:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: Iterator[int] = iter(range(3))


MODELS = {"first": Model()}


def told(report: CheckReport) -> list[str]:
    return [problem.what for problem in report.problems]


def test_nothing_to_say(detached: Session) -> None:
    task(len)("abc")
    report = detached.check()
    assert report
    assert repr(report) == (
        "check of 1 task (no governor was asked, since the session is detached): 0 failures, 0 warnings"
    )
    assert detached.task_count == 1
    assert detached.check(raise_on_failure=True)


def test_parts_of_a_function_that_cannot_be_pickled(detached: Session) -> None:
    def fit(x: Any) -> Any:
        return LOCK, MODELS, x

    report = detached.check(fit)
    assert [text.partition(" cannot be")[0] for text in told(report)] == [
        "global 'LOCK' that function test_parts_of_a_function_that_cannot_be_pickled.<locals>.fit uses (of type lock)",
        "global 'MODELS' that function test_parts_of_a_function_that_cannot_be_pickled.<locals>.fit uses, "
        "at ['first'].lock (of type lock)",
    ]
    assert "test_check.py" in report.problems[0].about
    assert report.problems[0].task is None
    with pytest.raises(RainException, match="global 'LOCK'"):
        detached.check(fit, raise_on_failure=True)


def test_calls_of_executors_in_other_languages(
    detached: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("1")

    class Wrong(Task):
        TASK_TYPE = "hello"

    class Foreign(Task):
        TASK_TYPE = "example/hello"

    Wrong([], [])
    Foreign([], [], config={"tables": [{"path": "table.csv"}]})
    report = detached.check()
    assert [(problem.level, problem.what.partition(";")[0]) for problem in report.problems] == [
        ("failure", "it is of type 'hello'"),
        ("warning", "its config names 'table.csv', a file of the current folder here"),
    ]


def test_values_and_generators_that_are_not_run(detached: Session) -> None:
    def numbers() -> Iterator[int]:
        raise AssertionError("it was run")
        yield

    assert detached.check({"rows": numbers()})
    report = detached.check(3, [{"model": Model()}])
    assert told(report) == [
        "value 2[0]['model'].lock (of type lock) cannot be pickled: cannot pickle '_thread.lock' object"
    ]
    assert report.problems[0].subject == "value 2 (list)"


def test_a_name_that_nothing_defines_is_told_once_for_a_loop(detached: Session) -> None:
    wrong = task(lambda x: x + not_defined)  # type: ignore[name-defined] # noqa: F821
    made = [wrong(number) for number in range(10)]
    report = detached.check()
    (problem,) = report.failures
    assert problem.what == "<lambda> uses the name 'not_defined', which nothing defines"
    assert problem.count == 10
    assert problem.task == made[0]
    assert "test_check.py" in problem.made


def test_only_what_is_named_is_looked_at(detached: Session) -> None:
    good, bad = task(len)("abc"), tasks.Execute(["./here"])
    assert detached.check(good)
    assert not detached.check(good, bad)
    assert not detached.check([good, bad])
    assert not detached.check(tasks.Execute(["./here"], stdout=True).output)


def test_relative_paths(detached: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    task(len)("data.csv")
    task(len)("data")
    task(len)([Path("data.csv"), "not-there.csv"])
    tasks.Execute(["cat", "data.csv"])
    tasks.Execute(["cat", Input("data.csv", dataobj=blob("x"))])
    where = "'data.csv', a file of the current folder here; a task works in a folder of its own"
    assert told(detached.check()) == [
        f"its arguments name {where}",
        f"its arguments name {where}",
        f"its command names {where}",
    ]


def test_programs_of_the_own_folder(detached: Session) -> None:
    tasks.Execute(["./tool", "x"], input_paths=[("tool", blob("#!/bin/sh"))])
    tasks.Execute("bin/tool x", input_paths=[("bin/tool", blob("#!/bin/sh"))])
    assert detached.check()
    Program(["./run", Input("x")])(x=blob("1"))
    assert told(detached.check()) == [
        "it runs './run', which is looked for in the task's own folder, and is none of its inputs"
    ]
    assert len(detached.check(Program(["./run", Input("x")])).failures) == 1


def test_equal_constants(detached: Session) -> None:
    array = np.arange(400_000.0)
    for _ in range(3):
        with pytest.warns(RainWarning, match="PICKLED_ARGUMENT_WARN_BYTES"):
            task(np.sum, name="sum")(array)
    task(np.sum)(pickled(array + 1))
    blob(bytes(2_000_000), "a")
    blob(bytes(2_000_000), "a2")
    report = detached.check()
    assert report
    assert told(report) == ["the same 3.1 MiB are sent 3 times", "the same 1.9 MiB are sent 2 times"]
    assert [problem.subject for problem in report.problems] == ["task 'sum'", "the constant a"]
