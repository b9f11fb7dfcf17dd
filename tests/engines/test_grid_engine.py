"""Rain in jobs of a real Grid Engine: three hosts with networks of their own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.grid_engine_cluster import GridEngineCluster, missing
from tests.engines.hosts import LOGIN
from tests.support.waiting import until

pytestmark = pytest.mark.engines
SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture
def grid_engine(cluster_folder: Path, kept: list[Path]) -> Iterator[GridEngineCluster]:
    why = missing()
    if why:
        pytest.skip(why)
    cluster = GridEngineCluster(cluster_folder, kept=kept)
    yield cluster
    cluster.close()


@pytest.mark.soak
def test_a_client_asks_for_places_and_gives_them_back(grid_engine: GridEngineCluster, home: Path) -> None:
    output = grid_engine.python(SCRIPTS / "on_grid_engine.py")
    assert f"Rain's server listens on {LOGIN}:" in output
    for line in (
        "ends known True", "cpus 2.0 2.0", "deleted: none counted as a crash", "three n1 n2 n3", "array 9 places, 6 up",
        "short: True"
    ):  # fmt: skip
        assert f"\n{line}\n" in output, output
    for pattern in (
        r"waits: 4 places .*<Place \d: pending, job \d+ \((queue instance|cannot run|All queues)",
        r"broken: 1 places cannot come up.*there is no Python /nowhere/python there.*/nowhere/python: not found",
        r"refused: qsub .*job requests unknown queue",
        r"no environment: qsub .*parallel environment \"nothing\" does not exist",
    ):
        assert re.search(f"(?s){pattern}", output), output
    until(lambda: grid_engine.idle() == 3, "all hosts free again")
    until(lambda: not grid_engine.processes("rain"), "no process left")
    assert grid_engine.jobs() == {}
    pools = list((home / ".local/state/rain/pools").iterdir())
    assert not [path for pool in pools for path in pool.glob("token")]


@pytest.mark.soak
def test_steps_in_an_allocation(grid_engine: GridEngineCluster, home: Path) -> None:
    script, output = home / "job.sh", home / "printed"
    python = f"{sys.executable} -P"
    script.write_text(
        "set -e\n"
        f"{python} {SCRIPTS}/in_allocation.py\n"
        f"{python} -m rain start --autoconf sge --listen 0.0.0.0:7210 --http-listen 127.0.0.1:0\n"
        f"{python} {SCRIPTS}/run_on.py 127.0.0.1:7210 3\n"
        f"{python} -m rain stop\n"
        "echo over\n"
    )
    words = ["-terse", "-V", "-v", f"HOME={home}", "-S", "/bin/sh", "-pe", "each", "3", "-j", "y", "-o", str(output)]
    grid_engine.run("qsub", *words, str(script))
    until(lambda: not grid_engine.jobs(), "the job ended")
    printed = output.read_text()
    for line in (
        "three n1 n2 n3",
        "cpus 1.0 1.0 1.0",
        "left exit status 0",
        "again n1 n2 n3",
        "started n1 n2 n3",
        "over",
    ):
        assert f"{line}\n" in printed, printed
    assert not grid_engine.processes("rain")
