"""What `rain doctor` looks at on this machine, part by part, and in the end whether a task runs here."""

from __future__ import annotations

from collections.abc import Iterator

from rain.deploy.checkup import machine, python_parts, servers
from rain.deploy.checkup.finding import Finding
from rain.deploy.checkup.trial import trial

__all__ = ["Finding", "look"]


def look() -> Iterator[Finding]:
    """Look at this machine, its Python and its servers; each line is given as soon as it is known.

    A cluster of one cpu is started, runs a task, and ends.
    """
    yield from python_parts.findings()
    yield from machine.findings()
    yield from servers.findings()
    yield trial()
