"""Tracebacks as users shall read them."""

from __future__ import annotations

import linecache

import pytest

from rain.common.attributes import check_user
from rain.common.errors import RainException
from rain.common.formatting import shorten
from rain.executor.python import exception_report
from rain.executor.python.exception_report import class_names, describe, traceback_text


def caught(function, *args) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_frames_of_rain_are_left_out() -> None:
    def use() -> None:
        check_user([], "it")

    error = describe(caught(use), {})
    assert error.kind == "exception"
    assert "check_user([]" in error.message
    assert "attributes.py" not in error.message
    assert error.message.endswith("it is a dict of JSON-serialisable values, not list")


def test_rains_own_complaints_need_no_traceback() -> None:
    error = RainException("plain words")
    assert (describe(error, {}).kind, describe(error, {}).message) == ("rain", "plain words")


def test_groups_and_notes() -> None:
    def fail() -> None:
        error = ValueError("first")
        error.add_note("a note")
        raise ExceptionGroup("both", [error, KeyError("second")])

    text = traceback_text(caught(fail), {})
    for part in ("ExceptionGroup: both", "ValueError: first", "a note", "KeyError: 'second'"):
        assert part in text


def test_cells_are_shown_by_their_number() -> None:
    source = "def f():\n    return {}['k']\n"
    linecache.cache["/tmp/ipykernel_1/5.py"] = (len(source), None, source.splitlines(True), "/tmp/ipykernel_1/5.py")
    scope: dict = {}
    exec(compile(source, "/tmp/ipykernel_1/5.py", "exec"), scope)
    text = traceback_text(caught(scope["f"]), {"/tmp/ipykernel_1/5.py": "Cell In[7]"})
    assert "  Cell In[7], line 2, in f\n    return {}['k']\n" in text


def test_exceptions_that_fail_themselves() -> None:
    class Evil(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        def __reduce__(self):
            raise RuntimeError

    error = describe(Evil(), {})
    assert "Evil" in error.message
    assert error.exception is None


def test_large_exceptions_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exception_report, "EXCEPTION_BYTES_MAX", 1000)
    assert describe(ValueError("x" * 2000), {}).exception is None
    assert describe(ValueError("x"), {}).exception is not None


def test_shorten() -> None:
    text = "a" * 50_000 + "b" * 50_000
    short = shorten(text)
    assert len(short) < 66_000
    assert "characters are left out" in short
    assert (short[0], short[-1]) == ("a", "b")


def test_class_names() -> None:
    assert class_names(KeyError)[:4] == ["builtins.KeyError", "KeyError", "builtins.LookupError", "LookupError"]
    assert class_names(RainException)[0] == "rain.common.errors.RainException"
