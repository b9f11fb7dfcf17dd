"""Runs on the login node: governors in workers that dask-jobqueue has in jobs of Slurm, of which one is cancelled."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask
import dask_jobqueue  # noqa: F401 (its configuration)

sys.path.append(str(Path(__file__).resolve().parents[3]))
from rain import Client, Output, remote
from tests import snippets

FOLDER, LOGIN = Path(sys.argv[1]), sys.argv[2]
PAGE = Path(__file__).resolve().parents[3] / "docs" / "clusters.md"
TASKS, MIB = 500, 50


@remote(outputs=[Output(encode="pickle")])
def large(ctx: Any, mib: int) -> Any:
    import os

    return os.urandom(1) * (mib << 20)


@remote(outputs=[Output(encode="json")])
def small(ctx: Any, number: int, data: Any, folder: str) -> Any:
    import os
    import socket
    import time

    with open(os.path.join(folder, f"run-{number}"), "a") as file:
        file.write(socket.gethostname() + "\n")
    time.sleep(0.02)
    return [number, data.size >> 20, [name for name in os.environ if name.startswith(("SLURM_", "DASK_"))]]


here = {
    "python": sys.executable,
    "processes": 1,
    "log-directory": str(FOLDER / "dask-logs"),
    "local-directory": "/tmp",
    "scheduler-options": {"host": LOGIN, "dashboard": False},
}
dask.config.set({"jobqueue.slurm": dask.config.get("jobqueue.slurm") | here})
line, source = snippets.section(PAGE, "Dask", "python")[1]
namespace: dict[str, Any] = {"Client": Client}
snippets.run(PAGE, line, source.replace("cores=16", "cores=2").replace("32GB", "900MB"), namespace)
client = namespace["client"]
with namespace["cluster"] as cluster:
    [pool] = client.pools
    pool.scale(3)  # more than there are: adapt brings them
    pool.wait(3, timeout=100)
    print("up", pool)
    (FOLDER / "runs").mkdir()
    with client.new_session("departure", default=True) as session:
        data = large(MIB).output
        tasks = [small(number, data, str(FOLDER / "runs")) for number in range(TASKS)]
        for task in tasks:
            task.keep_outputs()
        session.submit()
        session.wait(tasks[:100], timeout=100)
        jobs = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["scancel", jobs[0]], check=True)
        session.wait_all(timeout=100)
        results = [task.output.fetch().load() for task in tasks]
    assert results == [[number, MIB, ["SLURM_CONF"]] for number in range(TASKS)], results[:3]
    lines = [(FOLDER / "runs" / f"run-{number}").read_text().splitlines() for number in range(TASKS)]
    print("hosts", *sorted({host for ran in lines for host in ran}))
    print("ran twice", sum(len(ran) > 1 for ran in lines))
    client.close()
    print("closed", time.time())
    (FOLDER / "closed").touch()
    while not (FOLDER / "looked").exists() or cluster.scheduler.workers:
        time.sleep(0.01)
    print("none is left")
