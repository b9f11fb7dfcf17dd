"""Checks of keys, ports and addresses: whether a server can be reached, or started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from rain.common.errors import RainException
from rain.common.protocol.address import SERVER_PORT
from rain.deploy.checkup.finding import Finding, failure, warning
from rain.host.process_table import is_alive
from rain.net.own_address import own_address
from rain.processes.connection_files import read
from rain.processes.private_folders import runtime_dir, tidy


def findings() -> Iterator[Finding]:
    """The findings of all checks of this user's servers and the way to them."""
    try:
        folder = runtime_dir()
    except RainException as error:
        yield failure(
            "keys",
            str(error),
            "remove it, or chmod 700 it; `rain start` makes new keys where other users could read the old ones",
        )
    else:
        yield from keys(folder)
        tidy()
    if "RAIN_TOKEN" in os.environ:
        yield warning(
            "token", "RAIN_TOKEN is set: processes that are started here see it", "use --token-file, and unset it"
        )
    yield port(SERVER_PORT)
    yield names()


def keys(folder: Path) -> Iterator[Finding]:
    """The servers that have a connection file.

    Parameters
    ----------
    folder : Path
        The user's runtime folder.
    """
    alive = []
    for path in sorted(folder.glob("*.json")):
        try:
            file = read(path)
        except RainException as error:
            yield failure("keys", str(error), f"chmod 600 {path}, or remove it and start its server again")
            continue
        if file.pid and is_alive(file.pid):
            alive.append(file.address)
        else:
            yield warning(
                "servers",
                f"that at {file.address} has a connection file, but does not run",
                f"rain start --listen {file.address} brings it back; if it is not wanted, remove {path}",
            )
    yield Finding("servers", ", ".join(alive) or "none of this user's runs here")


def port(number: int) -> Finding:
    """Whether the port that `rain start` and `Client()` take by default is free.

    Parameters
    ----------
    number : int
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            return Finding("port", f"{number} is in use ({error.strerror}): rain start --listen N takes another one")
    return Finding("port", f"{number} is free")


def names() -> Finding:
    """Whether this machine has an address for other hosts."""
    try:
        return Finding("address", f"{own_address()} for other hosts ({socket.gethostname()})")
    except RainException as error:
        return Finding("address", f"only loopback is known here, which is enough for this machine alone: {error}")
