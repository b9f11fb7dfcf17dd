"""Places as command lines ask for them."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.deploy.pools.words import parse_places

OTHERS = {"nodes": "int", "idle": "str", "core_hours": "float", "once": "bool"}


def test_each_option_has_its_type() -> None:
    line = (
        "--nodes 4 --cpus=2 --memory 16G --time 90 --partition main --core-hours 1.5 --once --gpus 1 --idle 5m -- -A x"
    )
    asked = parse_places("slurm", line.split(), OTHERS)
    assert asked.engine == "slurm"
    assert asked.options == {
        "cpus": 2, "memory": "16G", "time": "90", "partition": "main", "gpus": 1, "arguments": ["-A", "x"],
    }  # fmt: skip
    assert asked.others == {"nodes": 4, "core_hours": 1.5, "once": True, "idle": "5m"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--nodes", "--nodes needs a value"),
        ("--nodes -- x", "--nodes needs a value"),
        ("--nodes many", "--nodes is a number, not 'many'"),
        ("--cpus many", "--cpus is a number, not 'many'"),
        ("--partion main", "no option 'partion': do you mean partition?"),
        ("main", "'main' is too much; options of 'slurm' itself stand after --"),
        ("--once=perhaps", "--once is true or false, not 'perhaps'"),
    ],
)
def test_what_has_no_meaning_is_refused(line: str, text: str) -> None:
    with pytest.raises(RainException, match=text.replace("?", r"\?")):
        parse_places("slurm", line.split(), OTHERS)


def test_an_engine_that_is_not_known_is_named() -> None:
    with pytest.raises(RainException, match="no places can be had from 'cloud'; they can from 'slurm', 'pbs', 'sge'"):
        parse_places("cloud", [], OTHERS)
