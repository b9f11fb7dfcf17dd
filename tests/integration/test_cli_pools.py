"""`rain pool`, and `rain start --on`, with stand-ins for Slurm's commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.slurm_stand_in import SlurmStandIn
from tests.support.waiting import until

Rain = Callable[..., str]


@pytest.fixture
def slurm(tmp_path: Path) -> SlurmStandIn:
    return SlurmStandIn(tmp_path)


@pytest.fixture
def rain(slurm: SlurmStandIn, tmp_path: Path) -> Iterator[Rain]:
    (tmp_path / "run").mkdir(0o700)
    environment = {
        **os.environ, "PATH": slurm.path, "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"), "TMPDIR": str(tmp_path),
    }  # fmt: skip

    def run(*words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rain", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield run
    with_servers = list((tmp_path / "run").rglob("*.json"))
    if with_servers:
        run("stop", "--all")


def test_a_pool_of_a_started_server_lives_until_it_is_removed(rain: Rain, slurm: SlurmStandIn) -> None:
    told = rain("start", "--on", "slurm", "--nodes", "2", "--cpus=4", "--time", "1:00:00", "--", "--account=abc")
    found = re.search(r"^pool +(slurm-\w+), 2 places asked for on slurm$", told, re.MULTILINE)
    assert found is not None, told
    name = found[1]
    script = (slurm.folder / "job-1.sh").read_text()
    assert (slurm.folder / "submitted").read_text().startswith("--account=abc /")
    for line in ("--cpus-per-task=4", "--time=1:00:00"):
        assert f"#SBATCH {line}\n" in script
    listed = re.search(rf"^{name} .*", rain("pool", "list"), re.MULTILINE)
    assert listed is not None
    assert re.fullmatch(rf"{name}  slurm   \S+:7210  2 (asked|pending)  0\.00 +(Resources)?", listed[0].strip()), listed
    assert rain("pool", "scale", name, "3") == f"pool {name} is to have 3 places\n"
    assert rain("pool", "drain", "slurm", "2") == f"1 place of pool {name} will leave\n"
    until(lambda: slurm.jobs() == ["1 PENDING", "2 CANCELLED", "3 PENDING"])
    second = rain("pool", "add", "slurm", "--name", "night", "--nodes", "1")
    assert re.match(r"pool night-\w+: 1 place asked for on slurm, for ", second)
    assert rain("pool", "remove", "night").startswith("pool night-")
    assert slurm.jobs()[3] == "4 CANCELLED"
    rain("stop")
    until(lambda: slurm.jobs() == ["1 CANCELLED", "2 CANCELLED", "3 CANCELLED", "4 CANCELLED"], "no job is left")
    until(lambda: rain("pool", "list") == "no pools\n")
    assert "ended" in rain("pool", "list", "--all")


def test_a_server_whose_places_are_refused_does_not_stay(rain: Rain, slurm: SlurmStandIn) -> None:
    (slurm.folder / "refused").write_text("sbatch: error: invalid account\n")
    assert "sbatch: error: invalid account" in rain("start", "--on", "slurm", "--nodes", "1", status=1)
    assert "no server of this user is known" in rain("status", status=1)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("start --on cloud", 1, "no places can be had from 'cloud'; they can from 'slurm', 'pbs', 'sge'"),
        ("start --on slurm --nods 3", 1, "no option 'nods': do you mean nodes?"),
        ("start --on slurm --time soon", 1, "'soon' is not a time"),
        ("start --on slurm --time 10", 1, "'10' means minutes to Slurm, and seconds elsewhere: write 10m or 10s"),
        (
            "start --on slurm --memory 4000",
            1,
            "memory 4000 of a place is 4000 bytes, which nothing can run in: write 4000M",
        ),
        ("start --on slurm --simple", 1, "choose one of"),
        ("start --nodes 3", 2, "No such option: --nodes, but pools have it: name their engine, too"),
        ("start --gpus=0,1", 2, "No such option: --gpus=0,1, but pools have it"),
        ("start junk", 2, "No such option: junk"),
        ("pool add slurm", 1, "no server of this user is known"),
        ("pool add", 2, "Missing"),
        ("pool remove x", 1, "there is no pool x; those that are open: none"),
        ("pool scale x -1", 2, "-1"),
    ],
)
def test_what_has_no_meaning_is_refused(rain: Rain, words: str, status: int, text: str) -> None:
    assert text in rain(*words.split(), status=status)
