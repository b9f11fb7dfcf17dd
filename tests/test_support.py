"""What tests are written with."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.collecting import places, turned
from tests.support.dealing import dealt
from tests.support.graphs import parse

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("a", {"a": []}),
        ("a -> b", {"a": [], "b": ["a"]}),
        ("a -> b c -> d", {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}),
        ("a -> c\nb -> c; d", {"a": [], "b": [], "c": ["a", "b"], "d": []}),
        ("a -> b; c -> a", {"c": [], "a": ["c"], "b": ["a"]}),
        ("a*2 -> b", {"a0": [], "a1": [], "b": ["a0", "a1"]}),
    ],
)
def test_a_text_is_a_graph(text: str, inputs: dict[str, list[str]]) -> None:
    nodes = parse(text)
    assert [(node.name, node.inputs) for node in nodes] == list(inputs.items())


def test_a_task_has_options() -> None:
    first, second = parse("first [cpus=2, priority=-1] -> second[kind='x/y']")
    assert first.options == {"cpus": 2, "priority": -1}
    assert second.options == {"kind": "x/y"}


@pytest.mark.parametrize("text", ["a -> b -> a", "a -> -> b", "a -> ", "a - b"])
def test_what_is_no_graph(text: str) -> None:
    with pytest.raises(ValueError, match=r"circle|empty|not a graph"):
        parse(text)


@dataclass(frozen=True)
class Named:
    nodeid: str


@pytest.mark.parametrize(
    ("workers", "begin"),
    [
        (1, ["browser"]),
        (2, ["browser", "test_lint.py"]),
        (3, ["browser", "test_lint.py", "integration"]),
        (4, ["browser", "test_lint.py", "integration", "sim"]),
        (6, ["browser", "test_lint.py", "integration", "sim", "unit", "unit"]),
    ],
)
def test_each_worker_begins_with_a_lot(workers: int, begin: list[str]) -> None:
    counts = {"unit/x.py": 40, "browser/x.py": 6, "sim/x.py": 4, "integration/x.py": 9, "notebooks/x.py": 5}
    items = [Named(f"tests/{file}::test_{number}") for file, count in counts.items() for number in range(count)]
    items.append(Named("tests/test_lint.py::test_mypy"))
    found = dealt(items, workers)
    assert sorted(map(repr, found)) == sorted(map(repr, items))
    slices = [found[len(items) * number // workers].nodeid for number in range(workers)]
    assert [re.split("/|::", name)[1] for name in slices] == begin


def test_each_worker_begins_to_collect_elsewhere(tmp_path: Path) -> None:
    for name in ("a/test_1.py", "a/b/test_2.py", "helpers/x.py", "test_3.py", "unit/c/test_4.py", "unit/d/test_5.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = places(tmp_path, lambda folder: True)
    assert [(str(path.relative_to(tmp_path)), files) for path, files in found] == [
        ("a", 2), ("test_3.py", 1), ("unit/c", 1), ("unit/d", 1),
    ]  # fmt: skip
    orders = [[path.name for path in turned(found, worker, 2)] for worker in range(2)]
    assert orders == [["a", "test_3.py", "c", "d"], ["test_3.py", "c", "d", "a"]]
    assert [path.name for path, _ in places(tmp_path, lambda folder: folder.name != "a")] == ["test_3.py", "c", "d"]


def test_all_files_of_tests_are_collected() -> None:
    """Whatever is new below this folder."""
    files = {file for path, _ in places(ROOT / "tests", lambda folder: True) for file in [path, *path.rglob("*.py")]}
    assert set(ROOT.joinpath("tests").rglob("test_*.py")) <= files


def test_interrupts_are_not_ignored() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_are_not_ignored_in_a_run_in_the_background() -> None:
    """As ``nohup make test &`` of a script starts it."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-p", "xdist", "-n", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"{__file__}::{test_interrupts_are_not_ignored.__name__}"],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
