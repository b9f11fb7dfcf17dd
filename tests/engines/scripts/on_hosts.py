"""Runs on a machine that reaches three hosts over ssh: what its test does to them is agreed on by files in a folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from rain import Client, Output, RainException, remote

NOBODY, FOLDER = sys.argv[1], Path(sys.argv[2])
GUARD_S = 60


def tell(name: str, text: str = "") -> None:
    (FOLDER / f"{name}.part").write_text(text)
    (FOLDER / f"{name}.part").rename(FOLDER / name)


def until(name: str) -> None:
    deadline = time.monotonic() + GUARD_S
    while not (FOLDER / name).exists():
        assert time.monotonic() < deadline, name
        time.sleep(0.02)


@remote(outputs=[Output(encode="json")])
def where(ctx: Any, number: int) -> Any:
    import socket
    import time

    time.sleep(0.05)
    return socket.gethostname()


@remote(outputs=[Output(encode="json")])
def long(ctx: Any, number: int, folder: str) -> Any:
    import os
    import pathlib
    import socket
    import time

    with open(os.path.join(folder, f"long-{number}"), "a") as file:
        file.write(f"{socket.gethostname()} {os.getpid()}\n")
    while not pathlib.Path(folder, "finish").exists():
        time.sleep(0.02)
    return os.getpid()


# The third does not answer: the start goes on without it.
hosts = ["n1", "root@n2:2222", NOBODY]
with Client.on(hosts, cpus=2, connect_timeout=1, wait=2, timeout=GUARD_S) as client:
    [pool] = client.pools
    try:
        pool.wait(3, timeout=GUARD_S)
    except RainException as error:
        print("third:", error)
    client.wait_for_governors(2, timeout=GUARD_S)
    with client.new_session("hosts", default=True) as session:
        tasks = [long(number, str(FOLDER)) for number in range(3)]
        for task in tasks:
            task.keep_outputs()
        session.submit()
        tell("begun")
        until("connections-are-lost")
        print("meanwhile", session.run(where(0)) in ("n1", "n2"))
        tell("ran")
        until("connections-are-back")
        tell("finish")
        session.wait_all(timeout=GUARD_S)
        results = [task.output.fetch().load() for task in tasks]
        runs = [(FOLDER / f"long-{number}").read_text().split() for number in range(3)]
        assert [int(ran[1]) for ran in runs] == results, (runs, results)
        assert [len(ran) for ran in runs] == [2, 2, 2], runs
        print("long tasks ran once on", *sorted({ran[0] for ran in runs}))
        pool.scale(1)
        print(pool)
        print("one", *sorted(set(session.run(*[where(i) for i in range(10)]))))
    begin = time.monotonic()
print("closed within", round(time.monotonic() - begin, 2))
