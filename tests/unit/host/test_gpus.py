"""Which GPUs a process may use, by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.governor.config import declared
from rain.host.gpus import parse, visible_gpus


@pytest.mark.parametrize(
    ("text", "count", "names"),
    [
        ("0", None, ("0",)), ("3, 1", None, ("3", "1")), ("", None, ()), ("-1", None, ()), ("0,-1,1", None, ("0",)),
        ("NoDevFiles", None, ()), ("1,0", 1, ()), ("0,1", 1, ("0",)), ("0,0", None, ()), ("00,1", None, ("0", "1")),
        ("GPU-8932f937,MIG-41b3-5", 1, ("GPU-8932f937", "MIG-41b3-5")), ("1,,2", None, ("1",)), ("\u0662", None, ()),
    ],
)  # fmt: skip
def test_values_of_the_variable(text: str, count: int | None, names: tuple[str, ...]) -> None:
    assert parse(text, count) == names


def test_device_files_are_counted_where_the_variable_is_not_set(tmp_path: Path) -> None:
    assert visible_gpus({}, str(tmp_path)) == ((), f"no device file {tmp_path}/nvidia0")
    for name in ("nvidia0", "nvidia2", "nvidia10", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    found = visible_gpus({}, str(tmp_path))
    assert found == (("0", "1", "2"), f"device files {tmp_path}/nvidia0 to {tmp_path}/nvidia10")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2,3"}, str(tmp_path)) == (("2",), "CUDA_VISIBLE_DEVICES=2,3")
    assert visible_gpus({}, os.fspath(tmp_path / "none")).names == ()


def test_a_configuration_cannot_declare_more_gpus_than_can_be_named() -> None:
    assert declared(2, (), {"gpus": 3}) == {"cpus": 2, "gpus": 3}
    assert declared(2, ("4", "5"), {}) == {"cpus": 2, "gpus": 2}
    assert declared(2, ("4", "5"), {"gpus": 1}) == {"cpus": 2, "gpus": 1}
    with pytest.raises(RainException, match=r"declares 3 gpus, but this governor can use only 2: 4,5 \(--gpus names"):
        declared(2, ("4", "5"), {"gpus": 3})
