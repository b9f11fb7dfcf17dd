"""A task's failure is an instance of the class of its cause as well."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from rain.client.plain.raised import as_raised
from rain.common.errors import TaskCancelled, TaskException


class Odd(ValueError):
    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"{number} is odd: {why}")
        self.number = number


def failed(cause: BaseException | None, kind: Any = TaskException) -> TaskException:
    failure: TaskException = kind("Task 'f' failed: all of its text", None, 2)
    failure.__cause__ = cause
    return as_raised(failure)


@pytest.mark.parametrize("cause", [KeyError("a"), Odd(3, "so"), ExceptionGroup("two", [ValueError()])])
def test_both_classes_catch_it_and_the_text_is_the_failures(cause: Exception) -> None:
    error = failed(cause)
    assert isinstance(error, type(cause))
    assert isinstance(error, TaskException)
    assert str(error) == "Task 'f' failed: all of its text"
    assert error.__cause__ is cause
    assert error.attempts == 2


def test_attributes_are_those_of_the_cause() -> None:
    assert failed(Odd(3, "so")).number == 3  # type: ignore[attr-defined]
    missing = failed(FileNotFoundError(2, "No such file", "a.txt"))
    assert (missing.errno, missing.filename) == (2, "a.txt")  # type: ignore[attr-defined]
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("[1,")
    assert failed(caught.value).pos == caught.value.pos  # type: ignore[attr-defined]


@pytest.mark.parametrize("cause", [None, StopIteration(3), SystemExit(1), KeyboardInterrupt(), TaskException("inner")])
def test_others_stay_failures_of_tasks(cause: BaseException | None) -> None:
    assert type(failed(cause)) is TaskException


def test_a_class_that_refuses_to_be_combined_leaves_the_failure() -> None:
    class Closed(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("no subclasses")

    assert type(failed(Closed())) is TaskException


def test_a_cancelled_task_stays_one_and_pickles_keep_the_text() -> None:
    error = failed(ValueError("x"), TaskCancelled)
    assert isinstance(error, TaskCancelled)
    assert isinstance(error, ValueError)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is TaskCancelled
    assert str(copy) == str(error)
    assert copy.attempts == 2
