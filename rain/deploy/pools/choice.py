"""Which engine is meant, and what places of it are to have."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rain.common.errors import RainException
from rain.common.suggestions.nearest import nearest
from rain.deploy.engines.batch import BatchSystem
from rain.deploy.engines.jobs import jobs_of
from rain.deploy.engines.pbs import Pbs
from rain.deploy.engines.provider import blocks_of, is_provider
from rain.deploy.engines.sge import GridEngine
from rain.deploy.engines.slurm import Slurm
from rain.deploy.engines.steps import hosts_inside, steps_in
from rain.deploy.frameworks.dask_places import dask_on, worker_count
from rain.deploy.frameworks.ray_places import ray_on
from rain.deploy.hosts.supplier import hosts_of, towards_hosts
from rain.deploy.pools.supplier import Supply

_OPTION = inspect.Parameter.KEYWORD_ONLY
BATCH_SYSTEMS: dict[str, BatchSystem] = {system.name: system for system in (Slurm(), Pbs(), GridEngine())}
"""Whose jobs can be places, by the names that users give them."""
SUPPLIES: dict[str, Callable[..., Supply]] = {
    **{name: partial(jobs_of, system) for name, system in BATCH_SYSTEMS.items()},
    "ssh": hosts_of,
    "dask": dask_on,
    "ray": ray_on,
    "allocation": partial(steps_in, os.environ),
    "parsl": blocks_of,
}
"""What makes suppliers, by the names that users give the engines; keyword arguments are the options of places."""
_OF_DASK = ("distributed.client.Client", "distributed.deploy.cluster.Cluster")  # Dask is not loaded for this


def named(engine: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """An engine's name, and all options: a list of hosts means ``"ssh"``, a client or cluster of Dask ``"dask"``, a
    provider of parsl ``"parsl"``.

    Examples
    --------
    >>> named(["n1", "n2"], {"cpus": 4})
    ('ssh', {'hosts': ['n1', 'n2'], 'cpus': 4})
    """
    if isinstance(engine, list | tuple):
        return "ssh", {"hosts": list(engine), **options}
    if any(f"{above.__module__}.{above.__name__}" in _OF_DASK for above in type(engine).__mro__):
        return "dask", {"scheduler": engine, **options}
    if is_provider(engine):
        return "parsl", {"provider": engine, **options}
    return engine, dict(options)


def asks_ahead(engine: Any) -> bool:
    """Whether places can be asked for while their server still starts: their suppliers are `AsksAhead`."""
    name, _ = named(engine, {})
    return name in BATCH_SYSTEMS or name in ("allocation", "parsl")


def all_places(engine: Any, options: Mapping[str, Any]) -> int | None:
    """How many places there are where that is known beforehand: one on each host, or in each worker of Dask."""
    name, options = named(engine, options)
    if name == "dask":
        return worker_count(options.get("scheduler", ""))
    if name == "allocation":
        return len(hosts_inside(os.environ))
    return len(set(options.get("hosts", ()))) if name == "ssh" else None


def address_towards(engine: Any, options: Mapping[str, Any]) -> str:
    """The address of this machine from which it reaches the engine's hosts; empty where that is not known."""
    name, options = named(engine, options)
    return towards_hosts(**options) if name == "ssh" else ""


def supply_of(engine: Any, **options: Any) -> Supply:
    """What starts places on an engine.

    Parameters
    ----------
    engine : str, list of str or object
        The name of one in `SUPPLIES`; or a list of hosts that are reached over ssh, or Dask's client or cluster, or a
        provider of parsl.
    **options
        As the engine's function in `SUPPLIES` takes them; for batch systems see `rain.deploy.engines.jobs.jobs_of`.

    Raises
    ------
    RainException
        If there is no such engine, or an option has no meaning there.
    """
    _, implied = named(engine, {})
    engine, options = named(engine, options)
    known = options_of(engine)
    for name in options:
        if name not in known:
            raise RainException(no_such_option(name, engine, [name for name in known if name not in implied]))
    return SUPPLIES[engine](**options)


def options_of(engine: Any) -> dict[str, str]:
    """The options of places on an engine, and the types that the function of the engine declares for them.

    Raises
    ------
    RainException
        If there is no such engine.

    Examples
    --------
    >>> options_of("slurm")["cpus"]
    'int'
    """
    if not isinstance(engine, str) or engine not in SUPPLIES:
        raise RainException(f"no places can be had from {engine!r}; they can from {', '.join(map(repr, SUPPLIES))}")
    parameters = inspect.signature(SUPPLIES[engine]).parameters.values()
    return {parameter.name: str(parameter.annotation) for parameter in parameters if parameter.kind is _OPTION}


def no_such_option(name: str, engine: str, known: Sequence[str]) -> str:
    """What is said of an option that places of an engine do not have."""
    meant = nearest(name, known)
    hint = f": do you mean {meant}?" if meant else "."
    return f"places of {engine!r} have no option {name!r}{hint} They have {', '.join(known)}."
