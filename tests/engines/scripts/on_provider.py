"""Runs on the login node: clients whose governors are blocks of providers of parsl, on Slurm and here."""

from __future__ import annotations

from typing import Any

from parsl.providers import LocalProvider, SlurmProvider  # type: ignore[import-untyped]

from rain import Client, Output, RainException, remote


@remote(outputs=[Output(encode="json")])
def where(ctx: Any, number: int) -> Any:
    import socket
    import time

    time.sleep(0.1)
    return socket.gethostname()


def hosts(client: Client) -> list[str]:
    with client.new_session("hosts", default=True) as session:
        return sorted(set(session.run(*[where(i) for i in range(40)])))


provider = SlurmProvider(partition="main", cores_per_node=2, exclusive=False, walltime="00:10:00")
with Client.on(provider, nodes=2, wait=2, timeout=100) as client:
    client.wait_for_governors(2, timeout=100)
    print("by", client.pools[0].engine, *hosts(client))
    wrong = SlurmProvider(partition="none", exclusive=False)
    try:
        client.pool(wrong, 1)
    except RainException as error:
        print("refused:", str(error).replace("\n", " "))
with Client.local(governors=0) as client:
    pool = client.pool(LocalProvider(), 1)
    pool.wait(1, timeout=100)
    client.wait_for_governors(1, timeout=100)
    print("by", pool.engine, *hosts(client))
print("closed")
