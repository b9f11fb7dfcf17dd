"""Places in the workers of a Dask cluster, one a worker.

Theory of operation
-------------------
A Dask worker is what a Dask cluster counts, limits and retires: it has a number of threads and a limit of memory, and a
governor in it takes just these. (One governor a host would have to end whenever the one worker that holds it is
retired. Governors on one host map each other's objects, so several of them copy nothing.)

Each place has two parts in its worker: a plugin, in which the governor runs, and a task of Dask that lasts as long.
Without the task Dask takes the worker for idle, since it sees no work of its own, and ``adapt`` retires it. The task is
pinned to its worker, and secedes at once, so that it takes no thread.

Where there are more places than workers, tasks that no worker can run say to ``adapt`` that more are wanted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import FRAMEWORK_ANSWER_S, FRAMEWORK_STEP_S
from rain.deploy.frameworks.held import HeldState
from rain.deploy.frameworks.supplier import FrameworkSupplier, Spot, check_counts, check_words
from rain.deploy.pools.supplier import Supplier, Supply
from rain.net.sealing import sealed

log = logging.getLogger("rain.deploy")

_WANTED = "rain-wanted"
_CONNECT_S = 20.0


class DaskSupplier(FrameworkSupplier):
    """Places in the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Of the pool alone.
    server : str
        ``host:port`` as workers reach it.
    token : str
        For governors.
    cpus, gpus : int
        Of each place; 0 cpus: as many as its worker has threads.
    arguments : sequence of str
        Further words of ``rain governor``.
    """

    def __init__(
        self, client: Any, server: str, token: str, cpus: int = 0, gpus: int = 0, arguments: Sequence[str] = ()
    ) -> None:
        from rain.deploy.frameworks import dask_worker

        super().__init__("dask", token)
        self._client = client
        self._server = server
        self._asked = (cpus, gpus, list(arguments))  # of each place
        self._there = dask_worker
        self._place = f"{dask_worker.PREFIX}{os.urandom(4).hex()}"
        self._holders: dict[int, Any] = {}
        self._wanted: list[Any] = []
        self._durations_are_told = False
        self._threads = 0  # of the smallest worker

    @property
    def resources(self) -> dict[str, float]:
        cpus, gpus, _ = self._asked
        found = {"cpus": float(cpus or self._threads), "gpus": float(gpus)}
        return {name: amount for name, amount in found.items() if amount}

    def advance(self, spots: list[Spot]) -> None:
        try:
            threads = self._workers()
        except RainException:
            if not self._closed and self._client.status not in ("closing", "closed"):
                raise  # it may come back
            for spot in spots:  # workers end with their scheduler, and governors with their workers
                self._end(spot, "DASK LOST")
            return
        self._look([spot for spot in spots if spot.begun], threads)
        if not self._closed:
            self._settle([spot for spot in spots if not spot.begun and not spot.told.ended], threads)
        waiting = [spot for spot in spots if not spot.begun and not spot.told.ended]
        for spot in waiting:
            spot.waits_for = f"Dask has {len(threads)} workers, none of them without a governor"
        self._want(0 if self._closed else len(waiting), threads)

    def leave(self, spots: list[Spot]) -> None:
        self._run(self._there.leave, [spot.at for spot in spots], FRAMEWORK_ANSWER_S, self._place)

    def finish(self) -> None:
        try:
            self._want(0, {})
            self._client.close(timeout=FRAMEWORK_ANSWER_S)
        except Exception as error:
            log.info("Dask was gone before the pool on it was: %s", _told(error))

    # -- the steps of a place -------------------------------------------------------------------

    def _look(self, spots: list[Spot], threads: dict[str, int]) -> None:
        for spot in spots:
            if spot.at not in threads:
                self._end(spot, "WORKER LOST")
        there = {spot.at: spot for spot in spots if not spot.told.ended}
        for worker, answer in self._run(self._there.look, there, FRAMEWORK_ANSWER_S, self._place).items():
            if isinstance(answer, Exception):
                log.info("the Dask worker %s does not say how its governor is: %r", worker, answer)
            elif answer is None:
                self._end(there[worker], "WORKER RESTARTED")
            else:
                there[worker].told = HeldState(*answer)
        ended = [worker for worker, spot in there.items() if spot.told.ended]
        self._run(self._there.forget, ended, FRAMEWORK_ANSWER_S, self._place)
        for worker in ended:
            self._release(there[worker])

    def _settle(self, waiting: list[Spot], threads: dict[str, int]) -> None:
        """Give workers that are free to places that wait, and start the governors there."""
        taken = {spot.at for spot in self._spots.values() if spot.begun and not spot.told.ended}
        free = [worker for worker in threads if worker not in taken]
        while free and waiting:
            pairs = dict(zip(free, waiting, strict=False))
            keys: dict[str, bytes] = {}
            for worker, answer in self._run(self._there.reserve, pairs, FRAMEWORK_STEP_S, self._place).items():
                if isinstance(answer, bytes):
                    keys[worker] = answer
                elif isinstance(answer, Exception) and not isinstance(answer, OSError):
                    self._end(pairs[worker], "NOT STARTED", _told(answer))
                # else a place of another pool is there, or the worker goes: this one tries another worker
            self._start({worker: pairs[worker] for worker in keys}, keys)
            free = free[len(pairs) :]
            waiting = [spot for spot in waiting if not spot.begun and not spot.told.ended]

    def _start(self, pairs: dict[str, Spot], keys: dict[str, bytes]) -> None:
        tokens = {worker: sealed(self._token, key) for worker, key in keys.items()}
        words = (self._place, tokens, self._server, *self._asked)
        for worker, answer in self._run(self._there.begin, pairs, FRAMEWORK_STEP_S, *words).items():
            late = isinstance(answer, TimeoutError)  # it may begin yet: what becomes of it is looked at
            if isinstance(answer, OSError) and not late:
                continue  # the worker went
            spot = pairs[worker]
            spot.at, spot.begun = worker, True
            if isinstance(answer, Exception) and not late:
                self._end(spot, "NOT STARTED", _told(answer))
                continue
            self._holders[spot.number] = self._client.submit(
                self._there.hold, self._place, key=f"{self._place}-{spot.number}", pure=False,
                workers=[worker], allow_other_workers=False,
            )  # fmt: skip

    def _end(self, spot: Spot, word: str, printed: str = "") -> None:
        spot.over(word, printed)
        self._release(spot)

    def _release(self, spot: Spot) -> None:
        holder = self._holders.pop(spot.number, None)
        if holder is not None and self._client.status == "running":
            self._client.cancel([holder])

    # -- Dask -----------------------------------------------------------------------------------

    def _workers(self) -> dict[str, int]:
        """Threads of the workers that are there, by address."""
        threads = dict(self._asked_of_dask(lambda: self._client.nthreads()))
        self._threads = min(threads.values(), default=self._threads)
        return threads

    def _run(
        self, function: Callable[..., Any], workers: Iterable[str], within_s: float, *words: Any
    ) -> dict[str, Any]:
        """What `function` returned on each of these workers, or the exception that it raised there.

        Each has its own time: one that does not answer, because what it runs holds its interpreter, keeps up no other.
        """
        names = list(workers)
        if not names:
            return {}

        async def one(worker: str) -> Any:
            running = self._client.run(function, *words, workers=[worker], on_error="return", asynchronous=True)
            return (await asyncio.wait_for(running, within_s))[worker]

        async def each() -> list[Any]:
            return await asyncio.gather(*map(one, names), return_exceptions=True)

        return dict(zip(names, self._asked_of_dask(lambda: self._client.sync(each)), strict=True))

    def _asked_of_dask(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RainException:
            raise
        except Exception as error:  # its scheduler is gone, its client was closed, …
            raise RainException(f"Dask's scheduler does not answer: {_told(error)}") from None

    def _want(self, count: int, threads: dict[str, int]) -> None:
        """Have ``adapt`` take note that `count` more workers are wanted.

        It divides the work that is ready by what a worker has of threads, and never wants more workers than tasks.
        """
        average = sum(threads.values()) / len(threads) if threads else 1.0
        tasks = math.ceil((len(threads) + count) * average) - len(self._holders) if count else 0
        if tasks > len(self._wanted) and not self._durations_are_told:
            self._client.run_on_scheduler(dask_tells_durations, _WANTED)
            self._durations_are_told = True
        while len(self._wanted) < tasks:
            key = f"{_WANTED}-{os.urandom(8).hex()}"
            resources = {_WANTED: 1}  # that no worker has
            self._wanted.append(self._client.submit(self._there.nothing, key=key, pure=False, resources=resources))
        if len(self._wanted) > max(0, tasks):
            self._client.cancel(self._wanted[max(0, tasks) :])
            del self._wanted[max(0, tasks) :]


def dask_on(
    *,
    scheduler: Any = "",
    cpus: int = 0,
    gpus: int = 0,
    arguments: Sequence[str] = (),
) -> Supply:
    """Places in the workers of a Dask cluster, whose options are checked here.

    Parameters
    ----------
    scheduler : distributed.Client, cluster object or str
        Dask's client or cluster, the address of its scheduler, or a scheduler file (``….json``).
    cpus : int
        Of each place; 0: as many as its worker has threads.
    gpus : int
        Of each place: the first of those that its worker sees.
    arguments : sequence of str
        Further options of ``rain governor``, verbatim: ``["--workdir", "/scratch"]``.

    Raises
    ------
    RainException
        If one of them has no meaning, Dask is not installed, or its scheduler does not answer.
    """
    check_counts(cpus=cpus, gpus=gpus)
    check_words(arguments)
    if not scheduler:
        raise RainException(
            "places on Dask need its client, its cluster, or the address of its scheduler: "
            'Client.on(dask_client), or scheduler="tcp://…"'
        )
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise RainException("places on Dask need the library distributed: pip install 'rain[dask]'") from None

    def supplier(server: str, token: str) -> Supplier:
        client = own_client(scheduler)
        return DaskSupplier(client, server, token, cpus, gpus, arguments)

    return supplier


def worker_count(scheduler: Any) -> int:
    """How many workers there are.

    Raises
    ------
    RainException
        If `scheduler` is none, or does not answer.
    """
    with own_client(scheduler) as client:
        return len(client.nthreads())


def own_client(scheduler: Any) -> Any:
    """A Dask client of the pool alone: the user may close theirs, or have one that is asynchronous.

    Raises
    ------
    RainException
        If `scheduler` is none, or does not answer.
    """
    import distributed

    settings: dict[str, Any] = {"set_as_default": False, "timeout": _CONNECT_S, "name": "rain"}
    try:
        if isinstance(scheduler, distributed.Client):
            if scheduler.scheduler is None:
                raise RainException("this Dask client is closed, or not connected yet")
            return distributed.Client(scheduler.scheduler.address, security=scheduler.security, **settings)
        if isinstance(scheduler, str):
            if scheduler.endswith(".json"):
                return distributed.Client(scheduler_file=scheduler, **settings)
            return distributed.Client(scheduler, **settings)
        address = getattr(scheduler, "scheduler_address", "")
        if not address or not isinstance(address, str):
            raise RainException(f"{scheduler!r} is no Dask client, no Dask cluster, and no address of a Dask scheduler")
        return distributed.Client(address, security=getattr(scheduler, "security", None), **settings)
    except (OSError, ValueError, TypeError) as error:
        raise RainException(f"there is no Dask scheduler at {scheduler!r}: {error}") from None


def dask_tells_durations(prefix: str) -> None:
    """Runs in Dask's scheduler: tasks of this name last for an hour, should it wonder."""
    import dask

    dask.config.set({"distributed.scheduler.default-task-durations": {prefix: "1h"}})


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
