"""`HostSupplier`: places as governors on hosts that are reached over ssh, one on each."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import HOST_AWAY_S, HOST_CONNECT_S, HOST_LOST_S
from rain.deploy.engines.jobs import check_reachable
from rain.deploy.hosts.addresses import addresses_for, own_address_towards
from rain.deploy.hosts.link import Link, LinkState
from rain.deploy.hosts.links import Host, Links
from rain.deploy.hosts.ssh import Ssh, Target, parse_target
from rain.deploy.pools.supplier import Job, JobState, Supplier, Supply
from rain.host.machine import parse_cpus
from rain.processes import private_folders
from rain.processes.launching import tail_of

NAME = "ssh"
_LOOK_S = 0.2
_END_S = 2.0


class HostSupplier:
    """Hosts that are reached over ssh.

    Parameters
    ----------
    targets : sequence of Target
    ssh : Ssh
    server : str
        ``host:port`` at which the server listens.
    token : str
        For governors.
    arguments : sequence of str
        Further ones of each governor.
    python, init : str
        See `rain.deploy.hosts.ssh.governor_line`.
    cpus : int
        Of each governor; 0: not known before it is there.
    """

    name = NAME
    look_s = idle_look_s = _LOOK_S

    def __init__(
        self,
        targets: Sequence[Target],
        ssh: Ssh,
        server: str,
        token: str,
        arguments: Sequence[str] = (),
        python: str = "",
        init: str = "",
        cpus: int = 0,
    ) -> None:
        self.resources: dict[str, float] = {"cpus": float(cpus)} if cpus else {}
        self.most = len(targets)
        self._targets = list(targets)
        self._ssh = ssh
        self._server = server
        self._arguments = list(arguments)
        self._python, self._init = python, init
        self._logs = private_folders.private_logs()
        self._links = Links(ssh, token)
        self._lock = threading.Lock()
        self._hosts: dict[int, Host] = {}

    def ask(self, number: int) -> str:
        target = self._free()
        servers = ",".join(addresses_for(self._ssh, target, self._server))
        arguments = ["governor", servers, *self._arguments]
        log = os.path.join(self._logs.path, f"place-{number}.log")
        link = Link(time.monotonic(), HOST_AWAY_S)
        host = Host(target, os.urandom(16).hex(), arguments, log, link, self._python, self._init)
        with self._lock:
            self._hosts[number] = host
        self._links.add(host)
        return _job(number, target)

    def _free(self) -> Target:
        """A host without a place; one whose last place failed comes last."""
        with self._lock:
            used = {host.target for host in self._hosts.values() if host.link.state is not LinkState.ENDED}
            failed = {host.target for host in self._hosts.values() if host.link.failed}
        free = [target for target in self._targets if target not in used]
        if not free:
            raise RainException(f"all {self.most} hosts have a place")
        return min(free, key=lambda target: target in failed)

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        with self._lock:
            hosts = dict(self._hosts)
        now = time.monotonic()
        return {_job(number, host.target): _job_of(host.link, now) for number, host in hosts.items()}

    def governor(self, number: int) -> str:
        return self._hosts[number].link.governor

    def give_up(self, jobs: Sequence[str]) -> None:
        given = set(jobs)
        with self._lock:
            hosts = [host for number, host in self._hosts.items() if _job(number, host.target) in given]
        self._links.give_up(hosts)

    def printed(self, number: int) -> str:
        host = self._hosts[number]
        return host.printed or tail_of(host.log)

    def close(self) -> None:
        pass

    def tidy(self, keep: bool) -> None:
        self._links.end(_END_S)
        if not keep:
            self._logs.close()


def _job(number: int, target: Target) -> str:
    return f"{target}/{number}"


def _job_of(link: Link, now: float) -> Job:
    if link.state is LinkState.ENDED:
        return Job(JobState.ENDED, link.why)
    if link.state is LinkState.PAUSED or (link.state is LinkState.LOST and now - link.lost_at > HOST_LOST_S):
        return Job(JobState.PENDING, link.state.value, link.why)
    return Job(JobState.RUNNING, link.state.value)


def hosts_of(
    *,
    hosts: Sequence[str] = (),
    cpus: int | str = "detect",
    gpus: str = "detect",
    memory: int | str = 0,
    workdir: str = "",
    port: int = 0,
    key: str | os.PathLike[str] = "",
    jump: str = "",
    arguments: Sequence[str] = (),
    connect_timeout: float = HOST_CONNECT_S,
    python: str = "",
    init: str = "",
) -> Supply:
    """Governors on hosts, whose options are checked here.

    Parameters
    ----------
    hosts : sequence of str
        ``HOST``, ``USER@HOST``, ``HOST:PORT``, …
    cpus : int or str
        Of each governor, as ``rain governor --cpus`` takes it.
    gpus : str
        As ``rain governor --gpus`` takes it.
    memory : int or str
        What each governor's objects may take of memory: bytes, or a text as ``"4G"``; 0: a share of the host's.
    workdir : str
        A folder on the hosts for work folders.
    port : int
        Of hosts that name none.
    key : path-like
        Identity file.
    jump : str
        Host or hosts to go through, as ``ssh -J`` takes them.
    arguments : sequence of str
        Further words for `ssh`, verbatim: ``["-o", "User=me"]``.
    connect_timeout : float
        Seconds that a connection may take.
    python : str
        The hosts' Python with Rain; empty: this one's path, or after `init` the command ``rain``.
    init : str
        A line that the hosts' shell runs first: ``"module load python"``.

    Raises
    ------
    RainException
        If one of them has no meaning.
    """
    targets, ssh = _checked(hosts, port, key, jump, arguments, connect_timeout)
    known = 0
    if cpus != "detect":
        parse_cpus(cpus)
        known = max(0, int(cpus))
    words = ["--cpus", str(cpus), "--gpus", gpus]
    words += ["--store-memory", str(parse_bytes(memory))] if memory else []
    words += ["--workdir", workdir] if workdir else []

    def supplier(server: str, token: str) -> Supplier:
        check_reachable(server, NAME)
        return HostSupplier(targets, ssh, server, token, words, python, init, known)

    return supplier


def towards_hosts(
    *,
    hosts: Sequence[str] = (),
    port: int = 0,
    key: str | os.PathLike[str] = "",
    jump: str = "",
    arguments: Sequence[str] = (),
    connect_timeout: float = HOST_CONNECT_S,
    **_: Any,
) -> str:
    """The address of this machine from which it reaches the first of the hosts; empty if that is not known."""
    targets, ssh = _checked(hosts, port, key, jump, arguments, connect_timeout)
    return own_address_towards(ssh, targets[0])


def _checked(
    hosts: Sequence[str],
    port: int,
    key: str | os.PathLike[str],
    jump: str,
    arguments: Sequence[str],
    connect_timeout: float,
) -> tuple[list[Target], Ssh]:
    if isinstance(hosts, str):
        raise RainException(f"hosts is a sequence of texts, [{hosts!r}], not one text")
    targets = list(dict.fromkeys(map(parse_target, hosts)))
    if not targets:
        raise RainException('"ssh" needs hosts=["host1", "host2"]')
    if isinstance(arguments, str):
        raise RainException(f"arguments is a sequence of words for ssh, {arguments.split()!r}, not one text")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise RainException(f"port is a number up to 65535, not {port!r}")
    if isinstance(connect_timeout, bool) or not isinstance(connect_timeout, int | float) or connect_timeout <= 0:
        raise RainException(f"connect_timeout is a number of seconds, not {connect_timeout!r}")
    path = os.path.expanduser(os.fspath(key)) if key else ""
    if path and not os.path.isfile(path):
        raise RainException(f"there is no key {path}")
    return targets, Ssh(port, path, jump, tuple(arguments), float(connect_timeout))
