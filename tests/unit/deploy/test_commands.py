"""Commands of engines: what of this process's surroundings they see, and how they are ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from rain.common.errors import RainException
from rain.deploy.engines import commands
from rain.deploy.engines.batch import Order
from rain.deploy.engines.jobs import JobSupplier
from rain.deploy.engines.slurm import Slurm
from rain.deploy.pools.folder import PoolFolder
from rain.host.process_table import is_alive
from tests.support.commands import write_command
from tests.support.slurm_stand_in import SlurmStandIn
from tests.support.waiting import until


def test_filters_of_the_user_hide_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """With SQUEUE_PARTITION=debug all places elsewhere would be taken for ended, while they run and cost."""
    for name in ("SQUEUE_PARTITION", "SQUEUE_ACCOUNT", "SCANCEL_STATE", "SCANCEL_INTERACTIVE", "SLURM_TIME_FORMAT"):
        monkeypatch.setenv(name, "x")
    kept = ("SLURM_CONF", "SBATCH_ACCOUNT", "SLURM_CLUSTERS", "PBS_CONF_FILE", "PBS_SERVER", "PBS_DEFAULT")
    for name in kept:
        monkeypatch.setenv(name, "x")
    found = commands.engine_environment()
    assert {name for name in found if name.startswith(("SQUEUE", "SCANCEL", "SLURM", "SBATCH", "PBS"))} == {*kept}


def test_a_command_that_does_not_answer_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site's sbatch is often a script around the real one, which would submit a minute later, for no place."""
    monkeypatch.setattr(commands, "ENGINE_COMMAND_S", 0.3)
    write_command(tmp_path / "sbatch", f"#!/bin/sh\nsleep 1000 & echo $! >{tmp_path}/pid\nwait\n")
    with pytest.raises(RainException, match=r"has not answered within 0\.3 s"):
        commands.output_of([str(tmp_path / "sbatch")], "slurm")
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not is_alive(pid))


def test_a_word_that_no_command_can_have_is_refused() -> None:
    with pytest.raises(RainException, match="sbatch cannot be started: embedded null byte"):
        commands.output_of(["sbatch", "--account=\0"], "slurm")


def test_what_was_submitted_without_an_id_is_cancelled_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = SlurmStandIn(tmp_path)
    monkeypatch.setenv("PATH", batch.path)
    write_command(tmp_path / "bin" / "sbatch", "#!/bin/sh\necho Thank you for using our cluster\n")
    supplier = JobSupplier(Slurm(), "10.0.0.1:7210", Order(), PoolFolder("the-token", tmp_path / "shared"))
    with pytest.raises(RainException, match="sbatch printed no job id but 'Thank you"):
        supplier.ask(1)
    assert "--name=rain-" in (tmp_path / "cancelled").read_text()


def test_lists_of_several_clusters_are_read() -> None:
    shown = Slurm().shown("CLUSTER: a\n1|RUNNING|None|N/A|1:00\n\nCLUSTER: b\n2|PENDING|Priority|N/A|1:00\n")
    assert {number: job.word for number, job in shown.items()} == {"1": "RUNNING", "2": "PENDING"}
