"""What tasks do not inherit of a governor's environment: what batch systems and others tell the processes of a job.

An ``mpirun`` inside a task that sees these takes itself for the step in which the governor runs, and waits for peers
that it has not; a Dask or Ray client in a task connects to the cluster that supplied the host.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, MutableMapping

from rain.common.task_configs import SLURM_JOB, SLURM_NODE

OF_ENGINES = (
    "SLURM_*",
    "SLURMD_*",
    "SBATCH_*",
    "SRUN_*",
    "SALLOC_*",
    "PBS_*",
    "LSB_*",
    "LSF_*",
    "PE_HOSTFILE",
    "FLUX_*",
    "PMI_*",
    "PMI2_*",
    "PMIX_*",
    "PRTE_*",
    "OMPI_*",
    "MPIEXEC_*",
    "HYDRA_*",
    "I_MPI_HYDRA_*",
    "RAY_*",
    "DASK_*",
)
STAY = ("SLURM_CONF",)
"""These say where an engine is, not what this job is: ``sbatch`` and ``squeue`` in a task need them."""


def tell_job(environment: MutableMapping[str, str]) -> None:
    """Set the variables by which tasks know the job of Slurm that this is, if it is one.

    Examples
    --------
    >>> variables = {"SLURM_JOB_ID": "17", "SLURMD_NODENAME": "n2"}
    >>> tell_job(variables)
    >>> variables[SLURM_JOB], variables[SLURM_NODE]
    ('17', 'n2')
    """
    for name, told in ((SLURM_JOB, "SLURM_JOB_ID"), (SLURM_NODE, "SLURMD_NODENAME")):
        environment.pop(name, None)  # of a task that has started this governor
        if told in environment:
            environment[name] = environment[told]


def drop_engine_variables(environment: MutableMapping[str, str], asked: Iterable[str] = ()) -> list[str]:
    """Remove the variables of engines.

    Parameters
    ----------
    environment : dict of str to str
        As ``os.environ``; changed.
    asked : iterable of str
        Patterns of those that tasks shall have all the same, as ``SLURM_*``.

    Returns
    -------
    list of str
        The names of those that were removed.

    Examples
    --------
    >>> variables = {"SLURM_PROCID": "3", "SLURM_JOB_ID": "77", "SLURM_CONF": "/etc/x", "RAYON_NUM_THREADS": "2"}
    >>> drop_engine_variables(variables, ["SLURM_JOB_*"])
    ['SLURM_PROCID']
    >>> sorted(variables)
    ['RAYON_NUM_THREADS', 'SLURM_CONF', 'SLURM_JOB_ID']
    """
    stay = (*STAY, *asked)
    dropped = [name for name in environment if _like(name, OF_ENGINES) and not _like(name, stay)]
    for name in dropped:
        del environment[name]
    return dropped


def _like(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
