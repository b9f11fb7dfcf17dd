"""Inputs of Python tasks that are no longer where they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import ExecutorInput
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.executor.python.inputs import reader_of_input
from rain.objects.files import local_file


def given(file: Path) -> ExecutorInput:
    return ExecutorInput(ObjectSpec(ID(1, 2), "given"), ObjectInfo(size=4), None, local_file(str(file)))


def test_an_instance_that_outlives_its_task_says_why_it_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "object"
    file.write_bytes(b"data")
    reader = reader_of_input(
        ExecutorInput(ObjectSpec(ID(1, 2), "given"), ObjectInfo(size=4), None, local_file(str(file)))
    )
    file.unlink()
    with pytest.raises(RainException, match=r"'given' \(1/2\) is no longer on this governor; .*ctx\.cache"):
        reader.read()


def test_an_input_that_was_spilled_is_found_where_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "object"
    file.write_bytes(b"data")
    reader = reader_of_input(
        ExecutorInput(ObjectSpec(ID(1, 2), "given"), ObjectInfo(size=4), None, local_file(str(file)))
    )
    (tmp_path / "spilled").write_bytes(b"data")
    file.unlink()
    file.symlink_to(tmp_path / "spilled")
    assert reader.read() == b"data"
