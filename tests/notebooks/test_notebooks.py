"""The example notebooks run, say what they say in the repository where it matters, and read well without a kernel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ELSEWHERE = {
    "10_from_one_machine_to_a_cluster": "tests/engines/test_example.py",
    "2_cross_validation": "tests/integration/test_demo.py",
}
"""Notebooks that other tests run, and compare."""
SIZE_MAX = 200_000
"""In bytes; a code host shows larger files as text, or not at all."""


def test_they_run() -> None:
    """And show what they are committed with, where that is marked. In one process: imports are half of the time."""
    paths = [path for path in NOTEBOOKS if path.stem not in ELSEWHERE]
    assert len(paths) == len(NOTEBOOKS) - len(ELSEWHERE)
    # Of the plugins that are installed only those that it needs.
    plugins = ["tools.light_imports", "pytest_timeout", "nbval.plugin", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", *(f"-p{name}" for name in plugins)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, *map(str, paths)], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    cells = sum(cell["cell_type"] == "code" for path in paths for cell in json.loads(path.read_text())["cells"])
    assert f"{cells} passed" in done.stdout


def outputs(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text())["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_with_its_outputs(path: Path) -> None:
    text = path.read_text()
    assert len(text.encode()) < SIZE_MAX
    assert "widget-view" not in text
    assert not re.search(r"/(tmp|home|root|work)/|site-packages", text)
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", text)) <= {"7210"}
    pictures = [output["data"] for output in outputs(path) if "application/pdf" in output.get("data", {})]
    assert pictures
    for data in pictures:
        assert 'src="data:image/svg+xml;base64,' in "".join(data["text/html"])
        assert "image/svg+xml" not in data, "nbconvert would need Inkscape"
        assert "closed" in "".join(data["text/plain"])


def test_cells_are_run_in_order() -> None:
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), path.name


def test_there_are_eleven() -> None:
    assert sorted(int(path.stem.split("_")[0]) for path in NOTEBOOKS) == list(range(1, 12))
