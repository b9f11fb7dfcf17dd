"""Engines: what supplies the hosts on which governors run, one class each."""

from __future__ import annotations

from collections.abc import Mapping

from rain.common.errors import RainException
from rain.deploy.engines.engine import Engine
from rain.deploy.engines.pbs import Pbs
from rain.deploy.engines.sge import GridEngine
from rain.deploy.engines.slurm import Slurm

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (GridEngine(), Pbs(), Slurm())}
"""All engines that give hosts to a job, by name."""


def engine_of(name: str) -> Engine:
    """The engine called `name`.

    Parameters
    ----------
    name : str

    Raises
    ------
    RainException
        If there is none.

    Examples
    --------
    >>> engine_of("slurm").hosts({"SLURM_JOB_NODELIST": "n[1-2]"})
    {'n1': 0, 'n2': 1}
    """
    if name not in ENGINES:
        raise RainException(f"there is no engine {name!r}; known are {', '.join(ENGINES)}")
    return ENGINES[name]


def engine_inside(environment: Mapping[str, str]) -> Engine:
    """The engine in whose job this process runs.

    Parameters
    ----------
    environment : mapping of str to str
        The process's environment variables.

    Raises
    ------
    RainException
        If it runs in none.
    """
    for engine in ENGINES.values():
        if environment.get(engine.job_variable):
            return engine
    raise RainException(f"this process runs in no job of {' or '.join(ENGINES)}")
