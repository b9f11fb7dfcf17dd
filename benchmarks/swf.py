"""Reading recorded jobs: the Standard Workload Format of the Parallel Workloads Archive."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """One job as it was recorded; times in seconds, `submitted` since the begin of the log."""

    submitted: float
    waited_s: float
    ran_s: float
    processors: int
    asked_s: float
    user: int


def read(path: Path) -> list[Job]:
    """The jobs of a log (``.swf`` or ``.swf.gz``) that ran, in the order of their submission.

    Raises
    ------
    ValueError
        If a line has no 18 fields, which the format demands.
    """
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as lines:
        return sorted(_jobs(lines))


def _jobs(lines: Iterable[str]) -> Iterator[Job]:
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith(";"):
            continue
        if len(fields) != 18:
            raise ValueError(f"line {number} has {len(fields)} fields, not 18")
        submitted, waited, ran, processors = (float(field) for field in fields[1:5])
        if ran > 0 and processors > 0 and waited >= 0:
            yield Job(submitted, waited, ran, int(processors), float(fields[8]), int(fields[11]))
