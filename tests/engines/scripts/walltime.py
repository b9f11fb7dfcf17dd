"""Runs on the login node: the time of a place is over while a task runs there and only it has an object."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from rain import Client, Output, remote

MIB = 20


@remote(outputs=["data"])
def large(ctx: Any, mib: int) -> Any:
    return b"x" * (mib << 20)


@remote(outputs=[Output(encode="json")])
def long(ctx: Any, marker: str) -> Any:
    import os
    import time

    with open(marker, "a") as file:
        file.write("run ")
    if os.path.getsize(marker) == len("run "):
        time.sleep(100)
    return os.path.getsize(marker) // len("run ")


with Client.on("slurm", nodes=1, cpus=1, time="1:00", timeout=100) as client:
    [short] = client.pools
    with client.new_session("walltime", default=True) as session:
        data = large(MIB)
        data.keep_outputs()
        session.submit()
        session.wait(data, timeout=100)
        [first] = short.places
        left_s = first.ends_at - time.time()
        assert 0 < left_s <= 60, left_s
        running = long(str(Path(sys.argv[1], "runs")))
        running.keep_outputs()
        session.submit()
        stays = client.pool("slurm", 1, cpus=1, time="10:00")
        stays.wait(1, timeout=100)
        session.wait(running, timeout=100)
        print("runs", running.output.fetch().load())
        deadline = time.monotonic() + 100
        while first.state.value != "ended" and time.monotonic() < deadline:
            time.sleep(0.1)
        print("ended", first.state.value, first.reason)
        print("kept", len(data.output.fetch().get_bytes()) >> 20, "MiB, made in attempt", data.info.attempts)
        print("governors", len(client.get_server_info()["governors"]))
