"""What is asked of Rain's speed, and what is measured: one table, in one run on one machine.

    python benchmarks/asked.py [LINES] [--base PATH] [--ray PYTHON] [--pairs 7] [--short]

Each line sets Rain beside something else that does the same work: `concurrent.futures`, joblib, a floor made of nothing
but system calls, or another checkout of Rain (`--base`: `git worktree
add --detach PATH COMMIT`, and `make .venv/.test` there). Both are started and
warmed first and then take turns, so that the load of the machine is in both: ratios are of the medians of the pairs,
of the processor time of all processes first, then of wall time. Lines that need what was not given say so. `LINES` are
first letters of the lines to print (`W7`, `directory`). What needs many cores prints `many_cores.py`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
_SET_CHILD_SUBREAPER = 36


class Other:
    """A system in a process of its own."""

    def __init__(self, name: str, python: str, checkout: Path) -> None:
        path = os.pathsep.join([str(checkout), str(HERE)])
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self.process = subprocess.Popen(
            [python, str(HERE / "side.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            cwd=checkout,
        )
        self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(("{", '"')):  # a library may print what it likes
                return json.loads(line)
        self.log.seek(0)
        raise SystemExit(f"{self.process.args} has ended:\n{self.log.read()[-3000:].decode()}")

    def ask(self, method: str, *args: Any) -> dict[str, Any]:
        """Have it do something: its wall and processor time, and what it gave."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, *args]) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = self._answer()
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Bench:
    """The sides, and what is printed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pairs: int = options.pairs
        self.part = 10 if options.short else 1

    @contextmanager
    def sides(self, *names: str) -> Iterator[list[Other]]:
        """These systems, started: `rain`, `base` (Rain of the other checkout), `stdlib`, `joblib`, `ray`."""
        made: list[Other] = []
        try:
            for name in names:
                python, checkout = sys.executable, HERE.parent
                if name == "ray":
                    python = self.options.ray
                elif name == "base":
                    python, checkout = str(self.options.base / ".venv" / "bin" / "python"), self.options.base
                made.append(Other("rain" if name == "base" else name, python, checkout))
            yield made
        finally:
            for side in made:
                side.close()

    def line(self, what: str, asked: str, measured: str) -> None:
        print(f"| {what} | {asked} | {measured} |", flush=True)

    def turns(self, asks: Sequence[Callable[[], dict[str, Any]]], pairs: int = 0) -> list[list[dict[str, Any]]]:
        """What each answers, in turns."""
        found: list[list[dict[str, Any]]] = [[] for _ in asks]
        for _ in range(pairs or self.pairs):
            for answers, ask in zip(found, asks, strict=True):
                answers.append(ask())
        return found

    def compared(
        self, what: str, asked: str, peer: str, own: Sequence[Any], its: Sequence[Any], n: int = 1, pairs: int = 0
    ) -> None:
        """One line: Rain's processor and wall time over those of a peer; `own` and `its` are a method and arguments."""
        if peer == "base" and self.options.base is None:
            return self.line(what, asked, "needs --base")
        with self.sides("rain", peer) as (rain, other):
            ours, theirs = self.turns([lambda: rain.ask(*own), lambda: other.ask(*its)], pairs)
        self.line(what, asked, ratios(ours, theirs, n))
        return None


def median(found: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(one[key] for one in found)


def ratios(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], n: int = 1) -> str:
    """Processor time first, then wall time."""
    cpu, wall = (median(ours, key) / max(median(theirs, key), 1e-9) for key in ("cpu", "wall"))
    unit, scale = ("µs", 1e6) if n > 1 else ("ms", 1e3)
    each = [f"{median(side, key) * scale / n:.3g}" for key in ("cpu", "wall") for side in (ours, theirs)]
    return (
        f"{cpu:.2f} by processor ({each[0]} / {each[1]} {unit}), {wall:.2f} by the clock ({each[2]} / {each[3]} {unit})"
    )


# -- the lines ------------------------------------------------------------------------------------


def w1(bench: Bench) -> None:
    n = 10_000 // bench.part
    own = {"loop": ("loop_wait", "noop", n), "map": ("map_wait", "noop", n)}
    futures = ("map_wait", "noop", n)
    bench.compared("W1 loop, beside concurrent.futures", "≤ 0.35", "stdlib", own["loop"], futures, n)
    bench.compared("W1 by map, beside concurrent.futures", "≤ 0.12", "stdlib", own["map"], futures, n)
    bench.compared("W1 by map, beside joblib with loky", "≤ 3", "joblib", own["map"], futures, n)


def w2(bench: Bench) -> None:
    n = 1000 // bench.part
    own = ("chain", n)
    bench.compared("W2 chain, beside concurrent.futures driven by its client", "≤ 0.5", "stdlib", own, own, n)


def w3(bench: Bench) -> None:
    layers = max(2, 32 // bench.part)
    own = ("tree", layers)
    bench.compared("W3 tree, beside the same", "≤ 0.5", "stdlib", own, own, 256 * layers)


def w4(bench: Bench) -> None:
    from floor import Floor, timed

    n, floor = 300 // bench.part, Floor()
    try:
        with bench.sides("rain", "stdlib") as (rain, other):
            timed(floor.one, 200)
            found = bench.turns(
                [
                    lambda: {"value": of(timed(floor.one, n))},
                    lambda: rain.ask("latency", n),
                    lambda: other.ask("latency", n),
                ]
            )
    finally:
        floor.close()
    least, ours, theirs = (
        {key: statistics.median(one["value"][key] for one in side) for key in ("median", "p99")} for side in found
    )
    text = f"{ours['median'] / least['median']:.1f} ({ours['median']:.0f} / {least['median']:.0f} µs)"
    bench.line("W4 one task there and back, beside its floor", "≤ 1.5", text)
    bench.line("… 99th percentile, beside the floor's", "≤ 3", f"{ours['p99'] / least['p99']:.1f}")
    text = f"{ours['median'] / theirs['median']:.2f} of its time; {ratios(found[1], found[2], n)}"
    bench.line("… beside concurrent.futures", "≤ 1.5", text)


def of(found: list[float]) -> dict[str, float]:
    found.sort()
    return {"median": found[len(found) // 2], "p99": found[int(len(found) * 0.99)]}


def w5(bench: Bench) -> None:
    from floor_data import floors

    mib = 256 // bench.part

    def parts(side: Other) -> dict[str, Any]:
        side.ask("data_ready", mib)
        asks = {"scatter": "data_scatter", "consume cold": "data_consume", "consume warm": "data_consume"}
        found = {part: side.ask(method) for part, method in asks.items()}
        return {**found, "pipe": side.ask("data_pipe", mib)}

    with bench.sides(*["rain"] + ["ray"] * (bench.options.ray is not None)) as made:
        asks: list[Callable[[], Any]] = [lambda: floors(mib)]
        asks += [lambda side=side: parts(side) for side in made]  # type: ignore[misc]
        floor, *found = bench.turns(asks)
    for part in floor[0]:
        least, ours, *ray = ([one[part] for one in side] for side in (floor, *found))
        text = ratios(ours, least)
        if ray:
            text += f"; Ray {median(ray[0], 'cpu') * 1e3:.3g} and {median(ray[0], 'wall') * 1e3:.3g} ms"
        bench.line(f"W5 {part}, beside its floor", "≤ 1.3", text)


def w6(bench: Bench) -> None:
    n = 100_000 // bench.part
    for how, asked in (("loop", "≤ 0.5"), ("map", "≤ 0.2")):
        method = ("loop_wait" if how == "loop" else "map_wait", "noop", n)
        peer = ("map_wait", "noop", n)
        bench.compared(f"W6 {n} tasks, {how}, beside concurrent.futures", "≤ 0.35", "stdlib", method, peer, n, 3)
        bench.compared(f"W6 {n} tasks, {how}, of the other build's time", asked, "base", method, peer, n, 3)
        with bench.sides("rain") as (rain,):
            peak = rain.ask("peaks", *method)["value"]
        limits = "≤ 800, 600 MB at 1,000,000" if how == "loop" else "≤ 200, 100 MB at 1,000,000"
        bench.line(f"… memory of server, client, {how}", limits, f"{peak['server']:.0f}, {peak['client']:.0f} MB")


def w7(bench: Bench) -> None:
    n = 1000 // bench.part
    bench.compared(
        "W7 program, beside concurrent.futures and subprocess", "≤ 0.9", "stdlib", ("programs", n), ("programs", n), n
    )


def w8(bench: Bench) -> None:
    asks = [lambda name=name: first_result(name) for name in ("rain", "stdlib")]
    ours, theirs = bench.turns(asks)
    bench.line("W8 first result of a new process, beside concurrent.futures", "≤ 1.8", ratios(ours, theirs))


def first_result(name: str) -> dict[str, Any]:
    """From a process' start to its first result; processor time with all processes that it left, once they are gone."""
    before = children()
    spent, begin = ended_s(), time.perf_counter()
    command = [sys.executable, str(HERE / f"bench_{name}.py"), "W8ONCE"]
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdout is not None
        if not any(line.startswith("FIRST") for line in process.stdout):
            raise SystemExit(f"{command} printed no result")
        wall = time.perf_counter() - begin
    while left := children() - before:  # those that have lost their parents are this process' own now
        os.waitpid(left.pop(), 0)
    return {"wall": wall, "cpu": ended_s() - spent}


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def ended_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def w9(bench: Bench) -> None:
    n = 10_000 // bench.part
    for how, asked in (("loop", "≤ 6 / 5 MB"), ("map", "≤ 0.5 / 0.5 MB")):
        with bench.sides("rain") as (rain,), tempfile.TemporaryDirectory() as folder:
            grown = rain.ask("pending", n, how, f"{folder}/gate")["value"]
        told = f"{grown['server']:.1f} / {grown['client']:.1f} MB"
        bench.line(f"W9 10,000 waiting tasks, {how}: server / client", asked, told)


def fan_in(bench: Bench) -> None:
    n = 10_000 // bench.part
    with bench.sides("rain") as (rain,):
        ours, noop = bench.turns([lambda: rain.ask("fan_in", n), lambda: rain.ask("map_wait", "noop", n)])
    bench.line(f"fan-in of {n} small results, beside as many noop tasks by map", "≤ 2", ratios(ours, noop, n))
    with bench.sides("rain") as (rain,):
        ours, noop = bench.turns([lambda: rain.ask("fan_in", n), lambda: rain.ask("loop_wait", "noop", n)])
    bench.line("… by loop", "≤ 2", ratios(ours, noop, n))


def directory(bench: Bench) -> None:
    files = 20_000 // bench.part
    what = f"directory of {files} files in, through a program and out, of the other build's time"
    if bench.options.base is None:
        return bench.line(what, "≤ 0.25", "needs --base")

    def through(side: Other) -> dict[str, Any]:
        side.ask("make_folder", files)
        found = side.ask("directory")
        side.ask("drop_folder", files)
        return found

    with bench.sides("rain", "base") as made:
        ours, theirs = bench.turns([lambda side=side: through(side) for side in made], min(bench.pairs, 3))  # type: ignore[misc]
    return bench.line(what, "≤ 0.25", ratios(ours, theirs))


LINES: dict[str, Callable[[Bench], None]] = {
    "W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W7": w7, "W8": w8, "W9": w9, "fan-in": fan_in,
    "directory": directory,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", choices=[*LINES, []], default=[], help="(default: all)")
    parser.add_argument("--base", type=Path, help="another checkout of Rain")
    parser.add_argument("--ray", metavar="PYTHON", help="an interpreter that has ray")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--short", action="store_true", help="a tenth of the work: whether it runs")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    bench = Bench(options)
    bench.line("what", "asked", "measured")
    bench.line("---", "---", "---")
    for name in options.lines or LINES:
        LINES[name](bench)


if __name__ == "__main__":
    main()
