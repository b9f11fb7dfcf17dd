"""What others do when their scheduler, or what holds their results, is killed in a run, as `deaths.py` asks of Rain.

    python benchmarks/rival_deaths.py dask|ray|hyperqueue [--way scheduler] [--tasks 2000] [--seed 1]

in an environment where that is installed (Ray's `head` needs the program redis-server too). The tasks, each with up to
two of the 20 before it as inputs, write a file each time that they run. The scheduler (`scheduler`, `head`,
`head-alone`, `server`) is killed with -9 when a third of them ran, and started again at once as its documentation
says; the worker that holds results (`worker`) when all have finished. The client is a process of its own, as it may die
of that. Prints what became of the tasks, how many ran again, and after how long a new task was answered.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bodies import chances, executions, until
from rivals import RIVALS, Rival

GUARD_S = 400.0
WAIT_S = 180.0
"""For all results, counted from when it was started again."""


def put(path: Path, value: Any) -> None:
    """Write a file that is there as a whole."""
    path.with_suffix(".part").write_text(json.dumps(value))
    path.with_suffix(".part").rename(path)


def as_client(name: str, folder: Path, way: str, count: int, seed: int) -> None:
    """Submit, say what had finished when it is time to kill, and what became of all."""
    rival: Rival = RIVALS[name](str(folder), way)
    inputs, values = chances(count, random.Random(seed))
    rival.connect()
    tasks = rival.submit(inputs)
    at_end = rival.way == "worker"
    until(lambda: len(executions(rival.work)) >= (count if at_end else count // 3), "enough ran", GUARD_S)
    while at_end and not all(rival.is_done(task) for task in tasks):
        time.sleep(0.1)
    put(folder / "finished", [number for number, task in enumerate(tasks) if rival.is_done(task)])
    until((folder / "again").exists, "it is killed and started again", GUARD_S)
    began, killed = time.monotonic(), json.loads((folder / "again").read_text())
    deadline = began + WAIT_S
    fate: Counter[str] = Counter()
    texts: dict[str, str] = {}
    answered = None
    while answered is None and time.monotonic() < deadline:
        try:
            rival.value(rival.call(rival.work, count), WAIT_S)
            answered = time.time() - killed
        except BaseException as error:
            texts["a new task"] = f"{type(error).__name__}: {error}"[:300]
            time.sleep(0.1)
    had = set(json.loads((folder / "finished").read_text()))
    for number, task in enumerate(tasks):
        when = "had finished" if number in had else "had not"
        try:
            right = rival.value(task, max(0.1, deadline - time.monotonic())) == values[number]
            fate[f"{'right' if right else 'wrong'} ({when})"] += 1
        except BaseException as error:
            fate[f"{type(error).__name__} ({when})"] += 1
            texts.setdefault(type(error).__name__, str(error)[:300])
    put(folder / "fate", {"fate": fate, "texts": texts, "answered": answered})


def main() -> int:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rival", choices=sorted(RIVALS))
    parser.add_argument("--way")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kind = RIVALS[options.rival]
    way = options.way or kind.ways[0]
    if way not in kind.ways:
        parser.error(f"--way of {options.rival}: {', '.join(kind.ways)}")
    folder = Path(tempfile.mkdtemp(prefix="rivals-", dir="/tmp"))  # a short path: sockets are below it
    (folder / "work").mkdir()
    rival = kind(str(folder), way)
    rival.start()
    told = (options.rival, folder, way, options.tasks, options.seed)
    client = multiprocessing.get_context("spawn").Process(target=as_client, args=told)
    client.start()
    try:
        until(lambda: (folder / "finished").exists() or not client.is_alive(), "some ran", GUARD_S)
        if not (folder / "finished").exists():
            print(f"the client ended before: {client.exitcode}", file=sys.stderr)
            return 1
        killed = time.time()
        rival.kill()
        before = executions(rival.work)
        rival.start_again()
        took = time.time() - killed
        put(folder / "again", killed)
        client.join(GUARD_S)
        finished = [str(number) for number in json.loads((folder / "finished").read_text())]
        after = executions(rival.work)
        today = datetime.datetime.now(datetime.UTC).date()
        print(f"{rival.name} {rival.version}, {way} killed when {len(finished)} of {options.tasks} had finished")
        print(f"   ({today}, load {os.getloadavg()[0]:.0f}):")
        if (folder / "fate").exists():
            print("  ", json.dumps(json.loads((folder / "fate").read_text()), indent=2))
        else:
            print(f"   the client's process ended with {client.exitcode}")
        again = sum(after[name] > before[name] for name in finished)
        print(f"   started again after {took:.1f} s; {again} tasks that had finished ran again, ", end="")
        print(f"{sum(count > 1 for count in after.values())} of {len(after)} ran more than once")
    finally:
        rival.close()
        client.kill()
        client.join()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
