"""The governor's configuration file: what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.governor.config import read_config


def test_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "governor.toml"
    path.write_text("""
[executors.example]
command = "/usr/bin/example --fast 'a b'"
[resources]
gpus = 2
""")
    config = read_config(str(path))
    assert config.executors == {"example": ["/usr/bin/example", "--fast", "a b"]}
    assert config.resources == {"gpus": 2}
    assert read_config(None).executors == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "is not TOML"),
        ("[executor.a]", r"unknown section \[executor\]"),
        ("executors = 1", "executors must be a section"),
        ("[executors.a]", r"\[executors.a\] needs command = "),
        ('[executors.a]\ncommand = "unfinished \'"', r"the command of \[executors.a\] cannot be read: No closing"),
        ('[executors.py]\ncommand = "x"', "an executor cannot be called 'py'"),
        ("[resources]\ngpus = -1", "resource gpus must be a number of at least 0, not -1"),
        ("[resources]\ngpus = nan", "resource gpus must be a number of at least 0, not nan"),
        ("[resources]\ncpus = 2", "cpus are given by --cpus"),
    ],
)
def test_wrong_ones(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "governor.toml"
    path.write_text(text)
    with pytest.raises(RainException, match=expected):
        read_config(str(path))
