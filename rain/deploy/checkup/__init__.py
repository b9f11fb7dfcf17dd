"""The checks of `rain doctor`, one module for each part of a machine, and at the end a task that runs."""

from __future__ import annotations

from collections.abc import Iterator

from rain.deploy.checkup import machine, python_parts, servers
from rain.deploy.checkup.finding import Finding
from rain.deploy.checkup.trial import trial

__all__ = ["Finding", "look"]


def look() -> Iterator[Finding]:
    """Check this machine, its Python and its servers; yields each finding as soon as it is known.

    A cluster of one cpu is started, runs a task, and ends.
    """
    yield from python_parts.findings()
    yield from machine.findings()
    yield from servers.findings()
    yield trial()
