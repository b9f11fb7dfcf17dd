"""Where a worker of pytest-xdist begins to collect: each elsewhere, so that each compiles a share of the tests.

In a fresh clone pytest rewrites and compiles all tests, which takes two thirds of the time for collecting them. All
workers collect all tests; begun at the same file they would all compile each. Begun elsewhere, each finds compiled
what another one began with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

LARGE = "unit"
"""A folder whose own folders are places to begin at, too."""


def places(root: Path, wanted: Callable[[Path], bool]) -> list[tuple[Path, int]]:
    """Folders and files of tests below `root` that are `wanted`, in order, each with its number of files."""
    found: list[tuple[Path, int]] = []
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name == LARGE:
            found += places(path, wanted)
        elif path.is_dir():
            files = sum(1 for _ in path.rglob("test_*.py"))
            if files and wanted(path):
                found.append((path, files))
        elif path.match("test_*.py"):
            found.append((path, 1))
    return found


def turned(places: list[tuple[Path, int]], worker: int, workers: int) -> list[Path]:
    """All places in order, from that with which a worker is to begin, then those before it."""
    before = 0
    first = 0
    for number, (_, files) in enumerate(places):
        if before <= sum(files for _, files in places) * worker // workers:
            first = number
        before += files
    paths = [path for path, _ in places]
    return paths[first:] + paths[:first]
