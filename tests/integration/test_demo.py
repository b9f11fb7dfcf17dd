"""The example that `make demo` runs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rain import Session
from tests.integration.conftest import Marked

DEMO = Path(__file__).resolve().parents[2] / "examples" / "cross_validation.py"


def run(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, DEMO, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def accuracies(text: str) -> dict[str, list[float]]:
    """The rows of the table that the demo prints."""
    rows = re.findall(r"^([a-z][a-z ]+?) +((?:\d\.\d+ *)+)$", text, re.MULTILINE)
    return {name: [float(value) for value in values.split()] for name, values in rows}


def test_it_classifies_flowers_writes_its_graph_and_ends(marked: Marked, tmp_path: Path) -> None:
    text = run("--folds", "3", "--output", tmp_path)
    table = accuracies(text)
    assert {"support vectors", "nearest neighbours"} <= table.keys()
    if shutil.which("svm-train"):
        assert table["libsvm programs"] == table["support vectors"]
    for row in table.values():
        assert len(row) == 4
        assert row[-1] > 0.9
    dot = (tmp_path / "cross_validation.dot").read_text()
    assert dot.startswith("digraph")
    assert "svm-train" in dot or not shutil.which("svm-train")
    assert (tmp_path / "cross_validation.svg").exists() == bool(shutil.which("dot"))
    assert not marked.processes()


def test_the_seed_decides_the_order(session: Session) -> None:
    spec = importlib.util.spec_from_file_location("cross_validation", DEMO)
    assert spec
    assert spec.loader
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)

    def dealt(seed: str) -> list[bytes]:
        folds: list[bytes] = session.run(*demo.make_folds(demo.IRIS, 4, seed))
        return folds

    first, again, other = dealt("a"), dealt("a"), dealt("b")
    assert first == again
    assert first != other
    assert sorted(b"".join(first).splitlines()) == sorted(b"".join(other).splitlines())
    assert [len(fold.splitlines()) for fold in first] == [38, 38, 37, 37]
