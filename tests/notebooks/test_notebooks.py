"""The example notebooks run, say what they say in the repository where it matters, and read well without a kernel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.needs("svm-train")] if "cross" in path.stem else [])
    for path in NOTEBOOKS
]
AT_ONCE = 2
SIZE_MAX = 200_000
"""In bytes; a code host shows larger files as text, or not at all."""

Done = subprocess.CompletedProcess[str]


def check(paths: list[Path]) -> Done:
    """Run notebooks, and compare what they show; in one process, because nbval takes seconds to be imported."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        "--nbval-lax",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
    ]
    return subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def checked(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future[Done]]]:
    """All notebooks that tests ask for, being run side by side."""
    asked = [item.callspec.params["path"] for item in request.session.items if item.name.startswith("test_it_runs[")]
    with ThreadPoolExecutor() as pool:
        lanes = [asked[number::AT_ONCE] for number in range(AT_ONCE)]
        yield {path: future for lane in lanes if lane for future in [pool.submit(check, lane)] for path in lane}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PARAMETERS)
def test_it_runs(path: Path, checked: dict[Path, Future[Done]]) -> None:
    done = checked[path].result()
    failed = re.findall(r"^(?:FAILED|ERROR) \S*?([^/\s]+\.ipynb)", done.stdout, re.MULTILINE)
    assert path.name not in failed, done.stdout[-5000:]
    assert done.returncode == 0 or failed, done.stdout[-5000:] + done.stderr[-2000:]


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
    pictures = [output["data"] for output in outputs(path) if "image/svg+xml" in output.get("data", {})]
    assert pictures
    for data in pictures:
        assert "".join(data["image/svg+xml"]).lstrip().startswith("<svg")
        assert "closed" in "".join(data["text/plain"])


def test_cells_are_run_in_order() -> None:
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), path.name


def test_there_are_seven() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == list("1234567")
