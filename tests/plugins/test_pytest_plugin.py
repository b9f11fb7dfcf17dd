"""The pytest plugin: its fixtures, and what a failure shows."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

TESTS = """
import pytest
import rain

@rain.task
def inverse(x):
    return 1 / x

@pytest.mark.parametrize("n", [1, 2])
def test_a_cluster_for_all(rain_client, rain_session, n):
    assert inverse(n).result() == 1 / n
    assert rain_session.name == f"test_a_cluster_for_all[{n}]"
    assert rain_session.client is rain_client
    assert rain_client.get_server_info()["governors"][0]["resources"]["cpus"] == 3
    assert len(rain_client.sessions()) == 1

def test_of_a_failure(rain_session):
    assert inverse(0).result() == 1

def test_by_its_class(rain_session):
    with pytest.raises(ZeroDivisionError):
        inverse(0).result()
"""


def test_fixtures_and_what_a_failure_shows(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "rain.pytest_plugin", "--rain-cpus=3", "-q", "-ra", "test_it.py"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    _, _, shown = done.stdout.partition("FAILURES")
    lines = shown.splitlines()
    asked = next(number for number, line in enumerate(lines) if line.startswith(">") and "inverse(0)" in line)
    failed = next(number for number, line in enumerate(lines) if line.startswith("E") and "return 1 / x" in line)
    assert asked < failed
    assert "/rain/client/" not in shown
    assert "@py_" not in shown


def test_pytest_finds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"rain": "rain.pytest_plugin"}
