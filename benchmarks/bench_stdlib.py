"""`concurrent.futures.ProcessPoolExecutor` with 2 processes. All results come back to the client. It has no
dependencies between tasks, so the client drives W2 and W3, and the data of W5 pass through it."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import time
from collections.abc import Callable

import bodies
from peerlib import Layers, System, main, tree_by_client


class Stdlib(System):
    name = "stdlib"

    def start(self) -> None:
        self.pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))

    def stop(self) -> None:
        self.pool.shutdown()

    def map_wait(self, body: str, n: int) -> None:
        function = getattr(bodies, body)
        for future in [self.pool.submit(function, i) for i in range(n)]:
            future.result()

    def programs(self, n: int) -> None:
        self.map_wait("program", n)

    def one(self, i: int) -> int:
        return self.pool.submit(bodies.noop, i).result()

    def chain(self, n: int) -> None:
        x = 0
        for _ in range(n):
            x = self.pool.submit(bodies.inc, x).result()
        assert x == n

    def tree(self, layers: Layers) -> None:
        tree_by_client(self.pool.submit, layers)

    def bigdata(self, mib: int) -> dict[str, float]:
        start = time.perf_counter()
        data = self.pool.submit(getattr(bodies, self.maker), mib).result()
        fetched = time.perf_counter()
        self.pool.submit(bodies.consume, data).result()
        end = time.perf_counter()
        return {"pipe": end - start, "fetch(with make)": fetched - start, "scatter": end - fetched}

    def pending(self, n: int, gate: str) -> Callable[[], object]:
        # Without dependencies the tasks wait in the pool's queue, behind what keeps both processes busy.
        futures = [self.pool.submit(bodies.gate, gate) for _ in range(4)]
        futures += [self.pool.submit(bodies.noop, i) for i in range(n)]
        return lambda: concurrent.futures.wait(futures)


if __name__ == "__main__":
    main(Stdlib)
