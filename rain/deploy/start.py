"""`rain start`: a server and governors, here and over ssh, left running under a guardian."""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from rain.common.errors import RainException
from rain.common.limits import EXECUTOR_START_S, HOST_CONNECT_S, HOST_START_S
from rain.common.protocol.address import (
    HTTP_PORT,
    SERVER_PORT,
    format_address,
    is_loopback,
    is_wildcard,
    parse_address,
)
from rain.deploy.engines.engine import Engine
from rain.deploy.hosts.addresses import addresses_for, own_address_towards
from rain.deploy.hosts.guarded import Became, Plan, Planned, read_became, read_plan, write_plan
from rain.deploy.hosts.link import LinkState
from rain.deploy.hosts.ssh import REMOTE_RAIN, Ssh, Target, parse_target
from rain.host import gpus
from rain.host.machine import parse_cpus
from rain.host.network.addresses import own_addresses
from rain.host.process_table import is_alive, start_time
from rain.net.auth import Credentials
from rain.net.own_address import own_address
from rain.net.transport import listen
from rain.processes import connection_files, own_credentials, private_folders
from rain.processes.connection_files import KEYS
from rain.processes.launching import LIFELINE, RAIN, READY, UNDER_GUARDIAN, Launch, Program, tail_of
from rain.processes.memory_folders import chosen_memory, constants_memory, store_memory
from rain.processes.scratch import Scratch
from rain.server.journal.files import has_journal

_HOSTS_S = HOST_START_S + 2 * HOST_CONNECT_S
"""How many seconds all processes may take to be ready. The one for other hosts is ready earlier: each host has a limit
of its own."""


_PORT_FREE_S = 5.0


@dataclass(slots=True)
class StartOptions:
    """The options of `rain start`.

    Attributes
    ----------
    cpus : list of str
        The cpus of each governor on this machine, as ``--cpus`` takes them.
    hosts : list of str
        Hosts of further governors, one on each, started over ssh; on this machine, if it is named, without ssh.
    numbers : dict of str to int
        By host, the number by which `engine` knows it.
    engine : Engine or None
        The engine of the batch job whose hosts they are; it starts governors by its own means instead of ssh.
    listen, http_listen : str
    logdir, workdir : str
        Empty: private temporary folders.
    store_memory : str
        Memory for each governor's objects, as ``--store-memory`` takes it; empty: the value of RAIN_STORE_MEMORY in
        this process, else a share of each host's memory, which governors on one host divide among them.
    policy : str
        The server's scheduling policy; empty: Rain's own.
    config : str
        The governors' configuration file.
    runprefix : str
        Words that are put before each process's command.
    remote_init : str
        A command that each remote shell runs first.
    ssh : Ssh
        How other hosts are reached.
    python : str
        The Python on other hosts that has Rain; empty: see `rain.deploy.hosts.ssh.governor_line`.
    every : bool
        Whether the whole start fails if the governor of one host cannot be started.
    reserve : bool
        Keep one cpu of this machine free for the server.
    journal : str
        The folder of the server's journal; ``none``: none; empty: one that is the same for the same port.
    durable : bool
        Whether what the server acknowledged also survives a loss of power.
    metrics : bool
        Whether the server offers figures for Prometheus.
    """

    cpus: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    engine: Engine | None = None
    listen: str = ""
    http_listen: str = ""
    logdir: str = ""
    workdir: str = ""
    store_memory: str = ""
    policy: str = ""
    config: str = ""
    runprefix: str = ""
    remote_init: str = ""
    ssh: Ssh = field(default_factory=Ssh)
    python: str = ""
    every: bool = False
    reserve: bool = False
    journal: str = ""
    durable: bool = False
    metrics: bool = False


class Failed(NamedTuple):
    """A host whose governor could not be started.

    Attributes
    ----------
    host : str
    why : str
        One sentence.
    printed : str
        The last lines that were printed there.
    """

    host: str
    why: str
    printed: str


@dataclass(slots=True)
class Started:
    """A cluster that `start` left running.

    Attributes
    ----------
    address, http : str
        Where the server listens.
    file : Path
        Its connection file.
    governors : int
    logdir : str
    failed : list of Failed
    """

    address: str
    http: str
    file: Path
    governors: int
    logdir: str
    failed: list[Failed] = field(default_factory=list)


def start(options: StartOptions, on_ready: Callable[[str], None] | None = None) -> Started:
    """Start a server and governors, and return when all are ready; they go on under a guardian.

    Parameters
    ----------
    options : StartOptions
    on_ready : callable, optional
        Called with the name of each process that is ready.

    Raises
    ------
    RainException
        If a process cannot be started. All others are ended then.
    """
    cpus, remote = _governors(options)
    host, port = parse_address(options.listen)
    http_host, http_port = parse_address(options.http_listen, default_port=HTTP_PORT)
    if remote and is_loopback(host):
        raise RainException(
            f"governors on other hosts ({remote[0].host}, …) cannot reach a server that listens on {host}: "
            "add --listen 0.0.0.0 (what leaves this machine is then encrypted)"
        )
    if options.config and not os.path.isfile(options.config):
        raise RainException(f"there is no governor configuration {options.config}")
    memory = chosen_memory(options.store_memory)
    sockets = [_bind(host, port)]
    try:
        sockets.append(listen(http_host, http_port))
        return _start(options, cpus, remote, sockets, memory, on_ready)
    finally:
        for bound in sockets:
            bound.close()


def _governors(options: StartOptions) -> tuple[list[str], list[Target]]:
    """The cpus of the governors on this machine, and the hosts of the others."""
    cpus = list(options.cpus)
    targets = list(dict.fromkeys(map(parse_target, options.hosts)))
    remote = [target for target in targets if target.port or not connection_files.is_own_address(target.host)]
    cpus += ["detect"] * (len(targets) - len(remote))
    if options.reserve and cpus:
        first = parse_cpus(cpus[0]) - 1
        if first < 1:
            raise RainException("-S reserves one cpu for the server, which leaves none for the governor here")
        cpus[0] = str(first)
    return cpus, remote


def _bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; a server of this user that has just died may hold the port a moment longer."""
    until = time.monotonic() + _PORT_FREE_S
    while True:
        try:
            return listen(host, port)
        except RainException as error:
            known = [file for _, file in connection_files.find_all() if port and parse_address(file.address)[1] == port]
            if not known or time.monotonic() > until or any(is_alive(one.guardian or one.pid) for one in known):
                raise _taken(error, port, bool(known)) from None
            time.sleep(0.05)


def _taken(error: RainException, port: int, known: bool) -> RainException:
    hint = f" (a Rain server of yours is there: `rain stop {port}` ends it)" if known else ""
    return RainException(f"{error}{hint}")


def _start(
    options: StartOptions,
    cpus: list[str],
    remote: list[Target],
    sockets: list[socket.socket],
    memory: int | None,
    on_ready: Callable[[str], None] | None,
) -> Started:
    scratch = None
    if options.logdir:
        logdir = str(private_folders.made_dir(options.logdir))
    else:
        scratch = private_folders.private_logs()
        logdir = scratch.path
    try:
        return _start_in(options, cpus, remote, sockets, memory, on_ready, logdir, scratch)
    finally:
        if scratch is not None:
            scratch.close()  # unless it is the guardian's by now


def _start_in(
    options: StartOptions,
    cpus: list[str],
    remote: list[Target],
    sockets: list[socket.socket],
    memory: int | None,
    on_ready: Callable[[str], None] | None,
    logdir: str,
    scratch: Scratch | None,
) -> Started:
    address, http = (format_address(*bound.getsockname()[:2]) for bound in sockets)
    path = connection_files.default_path(address)
    journal = _journal(options, path, logdir)
    returns = bool(journal) and has_journal(journal)
    kept = next((file for file in (os.path.join(journal, KEYS), str(path)) if returns and os.path.lexists(file)), None)
    credentials = own_credentials.server_credentials(parse_address(address)[0], kept)
    file = connection_files.describe_server(
        address, credentials, http=http, logdir=logdir, folder=private_folders.here(), journal=journal
    )
    command = [*_prefix(options), *RAIN]
    programs = [_server(path, logdir, command, sockets, options, memory, journal)]
    here = store_memory() // max(1, len(cpus)) if memory is None else memory
    dealt = gpus.shares(gpus.visible_gpus().names, len(cpus))
    for_others = _for_others(options, address, remote)
    for number, (count, names) in enumerate(zip(cpus, dealt, strict=True)):
        arguments = ["governor", file.reachable(), "--cpus", count, "--gpus", ",".join(names)]
        arguments += ["--connection-file", str(path), *for_others]
        arguments += [*UNDER_GUARDIAN, "--logdir", logdir, *_common(options, here)]
        log = f"{logdir}/governor-{number}.log"
        programs.append(Program(f"governor-{number}", arguments, log, command, restart=True, leaves=True))
    plan = f"{logdir}/hosts-{parse_address(address)[1]}.json"
    failed: list[Failed] = []
    by_steps = options.engine is not None and options.engine.step_reads
    if by_steps:
        programs += [_step(options, target, address, logdir, credentials, memory) for target in remote]
    elif remote:
        write_plan(plan, _plan(options, remote, address, memory))
        words = ["hosts", plan, "--ready-file", READY, "--lifeline", LIFELINE]
        token = credentials.token("governor")
        programs.append(Program("hosts", words, f"{logdir}/hosts.log", restart=True, stdin=token))
    connection_files.write(file, path)
    launch = None
    try:
        launch = Launch(programs, logdir, owned=scratch, tied=False, preload=not options.runprefix)
        launch.wait(
            _HOSTS_S if remote else EXECUTOR_START_S, on_ready, "HOST_START_S" if remote else "EXECUTOR_START_S"
        )
        if remote and not by_steps:
            failed = _failed(plan, logdir, options.every, bool(cpus))
        file = connection_files.read(path)  # the server has added to it
        file.guardian, file.guardian_start = launch.pid, start_time(launch.pid)
        connection_files.write(file, path)
    except BaseException:
        if launch is not None:
            launch.stop(for_good=not returns)
        if not returns:  # else its keys are those of the clients that still wait
            path.unlink(missing_ok=True)
        raise
    launch.release()
    return Started(address, http, path, len(cpus) + len(remote) - len(failed), logdir, failed)


def _prefix(options: StartOptions) -> list[str]:
    try:
        return shlex.split(options.runprefix)
    except ValueError as error:
        raise RainException(f"--runprefix {options.runprefix!r} is no command: {error}") from None


def _journal(options: StartOptions, path: Path, logdir: str) -> str:
    """The folder of the server's journal; empty for none."""
    if options.journal == "none":
        if options.durable:
            raise RainException("--durable needs a journal, and --journal none says that there is to be none")
        return ""
    if options.journal:
        return os.path.abspath(options.journal)
    if parse_address(options.listen)[1]:
        return str(private_folders.journal_folder(path.stem, options.durable))
    return os.path.join(logdir, f"journal-{path.stem}")  # no other start gets this port on purpose


def _for_others(options: StartOptions, address: str, remote: list[Target]) -> list[str]:
    """Options of the governors here, by which governors and clients on other hosts can fetch from them.

    They reach a server that listens on all addresses by loopback, and would listen there only.
    """
    host = parse_address(address)[0]
    if not is_wildcard(host):
        return []
    own = own_address_towards(options.ssh, remote[0]) if remote else ""
    if not own:
        try:
            own = own_address()
        except RainException:
            own = next(iter(own_addresses()), "")
    return ["--listen", format_address(host, 0), "--advertise", own] if own else []


def _common(options: StartOptions, memory: int | None) -> list[str]:
    words = ["--workdir", os.path.abspath(options.workdir)] if options.workdir else []
    words += ["--store-memory", str(memory)] if memory is not None else []
    return words + (["--config", os.path.abspath(options.config)] if options.config else [])


def _server(
    path: Path,
    logdir: str,
    command: list[str],
    sockets: Sequence[socket.socket],
    options: StartOptions,
    memory: int | None,
    journal: str,
) -> Program:
    descriptors = [bound.fileno() for bound in sockets]
    arguments = ["server", "--listen", f"fd:{descriptors[0]}", "--http-listen", f"fd:{descriptors[1]}"]
    arguments += ["--connection-file", str(path), "--logdir", logdir, *UNDER_GUARDIAN]
    if options.workdir:
        arguments += ["--workdir", os.path.abspath(options.workdir)]
    arguments += ["--store-memory", str(constants_memory() if memory is None else min(memory, constants_memory()))]
    if options.policy:
        arguments += ["--policy", options.policy]
    if journal:
        arguments += ["--journal", journal, *(["--durable"] if options.durable else [])]
    arguments += ["--metrics"] if options.metrics else []
    log = f"{logdir}/server.log"
    return Program("server", arguments, log, command, restart=True, vital=True, told=True, keep=descriptors)


# -- on other hosts -------------------------------------------------------------------------------


def _step(
    options: StartOptions, target: Target, address: str, logdir: str, credentials: Credentials, memory: int | None
) -> Program:
    """A governor as a step of the batch job in which this process runs.

    The token comes on its standard input, whose end, with that of the command that started it, ends it.
    """
    assert options.engine is not None
    host = str(target)
    rain = [options.python, "-P", "-m", "rain"] if options.python else list(REMOTE_RAIN)
    command = [*_prefix(options), *(("rain",) if options.remote_init and not options.python else rain)]
    servers = ",".join(addresses_for(options.ssh, target, address))
    arguments = ["governor", servers, "--cpus", "detect", "--token-file", "-", "--ready-file", "fd:1"]
    arguments += [*_common(options, memory), *(["--logdir", options.logdir] if options.logdir else [])]
    line = "exec " + shlex.join([*command, *arguments])
    if options.remote_init:
        line = f"{options.remote_init} && {line}"
    log = os.path.join(logdir, f"governor-{host}.log")
    words = options.engine.step(host, options.numbers[host], line)
    token = credentials.token("governor")
    return Program(f"governor-{host}", words[1:], log, words[:1], restart=True, leaves=True, stdin=token, remote=True)


def _plan(options: StartOptions, remote: list[Target], address: str, memory: int | None) -> Plan:
    """The plan for the process that keeps in touch with the governors on other hosts (`rain.deploy.hosts.guarded`)."""
    planned = []
    for target in remote:
        servers = ",".join(addresses_for(options.ssh, target, address))
        arguments = ["governor", servers, "--cpus", "detect", *_common(options, memory)]
        if options.logdir:
            arguments += ["--logdir", os.path.abspath(options.logdir)]
        planned.append(
            Planned(str(target), os.urandom(16).hex(), arguments, f"governor-{target}.log".replace("/", "_"))
        )
    return Plan(planned, asdict(options.ssh), options.python, options.remote_init, _prefix(options))


def _failed(path: str, logdir: str, every: bool, others: bool) -> list[Failed]:
    """The hosts whose governors could not be started.

    Raises
    ------
    RainException
        If there is no other governor, or a governor on `every` host is needed.
    """
    told = read_became(path)
    plan = {one.target: one for one in read_plan(path).hosts}
    failed = [
        Failed(one.target, _why(one), one.printed or tail_of(os.path.join(logdir, plan[one.target].log)))
        for one in told if one.state == LinkState.ENDED.value or not one.governor
    ]  # fmt: skip
    if failed and (every or (len(failed) == len(told) and not others)):
        stories = [
            f"the governor on {one.host} could not start: {one.why}. What was printed:\n{one.printed}" for one in failed
        ]
        raise RainException("\n".join(stories))
    return failed


def _why(one: Became) -> str:
    if one.state == LinkState.ENDED.value:
        return one.why
    return f"{one.why or 'it has not registered yet'}; it is tried further"


# -- finding --------------------------------------------------------------------------------------


def known_server(address: str | None) -> tuple[Path, connection_files.ConnectionFile]:
    """The connection file of the server at `address`; None: the one at the default port, or the only one there is.

    Raises
    ------
    RainException
        If there is none, or several to choose from.
    """
    every = connection_files.find_all()
    if address is not None:
        # A port alone also means a server that listens on one interface only.
        named = [(path, file) for path, file in every if parse_address(file.address)[1] == parse_address(address)[1]]
        if address.strip().isdecimal() and len(named) == 1:
            return named[0]
        return connection_files.find_with_path(format_address(*parse_address(address)))
    # A server that was killed leaves its file behind; it is a choice only where there is no other.
    servers = [(path, file) for path, file in every if is_alive(file.guardian or file.pid)] or every
    default = [(path, file) for path, file in servers if parse_address(file.address)[1] == SERVER_PORT]
    if len(servers) == 1 or default:
        return (default or servers)[0]
    if not servers:
        raise RainException("no server of this user is known on this machine")
    choices = ", ".join(file.address for _, file in servers)
    raise RainException(f"several servers are known: name one of {choices}")
