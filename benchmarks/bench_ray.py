"""Ray with 2 cpus. Small results come back with a task's reply, large ones lie in shared memory that all processes map.
W5 uses two actors, so that maker and consumer are two processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bodies
import ray
from peerlib import Layers, System, children, main


class Part:
    def make(self, maker: str, mib: int) -> Any:
        return getattr(bodies, maker)(mib)

    def consume(self, data: Any) -> tuple[int, int]:
        return bodies.consume(data)


class Ray(System):
    name = "ray"

    def start(self) -> None:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=4 << 30,
        )
        self.remotes: dict[str, Any] = {}
        self.actors: list[Any] = []

    def stop(self) -> None:
        ray.shutdown()

    def server_pids(self) -> list[int]:
        return children("gcs_server", "raylet/raylet")

    def by_value(self) -> None:
        ray.cloudpickle.register_pickle_by_value(bodies)

    def call(self, body: str, *args: Any) -> Any:
        if body not in self.remotes:
            self.remotes[body] = ray.remote(num_cpus=1)(getattr(bodies, body))
        return self.remotes[body].remote(*args)

    def map_wait(self, body: str, n: int) -> None:
        ray.get([self.call(body, i) for i in range(n)])

    def programs(self, n: int) -> None:
        self.map_wait("program", n)

    def one(self, i: int) -> int:
        return int(ray.get(self.call("noop", i)))

    def chain(self, n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = self.call("inc", x)
        assert ray.get(x) == n

    def tree(self, layers: Layers) -> None:
        below = [self.call("leaf", k) for k in range(len(layers[0]))]
        every = list(below)
        for layer in layers[1:]:
            below = [self.call("concat", below[a], below[b]) for a, b in layer]
            every += below
        ray.get(every)

    def bigdata(self, mib: int) -> dict[str, float]:
        if not self.actors:
            kind = ray.remote(num_cpus=1)(Part)
            self.actors = [kind.remote(), kind.remote()]
            ray.get([actor.consume.remote(b"x") for actor in self.actors])
        first, second = self.actors
        seconds = {}
        start = time.perf_counter()
        ray.get(second.consume.remote(first.make.remote(self.maker, mib)))
        seconds["pipe"] = time.perf_counter() - start
        data = first.make.remote(self.maker, mib)
        ray.wait([data], fetch_local=False)
        start = time.perf_counter()
        ray.get(second.consume.remote(data))
        seconds["consume"] = time.perf_counter() - start
        data = first.make.remote(self.maker, mib)
        ray.wait([data], fetch_local=False)
        start = time.perf_counter()
        array = ray.get(data)
        seconds["fetch"] = time.perf_counter() - start
        start = time.perf_counter()
        ray.get(second.consume.remote(ray.put(array)))
        seconds["scatter"] = time.perf_counter() - start
        return seconds

    def data_ready(self, mib: int) -> None:
        kind = ray.remote(num_cpus=1)(Part)
        self.pair = [kind.remote(), kind.remote()]
        ray.get([actor.consume.remote(b"x") for actor in self.pair])
        self.array = bodies.make_array(mib)

    def data_scatter(self) -> None:
        self.data = ray.put(self.array)

    def data_consume(self) -> None:
        ray.get(self.pair[1].consume.remote(self.data))

    def data_pipe(self, mib: int) -> None:
        del self.data
        ray.get(self.pair[1].consume.remote(self.pair[0].make.remote(self.maker, mib)))

    def pending(self, n: int, gate: str) -> Callable[[], object]:
        held = self.call("gate", gate)
        futures = [self.call("after", i, held) for i in range(n)]
        return lambda: ray.get(futures)


if __name__ == "__main__":
    main(Ray)
