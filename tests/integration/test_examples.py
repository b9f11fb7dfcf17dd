"""The programs of examples/ give what they should, and what their peers give."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rain

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
EXPECTED = {
    "blocks": 291446,
    "bootstrap": 0.03654,
    "chain": [0, 4, 1, 1, 2, 2],
    "errors": (
        7,
        [
            "invalid literal for int() with base 10: 'three'",
            "invalid literal for int() with base 10: 'fünf'",
        ],
    ),
    "etl": {0: 41497, 1: 39948, 2: 39564},
    "first_good": True,
    "flaky": [f"page {n}" for n in range(8)],
    "folds": 0.966667,
    "grid_search": 0.973333,
    "in_asyncio": 285,
    "pi": 3.1315,
    "search": True,
    "shared_array": 4999995.0,
    "simulations": [3, 6, 10],
    "sort_files": 477871,
    "words": [
        ("as", 1),
        ("be", 4),
        ("it", 2),
        ("may", 2),
        ("not", 2),
        ("or", 1),
        ("that", 1),
        ("to", 3),
        ("worry", 1),
    ],
}
SLOW = {"folds": pytest.mark.soak, "grid_search": pytest.mark.soak}
"""They import scikit-learn for seconds; `tests/interfaces` does so already."""


@pytest.fixture(scope="module")
def client() -> Iterator[rain.Client]:
    with rain.Client.local(cpus=2) as client:
        yield client


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Executors find the examples as they do when one is run: in the first folder of the path."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for name in (*EXPECTED, "compare"):
        sys.modules.pop(name, None)


def test_each_has_a_peer() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"compare"}
    assert names == set(EXPECTED) == {path.stem for path in (EXAMPLES / "peers").glob("*.py")}


@pytest.mark.usefixtures("on_path")
def test_the_table_has_the_lines_that_the_files_have() -> None:
    compare = importlib.import_module("compare")
    rows = re.findall(
        r"^\| \[(\w+)\]\(\1\.py\) \| \[(.+)\]\(peers/\1\.py\) \| (\d+) \| (\d+) \|",
        (EXAMPLES / "README.md").read_text(),
        re.MULTILINE,
    )
    programs = [(name, EXAMPLES / f"{name}.py", EXAMPLES / "peers" / f"{name}.py") for name in compare.NAMES]
    counted = [(name, compare.library(peer), compare.lines(own), compare.lines(peer)) for name, own, peer in programs]
    assert [(name, library, int(own), int(peer)) for name, library, own, peer in rows] == counted


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(EXPECTED)])
@pytest.mark.usefixtures("on_path")
def test_example(name: str, client: rain.Client) -> None:
    assert importlib.import_module(name).main(client) == EXPECTED[name]


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_peer(name: str) -> None:
    command = [sys.executable, EXAMPLES / "peers" / f"{name}.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{EXPECTED[name]}\n"
