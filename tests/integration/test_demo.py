"""What `make demo` does."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from rain.notebook.report.page import MARK
from tests.support.processes import Marked
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tools" / "demo.py"


def run(output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, DEMO, "--output", output], capture_output=True, text=True)


def accuracies(text: str) -> dict[str, list[float]]:
    """The rows of the table that the demo prints."""
    rows = re.findall(r"^([a-z][a-z ]+?) +((?:\d\.\d+ *)+)$", text, re.MULTILINE)
    return {name: [float(value) for value in values.split()] for name, values in rows}


def committed() -> str:
    """The table that the notebook is committed with."""
    cells = json.loads((ROOT / "notebooks" / "2_cross_validation.ipynb").read_text())["cells"]
    (cell,) = [cell for cell in cells if "accuracies" in cell["metadata"].get("tags", [])]
    return "".join(text for output in cell["outputs"] for text in output["text"])


def only_these(programs: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only some programs to be found."""
    folder.mkdir()
    for program in programs:
        (folder / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setenv("PATH", str(folder))


def check_page(page: Path) -> str:
    """The picture in the page; which loads nothing, from nowhere."""
    html = page.read_text()
    assert "<script" not in html
    assert "<link" not in html
    assert "@import" not in html
    loaded = re.findall(r"\bsrc=[\"']?([^\"' >]+)|url\([\"']?([^\"')]+)", html)
    assert [source for pair in loaded for source in pair if source and not source.startswith("data:")] == []
    (picture,) = re.findall(r"<img [^>]*alt=\"&lt;Session [^>]*data:image/svg\+xml;base64,([\w+/=\s]+)", html)
    return base64.b64decode(picture).decode()


def told(report: Path) -> str:
    """What a report tells, as JSON."""
    (data,) = re.findall(r'id="rain-data">([^<]*)</script>', report.read_text())
    return gzip.decompress(base64.b64decode(data)).decode()


def test_it_classifies_flowers_and_writes_a_page(marked: Marked, tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    table = accuracies(done.stdout)
    assert {"logistic regression", "nearest neighbours"} <= table.keys()
    assert ("libsvm" in table) == bool(shutil.which("svm-train"))
    assert table == {name: row for name, row in accuracies(committed()).items() if name in table}
    if "libsvm" in table:
        assert committed() in done.stdout
    for row in table.values():
        assert len(row) == 4
        assert row[-1] > 0.9
    assert "100%" in done.stderr
    page = tmp_path / "cross_validation.html"
    assert str(page) in done.stdout
    report = tmp_path / "report.html"
    assert str(report) in done.stdout
    assert report.read_text().startswith(MARK)
    assert "fold2" in check_page(page)
    assert "score logistic regression" in told(report)
    assert ("svm-train" in told(report)) == bool(shutil.which("svm-train"))
    assert not marked.processes()


def test_it_does_without_libsvm_and_graphviz(marked: Marked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_these(["sort", "split"], tmp_path / "bin", monkeypatch)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "libsvm's row is left out" in done.stdout
    assert accuracies(done.stdout).keys() == {"logistic regression", "nearest neighbours"}
    assert "fold2" in check_page(tmp_path / "cross_validation.html")
    assert "svm-train" not in told(tmp_path / "report.html")


def test_an_interrupt_ends_all(marked: Marked, tmp_path: Path) -> None:
    command = [sys.executable, DEMO, "--output", tmp_path]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True) as demo:
        until(lambda: marked.named("rain-governor"), "a governor runs")
        os.killpg(demo.pid, signal.SIGINT)
        _, errors = demo.communicate()
    assert errors.strip().splitlines()[-1] == "interrupted; the cluster has ended"
    assert demo.returncode == 1
    assert "Traceback" not in errors


def test_it_says_in_one_line_what_failed(marked: Marked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_these(["split"], tmp_path / "bin", monkeypatch)
    done = run(tmp_path)
    assert done.returncode == 1
    *_, last = done.stderr.strip().splitlines()
    assert re.fullmatch(r"The notebook failed: TaskException: .*sort.*", last)
    assert not list(tmp_path.glob("*.html"))
