"""The commands that users type: they read arguments, call `rain.deploy`, and print."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rain import __version__
from rain.cli import cache, journal, pools
from rain.cli.kubernetes import k8s
from rain.cli.pools import split_verbatim
from rain.cli.restart import restart
from rain.cli.words.misuse import Misuse
from rain.cli.words.options import (
    DurableOption,
    HostsOption,
    JournalOption,
    MetricsOption,
    Server,
    SshOption,
    TokenFile,
)
from rain.cli.words.printing import count, table
from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.common.limits import HOST_CONNECT_S, LEAVE_ASKED_S
from rain.common.protocol.address import format_address, http_url, is_loopback, is_wildcard, parse_address
from rain.common.protocol.messages import ServerInfo, SessionSummary
from rain.deploy.engines import ENGINES, engine_of

if TYPE_CHECKING:
    from rain.deploy.pools.on_disk.records import PoolRecord
    from rain.deploy.start import Started, StartOptions

app = typer.Typer(
    name="rain",
    help="Distributed task graphs for people who live in notebooks.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(pools.app)
app.add_typer(journal.app, name="journal")
app.add_typer(cache.app, name="cache")

_ROLES = ("client", "governor", "http")
"""The roles for which `rain status --token` prints a token."""


def run(words: list[str]) -> int:
    """Run the command that `words` ask for; returns the exit status."""
    from rain.processes import own_credentials

    own_credentials.take_token()
    try:
        own, rest = split_verbatim(words) if words[:1] in (["start"], ["pool"], ["doctor"]) else (words, [])
        status = app(own or ["--help"], standalone_mode=False, obj=rest)
        return status if isinstance(status, int) else 0
    except RainException as error:
        print(f"rain {words[0]}: {error}", file=sys.stderr)
        return 1
    except Misuse as error:
        context = error.ctx.command_path if error.ctx is not None else "rain"  # type: ignore[attr-defined]
        print(f"{context}: {error.format_message()} (see: {context} --help)", file=sys.stderr)  # type: ignore[attr-defined]
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rain {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
) -> None:
    pass


# -- clusters -------------------------------------------------------------------------------------


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def start(
    context: typer.Context,
    simple: Annotated[bool, typer.Option("--simple", help="one governor here, with all cpus (the default)")] = False,
    local_governors: Annotated[
        str | None, typer.Option(metavar="LIST", help='governors here, by the cpus of each: "[4,4,2]"; "[]" for none')
    ] = None,
    hosts: HostsOption = None,
    governor_host_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="one governor, started over ssh, on each host in FILE")
    ] = None,
    autoconf: Annotated[
        str | None,
        typer.Option(metavar="ENGINE", help=f"one governor on each host of this batch job: {' or '.join(ENGINES)}"),
    ] = None,
    on: Annotated[
        str | None, typer.Option(metavar="ENGINE", help="a pool of places, with --nodes N …: see `rain pool add`")
    ] = None,
    listen: Annotated[str, typer.Option(metavar="ADDR", help="address of the server (default: 127.0.0.1:7210)")] = "",
    http_listen: Annotated[str, typer.Option(metavar="ADDR", help="of its dashboard (default: 127.0.0.1:7222)")] = "",
    logdir: Annotated[str, typer.Option(metavar="DIR", help="folder for logs (default: a private temporary one)")] = "",
    workdir: Annotated[str, typer.Option(metavar="DIR", help="where governors make their work folders")] = "",
    store_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="memory for each governor's objects, as 4G (default: a share of all)")
    ] = "",
    policy: Annotated[
        str,
        typer.Option(metavar="NAME", help="the server's scheduling policy: an entry point, or package.module:Class"),
    ] = "",
    governor_config: Annotated[str, typer.Option(metavar="FILE", help="configuration of the governors (TOML)")] = "",
    runprefix: Annotated[str, typer.Option(metavar="CMD", help="put before the command of each process")] = "",
    remote_init: Annotated[str, typer.Option(metavar="CMD", help="command that each remote shell runs first")] = "",
    remote_python: Annotated[str, typer.Option(metavar="PATH", help="the Python with Rain on other hosts")] = "",
    ssh_port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="port of hosts given without one")] = 0,
    ssh_key: Annotated[str, typer.Option(metavar="FILE", help="identity file for ssh")] = "",
    ssh_jump: Annotated[str, typer.Option(metavar="HOST", help="go through this host, as ssh -J does")] = "",
    ssh_option: SshOption = None,
    connect_timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="for ssh")] = HOST_CONNECT_S,
    every_host: Annotated[bool, typer.Option("--every-host", help="fail unless every host has a governor")] = False,
    reserve: Annotated[bool, typer.Option("-S", help="keep one cpu of this host free for the server")] = False,
    journal: JournalOption = "",
    durable: DurableOption = False,
    metrics: MetricsOption = False,
) -> None:
    """Start a server and governors, and leave them running."""
    from rain.deploy import start as cluster
    from rain.deploy.hosts.ssh import Ssh

    _one_way(simple, local_governors, governor_host_file, hosts, autoconf, on)
    pools.check(context, on)
    options = cluster.StartOptions(
        listen=listen,
        http_listen=http_listen,
        logdir=logdir,
        workdir=workdir,
        store_memory=store_memory,
        policy=policy,
        config=governor_config,
        runprefix=runprefix,
        remote_init=remote_init,
        ssh=Ssh(ssh_port, ssh_key, ssh_jump, tuple(f"-o{option}" for option in ssh_option or []), connect_timeout),
        python=remote_python,
        every=every_host,
        reserve=reserve,
        journal=journal,
        durable=durable,
        metrics=metrics,
    )
    _choose_governors(options, local_governors, hosts, governor_host_file, autoconf, on)
    started = cluster.start(options)
    _print_started(started, pools.added_or_stopped(started.file, on, pools.words(context)) if on is not None else None)


def _choose_governors(
    options: StartOptions,
    local: str | None,
    hosts: str | None,
    host_file: str | None,
    autoconf: str | None,
    on: str | None,
) -> None:
    from rain.deploy import nodes
    from rain.net.own_address import own_address

    if on is not None:
        options.listen = options.listen or own_address()
    if local is not None:
        options.cpus = [str(cpus) for cpus in nodes.parse_local_governors(local)]
    elif hosts is not None:
        options.hosts = nodes.parse_host_file(hosts.replace(",", "\n"))
    elif host_file is not None:
        options.hosts = nodes.parse_host_file(_text_of(host_file))
    elif autoconf is not None:
        options.engine = engine_of(autoconf)
        options.numbers = options.engine.hosts(os.environ)
        options.hosts = list(options.numbers)
    elif on is None:
        options.cpus = ["detect"]


def _print_started(started: Started, pool: PoolRecord | None) -> None:
    from rain.processes import connection_files

    credentials = connection_files.read(started.file).credentials
    host, port = parse_address(started.address)
    everywhere = is_loopback(host) or is_wildcard(host)
    print(f"server     {started.address}, with {count(started.governors, 'governor')}")
    _print_dashboard(started.http, credentials)
    if pool is not None:
        print(f"pool       {pool.id}, {count(pool.wanted, 'place')} asked for on {pool.engine}")
    print(f"logs       {started.logdir}")
    print(f"stop it    rain stop {port if everywhere else started.address}")
    for failed in started.failed:
        print(f"rain start: no governor on {failed.host}: {failed.why}. What was printed:", file=sys.stderr)
        print(textwrap.indent(failed.printed, "    "), file=sys.stderr)


def _one_way(
    simple: bool,
    local_governors: str | None,
    host_file: str | None,
    hosts: str | None,
    autoconf: str | None,
    on: str | None,
) -> None:
    """Raise RainException if governors are asked for in several ways; beside a pool there may be governors here."""
    ways = {"--simple": simple or None, "--hosts": hosts, "--governor-host-file": host_file, "--autoconf": autoconf}
    ways |= {"--on": on}
    if on is None:
        ways["--local-governors"] = local_governors
    if sum(way is not None for way in ways.values()) > 1:
        raise RainException(f"choose one of {', '.join(ways)}")


def _print_dashboard(http: str, credentials: Any) -> None:
    from rain.cli.server_query import dashboard_url
    from rain.net.https import fingerprint_text

    url = dashboard_url(http, credentials) or http_url(http)
    print(f"dashboard  {url}")
    if url.startswith("https:") and credentials.fingerprint:
        print(f"           its certificate's SHA-256 fingerprint: {fingerprint_text(credentials.fingerprint)}")


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RainException(f"{path} cannot be read: {error}") from None


@app.command()
def stop(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[ADDR]", help="PORT, HOST or HOST:PORT; default: the one started from this folder"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="all servers of yours on this host")] = False,
) -> None:
    """End what one `rain start` started."""
    from rain.deploy import stop as stopping
    from rain.processes import private_folders

    if every and address is not None:
        raise RainException("give an address or --all, not both")
    if address is not None:
        servers = [stopping.find(address)]
    else:
        servers = stopping.to_stop()
        if not every:
            try:
                servers = [stopping.meant(servers, private_folders.here())]
            except stopping.WhichServer as error:
                if not (sys.stdin.isatty() and sys.stdout.isatty()):
                    raise
                servers = _choose(error.servers)
    troubles = []
    for server in servers:
        try:
            print(f"stopped {stopping.stop(server)}", flush=True)
        except RainException as error:
            troubles.append(str(error))
    if troubles:
        raise RainException("; ".join(troubles))


def _choose(servers: list[Any]) -> list[Any]:
    """Ask which of these servers are meant."""
    print("Not clear which server is meant:")
    table(
        ["", "server", "started from"],
        [[str(number), file.address, file.folder or "?"] for number, (_, file) in enumerate(servers, 1)],
        "",
    )
    answer = typer.prompt("Stop which? (a number, 'all', nothing)", default="", show_default=False).strip()
    if answer == "all":
        return servers
    if not answer.isdecimal() or not 1 <= int(answer) <= len(servers):
        raise RainException("nothing was stopped")
    return [servers[int(answer) - 1]]


app.command()(restart)


# -- looking --------------------------------------------------------------------------------------


def _ask(address: str | None, token_file: str | None) -> tuple[ServerInfo, Any, str]:
    """What the server says of itself, the credentials that opened it, and its HTTP address."""
    from rain.cli.server_query import server_info
    from rain.deploy.start import known_server
    from rain.net.auth import Credentials
    from rain.processes import fate, own_credentials

    if token_file is None and own_credentials.take_token() is None:
        _, file = known_server(address)
        try:
            return server_info(file.reachable(), file.credentials), file.credentials, file.http
        except RainException as error:
            words = fate.of_server(file.reachable())
            raise RainException(f"{error}. {words}" if words else str(error)) from None
    where = format_address(*parse_address(address or ""))
    token = own_credentials.token_in(token_file) if token_file is not None else None
    credentials: Credentials = own_credentials.credentials_for(where, "client", token=token)
    info = server_info(where, credentials)
    return info, credentials, info.http


@app.command()
def status(
    address: Server = None,
    token_file: TokenFile = None,
    token: Annotated[
        bool, typer.Option("--token", help="print the token for clients elsewhere, and nothing else")
    ] = False,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help=f"with --token: what it is for ({', '.join(_ROLES)})")
    ] = "client",
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="with --token: write it to FILE, for you alone (mode 0600)")
    ] = "",
) -> None:
    """Show the server, its governors, and a link to its dashboard."""
    from rain.deploy.start import known_server
    from rain.processes import connection_files

    if role not in _ROLES:
        raise RainException(f"there is no role {role!r}; there are {', '.join(_ROLES)}")
    if token:
        text = known_server(address)[1].credentials.token(role)
        if to:
            try:
                connection_files.write_private(Path(to), f"{text}\n".encode())
            except OSError as error:
                raise RainException(f"{to} cannot be written: {error.strerror}") from None
        else:
            print(text)
        return
    if role != "client" or to:
        raise RainException(f"{'--to' if to else '--role'} has a meaning with --token only: add --token")
    info, credentials, http = _ask(address, token_file)
    print(f"server     {info.address}, Rain {info.version}, {count(len(info.sessions), 'session')}")
    _print_dashboard(http, credentials)
    rows = [
        [
            governor.governor_id,
            ", ".join(f"{name} {amount:g}" for name, amount in sorted(governor.resources.items())),
            str(len(governor.tasks)),
            str(len(governor.objects)),
            f"leaving: {governor.leaves}" if governor.leaves else "",
        ]
        for governor in info.governors
    ]
    table(["governor", "resources", "tasks", "objects", ""], rows, "no governors")


@app.command()
def drain(
    governors: Annotated[
        list[str],
        typer.Argument(metavar="GOVERNOR…", help="HOST:PORT as `rain status` lists it, or HOST for all there"),
    ],
    server: Annotated[
        str | None, typer.Option("--server", metavar="ADDR", help="the server (default: the one on this host)")
    ] = None,
    within: Annotated[
        str, typer.Option("--within", metavar="TIME", help="how long it may take, as 600, 10:00 or 1h")
    ] = f"{LEAVE_ASKED_S:g}",
    wait: Annotated[bool, typer.Option(help="return when the governors have left, or at once")] = True,
    token_file: TokenFile = None,
) -> None:
    """Let governors finish, hand over their objects, and end."""
    from rain.cli import server_query
    from rain.governor.surroundings.leaving import parse_duration

    within_s = parse_duration(within)
    info, credentials, _ = _ask(server, token_file)
    chosen = _named(governors, info)
    server_query.drain(info.address, credentials, chosen, within_s)
    print(f"{count(len(chosen), 'governor')} will leave within {within_s:g} s: {', '.join(chosen)}", flush=True)
    if wait:
        server_query.wait_until_left(info.address, credentials, chosen)
        print("they have left" if len(chosen) > 1 else "it has left")


@app.command("run-on", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run_on(
    node: Annotated[str, typer.Argument(metavar="NODE", help="a number from 0, HOST:PORT of a governor, or a host")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND…")],
    as_ssh: Annotated[
        bool, typer.Option("--as-ssh", help="join the words and have the shell read them, as ssh does: for mpirun")
    ] = False,
) -> None:
    """In a task with nodes=: run a command on one of its governors. One word is a command line for the shell."""
    from rain.executor.gangs.launching import Ending, Lines, chosen, nodes_of_this_task, run_on

    nodes = nodes_of_this_task()
    rank = chosen(nodes, node)
    args = ["/bin/sh", "-c", " ".join(command)] if as_ssh or len(command) == 1 else command
    lines = Lines()
    try:
        status = run_on(nodes[rank], rank, args, {"RAIN_NODES": str(len(nodes))}, lines.writer(rank), Ending())
    finally:
        lines.end()
    raise SystemExit(status if status >= 0 else 128 - status)


def _named(names: list[str], info: ServerInfo) -> list[str]:
    """The governors that are meant by ids or hosts."""
    chosen: dict[str, None] = {}
    for name in names:
        found = [
            governor.governor_id
            for governor in info.governors
            if name in (governor.governor_id, parse_address(governor.governor_id)[0])
        ]
        if not found:
            here = ", ".join(governor.governor_id for governor in info.governors) or "none"
            raise RainException(f"there is no governor {name}; those here are: {here}")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


@app.command()
def sessions(address: Server = None, token_file: TokenFile = None) -> None:
    """List the sessions."""
    info, _, _ = _ask(address, token_file)
    rows = [
        [
            str(session.session_id),
            session.name,
            ", ".join(f"{count} {state}" for state, count in session.tasks.items() if count) or "no tasks",
            _waits(session),
        ]
        for session in info.sessions
    ]
    table(["session", "name", "tasks", ""], rows, "no sessions")


def _waits(session: SessionSummary) -> str:
    if session.waits_s is not None:
        return f"waits {duration_text(session.waits_s)} more for its client: client.attach({session.session_id})"
    return "persistent" if session.persistent else ""


@app.command()
def report(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="its number or its name, as `rain sessions` tells")],
    address: Server = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="default: session-NUMBER.html; a report there is replaced"),
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option("--package", metavar="NAME", help="include the version of this library; may be repeated"),
    ] = None,
    token_file: TokenFile = None,
) -> None:
    """Write the report of a persistent session, one HTML file. The session stays as it is."""
    from rain.cli.report import report as write
    from rain.processes import own_credentials

    token = own_credentials.token_in(token_file) if token_file is not None else None
    print(write(session, address, token, output, package or []))


@app.command()
def logs(
    address: Server = None,
    process: Annotated[
        str | None, typer.Option("--process", "-p", metavar="NAME", help="only that of server, governor-0, …")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="how many lines of each log, from the end")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on, and print lines that are added")] = False,
) -> None:
    """Print the ends of the logs of a server and its governors here."""
    from rain.deploy.start import known_server

    _, file = known_server(address)
    if not file.logdir:
        raise RainException(f"the server at {file.address} does not say where its logs are")
    paths = sorted(path for path in Path(file.logdir).glob("*.log") if process is None or path.stem == process)
    if not paths:
        raise RainException(f"there is no log {process + ' ' if process else ''}in {file.logdir}")
    ends = {path: _tail(path, lines) for path in paths}
    while follow:
        time.sleep(0.3)
        ends = {path: _more(path, end) for path, end in ends.items()}


def _tail(path: Path, lines: int) -> int:
    data = path.read_bytes()
    print(f"== {path}")
    sys.stdout.write(
        "".join(line + "\n" for line in data.decode("utf-8", "replace").splitlines()[-max(lines, 0) or len(data) :])
    )
    return len(data)


def _more(path: Path, start: int) -> int:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < start:
            start = 0  # the guardian has copied it to NAME.1, and emptied it
        file.seek(start)
        data = file.read()
    sys.stdout.write(data.decode("utf-8", "replace"))
    sys.stdout.flush()
    return start + len(data)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def doctor(
    context: typer.Context,
    engine: Annotated[
        str | None,
        typer.Argument(metavar="[ENGINE]", help="a batch system; it takes the options of `rain pool add`"),
    ] = None,
    reach: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Check this machine; with ENGINE, check a batch system.

    A task is run here, or a job there. Each line is ok, a warning or a failure; the last two say what to do. The exit
    status is 1 if there is a failure.
    """
    from rain.cli.doctor import show_checkup, show_engine, show_here

    if engine is None:
        pools.check(context, None)
        show_here(reach)
        if not reach:
            show_checkup()
    else:
        show_engine(engine, pools.words(context))


app.command()(k8s)


# -- daemons, which `rain.cli` starts without the library that lists them ----------------------------

_ALL_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_ALL_WORDS)
def server(context: typer.Context) -> None:
    """Run a server in the foreground, without governors. `rain start` runs both."""
    _run_daemon("server", context)


@app.command(context_settings=_ALL_WORDS)
def governor(context: typer.Context) -> None:
    """Run a governor of a server in the foreground."""
    _run_daemon("governor", context)


def _run_daemon(name: str, context: typer.Context) -> None:
    from rain.cli.daemon import main as daemon

    raise typer.Exit(daemon([name, *context.args]))


# -- trying ---------------------------------------------------------------------------------------


@app.command()
def demo() -> None:
    """Run a small graph on a private cluster and show what it did."""
    from rain.cli.demo import show

    show(print)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab; further arguments are its own."""
    program = shutil.which("jupyter-lab")
    if program is None:
        raise RainException("JupyterLab is not installed here: pip install jupyterlab 'rain[notebook]'")
    raise typer.Exit(subprocess.call([program, *context.args]))
