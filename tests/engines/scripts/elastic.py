"""Runs on the login node: an elastic pool brings three hosts for one task that needs them at once, and lets them go."""

from __future__ import annotations

import time
from typing import Any

from rain import Client, Output, remote, tasks


@remote(nodes=3, cpus=2, outputs=[Output(encode="json")])
def everywhere(ctx: Any) -> Any:
    ctx.launch(["sh", "-c", "echo node $RAIN_NODE_RANK is $(hostname)"])
    return [node.governor.partition(":")[0] for node in ctx.nodes]


with Client.on("slurm", nodes=0, cpus=2, time="10:00", partition="main") as client:
    [pool] = client.pools
    pool.adapt(0, 3, idle=2)
    with client.new_session("hosts", default=True) as session:
        task = everywhere()
        task.keep_outputs()
        session.submit()
        begin = time.monotonic()
        while "3 asked for" not in task.explain() and time.monotonic() - begin < 100:
            time.sleep(0.1)
        print("waits:", task.explain())
        session.wait(task, timeout=100)
        print("hosts", len(set(task.output.fetch().load())))
        print(*sorted(task.stdout().splitlines()), sep="\n")
        mpirun = ["mpirun", "--allow-run-as-root", "--map-by", "ppr:1:node", "hostname"]
        made = tasks.Execute(mpirun, stdout=True, nodes=3, cpus=2)
        print("mpirun", *sorted(bytes(session.run(made)).decode().split()))
        while any(place.state.value != "ended" for place in pool.places) and time.monotonic() - begin < 100:
            time.sleep(0.1)
        print(pool)
