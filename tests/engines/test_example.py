"""The example notebook about clusters runs on a real Slurm."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.engines.conftest import ROOT
from tests.engines.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.engines
NOTEBOOK = "10_from_one_machine_to_a_cluster.ipynb"


@pytest.mark.soak
def test_the_example_shows_what_it_is_committed_with(slurm: SlurmCluster, home: Path) -> None:
    path = home / NOTEBOOK
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, path)
    slurm.run(sys.executable, str(ROOT / "tools" / "notebooks.py"), str(path), env={"PYTHONPATH": str(ROOT)})
    assert results(path) == results(ROOT / "notebooks" / NOTEBOOK)


def results(path: Path) -> list[str]:
    """What cells gave as text, but for pictures."""
    found = []
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error", output
            data = output.get("data", {})
            if output["output_type"] == "execute_result" and "application/pdf" not in data:
                found.append("".join(data["text/plain"]))
    return found
