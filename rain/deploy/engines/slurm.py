"""Slurm."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rain.common.errors import RainException
from rain.common.limits import NODES_MAX


class Slurm:
    """Jobs of Slurm (https://slurm.schedmd.com/sbatch.html, "output environment variables")."""

    name = "slurm"

    def hosts(self, environment: Mapping[str, str]) -> list[str]:
        nodes = environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST")
        if not nodes:
            raise RainException("--autoconf slurm works inside a Slurm job only: SLURM_JOB_NODELIST is not set")
        return expand_nodes(nodes)


def expand_nodes(text: str) -> list[str]:
    """The hosts that a Slurm node list means.

    Raises
    ------
    RainException
        If it cannot be read.

    Examples
    --------
    >>> expand_nodes("n[08-10,12]-ib,login")
    ['n08-ib', 'n09-ib', 'n10-ib', 'n12-ib', 'login']
    """
    hosts: list[str] = []
    for item in _split(text):
        hosts += _expand(item, text)
        _check_count(len(hosts))
    for host in hosts:
        if not re.fullmatch(r"\w[\w.-]*", host):
            raise RainException(f"the Slurm node list {text!r} cannot be read at {host!r}")
    return list(dict.fromkeys(hosts))


def _check_count(count: int) -> None:
    if count > NODES_MAX:
        raise RainException(f"the Slurm node list names more than NODES_MAX ({NODES_MAX}) hosts")


def _split(text: str) -> list[str]:
    """At commas outside brackets."""
    items, depth, item = [], 0, ""
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            items.append(item)
            item = ""
        else:
            item += char
    return [*items, item]


def _expand(item: str, text: str) -> list[str]:
    before, bracket, rest = item.partition("[")
    if not bracket:
        return [item]
    ranges, bracket, after = rest.partition("]")
    if not bracket:
        raise RainException(f"the Slurm node list {text!r} lacks a closing bracket")
    numbers: list[str] = []
    for part in ranges.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if found is None or (found[2] and int(found[2]) - int(found[1]) >= NODES_MAX):
            raise RainException(f"the Slurm node list {text!r} cannot be read at {part!r}")
        first, last = found[1], found[2] or found[1]
        numbers += [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    ends = _expand(after, text)
    _check_count(len(numbers) * len(ends))
    return [before + number + end for number in numbers for end in ends]
