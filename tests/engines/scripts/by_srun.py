"""Runs in a batch job of Slurm of three hosts: programs of one task are a step of the job, by ``launcher="srun"``."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from rain import Client, Output, TaskException, remote


@remote(nodes=3, cpus=2, outputs=[Output(encode="json")])
def by_srun(ctx: Any) -> Any:
    ctx.launch(["sh", "-c", "echo rank $RAIN_NODE_RANK of $SLURM_NTASKS on $(hostname)"], launcher="srun")
    pmi = ["sh", "-c", "echo slurm gives pmi rank $PMI_RANK of $PMI_SIZE to $RAIN_NODE_RANK"]
    ctx.launch(pmi, env={"SLURM_MPI_TYPE": "pmi2"}, launcher="srun")
    return [node.governor.partition(":")[0] for node in ctx.nodes]


@remote(nodes=3, cpus=2)
def fails(ctx: Any) -> None:
    ctx.launch(["sh", "-c", "[ $RAIN_NODE_RANK = 1 ] && exit 3; sleep 100"], launcher="srun")


@remote(nodes=3, cpus=2)
def goes_on(ctx: Any) -> None:
    ctx.launch(["sleep", "1234"], launcher="srun")


def sleeping() -> int:
    """On how many hosts the step's program runs; the hosts of the tests see each other's processes."""
    return subprocess.run(["pgrep", "-xf", "sleep 1234"], stdout=subprocess.PIPE).stdout.count(b"\n")


def wait_for(number: int) -> None:
    deadline = time.monotonic() + 60
    while sleeping() != number and time.monotonic() < deadline:
        time.sleep(0.05)


with Client.on("allocation", wait=3, timeout=100) as client, client.new_session("steps", default=True) as session:
    client.wait_for_governors(3, timeout=100)
    task = by_srun()
    task.keep_outputs()
    session.submit()
    session.wait(task, timeout=100)
    for line in sorted(task.stdout().splitlines()):
        print(line)
    print("nodes", *task.output.fetch().load())
    task = fails()
    session.submit()
    try:
        session.wait(task, timeout=100)
    except TaskException as error:
        print("fails:", str(error).replace("\n", " | "))
    task = goes_on()
    session.submit()
    wait_for(3)
    print("runs", sleeping())
    task.cancel()
    wait_for(0)
    print("cancelled", sleeping())
    task = by_srun()
    task.keep_outputs()
    session.submit()
    session.wait(task, timeout=100)
    print("again", len(task.output.fetch().load()))
