"""Runs on the login node: many small tasks and a large object on three hosts, of which one is taken away."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rain import Client, Input, Output, remote

ADDRESS, FOLDER = sys.argv[1], Path(sys.argv[2])
TASKS, MIB = 500, 50


@remote(outputs=["data"])
def large(ctx: Any, mib: int) -> Any:
    import os

    return os.urandom(1) * (mib << 20)


@remote(outputs=[Output(encode="json")])
def small(ctx: Any, number: int, data: Input(), folder: str) -> Any:  # type: ignore[valid-type]
    import os
    import socket
    import time

    with open(os.path.join(folder, f"run-{number}"), "a") as file:
        file.write(socket.gethostname() + "\n")
    time.sleep(0.02)
    return [number, data.size]


client = Client(ADDRESS)
client.wait_for_governors(3, timeout=60)
runs = FOLDER / "runs"
runs.mkdir()
with client.new_session("departure", default=True) as session:
    data = large(MIB).output
    tasks = [small(number, data, os.fspath(runs)) for number in range(TASKS)]
    for task in tasks:
        task.keep_outputs()
    session.submit()
    session.wait(tasks[:100], timeout=100)
    (FOLDER / "hundred-are-done").touch()
    session.wait_all(timeout=100)
    results = [task.output.fetch().load() for task in tasks]
assert results == [[number, MIB << 20] for number in range(TASKS)], results
lines = [(runs / f"run-{number}").read_text().splitlines() for number in range(TASKS)]
twice = [ran for ran in lines if len(ran) > 1]
print("hosts", *sorted({host for ran in lines for host in ran}))
print("ran twice", len(twice))
