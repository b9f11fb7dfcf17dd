"""Which hosts a cluster is made of, as users write it: host files, lists of governors. Pure text in, names out."""

from __future__ import annotations

import json
import re

from rain.common.errors import RainException


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
