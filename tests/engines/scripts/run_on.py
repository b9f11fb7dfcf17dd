"""Runs in a batch job: tasks on the governors of a server that is there; prints their hosts."""

from __future__ import annotations

import sys
from typing import Any

from rain import Client, Output, remote


@remote(outputs=[Output(encode="json")])
def where(ctx: Any, number: int) -> Any:
    import socket
    import time

    time.sleep(0.1)
    return socket.gethostname()


with Client(sys.argv[1]) as client:
    client.wait_for_governors(int(sys.argv[2]), timeout=100)
    with client.new_session("hosts", default=True) as session:
        print("started", *sorted(set(session.run(*[where(i) for i in range(60)]))))
