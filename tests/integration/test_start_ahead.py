"""`Client.on` asks for places while its server starts: earlier governors wait, and nothing is left of a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rain import Client, RainException, remote
from rain.client.local_cluster import LocalCluster
from rain.deploy.engines.jobs import JobSupplier
from rain.deploy.pools.on_disk import records
from rain.net.auth import Credentials
from tests.support.commands import write_command
from tests.support.processes import Marked
from tests.support.slurm_stand_in import SlurmStandIn
from tests.support.waiting import until

_BEGINS = """\
log=$(sed -n "s/^#SBATCH --output=//p" "$script")
sed -i "s/^$number|PENDING|Resources/$number|RUNNING|None/" jobs
setsid sh -c "sh $script; sed -i 's/^$number|RUNNING/$number|COMPLETED/' jobs" </dev/null >"$log" 2>&1 &
echo $! >pid-$number
"""
_ENDS = '[ -e pid-"$1" ] && kill -TERM -$(cat pid-"$1")\n'


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmStandIn:
    """A Slurm whose jobs begin at once, on this host."""
    made = SlurmStandIn(tmp_path)
    for name, more in (("sbatch", _BEGINS), ("scancel", _ENDS)):
        path = tmp_path / "bin" / name
        told = path.read_text()
        write_command(
            path, told.replace('echo "Submitted', f'{more}echo "Submitted') if name == "sbatch" else told + more
        )
    monkeypatch.setenv("PATH", made.path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(JobSupplier, "look_s", 0.1)
    return made


@remote()
def one(ctx):  # type: ignore[no-untyped-def]
    return "1"


def _tokens(folder: Path) -> list[Path]:
    return list((folder / "state").rglob("token"))


def test_a_governor_that_is_earlier_than_its_server_waits_for_it(
    slurm: SlurmStandIn, tmp_path: Path, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(cluster: LocalCluster) -> Credentials:
        until(lambda: marked.named("rain-governor"), "a governor")
        (token,) = _tokens(tmp_path)
        assert token.read_text() == ""
        assert not marked.named("rain-server")
        return begun(cluster)

    begun = LocalCluster.start
    monkeypatch.setattr(LocalCluster, "start", start)
    with Client.on("slurm", timeout=100) as client, client.new_session("ahead") as session:
        assert session.run(one()) == "1"
        (token,) = _tokens(tmp_path)
        assert token.stat().st_mode & 0o777 == 0o600
    assert not _tokens(tmp_path)
    assert slurm.jobs() == ["1 COMPLETED"]
    until(lambda: not marked.named("rain-governor"), "the governor left")


def test_of_a_server_that_cannot_start_no_job_is_left(
    slurm: SlurmStandIn, tmp_path: Path, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(cluster: LocalCluster) -> None:
        until(lambda: marked.named("rain-governor"), "a governor")
        waited(cluster)

    waited = LocalCluster.wait
    monkeypatch.setattr(LocalCluster, "wait", wait)
    monkeypatch.setattr("rain.client.local_cluster.UNDER_GUARDIAN", ("--policy", "nowhere.at:All"))
    with pytest.raises(RainException, match="nowhere"):
        Client.on("slurm", nodes=2, timeout=100)
    assert slurm.jobs() == ["1 CANCELLED", "2 CANCELLED"]
    assert not _tokens(tmp_path)
    until(lambda: not marked.named("rain-governor"), "the governors are gone")
    assert not marked.named("rain-server")
    until(lambda: [record.ended for record in records.records()] == [True], "its record is closed")


def test_of_jobs_that_are_refused_no_server_is_started(
    slurm: SlurmStandIn, tmp_path: Path, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalCluster, "start", lambda cluster: pytest.fail("it was started"))
    (tmp_path / "refused").write_text("sbatch: error: invalid account\n")
    with pytest.raises(RainException, match="sbatch: error: invalid account"):
        Client.on("slurm", timeout=100)
    assert not _tokens(tmp_path)
    assert not marked.processes()


def test_a_governor_that_cannot_begin_leaves_no_zygote(tmp_path: Path, marked: Marked) -> None:
    words = ["governor", "127.0.0.1:9", "--token-file", str(tmp_path / "none"), "--workdir", str(tmp_path / "work")]
    done = subprocess.run([sys.executable, "-P", "-m", "rain", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "none cannot be read" in done.stderr
    until(lambda: not marked.processes(), "all of its processes are gone")
    assert not list((tmp_path / "work").iterdir())
