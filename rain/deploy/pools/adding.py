"""Starting a process that holds a pool, for servers that `rain start` started."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rain.common.errors import RainException
from rain.common.limits import POOL_REQUEST_S
from rain.deploy.pools.choice import supply_of
from rain.deploy.pools.elastic import check_rules
from rain.deploy.pools.on_disk import records
from rain.deploy.pools.on_disk.records import PoolRecord
from rain.deploy.pools.words import ELASTIC_OPTIONS, parse_places
from rain.deploy.start import known_server
from rain.host.process_table import descendants
from rain.processes import private_folders
from rain.processes.launching import LIFELINE, READY, Launch, Program

POOL_OPTIONS = {"nodes": "int", "name": "str", **ELASTIC_OPTIONS}
"""What a command line may say of a pool beside the options of its engine, and types."""


def check_pool(engine: str, words: Sequence[str]) -> None:
    """Raise RainException if a command line about a pool has no meaning; see `add_pool`."""
    asked = parse_places(engine, words, POOL_OPTIONS)
    supply_of(engine, **asked.options)
    check_rules(engine, {name: asked.others[name] for name in ELASTIC_OPTIONS if name in asked.others})


def add_pool(server: str | None, engine: str, words: Sequence[str]) -> PoolRecord:
    """Have a process hold a new pool; returns when the engine has been asked for all places.

    Parameters
    ----------
    server : str or None
        As `known_server` takes it.
    engine : str
    words : sequence of str
        As `parse_places` takes them.

    Raises
    ------
    RainException
        If an option has no meaning, the engine refuses, or its hosts cannot reach the server.
    """
    check_pool(engine, words)  # before anything is started
    _, file = known_server(server)
    scratch = private_folders.private_logs()
    try:
        arguments = ["pool-keeper", file.reachable(), READY, LIFELINE, engine, *words]
        program = Program("pool", arguments, os.path.join(scratch.path, "pool.log"))
        launch = Launch([program], scratch.path, owned=scratch, tied=False, preload=False)
        launch.wait(POOL_REQUEST_S, limit="POOL_REQUEST_S")
        held_by = descendants(launch.pid)
        launch.release()
    finally:
        scratch.close()  # unless it is the guardian's by now
    made = [record for record in records.records() if record.pid in held_by and records.is_held(record)]
    if not made:
        raise RainException(f"the pool on {engine} has ended again")
    return made[-1]
