"""One side of a comparison: a system that is started once and does what it is told, line by line, by `asked.py`.

    python benchmarks/side.py rain|stdlib|joblib|ray

reads JSON lines ``[method, arguments…]`` and answers each with one: the wall time, the processor time of this process
and all that descend from it, whether they live or not, and what the method returned. What Rain this is depends on
`PYTHONPATH`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from typing import Any

import psutil
from costs import spent_ns
from peerlib import System, layered, memory_mb, reset_peaks, settled_memory_mb

SIDES = {"rain": "Rain", "stdlib": "Stdlib", "joblib": "Joblib", "ray": "Ray"}
TICKS = os.sysconf("SC_CLK_TCK")


def spent_s() -> float:
    """Processor time so far, of this process and of all that descend from it."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            with open(f"/proc/{process.pid}/stat") as stat:
                ended = stat.read().rpartition(")")[2].split()[13:15]
            total += sum(spent_ns(process.pid)) / 1e9 + sum(map(int, ended)) / TICKS
        except (psutil.Error, OSError):
            continue
    return total


class Side:
    """What can be asked of a system beside its own methods."""

    def __init__(self, system: System) -> None:
        self.system: Any = system

    def do(self, method: str, *args: Any) -> Any:
        """Do it; the last words of a workload that many systems share are here."""
        own = getattr(self, f"do_{method}", None)
        return own(*args) if own else getattr(self.system, method)(*args)

    def do_tree(self, layers: int) -> None:
        self.system.tree(layered(layers))

    def do_latency(self, n: int) -> dict[str, float]:
        """Microseconds of one task there and back: the median, and the 99th percentile."""
        found = []
        for i in range(n):
            begin = time.perf_counter()
            self.system.one(i)
            found.append((time.perf_counter() - begin) * 1e6)
        found.sort()
        return {"median": found[n // 2], "p99": found[int(n * 0.99)]}

    def do_peaks(self, method: str, n: int) -> dict[str, float]:
        """Run it, and tell by how much (MB) the memory of client and scheduler was at most."""
        pids = {"client": [os.getpid()], "server": self.system.server_pids()}
        for own in pids.values():
            reset_peaks(own)
        self.do(method, n)
        return {name: memory_mb(own, peak=True) for name, own in pids.items() if own}

    def do_pending(self, n: int, how: str, gate: str) -> dict[str, float]:
        """MB of client and scheduler for each 10,000 tasks that wait."""
        pids = {"client": [os.getpid()], "server": self.system.server_pids()}
        before = {name: settled_memory_mb(own) for name, own in pids.items()}
        wait = self.system.pending(n, gate) if how == "loop" else self.system.pending_map(n, gate)
        grown = {name: (settled_memory_mb(own) - before[name]) * 1e4 / n for name, own in pids.items()}
        with open(gate, "w"):
            pass
        wait()
        return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("system", choices=SIDES)
    name = parser.parse_args().system
    kind = getattr(importlib.import_module(f"bench_{name}"), SIDES[name])
    system = kind(argparse.Namespace(variant="", bytes=False))
    system.start()
    try:
        system.warm()
        print(json.dumps("ready"), flush=True)
        side = Side(system)
        for line in sys.stdin:
            spent, begin = spent_s(), time.perf_counter()
            value = side.do(*json.loads(line))
            wall = time.perf_counter() - begin
            print(json.dumps({"wall": wall, "cpu": spent_s() - spent, "value": value}), flush=True)
    finally:
        system.stop()


if __name__ == "__main__":
    main()
