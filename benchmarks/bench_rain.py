"""Rain as `Client.local(cpus=2)` starts it, nothing tuned: captured output, private folders, checksums, authentication
and the event log are on. Outputs are kept, so that all small results come back to the client; the variant `unkept` only
waits for the tasks, and their outputs are dropped at once. W5's maker and consumer are two processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import bodies
import rain_bodies
from peerlib import Layers, System, children, main

from rain import Client, OutputDir, Remote, Session, directory, pickled, tasks


def as_remote(body: str, **options: Any) -> Remote:
    return Remote(getattr(rain_bodies, body), auto_load=True, auto_encode="pickle", **options)


class Rain(System):
    name = "rain"
    variants = ("", "unkept")

    def start(self) -> None:
        self.client = Client.local(cpus=2)
        self.session: Session = self.client.new_session("bench", default=True)
        self.remotes: dict[str, Remote] = {}

    def stop(self) -> None:
        self.client.close()

    def server_pids(self) -> list[int]:
        return children("rain-server")

    def by_value(self) -> None:
        import cloudpickle

        cloudpickle.register_pickle_by_value(rain_bodies)

    def remote(self, body: str) -> Remote:
        if body not in self.remotes:
            self.remotes[body] = as_remote(body)
        return self.remotes[body]

    def submit_and_wait(self, made: list[Any]) -> None:
        """Submit the tasks `made` and wait for all of them; release afterwards what was kept."""
        if self.variant != "unkept":
            for task in made:
                task.keep_outputs()
        self.session.submit()
        self.session.wait_all()

    def map_wait(self, body: str, n: int) -> None:
        self.submit_and_wait(list(self.remote(body).map(range(n))))

    def loop_wait(self, body: str, n: int) -> None:
        """As `map_wait`, by a loop of calls."""
        remote = self.remote(body)
        self.submit_and_wait([remote(i) for i in range(n)])

    def fan_in(self, n: int) -> None:
        """One task that takes `n` small results."""
        assert self.session.run(self.remote("total")(self.remote("noop").map(range(n)))) == n * (n - 1) // 2

    def programs(self, n: int) -> None:
        self.submit_and_wait([tasks.Execute("/bin/true") for _ in range(n)])

    def one(self, i: int) -> int:
        return int(self.session.run(self.remote("noop")(i)))

    def chain(self, n: int) -> None:
        inc, x = self.remote("inc"), 0
        for _ in range(n):
            x = inc(x)
        assert self.session.run(x) == n

    def tree(self, layers: Layers) -> None:
        leaf, concat = self.remote("leaf"), self.remote("concat")
        below = [leaf(k) for k in range(len(layers[0]))]
        every = list(below)
        for layer in layers[1:]:
            below = [concat(below[a], below[b]) for a, b in layer]
            every += below
        self.submit_and_wait(every)

    def bigdata(self, mib: int) -> dict[str, float]:
        # An environment of its own gives the consumer an executor of its own.
        make, consume = self.remote(self.maker), as_remote("consume", env={"BENCH_PART": "consumer"})
        self.session.run(make(1), consume(make(1)))
        expected = (mib << 20) // 4096 * 7
        seconds = {}

        def made() -> Any:
            task = make(mib)
            task.keep_outputs()
            self.session.submit()
            task.wait()
            return task

        def consumed(task: Any) -> None:
            total, pid = self.session.run(task)
            assert total == expected
            assert pid != os.getpid()

        start = time.perf_counter()
        consumed(consume(make(mib)))
        seconds["pipe"] = time.perf_counter() - start
        data = made()
        start = time.perf_counter()
        consumed(consume(data))
        seconds["consume"] = time.perf_counter() - start
        data = made()
        start = time.perf_counter()
        array = data.output.fetch().load()
        seconds["fetch"] = time.perf_counter() - start
        assert bodies.consume(array)[0] == expected
        start = time.perf_counter()
        consumed(consume(pickled(array)))
        seconds["scatter"] = time.perf_counter() - start
        return seconds

    def data_ready(self, mib: int) -> None:
        """An array of so many MiB, and a process that has not seen it, for what follows."""
        self.count = getattr(self, "count", 0) + 1
        self.consume = as_remote("consume", env={"BENCH_PART": f"consumer {self.count}"})
        self.session.run(self.consume(self.remote(self.maker)(1)))
        self.array = bodies.make_array(mib)

    def data_scatter(self) -> None:
        """The array into the store."""
        self.data = pickled(self.array)
        self.data.keep()
        self.session.submit()

    def data_consume(self) -> None:
        """One task that reads it."""
        self.session.run(self.consume(self.data))

    def data_pipe(self, mib: int) -> None:
        """From a task that makes one to a task that reads it."""
        self.data.unkeep()
        self.session.run(self.consume(self.remote(self.maker)(mib)))

    def make_folder(self, files: int) -> None:
        """A folder of so many small files, for `directory`."""
        self.folder = tempfile.TemporaryDirectory()
        bodies.make_files(f"{self.folder.name}/in", files)

    def directory(self) -> None:
        """The folder into the session, through a program, and out."""
        given = directory(f"{self.folder.name}/in")
        copy = tasks.Execute(["cp", "-r", given, OutputDir(path="copy")])
        copy.output.keep()
        self.session.submit()
        copy.wait()
        copy.output.fetch().write(f"{self.folder.name}/out")

    def drop_folder(self, files: int) -> None:
        assert bodies.count_files(f"{self.folder.name}/out") == files
        self.folder.cleanup()

    def pending_map(self, n: int, gate: str) -> Callable[[], object]:
        held = self.remote("gate")(gate)
        self.handles = self.remote("after").map(range(n), gate=held)
        self.session.submit()
        return self.session.wait_all

    def pending(self, n: int, gate: str) -> Callable[[], object]:
        held = self.remote("gate")(gate)
        after = self.remote("after")
        self.handles = [after(i, held) for i in range(n)]
        self.session.submit()
        return self.session.wait_all


if __name__ == "__main__":
    main(Rain)
