"""What Dask does when its scheduler is killed in a run of 200 tasks and started again, as `deaths.py` asks of Rain.

    python benchmarks/rival_deaths.py [--tasks 200] [--kill scheduler|worker]

The tasks, each of which needs the one before, write a file each time that they run. `scheduler`: it is killed with -9
when a third of them ran, and started again at its address at once. `worker`: the worker that ran the first one is
killed when all have finished; its nanny starts another one. Prints what became of the futures, and how many ran twice.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

PORT = 28786
WAIT_S = 60.0


def ran(folder: str, number: int, *values: Any) -> Any:
    """A task: large enough that it stays with its worker."""
    open(f"{folder}/{number}.{os.getpid()}.{time.monotonic_ns()}", "w").close()
    time.sleep(0.02)
    return number, bytes(100_000)


def executions(folder: str) -> Counter[str]:
    """How often each task ran."""
    return Counter(name.split(".")[0] for name in os.listdir(folder))


def begin(*words: str) -> subprocess.Popen[bytes]:
    """A process of Dask's."""
    command = [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:]]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Parse arguments and run."""
    import distributed

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--kill", choices=["scheduler", "worker"], default="scheduler")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="rival-deaths-")
    os.mkdir(work := f"{folder}/work")
    address = f"tcp://127.0.0.1:{PORT}"
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(PORT), "--dashboard-address", ":0"]
    processes = [begin(*scheduler)]
    worker = ["dask_worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", folder]
    processes += [begin(*worker), begin(*worker)]
    try:
        client = distributed.Client(address, timeout=WAIT_S)
        client.wait_for_workers(2, timeout=WAIT_S)
        futures: list[Any] = []
        for number in range(options.tasks):
            futures.append(client.submit(ran, work, number, *futures[-1:], pure=False))
        share = 1 / 3 if options.kill == "scheduler" else 1
        while len(executions(work)) < share * options.tasks or (share == 1 and not all(f.done() for f in futures)):
            time.sleep(0.01)
        done = sum(future.status == "finished" for future in futures)
        if options.kill == "scheduler":
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()
            processes.append(begin(*scheduler))
        else:
            pid = int(next(Path(work).glob("*.*")).name.split(".")[1])
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + WAIT_S
        fate: Counter[str] = Counter()
        for future in futures:
            try:
                future.result(timeout=max(0.1, deadline - time.monotonic()))
                fate["result"] += 1
            except BaseException as error:
                fate[type(error).__name__] += 1
        twice = sum(count > 1 for count in executions(work).values())
        print(
            f"distributed {distributed.__version__}, {options.kill} killed when {done} of {options.tasks} had finished:"
        )
        print(f"  {dict(fate)}; {len(executions(work))} tasks ran, {twice} of them more than once")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


if __name__ == "__main__":
    main()
