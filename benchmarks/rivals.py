"""Dask, Ray and HyperQueue as `rival_deaths.py` drives them: how each is started, killed, started again by its own
means, and asked for results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
HEAD_HOST, NODE_HOST = "127.0.0.2", "127.0.0.3"
"""Ray tells nodes of one machine apart by their addresses, and takes another one for 127.0.0.1."""
PORT, REDIS_PORT = 28786, 28787
START_S = 120.0
CPUS = 2
LARGE_BYTES = 120_000
"""More than what Ray keeps with the client (100 KiB), so that it lies with a worker."""
RUN_S = 0.02


def ran(folder: str, number: int, *values: Any) -> Any:
    """A task: notes that it runs; gives a number, and bytes that stay with the worker."""
    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    time.sleep(RUN_S)
    return (number * number + sum(value[0] for value in values)) % 1000003, bytes(LARGE_BYTES)


def quietly(*command: str, more: dict[str, str] | None = None, log: str | None = None) -> subprocess.Popen[bytes]:
    """A process."""
    with open(log or os.devnull, "ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(more or {})})


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End one process and wait for it."""
    process.send_signal(number)
    process.wait()


def naming(text: str) -> Iterator[int]:
    """Processes whose command line has a text."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                yield int(entry.name)


class Rival:
    """One of them: the first five methods are the cluster's side, the others the client's."""

    name = ""
    ways: tuple[str, ...] = ()

    def __init__(self, folder: str, way: str) -> None:
        self.folder, self.way = folder, way
        self.work = f"{folder}/work"

    @property
    def version(self) -> str:
        return version(self.name)

    def start(self) -> None:
        """Start a cluster with two cpus."""

    def kill(self) -> None:
        """Let happen what the way says."""

    def start_again(self) -> None:
        """Start what was killed, as its documentation says."""

    def close(self) -> None:
        """End all that was started."""

    def connect(self) -> None:
        """As a client."""

    def submit(self, inputs: list[list[int]]) -> list[Any]:
        """A task for each, with outputs of others as inputs."""
        made: list[Any] = []
        for number, places in enumerate(inputs):
            made.append(self.call(self.work, number, *(made[i] for i in places)))
        return made

    def call(self, *args: Any) -> Any:
        raise NotImplementedError

    def is_done(self, task: Any) -> bool:
        raise NotImplementedError

    def value(self, task: Any, timeout: float) -> int:
        """Its number, within seconds."""
        raise NotImplementedError


class Dask(Rival):
    """Two workers of one thread; the scheduler has no journal."""

    name = "distributed"
    ways = ("scheduler", "worker")
    address = f"tcp://{HOST}:{PORT}"

    def _begin(self, *words: str) -> subprocess.Popen[bytes]:
        here = {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        return quietly(sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:], more=here)

    def _scheduler(self) -> subprocess.Popen[bytes]:
        return self._begin("dask_scheduler", "--host", HOST, "--port", str(PORT), "--dashboard-address", ":0")

    def start(self) -> None:
        self.processes = [self._scheduler(), *self._workers()]

    def _workers(self) -> list[subprocess.Popen[bytes]]:
        words = ["dask_worker", self.address, "--nthreads", "1", "--no-dashboard", "--local-directory", self.folder]
        return [self._begin(*words) for _ in range(CPUS)]

    def kill(self) -> None:
        if self.way == "scheduler":
            end(self.processes[0], signal.SIGKILL)
        else:  # the one that ran the first task; its nanny starts another
            os.kill(int(next(Path(self.work).glob("0.*")).name.split(".")[1]), signal.SIGKILL)

    def start_again(self) -> None:
        if self.way == "scheduler":
            scheduler = self._scheduler()
            for process in self.processes[1:]:  # workers end when their scheduler has
                process.wait()
            self.processes = [scheduler, *self._workers()]

    def close(self) -> None:
        for process in self.processes[::-1]:
            end(process)

    def connect(self) -> None:
        import distributed

        self.client = distributed.Client(self.address, timeout=START_S)
        self.client.wait_for_workers(CPUS, timeout=START_S)

    def call(self, *args: Any) -> Any:
        return self.client.submit(ran, *args, pure=False)

    def is_done(self, task: Any) -> bool:
        return bool(task.status == "finished")

    def value(self, task: Any, timeout: float) -> int:
        return int(task.result(timeout=timeout)[0])


class Ray(Rival):
    """A head without cpus, and a node with two, beside which the client is. `head` has the fault tolerance of its
    documentation: its state is in a Redis, which lives on; `head-alone` has none."""

    name = "ray"
    ways = ("head", "head-alone", "worker")

    def _ray(self, *words: str, more: dict[str, str] | None = None) -> None:
        own = {"RAY_USAGE_STATS_ENABLED": "0", **(more or {})}
        command = [str(Path(sys.executable).with_name("ray")), "start", *words]
        log = f"{self.folder}/ray.log"
        if quietly(*command, more=own, log=log).wait(START_S):
            print(Path(log).read_text()[-600:], file=sys.stderr)

    def _head(self) -> None:
        # It looks here, and for processes of that address on this machine, to refuse a second one. Elsewhere nodes have
        # machines of their own.
        Path(self.folder, "ray", "ray_current_cluster").unlink(missing_ok=True)
        before = set(naming(self.folder))
        words = ["--head", "--port", str(PORT), "--node-ip-address", HEAD_HOST, "--num-cpus", "0"]
        words += ["--include-dashboard", "false", "--temp-dir", f"{self.folder}/ray"]
        store = {} if self.way == "head-alone" else {"RAY_REDIS_ADDRESS": f"{HOST}:{REDIS_PORT}"}
        self._ray(*words, more=store)
        self.head = set(naming(self.folder)) - before

    def _node(self) -> None:
        before = set(naming(self.folder))
        self._ray("--address", f"{HEAD_HOST}:{PORT}", "--node-ip-address", NODE_HOST, "--num-cpus", str(CPUS))
        self.node = set(naming(self.folder)) - before

    def start(self) -> None:
        words = ["--port", str(REDIS_PORT), "--bind", HOST, "--dir", self.folder, "--save", "", "--appendonly", "no"]
        self.redis = quietly("redis-server", *words)
        self._head()
        self._node()

    def kill(self) -> None:
        for pid in self.node if self.way == "worker" else self.head:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_again(self) -> None:
        (self._node if self.way == "worker" else self._head)()

    def close(self) -> None:
        for pid in naming(f"{self.folder}/ray"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end(self.redis)

    def connect(self) -> None:
        import ray

        where = HEAD_HOST if self.way == "worker" else NODE_HOST  # beside what is not killed
        ray.init(address=f"{HEAD_HOST}:{PORT}", _node_ip_address=where, log_to_driver=False)
        self.client: Any = ray
        self.remote: Callable[..., Any] = ray.remote(max_retries=3, num_cpus=1)(ran).remote

    def call(self, *args: Any) -> Any:
        return self.remote(*args)

    def is_done(self, task: Any) -> bool:
        return bool(self.client.wait([task], timeout=0, fetch_local=False)[0])

    def value(self, task: Any, timeout: float) -> int:
        return int(self.client.get(task, timeout=timeout)[0])


class HyperQueue(Rival):
    """The server and the worker of PyPI's wheel, in a process of their own. The program `hq`, whose servers can keep a
    journal, is not in the wheel. Tasks are programs; what they give each other is in files."""

    name = "hyperqueue"
    ways = ("server",)

    def start(self) -> None:
        os.makedirs(f"{self.folder}/values", exist_ok=True)
        self._begin()

    def _begin(self) -> None:
        code = (
            "import sys, time; from hyperqueue.cluster import LocalCluster, WorkerConfig\n"
            f"cluster = LocalCluster(sys.argv[1], WorkerConfig(cores={CPUS}))\n"
            "open(sys.argv[1] + '/up', 'w').close()\n"
            "while True: time.sleep(1)\n"
        )
        up = Path(self.folder, "server", "up")
        up.parent.mkdir(exist_ok=True)
        up.unlink(missing_ok=True)
        self.server = quietly(sys.executable, "-c", code, str(up.parent), log=f"{self.folder}/hyperqueue.log")
        while not up.exists():
            if self.server.poll() is not None:
                raise RuntimeError(f"it ended: {self.folder}/hyperqueue.log")
            time.sleep(0.05)

    def kill(self) -> None:
        end(self.server, signal.SIGKILL)

    def start_again(self) -> None:
        self._begin()

    def close(self) -> None:
        end(self.server, signal.SIGKILL)

    def connect(self) -> None:
        import hyperqueue

        self.library: Any = hyperqueue
        self.client = hyperqueue.Client(f"{self.folder}/server")

    def submit(self, inputs: list[list[int]]) -> list[Any]:
        job = self.library.Job(self.folder, max_fails=0)
        made: list[Any] = []
        for number, places in enumerate(inputs):
            script = f"touch {self.work}/{number}.$$.$(date +%s%N); sleep {RUN_S}; v={number * number}; "
            script += "".join(f"v=$((v + $(cat {self.folder}/values/{i}))); " for i in places)
            here = f"{self.folder}/values/{number}"
            script += f"echo $((v % 1000003)) > {here}.part; mv {here}.part {here}"
            made.append(job.program(["sh", "-c", script], stdout=None, stderr=None, deps=[made[i] for i in places]))
        self.job = self.client.submit(job)
        self.ended = False
        return list(range(len(inputs)))

    def is_done(self, task: Any) -> bool:
        return Path(self.folder, "values", str(task)).exists()

    def call(self, *args: Any) -> Any:
        """Only for the question whether it answers: a job of its own."""
        self.connect()
        job = self.library.Job(self.folder)
        job.program(["true"])
        return self.client.submit(job)

    def value(self, task: Any, timeout: float) -> int:
        if not isinstance(task, int):
            self.client.wait_for_jobs([task])
            return 0
        if not self.ended:
            self.client.wait_for_jobs([self.job], raise_on_error=False)
            self.ended = True
        return int(Path(self.folder, "values", str(task)).read_text())


RIVALS = {"dask": Dask, "ray": Ray, "hyperqueue": HyperQueue}
