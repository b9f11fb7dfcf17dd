"""Runs on the login node: a client whose tasks and kept objects outlive what its test does to server and governors. The
two agree by files in a folder."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from rain import Client, remote

ADDRESS, FOLDER, GOVERNORS = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
GUARD_S = 120
LARGE = 1 << 20


def tell(name: str) -> None:
    (FOLDER / f"{name}.part").touch()
    (FOLDER / f"{name}.part").rename(FOLDER / name)


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@remote(auto_encode="pickle")
def made(ctx: Any, number: int, folder: str) -> Any:
    import os
    import socket

    with open(os.path.join(folder, f"made-{number}"), "a") as file:
        file.write(f"{socket.gethostname()}\n")
    return bytes([number]) * (1 << 20)


@remote(auto_encode="pickle")
def long(ctx: Any, number: int, folder: str) -> Any:
    import os
    import pathlib
    import socket
    import time

    with open(os.path.join(folder, f"long-{number}"), "a") as file:
        file.write(f"{socket.gethostname()}/{os.getpid()}\n")
    while not pathlib.Path(folder, "finish").exists():
        time.sleep(0.02)
    return f"{socket.gethostname()}/{os.getpid()}"


def runs(kind: str, number: int) -> list[str]:
    path = FOLDER / f"{kind}-{number}"
    return path.read_text().split() if path.exists() else []


with Client(ADDRESS) as client, client.new_session("stays", default=True) as session:
    client.wait_for_governors(GOVERNORS, timeout=GUARD_S)
    objects = [made(number, os.fspath(FOLDER)) for number in range(2 * GOVERNORS)]
    for task in objects:
        task.keep_outputs()
    session.submit()
    session.wait_all(timeout=GUARD_S)
    tasks = [long(number, os.fspath(FOLDER)) for number in range(GOVERNORS)]
    for task in tasks:
        task.keep_outputs()
    session.submit()
    until(lambda: all(runs("long", number) for number in range(GOVERNORS)), "all run")
    tell("begun")
    until((FOLDER / "happened").exists, "it has happened")
    for number, task in enumerate(objects):
        assert task.output.fetch().load() == bytes([number]) * LARGE
    tell("finish")
    session.wait_all(timeout=GUARD_S)
    results = [task.output.fetch().load() for task in tasks]
    assert results == [runs("long", number)[-1] for number in range(GOVERNORS)]
    print("long tasks began", *sorted(len(runs("long", number)) for number in range(GOVERNORS)))
    ran = [runs("made", number) for number in range(2 * GOVERNORS)]
    hosts = {host for each in ran for host in each}
    print("objects were made", *sorted({len(each) for each in ran}), "times on", *sorted(hosts))
    more = [made(100 + number, os.fspath(FOLDER)) for number in range(20)]
    assert session.run(*more) == [bytes([100 + number]) * LARGE for number in range(20)]
    print("governors", len(client.get_server_info()["governors"]))
