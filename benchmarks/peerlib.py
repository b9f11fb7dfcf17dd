"""Command line, clock and workloads that the benchmarks of all systems share.

A bench is a class with the methods of `System` that its system can do, and a call of `main`. Each prints one JSON line
a workload (W5: one a part): `seconds` is the median of the runs on one cluster that was started and warmed before the
clock, `per_task_us` is `seconds / n`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import queue
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import bodies
import psutil

# The processes of every system can import the task bodies.
os.environ["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]).rstrip(
    os.pathsep
)

MIB = 1 << 20
TREE_WIDTH = 256

# workload -> (its name, the default n, the method of `System` that it needs)
WORKLOADS = {
    "W1": ("noop", 10_000, "map_wait"),
    "W2": ("chain", 1_000, "chain"),
    "W3": ("tree", 32 * TREE_WIDTH, "tree"),
    "W4": ("latency", 300, "one"),
    "W5": ("bigdata", 256, "bigdata"),
    "W6": ("scale", 100_000, "map_wait"),
    "W7": ("program", 1_000, "programs"),
    "W8": ("startup", 1, "one"),
    "W9": ("pending", 20_000, "pending"),
}

Layers = list[list[tuple[int, int]]]


class System:
    """A system under test: 2 worker processes of 1 cpu each on this machine.

    Beside what is below it may offer

    * ``map_wait(body, n)``: `n` independent calls of the body, submitted at once, all finished;
    * ``one(i) -> int``: a trivial call and its result, here;
    * ``chain(n)``: `n` calls of ``inc``, each on the result of the one before; the last result is here;
    * ``tree(layers)``: ``layers[l][k]`` names two results of layer ``l - 1`` to concatenate; all finished;
    * ``bigdata(mib) -> {part: seconds}``;
    * ``programs(n)``: ``/bin/true``, `n` times;
    * ``pending(n, path)``: `n` calls that wait behind one that ends when `path` exists; returns a function that waits
      for them all.
    """

    name = ""
    variants: Sequence[str] = ("",)

    def __init__(self, options: argparse.Namespace) -> None:
        self.variant: str = options.variant
        self.maker: str = "make_bytes" if options.bytes else "make_array"

    def start(self) -> None:
        """Start the cluster."""

    def stop(self) -> None:
        """End it."""

    def by_value(self) -> None:
        """From now on pickle task functions by value, as those of notebook cells are."""
        raise SystemExit(f"{self.name} has no --by-value")

    def server_pids(self) -> list[int]:
        """Processes whose memory is the scheduler's."""
        return []

    def warm(self) -> None:
        """Run each worker once before the clock."""
        for _ in range(3):
            self.map_wait("noop", 200)  # type: ignore[attr-defined]


# -- helpers for benches --------------------------------------------------------------------------


def timed(call: Callable[..., Any], *args: Any) -> float:
    """Seconds that ``call(*args)`` takes."""
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def layered(count: int, width: int = TREE_WIDTH, seed: int = 1) -> Layers:
    """`count` layers of random pairs of places in the layer below (ignored in the first)."""
    rnd = random.Random(seed)
    return [[(rnd.randrange(width), rnd.randrange(width)) for _ in range(width)] for _ in range(count)]


def tree_by_client(submit: Callable[..., concurrent.futures.Future[Any]], layers: Layers) -> None:
    """The tree for systems without dependencies between tasks: the client submits what has become ready."""
    waiting: dict[tuple[int, int], int] = {}
    users: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for level in range(1, len(layers)):
        for k, pair in enumerate(layers[level]):
            waiting[level, k] = len(set(pair))
            for source in set(pair):
                users[level - 1, source].append((level, k))
    done: queue.SimpleQueue[tuple[tuple[int, int], Any]] = queue.SimpleQueue()
    results: dict[tuple[int, int], bytes] = {}

    def go(key: tuple[int, int], body: Any, *args: Any) -> None:
        submit(body, *args).add_done_callback(lambda future: done.put((key, future)))

    for k in range(len(layers[0])):
        go((0, k), bodies.leaf, k)
    for _ in range(sum(map(len, layers))):
        key, future = done.get()
        results[key] = future.result()
        for level, k in users[key]:
            waiting[level, k] -= 1
            if not waiting[level, k]:
                a, b = layers[level][k]
                go((level, k), bodies.concat, results[level - 1, a], results[level - 1, b])


# -- measuring ------------------------------------------------------------------------------------


def memory_mb(pids: Sequence[int], peak: bool = False) -> float:
    """Resident (or peak resident) memory of processes, MB."""
    field, total = ("VmHWM" if peak else "VmRSS"), 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith(field))
    return total / 1024


def settled_memory_mb(pids: Sequence[int]) -> float:
    """Resident memory once it has stopped growing."""
    before = -1.0
    while abs((now := memory_mb(pids)) - before) > 0.2:
        before = now
        time.sleep(1)
    return now


def reset_peaks(pids: Sequence[int]) -> None:
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w") as file:
            file.write("5")


class Report:
    """Prints the lines of one system."""

    def __init__(self, system: str) -> None:
        self.system = system

    def line(self, workload: str, n: int, **values: Any) -> None:
        print(json.dumps({"system": self.system, "workload": workload, "n": n, **values}), flush=True)

    def runs(self, workload: str, n: int, runs: Sequence[float], **more: Any) -> None:
        median = statistics.median(runs)
        self.line(
            workload,
            n,
            seconds=round(median, 6),
            per_task_us=round(median / n * 1e6, 2),
            min_s=round(min(runs), 6),
            max_s=round(max(runs), 6),
            runs=len(runs),
            **more,
        )


def measure(system: Any, report: Report, workload: str, n: int, repeat: int) -> None:
    """Run one workload on a cluster that is up."""
    name, _, method = WORKLOADS[workload]
    label = f"{workload}-{name}"
    if not hasattr(system, method):
        report.line(label, n, skipped="not offered by this system")
        return
    system.warm()
    if workload == "W1":
        report.runs(label, n, [timed(system.map_wait, "noop", n) for _ in range(repeat)])
    elif workload == "W2":
        report.runs(label, n, [timed(system.chain, n) for _ in range(repeat)])
    elif workload == "W3":
        layers = layered(max(2, n // TREE_WIDTH))
        report.runs(label, sum(map(len, layers)), [timed(system.tree, layers) for _ in range(repeat)])
    elif workload == "W4":
        runs = sorted(timed(system.one, i) for i in range(n))
        report.runs(label, 1, runs, p99_us=round(runs[int(len(runs) * 0.99)] * 1e6))
    elif workload == "W5":
        rows = [system.bigdata(n) for _ in range(repeat)]
        for part in rows[0]:
            runs = [row[part] for row in rows]
            report.runs(f"{label}-{part}", 1, runs, gb_per_s=round(n * MIB / 1e9 / statistics.median(runs), 3))
    elif workload == "W6":
        scale(system, report, label, n, repeat)
    elif workload == "W7":
        report.runs(label, n, [timed(system.programs, n) for _ in range(repeat)])
    elif workload == "W9":
        pending(system, report, label, n)


def scale(system: Any, report: Report, label: str, n: int, repeat: int) -> None:
    """W6: many tasks in one submit, and the peak memory of the client and of the scheduler."""
    processes = {"client": [os.getpid()], "server": system.server_pids()}
    before = {name: round(memory_mb(pids)) for name, pids in processes.items()}
    for pids in processes.values():
        reset_peaks(pids)
    runs = [timed(system.map_wait, "noop", n) for _ in range(repeat)]
    peak = {name: round(memory_mb(pids, peak=True)) for name, pids in processes.items()}
    report.runs(label, n, runs, peak_rss_mb=peak, before_rss_mb=before)


def pending(system: Any, report: Report, label: str, n: int) -> None:
    """W9: how much memory tasks take that wait."""
    processes = {"client": [os.getpid()], "server": system.server_pids()}
    with tempfile.TemporaryDirectory() as folder:
        gate = os.path.join(folder, "gate")
        before = {name: settled_memory_mb(pids) for name, pids in processes.items()}
        wait = system.pending(n, gate)
        now = {name: settled_memory_mb(pids) for name, pids in processes.items()}
        growth = {f"{name}_mb_per_10k": round((now[name] - before[name]) * 10_000 / n, 2) for name in processes}
        report.line(label, n, **growth)
        with open(gate, "w"):
            pass
        wait()


def startup(report: Report, repeat: int, variant: str) -> None:
    """W8: a new Python process, its imports, the cluster's start and one task, until the result is printed."""
    whole, inner = [], []
    command = [sys.executable, sys.argv[0], "W8ONCE", "--variant", variant]
    for _ in range(repeat):
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout
            line = next((line for line in process.stdout if line.startswith("FIRST")), None)
            if line is None:
                raise SystemExit(f"{' '.join(command)} printed no result")
            whole.append(time.perf_counter() - start)
            inner.append(float(line.split()[1]))
            process.stdout.read()
    report.runs("W8-startup", 1, whole, cluster_start_s=round(statistics.median(inner), 3))


def compared(line: str, now: list[float], base: list[float] | None, unit: str = "") -> str:
    """A line of text: the median of figures and, if there are such, that of a base, round by round the ratio."""
    text = f"{line:20} {statistics.median(now):9.2f}{unit}"
    if base is not None:
        ratio = statistics.median(a / b if b else 0.0 for a, b in zip(now, base, strict=True))
        text += f"   base {statistics.median(base):9.2f}   ratio {ratio:5.2f}"
    return text


def children(*words: str) -> list[int]:
    """Ids of this process's descendants whose name or command line has one of `words`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            command = [process.name(), *process.cmdline()]
        except psutil.Error:
            continue
        if any(word in part for word in words for part in command):
            found.append(process.pid)
    return found


def main(kind: type[System]) -> None:
    """Read the command line, run one workload."""
    parser = argparse.ArgumentParser(description=f"One workload on {kind.name}.")
    parser.add_argument("workload", type=str.upper, help="W1 to W9, see README.md")
    parser.add_argument("--n", type=int, help="tasks (W5: MiB)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--bytes", action="store_true", help="W5: bytes instead of a NumPy array")
    parser.add_argument(
        "--by-value", action="store_true", help="pickle task functions by value, as from notebook cells"
    )
    parser.add_argument("--variant", default="", choices=kind.variants, help="see the bench's docstring")
    options = parser.parse_args()
    report = Report(kind.name + (f"-{options.variant}" if options.variant else ""))
    if options.workload == "W8":
        startup(report, options.repeat, options.variant)
        return
    if options.workload not in WORKLOADS and options.workload != "W8ONCE":
        parser.error(f"unknown workload {options.workload}; there are {', '.join(WORKLOADS)}")
    began = time.perf_counter()
    system = kind(options)
    system.start()
    try:
        if options.workload == "W8ONCE":
            assert system.one(1) == 1  # type: ignore[attr-defined]
            print("FIRST", time.perf_counter() - began, flush=True)
            return
        if options.by_value:
            system.by_value()
            report.system += "-byvalue"
        measure(system, report, options.workload, options.n or WORKLOADS[options.workload][1], options.repeat)
    finally:
        system.stop()
