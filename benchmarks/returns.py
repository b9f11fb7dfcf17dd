"""How long a server takes to come back with many tasks: seconds of a processor until it answers. Prints JSON lines.

    python benchmarks/returns.py [--tasks 300000] [--kills 6] [--chain]
    python benchmarks/returns.py --released [--tasks 1000000] [--every 50000] [--by map|loop]

A client submits small tasks whose results are kept, while a governor runs them; the server is killed when so many tasks
have finished, each time after a further part. Seconds of a processor are those of the process that came back, from its
start until it had answered; `records` is what it applied again, and `image` whether it began with an image.

With `--released` tasks come in parts of 10,000, of which two are under way at any time; each result is looked at and
let go. The server is killed each time that `--every` further tasks have finished, with the next part running.
`rss_mb` is the memory of the server that came back, `journal_mb` what lies in its folder, `client_mb` and
`governor_mb` the others'.
The last line compares the server's memory at the first and at the last return.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import time
from typing import Any

import psutil

from rain import Client, remote
from rain.processes import connection_files

PIECE = 20_000
PART = 10_000


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


def memory_mb(name: str) -> float:
    """Of this process's descendants that are called `name`."""
    found = [process for process in psutil.Process().children(recursive=True) if process.name() == name]
    return round(sum(process.memory_info().rss for process in found) / 1e6, 1)


def state_of(client: Client) -> dict[str, Any]:
    """What server, governor, client and journal take."""
    folder = os.path.join(client._cluster.folder, "journal")  # type: ignore[union-attr]
    journal = sum(entry.stat().st_size for entry in os.scandir(folder))
    return {
        "rss_mb": memory_mb("rain-server"), "governor_mb": memory_mb("rain-governor"),
        "client_mb": round(psutil.Process().memory_info().rss / 1e6, 1), "journal_mb": round(journal / 1e6, 1),
    }  # fmt: skip


def endure(options: argparse.Namespace) -> None:
    """Let a server die again and again while many tasks pass through it.

    Raises
    ------
    AssertionError
        If a value is wrong.
    """
    began = time.monotonic()
    returns: list[dict[str, Any]] = []
    with Client.local(cpus=2) as client, client.new_session("many") as session:

        def submit(first: int) -> list[Any]:
            numbers = range(first, min(first + PART, options.tasks))
            made = small.map(numbers) if options.by == "map" else [small(number) for number in numbers]
            session.keep(made)
            session.submit()
            return made

        parts = [submit(0)]
        finished = 0
        while parts:
            if finished + PART < options.tasks:
                parts.append(submit(finished + PART))
            part = parts.pop(0)
            for task in part:
                task.wait()
            if finished // options.every != (finished + len(part)) // options.every and parts:
                returns.append(killed(client, finished + len(part)) | state_of(client))
                print(json.dumps(returns[-1]), flush=True)
            values = [task.output.fetch().load() for task in part]
            assert values == list(range(finished, finished + len(part))), "a value is wrong"
            finished += len(part)
            session.unkeep(part)
            del part, values, task
        end = state_of(client)
    print(json.dumps({
        "tasks": finished, "by": options.by, "seconds": round(time.monotonic() - began, 1), "kills": len(returns),
        "answered_s": [round(f([one["answered_s"] for one in returns]), 2) for f in (statistics.median, max)],
        "rss_mb": [returns[0]["rss_mb"], returns[-1]["rss_mb"]], "end": end,
    }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=300_000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--chain", action="store_true", help="each task takes the result of the one before the last")
    parser.add_argument("--released", action="store_true", help="results are let go, the server dies now and then")
    parser.add_argument("--every", type=int, default=50_000)
    parser.add_argument("--by", choices=["map", "loop"], default="map")
    options = parser.parse_args()
    if options.released:
        endure(options)
        return
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
