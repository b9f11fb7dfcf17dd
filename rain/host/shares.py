"""What of its host this process may use: cpus, memory, a folder for scratch files; each with what says so.

Several sources tell, and all of them hold: the affinity of the process and its control group, which the kernel
enforces, and the variables of the batch system, which hold where nothing is enforced (Slurm without control groups lets
a job use all cpus, and then ends it for its memory). The least counts.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

from rain.host.cgroup import cpu_limits, memory_limits
from rain.host.lacking.unix import resource

_MIB = 1 << 20


class Share(NamedTuple):
    """What this process may use of something.

    Attributes
    ----------
    amount : float
        Cpus, or bytes.
    source : str
        What says so, for logs and `rain doctor`.
    """

    amount: float
    source: str


def cpu_share(environment: Mapping[str, str] = os.environ, root: str = "/") -> Share:
    """The cpus that this process may use, whole ones, at least 1.

    Parameters
    ----------
    environment : mapping of str to str
    root : str
        A folder that stands for ``/``.

    Examples
    --------
    >>> cpu_share({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1"})
    Share(amount=1, source='SLURM_CPUS_ON_NODE=1')
    """
    found = list(_batch_cpus(environment))
    found += [Share(quota, f"control group {folder}") for quota, folder in cpu_limits(root)]
    if hasattr(os, "sched_getaffinity"):
        found.append(Share(len(os.sched_getaffinity(0)), "the process's cpu affinity"))
    found.append(Share(os.cpu_count() or 1, "the machine"))
    least = min(found, key=lambda share: share.amount)
    return Share(max(1, int(least.amount + 0.5)), least.source)


def memory_share(environment: Mapping[str, str] = os.environ, root: str = "/") -> Share:
    """The memory that this process may count on, bytes; other parameters as of `cpu_share`."""
    found = list(_batch_memory(environment))
    found += [Share(limit, f"control group {folder}") for limit, folder in memory_limits(root)]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append(Share(soft, "RLIMIT_AS (ulimit -v)"))
    found.append(Share(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "the machine"))
    least = min(found, key=lambda share: share.amount)
    return Share(int(least.amount), least.source)


SCRATCH = ("SLURM_TMPDIR", "PBS_JOBFS", "JOBFS", "_CONDOR_SCRATCH_DIR")
"""Variables in which sites and batch systems name a job's own folder on the host; most put it into TMPDIR."""


def scratch_folder(environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Where large files may be put on this host, and what says so.

    Examples
    --------
    >>> scratch_folder({"SLURM_TMPDIR": "/"})
    ('/', 'SLURM_TMPDIR')
    """
    for name in SCRATCH:
        folder = environment.get(name, "")
        if os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder, name
    used, passed_over = tempfile.gettempdir(), ""
    for name in ("TMPDIR", "TEMP", "TMP"):
        folder = environment.get(name, "")
        if folder and os.path.abspath(folder) == used:
            return used, name + passed_over
        passed_over += f"; {name}={folder} cannot be written" if folder else ""
    return used, "the system's folder" + passed_over


# -- batch systems --------------------------------------------------------------------------------


def _batch_cpus(environment: Mapping[str, str]) -> list[Share]:
    """What variables of batch systems say of cpus of one process on this host."""
    names: tuple[str, ...] = ()
    if "SLURM_JOB_ID" in environment:
        # Of a step of several processes a node each has its own; without it they divide what the job has of the node.
        names = ("SLURM_CPUS_PER_TASK",) if _number(environment, "SLURM_CPUS_PER_TASK") else ("SLURM_CPUS_ON_NODE",)
    elif "PBS_JOBID" in environment:
        names = ("PBS_NUM_PPN", "NCPUS")
    elif "LSB_JOBID" in environment and len(environment.get("LSB_MCPU_HOSTS", "").split()) == 2:
        names = ("LSB_DJOB_NUMPROC",)
    elif "SGE_TASK_ID" in environment and environment.get("NHOSTS", "1") == "1":
        names = ("NSLOTS",)
    elif "SGE_TASK_ID" in environment:
        return _slots_here(environment.get("PE_HOSTFILE", ""), socket.gethostname())
    found = []
    for name in names:
        number = _number(environment, name)
        if number:
            beside = _beside(environment) if name == "SLURM_CPUS_ON_NODE" else 1
            words = f"{name}={number}" + (f", for {beside} processes" if beside > 1 else "")
            found.append(Share(max(1, number // beside), words))
    return found


def _slots_here(path: str, host: str) -> list[Share]:
    """What Grid Engine's file of a job's hosts says of this one: a line is ``HOST SLOTS QUEUE PROCESSORS``."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return []
    here = [line for line in lines if len(line) > 1 and line[0].partition(".")[0] == host.partition(".")[0]]
    slots = sum(int(line[1]) for line in here if line[1].isdecimal())
    return [Share(slots, f"{slots} slots in PE_HOSTFILE")] if slots else []


def _beside(environment: Mapping[str, str]) -> int:
    """How many processes of this one's Slurm step are on its node."""
    node = _number(environment, "SLURM_NODEID") or 0
    for counts in re.finditer(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "")):
        times = int(counts[2] or 1)
        if node < times:
            return max(1, int(counts[1]))
        node -= times
    return 1


def _batch_memory(environment: Mapping[str, str]) -> list[Share]:
    if "SLURM_JOB_ID" not in environment:
        return []
    whole = _number(environment, "SLURM_MEM_PER_NODE")
    if whole:
        return [Share(whole * _MIB, f"SLURM_MEM_PER_NODE={whole}")]
    each, cpus = _number(environment, "SLURM_MEM_PER_CPU"), _number(environment, "SLURM_CPUS_ON_NODE")
    if each and cpus:
        return [Share(each * cpus * _MIB, f"SLURM_MEM_PER_CPU={each}, for {cpus} cpus")]
    return []


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None
