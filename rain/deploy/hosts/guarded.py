"""``rain hosts``: what `rain start` leaves running, below its guardian, for the governors on other hosts.

``rain hosts PLAN --ready-file … --lifeline …``; the governors' token is the first line of standard input. The plan
(JSON) and what became of each host (JSON beside it) lie in the folder for logs. Should this process die, the guardian
starts it again, and it finds the governors: each is held under a name that the plan gives
(`rain.processes.elsewhere.holding`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from rain.common.limits import HOST_CONNECT_S, HOST_START_S
from rain.deploy.hosts.link import Link, LinkState
from rain.deploy.hosts.links import Host, Links
from rain.deploy.hosts.ssh import Ssh, parse_target
from rain.host.lifeline import end_with_lifeline, write_ready_file
from rain.host.signals import unblock_signals

_FOREVER_S = 1e9
_END_S = 4.0
_SETTLED_S = HOST_START_S + HOST_CONNECT_S
"""After this long others wait no longer for a host whose connection is lost again and again while it starts."""
_TOKEN_BYTES_MAX = 1000


class Planned(NamedTuple):
    """One host in the plan.

    Attributes
    ----------
    target : str
    name : str
        Of its holder.
    arguments : list of str
        ``governor`` and its arguments.
    log : str
        File for what is printed there, in the plan's folder.
    """

    target: str
    name: str
    arguments: list[str]
    log: str


class Plan(NamedTuple):
    """What this process is told.

    Attributes
    ----------
    hosts : list of Planned
    ssh : dict
        The fields of `rain.deploy.hosts.ssh.Ssh`.
    python, init : str
    prefix : list of str
    """

    hosts: list[Planned]
    ssh: dict[str, Any]
    python: str
    init: str
    prefix: list[str]


class Became(NamedTuple):
    """What became of one host.

    Attributes
    ----------
    target : str
    state : str
        Of `LinkState`.
    governor : str
    why : str
    printed : str
        The last lines of a governor that has ended.
    """

    target: str
    state: str
    governor: str
    why: str
    printed: str


def write_plan(path: str, plan: Plan) -> None:
    """Write the plan, for this user alone."""
    _write(path, [[list(host) for host in plan.hosts], *plan[1:]])


def read_plan(path: str) -> Plan:
    """The plan at `path`."""
    with open(path, encoding="utf-8") as file:
        hosts, *rest = json.load(file)
    return Plan([Planned(*host) for host in hosts], *rest)


def read_became(path: str) -> list[Became]:
    """What became of the hosts of the plan at `path`; empty if that was not told yet."""
    try:
        with open(_told(path), encoding="utf-8") as file:
            return [Became(*values) for values in json.load(file)]
    except (OSError, ValueError, TypeError):  # it is replaced as a whole; but a host that went down may have emptied it
        return []


def _told(path: str) -> str:
    return f"{path}.told"


def _write(path: str, values: Any) -> None:
    part = f"{path}.{os.getpid()}"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(values, file)
    os.replace(part, path)


def main(words: Sequence[str]) -> int:
    """Keep in touch with the hosts of a plan until the guardian ends; returns the exit status."""
    unblock_signals()
    path = words[0]
    given = dict(zip(words[1::2], words[2::2], strict=True))
    plan = read_plan(path)
    token = sys.stdin.readline(_TOKEN_BYTES_MAX).strip()
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    end_with_lifeline(int(given["--lifeline"]))
    ssh = Ssh(**{**plan.ssh, "arguments": tuple(plan.ssh["arguments"])})
    before = {became.target: became for became in read_became(path)}
    left = {target: became for target, became in before.items() if became.state == LinkState.ENDED.value}
    there: list[Host] = []

    def tell() -> None:
        with contextlib.suppress(OSError):  # the disk may be full; the thread that tells goes on
            _write(_told(path), [*left.values(), *(_became(host) for host in there)])

    links = Links(ssh, token, tell)
    for one in plan.hosts:
        if one.target not in left:
            log = os.path.join(os.path.dirname(path), one.log)
            known = before[one.target].governor if one.target in before else None
            link = Link(time.monotonic(), _FOREVER_S, again=True, before=known)
            target = parse_target(one.target)
            there.append(Host(target, one.name, one.arguments, log, link, plan.python, plan.init, plan.prefix))
    tell()  # who finds it there knows that this is not the first
    for host in there:
        links.add(host)
    settled_by = time.monotonic() + _SETTLED_S
    while not links.wait(lambda: all(host.link.settled for host in there), 0.2):
        if end.is_set() or time.monotonic() > settled_by:
            break
    with links.change:  # the thread tells too, into the same file
        tell()
    write_ready_file(given["--ready-file"])
    end.wait()
    links.end(_END_S)
    return 0


def _became(host: Host) -> Became:
    return Became(str(host.target), host.link.state.value, host.link.governor, host.link.why, host.printed)
