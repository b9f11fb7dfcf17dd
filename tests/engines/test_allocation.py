"""Governors as steps inside a batch job: on hosts without sshd, with networks of their own."""

from __future__ import annotations

import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from tests.engines.hosts import NETWORK
from tests.engines.slurm_cluster import SlurmCluster
from tests.support.waiting import at_this_load, until

pytestmark = pytest.mark.engines
SCRIPTS = Path(__file__).parent / "scripts"


def test_steps_in_an_allocation(slurm: SlurmCluster, home: Path) -> None:
    rain = shlex.join([sys.executable, "-P", "-m", "rain"])
    python = shlex.join([sys.executable, "-P"])
    script = home / "job.sh"
    script.write_text(
        "#!/bin/sh\nset -e\n"
        f"{python} {SCRIPTS}/in_allocation.py\n"
        f"{rain} start --autoconf slurm --listen 0.0.0.0:7210 --http-listen 127.0.0.1:0\n"
        f"{python} {SCRIPTS}/run_on.py 127.0.0.1:7210 3\n"
        f"date +%s.%N >{home}/stopping\n"
        f"{rain} stop\n"
    )
    output = home / "printed"
    slurm.run("sbatch", "-N3", "-c2", "--output", str(output), str(script))
    until(lambda: slurm.jobs()["1"] not in ("PENDING", "RUNNING", "COMPLETING"), "the job ended")
    printed = output.read_text()
    for line in (
        "three n1 n2 n3",
        "cpus 2.0 2.0 2.0",
        "left exit status 0",
        "again n1 n2 n3",
        "closed",
        "started n1 n2 n3",
    ):
        assert f"\n{line}\n" in printed, printed
    assert "refused: the number of places on allocation is from 0 to 3, not 4" in printed
    assert slurm.jobs()["1"] == "COMPLETED", printed
    until(lambda: slurm.idle() == 3, "all hosts free again")
    assert time.time() - float((home / "stopping").read_text()) < at_this_load(3)
    assert not slurm.processes("rain")


def test_srun_launches_the_programs_of_a_task(slurm: SlurmCluster, home: Path) -> None:
    script, output = home / "job.sh", home / "printed"
    script.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, '-P'])} {SCRIPTS}/by_srun.py\n")
    slurm.run("sbatch", "-N3", "-c2", "--output", str(output), str(script))
    until(lambda: slurm.jobs()["1"] not in ("PENDING", "RUNNING", "COMPLETING"), "the job ended")
    printed = output.read_text()
    pmi = "".join(f"slurm gives pmi rank {rank} of 3 to {rank}\n" for rank in range(3))
    ranks = re.search(
        rf"^rank 0 of 3 on (n\d)\nrank 1 of 3 on (n\d)\nrank 2 of 3 on (n\d)\n{pmi}nodes (.*)$", printed, re.M
    )
    assert ranks is not None, printed
    assert sorted(ranks.groups()[:3]) == ["n1", "n2", "n3"]
    addresses = [f"{NETWORK}.{host[1:]}" for host in ranks.groups()[:3]]
    assert addresses == ranks[4].split(), "by rank, as the task has them"
    assert re.search(r"fails: .*sh on node 1 \(\S+\) ended with status 3; those on the other nodes were", printed), (
        printed
    )
    assert "runs 3\ncancelled 0\nagain 3\n" in printed, printed
    assert slurm.jobs()["1"] == "COMPLETED", printed
    until(lambda: not slurm.processes("rain"), "no process left")
    assert not slurm.processes("sleep 1234")


@pytest.mark.soak
def test_blocks_of_providers_of_parsl(slurm: SlurmCluster) -> None:
    output = slurm.python(SCRIPTS / "on_provider.py")
    for line in ("by parsl's SlurmProvider n1 n2", "by parsl's LocalProvider login", "closed"):
        assert f"\n{line}\n" in output, output
    assert re.search("refused: parsl's SlurmProvider: SubmitException: .*invalid partition", output), output
    until(lambda: slurm.idle() == 3, "all hosts free again")
    until(lambda: not slurm.processes("rain"), "no process left")
