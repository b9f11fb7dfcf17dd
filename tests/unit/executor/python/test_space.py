"""An error about room in a task's code names the place, how much is free there, or the limit."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rain.executor.python.exception_report import describe


def _raised(work: Callable[[], None]) -> BaseException:
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def _full(number: int = errno.ENOSPC) -> OSError:
    return OSError(number, os.strerror(number))


def test_the_file_of_a_write_that_named_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.executor.python.space._free", lambda path: 5 if path.endswith("data") else 1 << 40)

    def write() -> None:
        with open(tmp_path / "data", "wb") as file:
            assert file.name
            raise _full()

    text = describe(_raised(write), {}).message
    assert f"no space left to write {tmp_path}/data: " in text
    assert "bytes are free there" in text


def test_the_path_that_an_error_names_is_said(tmp_path: Path) -> None:
    def make() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", f"{tmp_path}/new")

    assert f"no space left to write {tmp_path}/new: " in describe(_raised(make), {}).message


def test_also_of_an_error_behind_another(tmp_path: Path) -> None:
    def save() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", f"{tmp_path}/new")
        except OSError as error:
            raise ValueError("cannot save") from error

    text = describe(_raised(save), {}).message
    assert f"no space left to write {tmp_path}/new: " in text
    assert text.rstrip().endswith("ValueError: cannot save")


def test_a_limit_is_no_full_disk(tmp_path: Path) -> None:
    def write() -> None:
        with open(tmp_path / "data", "wb") as file:
            assert file.name
            raise _full(errno.EFBIG)

    text = describe(_raised(write), {}).message
    assert f"{tmp_path}/data cannot grow any more" in text
    assert "RLIMIT_FSIZE" in text
    assert "space left" not in text


def test_a_place_is_named_where_no_file_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rain.executor.python.space._free", lambda path: 0 if path == f"{tmp_path}/" else 10)

    def write() -> None:
        raise _full()

    assert f"no space left to write {tmp_path}/: " in describe(_raised(write), {}).message


def test_other_errors_get_no_note() -> None:
    def read() -> None:
        open("/no/such/file").close()

    assert "space left" not in describe(_raised(read), {}).message
