"""How long a server takes to come back with many tasks: seconds of a processor until it answers. Prints JSON lines.

    python benchmarks/returns.py [--tasks 300000] [--kills 6] [--loop] [--chain]

A client submits small tasks whose results are kept, while a governor runs them; the server is killed when so many tasks
have finished, each time after a further part. Seconds of a processor are those of the process that came back, from its
start until it had answered; `records` is what it applied again, and `image` whether it began with an image.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import time
from typing import Any

import psutil

from rain import Client, remote
from rain.processes import connection_files

PIECE = 20_000


@remote(auto_encode="pickle")
def small(ctx: Any, number: int) -> Any:
    """As little as a task can do."""
    return number


@remote(auto_encode="pickle")
def after(ctx: Any, number: int, before: Any) -> Any:
    """As little, behind another."""
    return number


def server_of(client: Client) -> int:
    """The process of a client's server."""
    return connection_files.read(client._cluster.connection_file).pid  # type: ignore[union-attr]


def log_of(client: Client) -> str:
    """What the server has logged."""
    folder = connection_files.read(client._cluster.connection_file).logdir  # type: ignore[union-attr]
    with open(os.path.join(folder, "server.log")) as file:
        return file.read()


def killed(client: Client, finished: int) -> dict[str, Any]:
    """Kill the server, and say how long it was away."""
    before = server_of(client)
    os.kill(before, signal.SIGKILL)
    began = time.monotonic()
    client.sessions()
    took_s = time.monotonic() - began
    process = psutil.Process(server_of(client))
    assert process.pid != before
    times = process.cpu_times()
    said = re.findall(r"came back with \d+ sessions: (\d+) records in ([\d.]+) s", log_of(client))[-1]
    images = re.findall(r"an image of the server was written: (\d+) bytes in ([\d.]+) s", log_of(client))
    return {
        "finished": finished, "answered_s": round(took_s, 2), "cpu_s": round(times.user + times.system, 2),
        "records": int(said[0]), "applied_s": float(said[1]), "images": len(images),
        "image_mb": int(images[-1][0]) / 1e6 if images else 0, "image_s": float(images[-1][1]) if images else 0,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--chain", action="store_true", help="each task takes the result of the one before the last")
    options = parser.parse_args()
    with Client.local(cpus=2) as client, client.new_session("many") as session:
        tasks: list[Any] = []
        part = options.tasks // options.kills
        for kill in range(options.kills):
            for begin in range(kill * part, (kill + 1) * part, PIECE):
                for number in range(begin, min(begin + PIECE, (kill + 1) * part)):
                    if options.chain and len(tasks) > 1:
                        tasks.append(after(number, tasks[-2].output))
                    else:
                        tasks.append(small(number))
                    tasks[-1].output.keep()
                session.submit()
            began = time.monotonic()
            for task in tasks[-part:]:
                task.wait()
            print(json.dumps({"waited_s": round(time.monotonic() - began, 1)} | killed(client, len(tasks))), flush=True)


if __name__ == "__main__":
    main()
