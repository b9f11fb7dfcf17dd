"""Rain in jobs of a real Slurm: three hosts with networks of their own, which come and go."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines.hosts import LOGIN
from tests.engines.slurm_cluster import SlurmCluster, missing, no_limits
from tests.integration.test_restart import version
from tests.integration.test_restart_protocols import PROTOCOL
from tests.support.waiting import at_this_load, until

pytestmark = pytest.mark.engines
SCRIPTS = Path(__file__).parent / "scripts"
ADDRESS = f"{LOGIN}:7210"


def rain(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "rain", *words]


@pytest.fixture
def served(slurm: SlurmCluster, tmp_path: Path) -> SlurmCluster:
    """A server on the login node, without governors."""
    slurm.run(
        *rain("start", "--local-governors", "[]", "--listen", ADDRESS, "--logdir", str(tmp_path / "home" / "logs"))
    )
    return slurm


def submit(slurm: SlurmCluster, folder: Path, *governor: str, options: tuple[str, ...] = ()) -> str:
    """A job of one host, whose governor is its only step; the job's id."""
    script = folder / "job.sh"
    line = " ".join(rain("governor", ADDRESS, "--logdir", f"{folder}/home/logs", *governor))
    script.write_text(f"#!/bin/sh\nexec srun {line}\n")
    output = slurm.run("sbatch", "-N1", "-c2", "--output", f"{folder}/home/job-%j", *options, str(script))
    found = re.search(r"(\d+)$", output.strip())
    assert found is not None, output
    return found[1]


def printed(folder: Path) -> str:
    return "\n".join(f"{path.name}: {path.read_text()}" for path in sorted((folder / "home").glob("job-*")))


def test_a_host_that_is_taken_away_loses_nothing(served: SlurmCluster, tmp_path: Path) -> None:
    jobs = [submit(served, tmp_path) for _ in range(3)]
    words = [sys.executable, "-P", str(SCRIPTS / "departure.py"), ADDRESS, str(tmp_path / "home")]
    with served.start(words) as script:
        begun = tmp_path / "home" / "hundred-are-done"
        until(lambda: begun.exists() or script.poll() is not None, "a hundred tasks done")
        served.run("scancel", jobs[0])
        output, _ = script.communicate()
    assert script.returncode == 0, f"{output}\n{printed(tmp_path)}"
    assert "hosts n1 n2 n3" in output
    # What ran when the host was taken away may have begun elsewhere once more; what had finished has not.
    assert int(re.search(r"ran twice (\d+)", output)[1]) <= 2, output  # type: ignore[index]
    assert re.search("(?s)leaving within .*leaving now", printed(tmp_path)), printed(tmp_path)
    assert served.jobs()[jobs[0]] in ("CANCELLED", "COMPLETED")

    begin = time.monotonic()
    served.run(*rain("stop"))
    until(lambda: served.idle() == 3, "all hosts free again")
    took_s = time.monotonic() - begin
    assert took_s < at_this_load(3)
    states = served.jobs()
    assert [states[job] for job in jobs[1:]] == ["COMPLETED", "COMPLETED"]
    assert not served.processes("rain")


def test_a_governor_leaves_before_its_time_is_over(served: SlurmCluster, tmp_path: Path) -> None:
    job = submit(served, tmp_path, "--walltime", "4")
    until(lambda: served.jobs()[job] == "COMPLETED", "the job completed")
    assert re.search("(?s)leaving within .*leaving now", printed(tmp_path)), printed(tmp_path)
    with served.start(rain("stop")) as stop:
        assert stop.wait() == 0
    assert not served.processes("rain"), subprocess.list2cmdline(served.processes("rain"))


@pytest.mark.soak
def test_a_place_leaves_before_its_time_is_over(slurm: SlurmCluster, home: Path) -> None:
    """What runs there is handed back, what only it holds moves, and its job does not end as TIMEOUT."""
    output = slurm.python(SCRIPTS / "walltime.py", str(home))
    assert "runs 2\n" in output, output
    assert "ended ended" in output, output
    assert "kept 20 MiB, made in attempt 1\n" in output, output
    assert "governors 1\n" in output, output
    until(lambda: slurm.idle() == 3, "all hosts free again")
    assert set(slurm.jobs().values()) == {"COMPLETED"}
    assert not slurm.processes("rain")


def test_a_client_asks_for_hosts_and_gives_them_back(slurm: SlurmCluster, tmp_path: Path) -> None:
    output = slurm.python(SCRIPTS / "on_slurm.py")
    assert f"Rain's server listens on {LOGIN}:" in output
    for line in ("two n1 n2", "three n1 n2 n3", "<Pool on slurm: 1 up, 4 leaving>"):
        assert f"\n{line}\n" in output, output
    assert re.search(
        r"waits: 4 places are not up within 1 s: <Place \d: pending, job \d \((Resources|Priority)", output
    )
    broken = r"(?s)broken: 1 places cannot come up.*no Python /nowhere/python there.*/nowhere/python: not found"
    assert re.search(broken, output), output
    assert "refused: sbatch" in output
    assert "invalid partition" in output
    until(lambda: slurm.idle() == 3, "all hosts free again")
    assert slurm.jobs()["1"] == "COMPLETED"
    assert not slurm.processes("rain")
    pools = list((tmp_path / "home/.local/state/rain/pools").iterdir())
    assert not [path for pool in pools for path in pool.glob("token")]


def test_places_of_a_started_server(slurm: SlurmCluster) -> None:
    looked = slurm.run(*rain("doctor", "slurm", "--cpus", "2"))
    assert re.search(r"there +cpus +2 +SLURM_\w+=2\n(.*\n)*ok +the way back .* was reached from there", looked), looked
    told = slurm.run(*rain("start", "--on", "slurm", "--nodes", "2", "--cpus", "2", "--time", "10:00"))
    name = re.search(r"pool +(slurm-\w+), 2 places asked for on slurm", told)
    assert name is not None, told
    until(lambda: " 2 up " in slurm.run(*rain("pool", "list")), "both places up")
    assert len(re.findall(r"n\d:|10\.99\.0\.\d:", slurm.run(*rain("status")))) >= 2
    slurm.run(*rain("pool", "scale", name[1], "3"))
    until(lambda: " 3 up " in slurm.run(*rain("pool", "list")), "three places up")
    slurm.run(*rain("pool", "drain", name[1], "1"))
    until(lambda: " 2 up " in slurm.run(*rain("pool", "list")), "one has left")
    slurm.run(*rain("stop"))
    until(lambda: slurm.idle() == 3, "all hosts free again")
    until(lambda: slurm.run(*rain("pool", "list")) == "no pools\n", "no pool is left")
    until(lambda: not slurm.processes("rain"), "no process left")


def test_a_pool_outlives_another_version_and_the_death_of_a_governor(slurm: SlurmCluster, tmp_path: Path) -> None:
    """`rain restart` on the login node: jobs, and the process that holds the pool, stay. Of a governor that is killed
    the next job on its host has what it held."""
    agreed = tmp_path / "home" / "agreed"
    agreed.mkdir()
    new = version(tmp_path / "home" / "next", ("__init__.py", '__version__ = "', '__version__ = "98.'), PROTOCOL)
    later = [sys.executable, "-P", new]
    told = slurm.run(*rain("start", "--on", "slurm", "--nodes", "3", "--cpus", "2", "--listen", ADDRESS))
    name = re.search(r"pool +(slurm-\w+), 3 places asked for on slurm", told)
    assert name is not None, told
    with slurm.start([sys.executable, "-P", str(SCRIPTS / "stays.py"), ADDRESS, str(agreed), "3"]) as script:
        until(lambda: (agreed / "begun").exists() or script.poll() is not None, "all run")
        before = slurm.processes("governor")
        checked = slurm.run(*later, "restart", "--check")
        assert re.search(r"Rain 98\.\S+ can go on with 1 session .*, [23] clients? and 3 governors", checked), checked
        slurm.run(*later, "restart")
        assert "98." in slurm.run(*rain("status"))
        assert slurm.processes("governor") == before
        assert " 3 up " in slurm.run(*rain("pool", "list"))
        slurm.run("sh", "-c", "kill -9 $(pgrep -x rain-governor | head -n 1)")
        until(lambda: slurm.idle() == 1, "its job has ended")
        slurm.run(*rain("pool", "scale", name[1], "3"))
        until(lambda: " 3 up " in slurm.run(*rain("pool", "list")), "another job on its host")
        (agreed / "happened").touch()
        output, _ = script.communicate()
    assert script.returncode == 0, f"{output}\n{printed(tmp_path)}"
    assert re.search(r"long tasks began 1 \d \d\nobjects were made 1 times on n1 n2 n3\ngovernors 3\n", output), output
    slurm.run(*rain("stop"))
    until(lambda: slurm.idle() == 3, "all hosts free again")
    until(lambda: not slurm.processes("rain"), "no process left")


def test_a_killed_client_of_a_server_that_stays_leaves_no_job(served: SlurmCluster, tmp_path: Path) -> None:
    script = tmp_path / "home" / "script.py"
    script.write_text(
        "import os, signal\n"
        "from rain import Client\n"
        f"client = Client({ADDRESS!r})\n"
        "client.pool('slurm', 2, cpus=2)\n"
        "client.wait_for_governors(2, timeout=100)\n"
        "client.pools[0].wait(2, timeout=100)\n"
        "print('up', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with served.start([sys.executable, "-P", str(script)]) as process:
        output, _ = process.communicate()
    assert output.endswith("up\n"), output
    until(lambda: served.idle() == 3, "all hosts free again")
    served.run(*rain("stop"))
    until(lambda: not served.processes("rain"), "no process left")


def test_a_killed_client_leaves_no_job(slurm: SlurmCluster, tmp_path: Path) -> None:
    script = tmp_path / "home" / "script.py"
    script.write_text(
        "import os, signal\n"
        "from rain import Client\n"
        "client = Client.on('slurm', nodes=2, cpus=2, timeout=100)\n"
        "client.wait_for_governors(2, timeout=100)\n"
        "print('up', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with slurm.start([sys.executable, "-P", str(script)]) as process:
        output, _ = process.communicate()
    assert output.endswith("up\n"), output
    until(lambda: slurm.idle() == 3, "all hosts free again")
    until(lambda: not slurm.processes("rain"), "no process left")


def test_a_place_keeps_more_than_its_memory_holds(cluster_folder: Path, home: Path, kept: list[Path]) -> None:
    if why := missing() or no_limits():
        pytest.skip(why)
    cluster = SlurmCluster(cluster_folder, count=1, kept=kept, limits=True)
    try:
        # The hosts' /tmp is in memory: what is spilled there would be charged to the job as well.
        disk = {"TMPDIR": str(home)}
        output = cluster.run(sys.executable, str(SCRIPTS / "on_limits.py"), env=disk)
        assert "kept 800 MiB, attempts [1]\n" in output, output
        until(lambda: cluster.idle() == 1, "the host is free again")
        assert cluster.jobs()["1"] == "COMPLETED"
    finally:
        cluster.close()


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (openmpi-bin)")
def test_an_elastic_pool_brings_the_hosts_of_one_task_and_lets_them_go(slurm: SlurmCluster, tmp_path: Path) -> None:
    output = slurm.python(SCRIPTS / "elastic.py")
    assert "asks for 3 governors at once with 2 cpus each: 0 here have that" in output, output
    assert "or waits for a place of slurm with 2 cpus: 3 asked for" in output, output
    assert "hosts 3\nnode 0 is n" in output, output
    ranks = re.findall(r"^node (\d) is (n\d)$", output, re.M)
    assert (len(ranks), len({host for _, host in ranks})) == (3, 3), output
    assert "mpirun n1 n2 n3" in output, output
    assert "<Pool on slurm: 3 ended>" in output, output
    assert set(slurm.jobs().values()) == {"COMPLETED"}
    assert not slurm.processes("rain")
