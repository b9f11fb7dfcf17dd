"""Which hosts a cluster is made of: host files and what batch systems say. Pure text in, names out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from rain.common.errors import RainException

NODES_MAX = 10_000


def parse_host_file(text: str) -> list[str]:
    """One host a line; ``#`` starts a comment; a host named twice counts once.

    Raises
    ------
    RainException
        If there is none.

    Examples
    --------
    >>> parse_host_file("node1  # head\\n\\nuser@node2\\nnode1\\n")
    ['node1', 'user@node2']
    """
    hosts = dict.fromkeys(line.partition("#")[0].strip() for line in text.splitlines())
    hosts.pop("", None)
    for host in hosts:
        if host.startswith("-") or not re.fullmatch(r"[\w.@:\[\]%-]+", host):
            raise RainException(f"{host!r} is not a host; a host file has one host a line, as ssh takes it")
    if not hosts:
        raise RainException("the host file names no host")
    return list(hosts)


def parse_local_governors(text: str) -> list[int]:
    """Cpus of each governor, from a list like ``[4,4,2]``.

    Raises
    ------
    RainException
        If it is not such a list.
    """
    try:
        cpus = json.loads(text)
    except ValueError:
        cpus = None
    if not isinstance(cpus, list) or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in cpus):
        raise RainException(f'--local-governors is a list of cpus like "[4,4,2]", not {text!r}')
    return cpus


def batch_hosts(system: str, environment: Mapping[str, str]) -> list[str]:
    """The hosts that a batch system gave to this job.

    Parameters
    ----------
    system : str
        ``"pbs"`` or ``"slurm"``.
    environment : mapping

    Raises
    ------
    RainException
        If this is not a job of that system.
    """
    if system == "pbs":
        path = environment.get("PBS_NODEFILE")
        if not path:
            raise RainException("--autoconf pbs works inside a PBS job only: PBS_NODEFILE is not set")
        try:
            with open(path, encoding="utf-8") as file:
                return parse_host_file(file.read())
        except OSError as error:
            raise RainException(f"the PBS node file {path} cannot be read: {error.strerror}") from None
    if system == "slurm":
        nodes = environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST")
        if not nodes:
            raise RainException("--autoconf slurm works inside a Slurm job only: SLURM_JOB_NODELIST is not set")
        return expand_nodes(nodes)
    raise RainException(f"--autoconf knows pbs and slurm, not {system!r}")


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
