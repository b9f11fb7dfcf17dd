"""`rain pool-keeper`: a process that holds one pool of a server that `rain start` started, until the pool is removed.

It ends with its pool, and with its server: places that wait then are given up, and governors end as their server tells
them to.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from rain.client.client import Client
from rain.client.handles import is_over
from rain.common.errors import RainException
from rain.common.limits import ENGINE_COMMAND_S
from rain.deploy.pools.adding import POOL_OPTIONS
from rain.deploy.pools.words import parse_places
from rain.host.lifeline import end_with_lifeline, write_ready_file

LOOK_S = 1.0


def keep(words: Sequence[str]) -> int:
    """Hold a pool; `words` are the server's address, a ready file, a lifeline, the engine and its options.

    Returns
    -------
    int
        Exit status.
    """
    address, ready, lifeline, engine, *rest = words
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    end_with_lifeline(int(lifeline), ENGINE_COMMAND_S)
    try:
        asked = parse_places(engine, rest, POOL_OPTIONS)
        others: dict[str, Any] = {**asked.others}
        with Client(address) as client:
            pool = client.pool(engine, others.pop("nodes", None), **others, **asked.options)
            write_ready_file(ready)
            while not end.wait(LOOK_S) and not pool.closed and not is_over(client):
                pass
    except RainException as error:
        print(f"rain pool-keeper: {error}", file=sys.stderr)
        return 1
    return 0
