"""The fingerprint of the deciding code: only the same code makes the same decisions of a journal's records."""

from __future__ import annotations

import os
import sys

import xxhash

import rain

_DECIDING = (
    "common",
    "server/core",
    "server/environments.py",
    "server/graph.py",
    "server/records",
    "server/recovery/machine.py",
    "server/recovery/records.py",
    "server/scheduling",
    "server/states.py",
)
"""The modules that decide, and those of the messages and records, below the package."""


def fingerprint(policy: str) -> str:
    """The fingerprint of the deciding code with the scheduling policy of this name, and of the Python that runs it."""
    top = os.path.dirname(os.path.abspath(rain.__file__))
    digest = xxhash.xxh3_128(f"{sys.version_info[:3]} {policy}".encode())
    for path in _files(top):
        digest.update(f"\n{os.path.relpath(path, top)}\n".encode())
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _files(top: str) -> list[str]:
    found: list[str] = []
    for name in _DECIDING:
        path = os.path.join(top, name)
        if path.endswith(".py"):
            found.append(path)
        for folder, _, names in os.walk(path):
            found += [os.path.join(folder, one) for one in names if one.endswith(".py")]
    return sorted(found)
