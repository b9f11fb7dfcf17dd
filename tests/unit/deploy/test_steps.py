"""Steps in a batch job, with stand-ins for the commands of PBS and for Rain on its hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.deploy.engines.pbs import Pbs
from rain.deploy.engines.sge import GridEngine
from rain.deploy.engines.slurm import Slurm
from rain.deploy.engines.steps import StepSupplier, steps_in
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.places import PlaceState
from rain.deploy.pools.pool import Pool, pool_of
from rain.net.auth import Credentials
from tests.support.commands import write_command
from tests.support.waiting import GUARD_S, until

# It gets: -P -m rain governor SERVER --token-file FILE --token-comes --id-file FILE
_RAIN = """#!/bin/sh
[ -e {folder}/broken ] && {{ echo No module named rain; exit 1; }}
cat "$7" >/dev/null && echo "$HOST:1" >"${{10}}"
trap 'echo told; exit 0' TERM
while :; do sleep 0.05; done
"""
_PBSDSH = """#!/bin/sh
[ "$1 $3" = "-n --" ] || exit 9
echo "$@" >>{folder}/called
HOST=node$2; export HOST
shift 3
exec "$@"
"""


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    for name, text in (("python", _RAIN), ("pbsdsh", _PBSDSH)):
        path = tmp_path / name
        write_command(path, text.format(folder=tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(StepSupplier, "look_s", 0.05)
    monkeypatch.setattr(StepSupplier, "idle_look_s", 0.05)
    folder = PoolFolder("the-token", tmp_path / "shared")
    hosts = {"node-a.invalid": 0, "node-b.invalid": 1}
    made = Pool(StepSupplier(Pbs(), hosts, "10.0.0.1:7210", folder, str(tmp_path / "python")))
    yield made
    made.close()
    made._thread.join()


def test_each_host_of_the_job_has_one_place(pool: Pool, tmp_path: Path) -> None:
    pool.scale(2)
    pool.wait(2, timeout=GUARD_S)
    assert [place.governor for place in pool.places] == ["node0:1", "node1:1"]
    with pytest.raises(RainException, match="the number of places on allocation is from 0 to 2, not 3"):
        pool.scale(3)
    pool.scale(1)
    until(lambda: pool.places[1].state is PlaceState.ENDED)
    assert pool.places[1].reason == "exit status 0"
    pool.scale(2)
    pool.wait(2, timeout=GUARD_S)
    assert pool.places[2].governor == "node1:1"
    token = next(tmp_path.glob("shared/*/token"))
    assert token.stat().st_mode & 0o777 == 0o600
    assert "the-token" not in (tmp_path / "called").read_text()


def test_what_a_step_printed_is_told(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    pool.scale(1)
    with pytest.raises(RainException, match=r"(?s)exit status 1.*Rain is not installed.*No module named rain"):
        pool.wait(1, timeout=GUARD_S)


def test_commands() -> None:
    assert Slurm().step("n2", 1, "a b")[-4:] == ["--nodelist=n2", "/bin/sh", "-c", "a b"]
    assert "--overlap" in Slurm().step("n2", 1, "a b")
    assert GridEngine().step("n2", 1, "a b") == ["qrsh", "-inherit", "n2", "a b"]
    assert Pbs().step("n2", 1, "a b") == ["pbsdsh", "-n", "1", "--", "/bin/sh", "-c", "a b"]


def test_a_host_with_several_processes_is_reached_by_its_first_line(tmp_path: Path) -> None:
    """`pbsdsh -n` counts the lines of PBS_NODEFILE: with mpiprocs=2 there are two for each host."""
    nodes = tmp_path / "nodes"
    nodes.write_text("n1\nn1\nn2\nn2\nn3\n")
    hosts = Pbs().hosts({"PBS_NODEFILE": str(nodes)})
    assert [Pbs().step(host, number, "x")[2] for host, number in hosts.items()] == ["0", "2", "4"]


def test_in_which_job_this_is(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("n1\nn2\n")
    with pytest.raises(RainException, match="this process runs in no job of sge or pbs or slurm"):
        steps_in({})
    supply = steps_in({"PBS_JOBID": "12.pbs", "PBS_NODEFILE": str(nodes)}, folder=tmp_path / "shared")
    with pytest.raises(RainException, match="hosts of this job cannot reach it"):
        pool_of(supply, "127.0.0.1:7210", Credentials.generate())
