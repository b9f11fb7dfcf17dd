"""What Rain runs in a Dask worker: a plugin with the governor, and a task that keeps the worker.

Functions here are sent to workers by name; Rain has to be installed in their Python. The plugin is made in the worker
and added there: Dask's scheduler, which keeps and shows the plugins that clients register, has nothing of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from distributed import get_worker, secede
from distributed.diagnostics.plugin import WorkerPlugin

from rain.common.limits import LEAVE_S, STORE_MEMORY_SHARE
from rain.deploy.frameworks.held import HeldGovernor, HeldState, first_gpus

PREFIX = "rain-place-"


class PlacePlugin(WorkerPlugin):  # type: ignore[misc]
    """The governor of one place; it ends before its worker does."""

    def __init__(self) -> None:
        self.held = HeldGovernor()

    async def teardown(self, worker: Any) -> None:
        # Dask waits for it when it retires a worker; when it has no time for that the governor's lifeline breaks.
        await asyncio.to_thread(self.held.end, LEAVE_S)


def _places(worker: Any) -> dict[str, PlacePlugin]:
    return {name: plugin for name, plugin in worker.plugins.items() if name.startswith(PREFIX)}


async def reserve(name: str, dask_worker: Any) -> bytes | str:
    """Make a place called `name` on this worker, if none is there.

    Returns
    -------
    bytes or str
        The key for which its token is to be sealed; or the name of the place that is there.
    """
    for other, plugin in _places(dask_worker).items():
        if not plugin.held.is_over:
            return other
        await dask_worker.plugin_remove(name=other)
    plugin = PlacePlugin()
    await dask_worker.plugin_add(plugin=plugin, name=name, catch_errors=False)
    return plugin.held.public


async def begin(
    name: str,
    tokens: Mapping[str, bytes],
    server: str,
    cpus: int,
    gpus: int,
    arguments: Sequence[str],
    dask_worker: Any,
) -> None:
    """Start the governor of the place that was reserved.

    Parameters
    ----------
    name : str
    tokens : mapping of str to bytes
        Sealed, by the address of the worker.
    server : str
        ``host:port``.
    cpus, gpus : int
        What it has; 0 cpus: as many as the worker has threads.
    arguments : sequence of str
        Further words of ``rain governor``.

    Raises
    ------
    RainException
        If the worker sees fewer GPUs, or no process can be started.
    """
    held = _places(dask_worker)[name].held
    try:
        words = ["--cpus", str(cpus or dask_worker.state.nthreads), "--gpus", first_gpus(gpus)]
        memory = dask_worker.memory_manager.memory_limit
        if memory:
            words += ["--store-memory", str(int(memory * STORE_MEMORY_SHARE))]
        held.begin(tokens[dask_worker.address], server, [*words, *arguments])
    except BaseException:
        await dask_worker.plugin_remove(name=name)
        raise


async def look(name: str, dask_worker: Any) -> HeldState | None:
    """What is known of the place called `name`; None if it is not here."""
    place = _places(dask_worker).get(name)
    return None if place is None else place.held.state()


async def leave(name: str, dask_worker: Any) -> None:
    """Tell its governor to leave."""
    place = _places(dask_worker).get(name)
    if place is not None:
        place.held.leave()


async def forget(name: str, dask_worker: Any) -> None:
    """Remove the place, whose governor has ended."""
    if name in _places(dask_worker):
        await dask_worker.plugin_remove(name=name)


def hold(name: str) -> None:
    """A task that lasts as long as the governor of a place: Dask sees that its worker is in use.

    It takes no thread from other tasks.
    """
    place = get_worker().plugins.get(name)
    if place is not None:
        secede()
        place.held.wait()


def nothing() -> None:
    """A task that no worker can run: Dask sees that another worker is wanted."""
