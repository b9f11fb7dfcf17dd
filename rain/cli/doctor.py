"""`rain doctor`: what a governor would have here, the checks of this machine, and those of a batch system."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Iterable

import typer

from rain.cli.words.printing import count, printable, table
from rain.common.limits import HOST_CONNECT_S
from rain.common.protocol.address import parse_address
from rain.deploy import checkup
from rain.deploy.checkup import batch_systems
from rain.deploy.checkup.finding import Finding, Level
from rain.governor.surroundings.here import found_here
from rain.governor.surroundings.leaving import known_end
from rain.host.libraries import installed_versions


def show_here(reach: str) -> None:
    """Print what a governor that is started here would have; and whether `reach`, if given, can be connected to."""
    end = known_end("", os.environ, time.time())
    rows = [list(found) for found in found_here(end)]
    rows.append(["python", platform.python_version(), sys.executable])
    installed = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    rows.append(["libraries", "installed", installed or "none of those that matter to pickles"])
    table(["", "a governor here has", "because of"], rows, "")
    if reach:
        try:
            socket.create_connection(parse_address(reach), HOST_CONNECT_S).close()
        except OSError as error:
            print(f"{reach} is not reached from {socket.gethostname()}: {error.strerror or error}")
        else:
            print(f"{reach} is reached from {socket.gethostname()}")


def show_checkup() -> None:
    """Print the findings of the checks of this machine; a failure makes the exit status 1."""
    _show(checkup.look())


def show_engine(engine: str, words: list[str]) -> None:
    """Print the findings of the checks of a batch system; a failure makes the exit status 1."""
    _show(batch_systems.look(engine, words))


def _show(findings: Iterable[Finding]) -> None:
    counts = dict.fromkeys(Level, 0)
    for finding in findings:
        counts[finding.level] += 1
        print(printable(f"{finding.level.value:<9}{finding.what:<16}  {finding.found}"), flush=True)
        if finding.cure:
            print(printable(f"{'':<27}what to do: {finding.cure}"), flush=True)
    print(f"{count(counts[Level.WARNING], 'warning')}, {count(counts[Level.FAILURE], 'failure')}")
    if counts[Level.FAILURE]:
        raise typer.Exit(1)
