"""Many cores: whether they are kept busy, and what a task costs each process; beside `concurrent.futures`.

Prints one line for each question, with the number of cores that this process may use. On a machine of few cores the
shares say little about many: what says something there is the processor time a task of the server and of the governor,
each of which is one process whatever the number of cores, while sixteen executors run tasks that only sleep. The length
of a task divided by that is the most cores that one of them can keep busy: the last lines.

    python benchmarks/many_cores.py [--cores N] [--short]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from costs import spent_by_role

from rain import Client, Remote, Session

PAIRS = 3
MS, US_100 = 1e-3, 1e-4
EMULATED = 16


def spin(seconds: float) -> None:
    """Use the processor for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def noop(_ctx: Any, i: int) -> int:
    return i


def busy_ms(_ctx: Any, i: int) -> int:
    spin(MS)
    return i


def busy_100us(_ctx: Any, i: int) -> int:
    spin(US_100)
    return i


def nap_ms(_ctx: Any, i: int) -> int:
    time.sleep(MS)
    return i


def plain_noop(i: int) -> int:
    return i


def looped(session: Session, remote: Remote, n: int) -> None:
    """So many tasks by a loop of calls, to their end."""
    session.keep([remote(i) for i in range(n)])
    session.submit()
    session.wait_all()


def mapped(session: Session, remote: Remote, n: int) -> None:
    """So many tasks by `map`, to their end."""
    session.keep(remote.map(range(n)))
    session.submit()
    session.wait_all()


def submitted(pool: ProcessPoolExecutor, n: int) -> None:
    """So many tasks of a pool of processes, one each, to their end."""
    for future in [pool.submit(plain_noop, i) for i in range(n)]:
        future.result()


def seconds_of(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def said(what: str, value: str) -> None:
    print(f"{what:<58} {value}", flush=True)


def against_futures(session: Session, cores: int, n: int) -> None:
    """W1 by a loop and by `map`, in turn with a pool of processes."""
    remote = Remote(noop, auto_load=True, auto_encode="pickle")
    took: dict[str, list[float]] = {"loop": [], "map": [], "futures": []}
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(plain_noop, range(100)))
        for _ in range(PAIRS):
            took["loop"].append(seconds_of(lambda: looped(session, remote, n)))
            took["map"].append(seconds_of(lambda: mapped(session, remote, n)))
            took["futures"].append(seconds_of(lambda: submitted(pool, n)))
    peer = statistics.median(took["futures"])
    for how in ("loop", "map"):
        own = statistics.median(took[how])
        said(f"{n} noop tasks, {how}, against concurrent.futures", f"{own / peer:.2f} ({own * 1e6 / n:.1f} µs a task)")


def kept_busy(session: Session, cores: int, body: Any, seconds: float, n: int) -> None:
    """The share of the cores that runs the bodies of short tasks."""
    remote = Remote(body, auto_load=True, auto_encode="pickle")
    mapped(session, remote, n // 8)
    for how, run in (("loop", looped), ("map", mapped)):
        share = statistics.median(
            n * seconds / cores / seconds_of(lambda run=run: run(session, remote, n)) for _ in range(PAIRS)
        )
        said(f"{n} tasks of {seconds * 1000:g} ms, {how}: share of {cores} cores kept busy", f"{share:.2f}")


def bottlenecks(session: Session, what: str, body: Any, seconds: float, n: int) -> None:
    """Processor time a task of each process; and how many cores the two single ones could keep busy with such tasks."""
    remote = Remote(body, auto_load=True, auto_encode="pickle")
    for how, run in (("loop", looped), ("map", mapped)):
        before = spent_by_role()
        run(session, remote, n)
        after = spent_by_role()
        spent = {role: (sum(after[role]) - sum(before.get(role, []))) / 1e3 / n for role in after}
        figures = ", ".join(f"{role} {value:.1f}" for role, value in spent.items() if role != "others")
        said(f"{what}, {how}: µs of a processor a task", figures)
        for role in ("server", "governor") if seconds else ():
            cores = seconds * 1e6 / max(spent[role], 0.1)
            said(f"… cores that one {role} keeps busy with them", f"{cores:.0f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--short", action="store_true", help="a tenth of the tasks")
    asked = options.parse_args()
    cores, part = asked.cores, 10 if asked.short else 1
    said("cores that this process may use", f"{len(os.sched_getaffinity(0))} (the cluster has {cores})")
    with Client.local(cpus=cores) as client:
        session = client.new_session("many cores", default=True)
        against_futures(session, cores, min(100_000, 10_000 * cores) // part)
        kept_busy(session, cores, busy_ms, MS, 1000 * cores // part)
        kept_busy(session, cores, busy_100us, US_100, 4000 * cores // part)
        bottlenecks(session, "noop tasks", noop, 0.0, min(100_000, 10_000 * cores) // part)
    with Client.local(cpus=EMULATED) as client:
        session = client.new_session("many executors", default=True)
        mapped(session, Remote(nap_ms, auto_load=True, auto_encode="pickle"), 1000)
        bottlenecks(session, f"{EMULATED} executors that sleep for 1 ms", nap_ms, MS, 16_000 // part)


if __name__ == "__main__":
    main()
