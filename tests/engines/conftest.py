"""What hosts of engines share in tests: a home folder, in which connection files and folders of pools are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import slurm_cluster
from tests.engines.slurm_cluster import SlurmCluster

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that the hosts see; `kept` has the others that they have to see."""
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    made = tmp_path / "home"
    made.mkdir(0o700)
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(made))
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return made


@pytest.fixture
def kept(home: Path) -> list[Path]:
    return [home, ROOT, Path(sys.prefix)]


@pytest.fixture
def cluster_folder(tmp_path: Path) -> Path:
    made = tmp_path / "cluster"
    made.mkdir()
    return made


@pytest.fixture
def slurm(cluster_folder: Path, kept: list[Path]) -> Iterator[SlurmCluster]:
    why = slurm_cluster.missing()
    if why:
        pytest.skip(why)
    cluster = SlurmCluster(cluster_folder, kept=kept)
    yield cluster
    cluster.close()
