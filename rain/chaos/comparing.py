"""Whether two runs of a script gave the same: exit status, standard output, files. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

LINES_MAX = 20
"""Lines of a difference that are told."""


class Outcome(NamedTuple):
    """What a run of a script gave.

    Attributes
    ----------
    status : int
        Its exit status; negative: the signal that ended it.
    output : bytes
        Its standard output.
    files : dict of str to (bytes or None)
        Digests of the files that are compared; None: it was not written.
    """

    status: int
    output: bytes
    files: dict[str, bytes | None]


def differences(calm: Outcome, faulty: Outcome, ignored: Sequence[re.Pattern[str]] = ()) -> list[str]:
    """What two runs gave differently, in words; empty: nothing.

    Parameters
    ----------
    calm, faulty : Outcome
        Of the run without faults, and of that with them.
    ignored : sequence of re.Pattern
        Lines in which one of these is found are not compared.

    Examples
    --------
    >>> differences(Outcome(0, b"sum 7", {}), Outcome(0, b"sum 8", {}))
    ['standard output differs:', '-sum 7', '+sum 8']
    """
    found = []
    if calm.status != faulty.status:
        found.append(f"exit status {calm.status} without faults, {faulty.status} with them")
    one, other = _lines(calm.output, ignored), _lines(faulty.output, ignored)
    if one != other:
        changes = [line for line in difflib.unified_diff(one, other, lineterm="", n=0) if _tells(line)]
        found += ["standard output differs:", *changes[:LINES_MAX]]
        if len(changes) > LINES_MAX:
            found.append(f"… and {len(changes) - LINES_MAX} lines more")
    for name, digest in calm.files.items():
        if faulty.files[name] != digest:
            found.append(f"file {name} {_how(digest, faulty.files[name])}")
    return found


def _lines(output: bytes, ignored: Sequence[re.Pattern[str]]) -> list[str]:
    lines = output.decode("utf-8", "backslashreplace").splitlines()
    return [line for line in lines if not any(pattern.search(line) for pattern in ignored)]


def _tells(line: str) -> bool:
    return not line.startswith(("---", "+++", "@@"))


def _how(calm: bytes | None, faulty: bytes | None) -> str:
    if calm is None:
        return "was written with faults only"
    return "was not written with faults" if faulty is None else "has another content"
