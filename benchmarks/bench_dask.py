"""Dask's distributed scheduler with 2 single-threaded worker processes. The variant `tuned` does what its documentation
advises for many small tasks (`worker-saturation: inf`); results stay at the workers and are only waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bodies
import dask
import distributed
from distributed.deploy.subprocess import SubprocessCluster
from peerlib import Layers, System, children, main


class Dask(System):
    name = "dask"
    variants = ("", "tuned")

    def start(self) -> None:
        if self.variant == "tuned":
            dask.config.set({"distributed.scheduler.worker-saturation": float("inf")})
        # Scheduler and workers in processes of their own, so that their memory can be told from the client's.
        self.cluster = SubprocessCluster(
            n_workers=2, worker_kwargs={"nthreads": 1}, scheduler_kwargs={"dashboard": False, "port": 0}
        )
        self.client = distributed.Client(self.cluster)
        self.client.wait_for_workers(2)

    def stop(self) -> None:
        self.client.close()
        self.cluster.close()

    def server_pids(self) -> list[int]:
        return children("distributed.Scheduler")

    def by_value(self) -> None:
        from distributed.protocol.pickle import cloudpickle

        cloudpickle.register_pickle_by_value(bodies)

    def map_wait(self, body: str, n: int) -> None:
        self.wait(self.client.map(getattr(bodies, body), range(n), pure=False))

    def wait(self, futures: list[Any]) -> None:
        distributed.wait(futures)
        assert all(future.status == "finished" for future in futures)

    def programs(self, n: int) -> None:
        self.map_wait("program", n)

    def submit(self, body: Any, *args: Any) -> Any:
        return self.client.submit(body, *args, pure=False)

    def one(self, i: int) -> int:
        return int(self.submit(bodies.noop, i).result())

    def chain(self, n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = dask.delayed(bodies.inc, pure=False)(x)
        assert self.client.compute(x).result() == n

    def tree(self, layers: Layers) -> None:
        leaf, concat = dask.delayed(bodies.leaf), dask.delayed(bodies.concat)
        below = [leaf(k) for k in range(len(layers[0]))]
        every = list(below)
        for layer in layers[1:]:
            below = [concat(below[a], below[b]) for a, b in layer]
            every += below
        self.wait(self.client.compute(every, optimize_graph=False))

    def bigdata(self, mib: int) -> dict[str, float]:
        maker = getattr(bodies, self.maker)
        first, second = list(self.client.scheduler_info()["workers"])[:2]
        seconds = {}

        def consume(data: Any) -> None:
            self.client.submit(bodies.consume, data, workers=[second], pure=False).result()

        def made() -> Any:
            data = self.client.submit(maker, mib, workers=[first], pure=False)
            distributed.wait(data)
            return data

        start = time.perf_counter()
        consume(self.client.submit(maker, mib, workers=[first], pure=False))
        seconds["pipe"] = time.perf_counter() - start
        data = made()
        start = time.perf_counter()
        consume(data)
        seconds["consume"] = time.perf_counter() - start
        data = made()
        start = time.perf_counter()
        array = data.result()
        seconds["fetch"] = time.perf_counter() - start
        start = time.perf_counter()
        consume(self.client.scatter(array, workers=[first], hash=False))
        seconds["scatter"] = time.perf_counter() - start
        return seconds

    def pending(self, n: int, gate: str) -> Callable[[], object]:
        held = self.submit(bodies.gate, gate)
        futures = self.client.map(bodies.after, range(n), gate=held, pure=False)
        return lambda: self.wait(futures)


if __name__ == "__main__":
    main(Dask)
