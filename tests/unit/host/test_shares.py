"""What this process may use of its host, and what says so."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from rain.host import shares
from rain.host.shares import cpu_share, memory_share, scratch_folder

GIB = 1 << 30
MIB = 1 << 20


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cpus and 256 GiB, all of which this process may use."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    pages = 256 * GIB // os.sysconf("SC_PAGE_SIZE")
    real = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: pages if name == "SC_PHYS_PAGES" else real(name))
    monkeypatch.setattr(shares.resource, "getrlimit", lambda which: (shares.resource.RLIM_INFINITY,) * 2)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("environment", "cpus", "source"),
    [
        ({}, 64, "the process's cpu affinity"),
        ({"SLURM_CPUS_ON_NODE": "2"}, 64, "the process's cpu affinity"),  # a job's child that is in no job any more
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "16"}, 16, "SLURM_CPUS_ON_NODE=16"),
        (
            {
                "SLURM_JOB_ID": "1",
                "SLURM_CPUS_ON_NODE": "16",
                "SLURM_STEP_TASKS_PER_NODE": "1,4(x2)",
                "SLURM_NODEID": "2",
            },
            4,
            "SLURM_CPUS_ON_NODE=16, for 4 processes",
        ),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "16", "SLURM_CPUS_PER_TASK": "8"}, 8, "SLURM_CPUS_PER_TASK=8"),
        ({"PBS_JOBID": "1.srv", "NCPUS": "12"}, 12, "NCPUS=12"),
        ({"PBS_JOBID": "1.srv", "PBS_NUM_PPN": "6", "NCPUS": "12"}, 6, "PBS_NUM_PPN=6"),
        ({"SGE_TASK_ID": "undefined", "NSLOTS": "3"}, 3, "NSLOTS=3"),
        ({"SGE_TASK_ID": "undefined", "NSLOTS": "30", "NHOSTS": "4"}, 64, "the process's cpu affinity"),
        ({"LSB_JOBID": "5", "LSB_MCPU_HOSTS": "n1 7", "LSB_DJOB_NUMPROC": "7"}, 7, "LSB_DJOB_NUMPROC=7"),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "lots"}, 64, "the process's cpu affinity"),
    ],
)
def test_cpus_of_batch_jobs(environment: dict[str, str], cpus: int, source: str, tmp_path: Path) -> None:
    assert cpu_share(environment, str(tmp_path)) == (cpus, source)


@pytest.mark.usefixtures("large")
def test_the_least_counts(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job\n")
    group = tmp_path / "sys/fs/cgroup/job"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("250000 100000\n")
    (group / "memory.max").write_text(f"{400 * MIB}\n")
    environment = {"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_NODE": "4000"}
    assert cpu_share(environment, str(tmp_path)) == (3, f"control group {group}")
    assert memory_share(environment, str(tmp_path)) == (400 * MIB, f"control group {group}")


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("environment", "size", "source"),
    [
        ({}, 256 * GIB, "the machine"),
        ({"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "300"}, 300 * MIB, "SLURM_MEM_PER_NODE=300"),
        ({"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "0"}, 256 * GIB, "the machine"),  # all of it
        (
            {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "4"},
            4000 * MIB,
            "SLURM_MEM_PER_CPU=1000, for 4 cpus",
        ),
    ],
)
def test_memory_of_batch_jobs(environment: dict[str, str], size: int, source: str, tmp_path: Path) -> None:
    assert memory_share(environment, str(tmp_path)) == (size, source)


@pytest.mark.usefixtures("large")
def test_a_limit_of_the_shell_counts_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shares.resource, "getrlimit", lambda which: (2 * GIB, 2 * GIB))
    assert memory_share({}, str(tmp_path)) == (2 * GIB, "RLIMIT_AS (ulimit -v)")


def test_a_jobs_own_folder_is_used_if_it_can_be(tmp_path: Path) -> None:
    assert scratch_folder({"SLURM_TMPDIR": str(tmp_path)}) == (str(tmp_path), "SLURM_TMPDIR")
    assert scratch_folder({"SLURM_TMPDIR": "relative", "JOBFS": str(tmp_path)}) == (str(tmp_path), "JOBFS")
    missing = str(tmp_path / "none")
    used = tempfile.gettempdir()
    assert scratch_folder({"SLURM_TMPDIR": missing, "TMPDIR": used}) == (used, "TMPDIR")
    told = f"TEMP; TMPDIR={missing} cannot be written"
    assert scratch_folder({"TMPDIR": missing, "TEMP": f"{used}/"}) == (used, told)
    told = f"the system's folder; TMPDIR={missing} cannot be written"
    assert scratch_folder({"TMPDIR": missing}) == (used, told)
    assert scratch_folder({"SLURM_TMPDIR": missing}) == (used, "the system's folder")


@pytest.mark.usefixtures("large")
def test_slots_of_a_job_of_grid_engine_on_several_hosts(tmp_path: Path) -> None:
    file = tmp_path / "pe_hostfile"
    name = socket.gethostname()
    file.write_text(f"elsewhere 4 main@elsewhere UNDEFINED\n{name} 1 a@x UNDEFINED\n{name}.site 2 b@x UNDEFINED\n")
    environment = {"SGE_TASK_ID": "undefined", "NSLOTS": "7", "NHOSTS": "2", "PE_HOSTFILE": str(file)}
    assert cpu_share(environment, str(tmp_path)) == (3, "3 slots in PE_HOSTFILE")
    nowhere = {**environment, "PE_HOSTFILE": "/nowhere"}
    assert cpu_share(nowhere, str(tmp_path)) == (64, "the process's cpu affinity")
