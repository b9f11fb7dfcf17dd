"""Runs on the login node: a client whose governors are jobs, that asks for more of them and for fewer."""

from __future__ import annotations

import time
from typing import Any

from rain import Client, Output, RainException, remote

begin = time.monotonic()


@remote(outputs=[Output(encode="json")])
def where(ctx: Any, number: int) -> Any:
    import socket
    import time

    time.sleep(0.1)
    return socket.gethostname()


with Client.on("slurm", nodes=2, cpus=2, time="10:00", partition="main", timeout=100) as client:
    with client.new_session("hosts", default=True) as session:
        session.run(where(0))
        print("first result", round(time.monotonic() - begin, 2))
        [pool] = client.pools
        pool.wait(2, timeout=100)
        client.wait_for_governors(2, timeout=100)
        print("two", *sorted(set(session.run(*[where(i) for i in range(40)]))))
        pool.scale(5)  # of which three have room
        pool.wait(3, timeout=100)
        client.wait_for_governors(3, timeout=100)
        print("three", *sorted(set(session.run(*[where(i) for i in range(60)]))))
        try:
            pool.wait(4, timeout=1)
        except TimeoutError as error:
            print("waits:", error)
        pool.scale(1)
        print(pool)
        print("one", *sorted(set(session.run(*[where(i) for i in range(10)]))))
    broken = client.pool("slurm", 1, cpus=1, partition="main", python="/nowhere/python")
    try:
        broken.wait(1, timeout=100)
    except RainException as error:
        print("broken:", error)
    try:
        client.pool("slurm", 1, partition="none")
    except RainException as error:
        print("refused:", error)
