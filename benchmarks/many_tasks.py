"""Many tasks at once: time and memory of all (W6), memory of those that wait (W9), and many results into one task.

    python benchmarks/many_tasks.py [all] [waiting] [behind] [fan-in] [--by loop] [--by map] [--n N] [--base PATH]

`all`: N noop tasks in one submit whose results come to the client: wall time, and by how much the memory of client and
server grows at most. `waiting`: what N tasks that wait for a cpu take in client and server; `behind`: what N tasks take
that wait for one task before them. `fan-in`: the time of N tasks of which one more task takes all results, as a
multiple of the time of N such tasks alone. With `--base` the checkout there runs in turn; its figures and the ratio
stand beside.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peerlib import compared

HERE = Path(__file__).resolve().parent
WHAT = ("all", "waiting", "behind", "fan-in")
BY = ("loop", "map")
N = {"all": 100_000, "waiting": 10_000, "behind": 10_000, "fan-in": 10_000}
WARM = 2000


class Cluster:
    """A client with a session, warmed up."""

    def __init__(self) -> None:
        import rain_bodies
        from peerlib import children

        from rain import Client, Remote

        self.client = Client.local(cpus=2)
        self.session = self.client.new_session("many", default=True)
        self.noop, self.gate, self.after, self.count = (
            Remote(function, auto_load=True, auto_encode="pickle")
            for function in (rain_bodies.noop, rain_bodies.gate, rain_bodies.after, rain_bodies.count)
        )
        made = self.noop.map(range(WARM))
        self.session.keep(made)
        self.session.submit()
        self.session.wait_all()
        del made
        self.session.wait_all()
        self.pids = {"client": [os.getpid()], "server": children("rain-server")}

    def made(self, by: str, n: int) -> list[Any]:
        return self.noop.map(range(n)) if by == "map" else [self.noop(i) for i in range(n)]


def measure_all(cluster: Cluster, by: str, n: int) -> dict[str, float]:
    from peerlib import memory_mb, reset_peaks

    gc.collect()
    before = {name: memory_mb(pids) for name, pids in cluster.pids.items()}
    for pids in cluster.pids.values():
        reset_peaks(pids)
    began = time.perf_counter()
    made = cluster.made(by, n)
    cluster.session.keep(made)
    cluster.session.submit()
    cluster.session.wait_all()
    figures = {"seconds": time.perf_counter() - began}
    for name, pids in cluster.pids.items():
        figures[f"{name}, MB"] = memory_mb(pids, peak=True) - before[name]
    return figures


def measure_waiting(cluster: Cluster, by: str, n: int, behind: bool = False) -> dict[str, float]:
    from peerlib import settled_memory_mb

    session = cluster.session
    with tempfile.TemporaryDirectory() as folder:
        gate = os.path.join(folder, "gate")
        held = [cluster.gate(gate) for _ in range(2)]
        session.submit()
        before = {name: settled_memory_mb(pids) for name, pids in cluster.pids.items()}
        if not behind:
            made = cluster.made(by, n)
        elif by == "map":
            made = cluster.after.map(range(n), [held[0]] * n)
        else:
            made = [cluster.after(i, held[0]) for i in range(n)]
        session.submit()
        grown = {f"{name}, MB": settled_memory_mb(pids) - before[name] for name, pids in cluster.pids.items()}
        Path(gate).touch()
        session.wait_all()
        del made
    return grown


def measure_fan_in(cluster: Cluster, by: str, n: int) -> dict[str, float]:
    session = cluster.session
    began = time.perf_counter()
    made = cluster.made(by, n)
    session.keep(made)
    session.submit()
    session.wait_all()
    alone = time.perf_counter() - began
    del made
    session.wait_all()
    began = time.perf_counter()
    total = cluster.count(list(cluster.made(by, n)))
    assert session.run(total) == n
    together = time.perf_counter() - began
    return {"alone, s": alone, "into one, s": together, "into one / alone": together / alone}


def one_round(what: str, by: str, n: int) -> dict[str, float]:
    """One measurement in a cluster of its own."""
    cluster = Cluster()
    with cluster.client:
        if what == "all":
            return measure_all(cluster, by, n)
        if what == "fan-in":
            return measure_fan_in(cluster, by, n)
        return measure_waiting(cluster, by, n, what == "behind")


def run_in(checkout: Path, what: str, by: str, n: int) -> dict[str, float]:
    """One round by the Rain of `checkout`, in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), what, "--by", by, "--n", str(n), "--one-round"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(HERE)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=checkout)
    if done.returncode:
        raise SystemExit(f"a round of {checkout} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", choices=[*WHAT, []], default=[])
    parser.add_argument("--by", action="append", choices=BY)
    parser.add_argument("--n", type=int, help="tasks")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--base", type=Path, help="another checkout, which runs in turn")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_round:
        print(json.dumps(one_round(options.what[0], options.by[0], options.n)))
        return
    checkouts = {"now": HERE.parent} | ({"base": options.base.resolve()} if options.base else {})
    for what in options.what or WHAT:
        for by in options.by or BY:
            n = options.n or N[what]
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
            for _ in range(options.runs):
                for name, checkout in checkouts.items():
                    rounds[name].append(run_in(checkout, what, by, n))
            print(f"\n{what}, by {by}: medians of {options.runs} rounds of {n} tasks")
            for line in rounds["now"][0]:
                figures = {name: [one[line] for one in found] for name, found in rounds.items()}
                print(compared(line, figures["now"], figures.get("base")), flush=True)


if __name__ == "__main__":
    main()
