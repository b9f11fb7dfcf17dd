"""`rain doctor`, here and for Slurm, with stand-ins for its commands of which `sbatch` runs the job at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import write_command
from tests.support.slurm_stand_in import SlurmStandIn

_SBATCH = """#!/bin/sh
log=$(sed -n 's/^#SBATCH --output=//p' "$1")
sh "$1" >"$log" 2>&1
echo "1|COMPLETED|None|N/A" >>{folder}/jobs
echo "Submitted batch job 1"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> SlurmStandIn:
    made = SlurmStandIn(tmp_path)
    write_command(made.folder / "bin" / "sbatch", _SBATCH.format(folder=made.folder))
    return made


def doctor(slurm: SlurmStandIn, *words: str, status: int, **environment: str) -> str:
    settings = {
        **os.environ, "PATH": slurm.path, "XDG_STATE_HOME": str(slurm.folder / "state"), **environment
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rain", "doctor", *words],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_job_tells_what_it_has_and_that_it_reaches_this_host(slurm: SlurmStandIn) -> None:
    told = doctor(slurm, "slurm", "--cpus", "1", status=0)
    for text in (
        f"{slurm.folder}/bin/squeue",
        "job 1",
        "completed",
        "a governor here has",
        "libraries  ",
        "was reached from there",
    ):
        assert text in told, told
    assert "\nfailure" not in told
    assert [path.name for path in (slurm.folder / "state/rain/pools").iterdir()] == []


def test_what_is_not_well_has_its_cause(slurm: SlurmStandIn) -> None:
    told = doctor(slurm, "slurm", "--python", "/nowhere/python", status=1)
    assert "\nfailure" in told, told
    assert "/nowhere/python" in told
    write_command(slurm.folder / "bin" / "sbatch", "#!/bin/sh\necho no such partition >&2\nexit 1\n")
    assert "no such partition" in doctor(slurm, "slurm", status=1)
    nowhere = slurm.folder / "nowhere"
    nowhere.mkdir()
    assert "is not on this host: slurm is used where its commands are" in doctor(
        slurm, "slurm", status=1, PATH=str(nowhere)
    )


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("cloud", 1, "'cloud' is no batch system; rain doctor can check slurm, pbs, sge"),
        ("slurm --nodes 4", 1, "have no option 'nodes'"),
        ("--nodes 4", 1, "'--nodes' is no batch system"),
    ],
)
def test_what_has_no_meaning_is_refused(slurm: SlurmStandIn, words: str, status: int, text: str) -> None:
    assert text in doctor(slurm, *words.split(), status=status)


def test_this_machine_is_looked_at_and_runs_a_task(slurm: SlurmStandIn, tmp_path: Path) -> None:
    own = tmp_path / "run"
    own.mkdir(mode=0o700)
    told = doctor(slurm, status=0, XDG_RUNTIME_DIR=str(own), RAIN_TOKEN="rain1-c2VjcmV0")
    for what in ("python", "rain", "libraries", "rain[notebook]", "scratch files", "clock", "shared memory", "a task"):
        assert re.search(rf"^(ok|warning) +{re.escape(what)} ", told, re.MULTILINE), told
    assert "0 failures" in told
    assert "c2VjcmV0" not in told
    assert not list(own.iterdir()), "it leaves nothing behind"


def test_a_failure_has_a_cure_and_an_exit_status(slurm: SlurmStandIn, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    told = doctor(
        slurm, status=1, TMPDIR=str(tmp_path), XDG_RUNTIME_DIR=str(_with_open_key(tmp_path)), SLURM_TMPDIR=str(nowhere)
    )
    assert re.search(r"^failure +keys .* is open to other users .*\n +what to do: chmod 600 ", told, re.MULTILINE), told


def _with_open_key(tmp_path: Path) -> Path:
    own = tmp_path / "run"
    folder = own / "rain"
    folder.mkdir(parents=True, mode=0o700)
    os.chmod(own, 0o700)
    (folder / "7210.json").write_text("{}")
    os.chmod(folder / "7210.json", 0o644)
    return own
