"""The server on the login node is killed while jobs wait in the queue of a batch system: those that begin while it is
away, and those that begin when it is back, are used."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rain.processes import connection_files
from rain.processes.connection_files import ConnectionFile
from tests.engines import grid_engine_cluster
from tests.engines.grid_engine_cluster import GridEngineCluster
from tests.engines.hosts import LOGIN, Hosts
from tests.engines.slurm_cluster import SlurmCluster
from tests.support.waiting import until

pytestmark = pytest.mark.engines
SCRIPTS = Path(__file__).parent / "scripts"
ADDRESS = f"{LOGIN}:7210"


def rain(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "rain", *words]


def story(cluster: Hosts, engine: str, options: list[str], folder: Path, taken: list[Callable[[], object]]) -> None:
    """Two of three hosts are taken; they are free again when the server is back, and while it is away."""
    agreed = folder / "agreed"
    agreed.mkdir()
    logs = folder / "logs"
    told = cluster.run(
        *rain("start", "--on", engine, "--nodes", "3", *options, "--listen", ADDRESS, "--logdir", str(logs))
    )
    assert f"3 places asked for on {engine}" in told

    def server() -> ConnectionFile:
        [path] = (folder / "rain").glob("*.json")
        return connection_files.read(path)

    def send(signal: str, pid: int) -> None:
        cluster.run("sh", "-c", f"kill -{signal} {pid}")  # the hosts have processes of their own

    def up(count: int) -> bool:
        return f" {count} up" in cluster.run(*rain("pool", "list"))

    until(lambda: up(1), "one place is up, and two wait in the queue")
    with cluster.start([sys.executable, "-P", str(SCRIPTS / "stays.py"), ADDRESS, str(agreed), "1"]) as script:
        until(lambda: (agreed / "begun").exists() or script.poll() is not None, "it runs")
        send("KILL", server().pid)
        assert cluster.run(*rain("status")), "it is back"
        taken.pop()()
        until(lambda: up(2), "a place that began after the server was back")
        send("STOP", server().guardian)  # so that it starts no server for a while
        send("KILL", server().pid)
        taken.pop()()
        places = folder / ".local/state/rain/pools"
        said = "the server is being started, or stands still"
        until(lambda: any(said in path.read_text() for path in places.rglob("*.log")), "a place began meanwhile")
        send("CONT", server().guardian)
        until(lambda: up(3), "it has waited for the server")
        (agreed / "happened").touch()
        output, _ = script.communicate()
    assert script.returncode == 0, output
    assert re.search(r"long tasks began 1\nobjects were made 1 times on n\d\ngovernors 3\n", output), output
    cluster.run(*rain("stop"))
    until(lambda: cluster.idle() == 3, "all hosts free again")
    until(lambda: not cluster.processes("rain"), "no process left")


def test_on_slurm(slurm: SlurmCluster, home: Path) -> None:
    hogs = [
        slurm.run("sbatch", "--parsable", "-w", name, "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1000").strip()
        for name in ("n2", "n3")
    ]
    until(lambda: slurm.idle() == 1, "two hosts are taken")
    story(slurm, "slurm", ["--cpus", "2"], home, [lambda job=job: slurm.run("scancel", job) for job in hogs])


@pytest.mark.soak
def test_on_grid_engine(cluster_folder: Path, kept: list[Path], home: Path) -> None:
    why = grid_engine_cluster.missing()
    if why:
        pytest.skip(why)
    cluster = GridEngineCluster(cluster_folder, kept=kept)
    try:
        (script := home / "hog.sh").write_text("sleep 1000\n")
        words = ["-terse", "-S", "/bin/sh", "-j", "y", "-o", "/dev/null"]
        hogs = [
            cluster.run("qsub", *words, "-l", f"h={name}", "-pe", "smp", "2", str(script)).strip()
            for name in ("n2", "n3")
        ]
        until(lambda: cluster.idle() == 1, "two hosts are taken")
        story(cluster, "sge", ["--cpus", "2"], home, [lambda job=job: cluster.run("qdel", job) for job in hogs])
    finally:
        cluster.close()
