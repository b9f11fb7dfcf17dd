"""`rain doctor`: what a governor has where this runs, and what stands between this host and a batch system."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time

import typer

from rain.cli.printing import printable, table
from rain.common.limits import HOST_CONNECT_S
from rain.common.protocol.address import parse_address
from rain.deploy import doctor
from rain.governor.surroundings.here import found_here
from rain.governor.surroundings.leaving import known_end
from rain.host.libraries import installed_versions


def show_here(reach: str) -> None:
    """Print what a governor started here would have, and whether an address is reached, if one is given."""
    end = known_end("", os.environ, time.time())
    rows = [list(found) for found in found_here(end)]
    rows.append(["python", platform.python_version(), sys.executable])
    installed = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    rows.append(["libraries", "for it", installed or "none of those that matter to pickles"])
    table(["", "a governor here has", "because of"], rows, "")
    if reach:
        try:
            socket.create_connection(parse_address(reach), HOST_CONNECT_S).close()
        except OSError as error:
            print(f"{reach} is not reached from {socket.gethostname()}: {error.strerror or error}")
        else:
            print(f"{reach} is reached from {socket.gethostname()}")


def show_engine(engine: str, words: list[str]) -> None:
    """Print what was found, as soon as it was; what is not well makes the exit status 1."""
    is_well = True
    for finding in doctor.look(engine, words):
        is_well = is_well and finding.is_well
        sign = "" if finding.is_well else "NOT WELL: "
        print(printable(f"{finding.what:<16}  {sign}{finding.found}"), flush=True)
    if not is_well:
        raise typer.Exit(1)
