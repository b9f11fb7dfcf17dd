"""Runs in a batch job of several hosts: a client whose governors are steps there, one on each host."""

from __future__ import annotations

import time
from typing import Any

from rain import Client, Output, RainException, remote


@remote(outputs=[Output(encode="json")])
def where(ctx: Any, number: int) -> Any:
    import os
    import socket
    import time

    time.sleep(0.1)
    return [socket.gethostname(), sorted(name for name in os.environ if name.startswith(("SLURM_JOB", "PE_HOST")))]


def hosts(session: Any) -> list[str]:
    seen = session.run(*[where(i) for i in range(60)])
    assert not any(names for _, names in seen), seen
    return sorted({host for host, _ in seen})


begin = time.monotonic()
with Client.on("allocation", timeout=100) as client, client.new_session("hosts", default=True) as session:
    session.run(where(0))
    print("first result", round(time.monotonic() - begin, 2))
    [pool] = client.pools
    pool.wait(3, timeout=100)
    client.wait_for_governors(3, timeout=100)
    print("three", *hosts(session))
    print("cpus", *(governor["resources"]["cpus"] for governor in client.get_server_info()["governors"]))
    left = pool.places[-1]
    pool.give_up([left.number])
    while left.state.value != "ended":
        time.sleep(0.05)
    print("left", left.reason)
    try:
        pool.scale(4)
    except RainException as error:
        print("refused:", error)
    pool.scale(3)
    pool.wait(3, timeout=100)
    client.wait_for_governors(3, timeout=100)
    print("again", *hosts(session))
print("closed")
