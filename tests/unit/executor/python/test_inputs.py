"""Inputs of Python tasks that are no longer where they were."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.messages import ExecutorInput
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.task_configs import PyConfig
from rain.executor.python.inputs import InputValues, reader_of_input
from rain.executor.readonly import ReadOnly
from rain.objects import memory
from rain.objects.data_instance import DataInstance
from rain.objects.files import local_file
from rain.objects.pickling.buffers import LARGE_BYTES


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


def values_of(data: bytes, content_type: str | None, **config: Any) -> InputValues:
    """The only input 1/2 of a task, in memory."""
    value = ExecutorInput(
        ObjectSpec(ID(1, 2), "given"), ObjectInfo(size=len(data), content_type=content_type), None, Inline(data)
    )
    return InputValues({value.spec.id: value}, PyConfig(b"", **config), ReadOnly())


@pytest.mark.parametrize("content_type", ["pickle", "cloudpickle"])
@pytest.mark.parametrize("size", [1, LARGE_BYTES])
def test_a_pickle_is_loaded_once_whatever_its_size(content_type: str, size: int) -> None:
    values = values_of(pickle.dumps([b"x" * size]), content_type, load=True)
    first = values.value(ID(1, 2))
    assert first == [b"x" * size]
    assert values.value(ID(1, 2)) is first
    assert values.used == {ID(1, 2): (ID(1, 2), None, True)}
    assert not values.is_as(ID(1, 2), values.used[ID(1, 2)])


def test_an_input_that_is_none_is_loaded_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    values = values_of(pickle.dumps(None), "pickle", load=[(1, 2)])
    assert values.value(ID(1, 2)) is None
    monkeypatch.setattr(InputValues, "_input", lambda self, id: pytest.fail(f"{id} was looked at twice"))
    assert values.value(ID(1, 2)) is None


def test_what_is_no_pickle_or_is_not_to_be_loaded_is_what_it_is() -> None:
    assert values_of(json.dumps([1]).encode(), "json", load=True).value(ID(1, 2)) == [1]
    assert values_of(b"raw", None, load=True, plain=True).value(ID(1, 2)) == b"raw"
    assert isinstance(values_of(pickle.dumps(1), "pickle").value(ID(1, 2)), DataInstance)


def test_a_small_pickle_that_cannot_be_loaded_says_so() -> None:
    with pytest.raises(RainException, match=r"an input of the task cannot be loaded: .* as 'pickle': "):
        values_of(b"no pickle", "pickle", load=True).value(ID(1, 2))
    with pytest.raises(RainException, match=r"input 'given' \(1/2\): content types"):
        values_of(pickle.dumps(1), "pickle", load=True, types=[(1, 2, "json")]).value(ID(1, 2))


def test_why_a_small_input_is_read_only_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "why_read_only", "")
    values_of(pickle.dumps(1), "pickle", load=True).value(ID(1, 2))
    assert memory.why_read_only == ""
    values_of(pickle.dumps(1), "pickle", load=True, read_only=[(1, 2)]).value(ID(1, 2))
    assert memory.why_read_only == "they were loaded with writable=False"
