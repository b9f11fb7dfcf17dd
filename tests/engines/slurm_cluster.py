"""A real Slurm for tests: 22.05 of Debian 12 (slurm.conf(5), cgroup.conf(5))."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.engines import hosts
from tests.engines.hosts import LOGIN, NETWORK, Hosts

PROGRAMS = {"slurmctld": "slurm-wlm", "sbatch": "slurm-client", "munged": "munge"}
"""What it needs, and the Debian packages that have it."""

_CONFIGURATION = """\
ClusterName=rain
SlurmctldHost=login({login})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd.%n
{tracking}
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
NodeName=DEFAULT CPUs={cpus} RealMemory=4000 State=UNKNOWN
{hosts}
PartitionName=main Nodes=ALL Default=YES DefMemPerCPU=1000 MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=4
PartitionName=urgent Nodes=ALL DefMemPerCPU=1000 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
_TRACKING = """\
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none"""
_LIMITING = """\
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup,task/affinity
JobAcctGatherType=jobacct_gather/linux"""
_LIMITS = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint={groups}
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainCores=yes
"""
_GROUPS = Path("/sys/fs/cgroup")
_DAEMONS = """\
munged --force --key-file={folder}/munge/key --socket={folder}/munge/socket --pid-file={folder}/munge/pid \\
    --log-file={folder}/log/munged --seed-file={folder}/munge/seed
slurmctld -f {folder}/slurm.conf"""


def missing() -> str:
    """Why no Slurm can run here; empty if one can."""
    return hosts.missing(PROGRAMS)


def no_limits() -> str:
    """Why Slurm cannot limit jobs here; empty if it can."""
    there = os.access(_GROUPS / "memory" / "memory.limit_in_bytes", os.W_OK)
    return "" if there else "needs control groups of version 1, for memory"


class SlurmCluster(Hosts):
    """Slurm's controller on the login node, and hosts n1, n2, …

    Parameters
    ----------
    folder : Path
        See `Hosts`, as of `kept`.
    count, cpus : int
        How many hosts, and cpus of each.
    kept : sequence of Path
    limits : bool
        Whether jobs have no more cpus and memory than they ask for.
    """

    def __init__(
        self, folder: Path, count: int = 3, cpus: int = 2, kept: Sequence[Path] = (), limits: bool = False
    ) -> None:
        self._limits = limits
        numbers = range(1, count + 1)
        for name in ("munge", "state", *(f"spool.n{number}" for number in numbers)):
            (folder / name).mkdir()
        (folder / "munge").chmod(0o700)
        key = folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        nodes = "\n".join(f"NodeName=n{n} NodeHostname=n{n} NodeAddr={NETWORK}.{n}" for n in numbers)
        file = folder / "slurm.conf"
        tracking = _LIMITING if limits else _TRACKING
        (folder / "cgroup.conf").write_text(_LIMITS.format(groups=_GROUPS) if limits else "")
        file.write_text(_CONFIGURATION.format(folder=folder, login=LOGIN, cpus=cpus, hosts=nodes, tracking=tracking))
        daemon = f"exec slurmd -D -f {file} -N n$number"
        super().__init__(folder, count, kept, _DAEMONS.format(folder=folder), daemon, {"SLURM_CONF": str(file)})

    def close(self) -> None:
        super().close()
        if self._limits:  # groups outlive what was in them
            for top in (group for number in self.numbers for group in _GROUPS.glob(f"*/slurm_n{number}")):
                for group, _, _ in os.walk(top, topdown=False):
                    os.rmdir(group)

    def idle(self) -> int:
        with self.start(["sinfo", "-h", "-p", "main", "-t", "idle", "-o", "%D"]) as process:
            output, _ = process.communicate()
        return int(output) if output.strip().isdigit() else 0

    def jobs(self) -> dict[str, str]:
        """States of jobs by id, those that ended lately among them."""
        lines = self.run("squeue", "-h", "-t", "all", "-o", "%i %T").split("\n")
        return dict(line.split() for line in lines if line.strip())
