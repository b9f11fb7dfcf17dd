"""`rain server` and `rain governor`: arguments to options, logging, lifelines; no logic.

Loaded by the guardian too, which forks its processes from one that has imported this module and the shells of
those that it forks.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import io
import logging
import logging.handlers
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from rain import __version__
from rain.common.errors import NO_ROOM, NoRoom, RainException, of_system
from rain.common.limits import DEADLINES, LEAVE_ASKED_S, LEAVE_S, LOG_BYTES_MAX, Deadlines
from rain.common.protocol.address import HTTP_PORT, format_address, parse_address
from rain.governor.config import read_config
from rain.governor.pools.zygotes.process import ZygoteProcess
from rain.governor.surroundings.environment import drop_engine_variables, tell_job
from rain.governor.surroundings.here import found_here
from rain.governor.surroundings.leaving import End, known_end, parse_duration, slurm_time_left
from rain.host.descriptors import raise_limit
from rain.host.gpus import parse as parse_gpus
from rain.host.gpus import visible_gpus
from rain.host.lifeline import end_with_lifeline, write_ready_file
from rain.host.machine import parse_cpus
from rain.host.shares import scratch_folder
from rain.host.signals import LEFT_STATUS, unblock_signals
from rain.net.auth import Credentials
from rain.processes import own_credentials, private_folders
from rain.processes.keeper import Keeper, report_folders_to
from rain.processes.logs import lose_what_cannot_be_written, open_log
from rain.processes.memory_folders import chosen_memory, store_memory
from rain.processes.scratch import GOVERNOR, Scratch, name_others

_ADDRESS = "PORT, HOST or HOST:PORT; the default host is loopback, port 0 picks a free one"
_TOKEN_BYTES_MAX = 1000
_PR_SET_NAME = 15


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Misuse(f"{message} (see: {self.prog} --help)")


class _Misuse(RainException):
    pass


def _add_server(commands: Any) -> argparse.ArgumentParser:
    server: argparse.ArgumentParser = commands.add_parser("server", help="run a server in the foreground")
    server.add_argument("--listen", metavar="ADDR", default="", help=f"{_ADDRESS} (default port: 7210)")
    server.add_argument("--http-listen", metavar="ADDR", default="", help=f"{_ADDRESS} (default port: 7222)")

    server.add_argument(
        "--policy", metavar="NAME", default="", help="scheduling policy: an entry point, or package.module:Class"
    )

    server.add_argument(
        "--journal",
        metavar="FOLDER|none",
        default="none",
        help="folder in which the server keeps its journal: a server that is started with that folder after its death "
        "comes back with all sessions (default: none; `rain start` and Client.local keep one)",
    )
    server.add_argument("--private", action="store_true", help=argparse.SUPPRESS)
    server.add_argument(
        "--durable", action="store_true", help="bring to the disk what is acknowledged: it survives a loss of power"
    )
    server.add_argument(
        "--metrics",
        action="store_true",
        help="offer figures for Prometheus at /metrics of the HTTP port; a key is needed",
    )
    return server


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="rain", description="Rain's daemons.")
    parser.add_argument("--version", action="version", version=f"rain {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    server = _add_server(commands)
    governor = commands.add_parser("governor", help="run a governor in the foreground")
    governor.add_argument("server", metavar="SERVER[:PORT][,…]", help="the server's address; several are tried in turn")
    governor.add_argument("--cpus", metavar="N|-N|detect", default="detect", help="how many cpus; -N is all but N")
    governor.add_argument(
        "--gpus",
        metavar="LIST|detect",
        default="detect",
        help='which GPUs, as CUDA_VISIBLE_DEVICES names them: "0,1"; "" for none',
    )
    governor.add_argument("--listen", metavar="ADDR", default="", help=f"{_ADDRESS} (default port: a free one)")
    governor.add_argument(
        "--advertise", metavar="HOST", default="", help="the address at which server and other governors reach it"
    )
    governor.add_argument(
        "--walltime",
        metavar="TIME",
        default="",
        help="how long it may run, as 3600, 1:30:00 or 2h: it leaves before (default: what Slurm or PBS say)",
    )
    governor.add_argument(
        "--leave-within",
        metavar="TIME",
        default="",
        help=f"how long it may take to finish tasks and hand over its data after SIGTERM (default: {LEAVE_S:g}, "
        f"with --drain {LEAVE_ASKED_S:g})",
    )
    governor.add_argument(
        "--leave-status",
        metavar="N",
        type=int,
        default=0,
        help="exit status when it left because of a signal, for a batch system that then starts it again (default: 0)",
    )
    governor.add_argument(
        "--drain",
        action="store_true",
        help="start no governor: have those on this host leave, and wait for that (within --leave-within)",
    )
    governor.add_argument(
        "--id-file", metavar="FILE", default="", help="a file to write its id to when it is registered"
    )
    governor.add_argument("--config", metavar="FILE", help="configuration file (TOML)")
    governor.add_argument(
        "--token-file", metavar="FILE", help="holds the token; '-' is standard input, whose end then ends the governor"
    )
    governor.add_argument("--token-comes", action="store_true", help=argparse.SUPPRESS)
    governor.add_argument("--left-file", default="", help=argparse.SUPPRESS)
    for command in (server, governor):
        _add_common(command)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    """The options of both daemons."""
    command.add_argument(
        "--logdir", metavar="DIR", default="", help="folder for logs (default: a private temporary one)"
    )
    command.add_argument(
        "--workdir", metavar="DIR", default="", help="folder in which it makes its private work folder"
    )
    command.add_argument(
        "--store-memory",
        metavar="SIZE",
        default="",
        help="how much of its data may be in memory, as 512M; the rest is on disk "
        "(default: $RAIN_STORE_MEMORY, else a share of what the machine or control group has)",
    )
    command.add_argument(
        "--ready-file", metavar="FILE", default="", help="a file to write the line 'ready' to when it is ready"
    )
    command.add_argument("--connection-file", metavar="FILE", default="", help=argparse.SUPPRESS)
    command.add_argument("--lifeline", metavar="FD", type=int, help=argparse.SUPPRESS)
    command.add_argument("--folders", help=argparse.SUPPRESS)
    # Times this, how long processes wait for each other; for tests.
    command.add_argument("--deadlines", metavar="FACTOR", type=float, default=1.0, help=argparse.SUPPRESS)


def main(words: list[str]) -> int:
    """Run the daemon that `words` ask for; returns the exit status."""
    lose_what_cannot_be_written()
    unblock_signals()
    own_credentials.take_token()
    name = f"rain {words[0]}"
    try:
        options = _parser().parse_args(_join_cpus(words))
        with contextlib.ExitStack() as options.at_end:
            if options.folders is not None:
                options.returns = report_folders_to(options.folders)
            else:
                options.returns = False
                options.at_end.callback(Keeper().close)
            if options.lifeline is not None:
                end_with_lifeline(options.lifeline)
            _settle(words[0])
            if options.command == "governor":
                return _govern(options)
            _serve(options)
    except RainException as error:
        print(f"{name}: {error}", file=sys.stderr)
        if isinstance(error, NoRoom):
            return os.EX_TEMPFAIL
        return 2 if isinstance(error, _Misuse) else 1
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return os.EX_TEMPFAIL
    except KeyboardInterrupt:
        return 130
    return 0


forked = main
"""What the guardian calls in a forked process."""


def _join_cpus(words: list[str]) -> list[str]:
    """``--cpus -1`` as one word, because argparse takes a value that starts with a dash for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--cpus" and word.startswith("-"):
            joined[-1] = f"--cpus={word}"
        else:
            joined.append(word)
    return joined


def _settle(name: str) -> None:
    """Name the process, and let it hold as many descriptors as it may."""
    # Records of tasks live long and make few cycles: looking for garbage after every 700 new objects, as is the
    # default, took half of the time of 100,000 tasks.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"rain-{name}".encode(), 0, 0, 0)
    raise_limit()
    try:
        import asyncio

        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log that no other user may read."""

    def _open(self) -> io.TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", errors="backslashreplace", opener=open_log)


def _log_to(folder: str, name: str, guarded: bool) -> None:
    """Log to standard error, and to a file in `folder` unless a guardian writes standard error to one already."""
    logger = logging.getLogger("rain")
    logger.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if not guarded:
        path = os.path.join(folder, f"{name}.log")
        try:
            handlers.append(_LogFile(path, maxBytes=LOG_BYTES_MAX, backupCount=1))
        except OSError as error:
            raise of_system(f"the log {path} cannot be opened: {error.strerror}", error) from None
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    logging.getLogger("asyncio").addHandler(handlers[-1])


def _log_folder(options: argparse.Namespace) -> str:
    """The folder for logs: the one that was asked for, else a private one that is removed at the end."""
    if options.logdir:
        return str(private_folders.made_dir(options.logdir))
    scratch = private_folders.private_logs()
    options.at_end.callback(scratch.close)
    return scratch.path


def _serve(options: argparse.Namespace) -> None:
    from rain.server import shell

    host, port = parse_address(options.listen)
    http_host, http_port = parse_address(options.http_listen, default_port=HTTP_PORT)
    logdir = _log_folder(options)
    _log_to(logdir, "server", options.lifeline is not None)
    shell.run(
        shell.ServerOptions(
            host,
            port,
            http_host,
            http_port,
            logdir,
            options.ready_file,
            options.connection_file,
            _deadlines(options),
            work_dir=str(private_folders.made_dir(options.workdir)) if options.workdir else "",
            constants_bytes_max=chosen_memory(options.store_memory),
            policy=options.policy,
            guarded=options.lifeline is not None,
            journal=_journal(options),
            private=options.private,
            durable=options.durable,
            metrics=options.metrics,
        )
    )


def _journal(options: argparse.Namespace) -> str:
    if options.journal in ("", "none"):
        if options.durable:
            raise _Misuse("--durable needs a journal: --journal FOLDER")
        return ""
    return str(os.path.abspath(options.journal))


def _deadlines(options: argparse.Namespace) -> Deadlines:
    """The deadlines, scaled by an option, but for that of the handshake, whose time depends on the machine."""
    return DEADLINES.scaled(options.deadlines)._replace(handshake_s=DEADLINES.handshake_s)


def _govern(options: argparse.Namespace) -> int:
    """Run a governor; returns the exit status: a guardian does not start one again that ended with 0."""
    if options.drain:
        return _drain(options)
    # What takes long to import is imported when the zygote has been started.
    guarded = options.lifeline is not None
    environment = dict(os.environ)
    leave_s = parse_duration(options.leave_within or f"{LEAVE_S:g}")
    servers = [format_address(*parse_address(address)) for address in options.server.split(",")]
    cpus = parse_cpus(options.cpus)
    gpus = _gpus(options.gpus)
    config = read_config(options.config)
    store_bytes_max = chosen_memory(options.store_memory)
    if store_bytes_max is None:
        store_bytes_max = store_memory()
    parent, _ = scratch_folder()
    tell_job(os.environ)
    drop_engine_variables(os.environ, config.pass_environment)  # all that they tell is in `environment`
    _log_to(_log_folder(options), "governor", options.lifeline is not None)
    if options.workdir:
        parent = str(private_folders.made_dir(options.workdir))
    if parent != tempfile.gettempdir():
        name_others((parent,))
    scratch = _work_folder(parent)
    try:
        zygote = ZygoteProcess(
            sys.executable, scratch.path
        )  # first, because its interpreter starts while the rest goes on
        try:
            with ThreadPoolExecutor(1) as beside:
                asked = beside.submit(_known_end, options.walltime, {} if guarded else environment)
                from rain.governor import shell  # takes longer than Slurm's answer

                end = asked.result()
            left = shell.run(
                shell.GovernorOptions(
                    ",".join(servers),
                    _credentials(options, servers),
                    cpus,
                    scratch.path,
                    parent,
                    listen=options.listen,
                    advertise=options.advertise,
                    config=config,
                    ready_file=options.ready_file,
                    id_file=options.id_file,
                    deadlines=_deadlines(options),
                    store_bytes_max=store_bytes_max,
                    end=end,
                    leave_s=leave_s,
                    here="; ".join(f"{one.what} {one.amount} ({one.source})" for one in found_here(end, environment)),
                    gpus=gpus,
                    returns=options.returns,
                    zygote=zygote,
                )
            )
        finally:
            zygote.end()
    except RainException as error:
        _tell_server_gone(options.left_file, error)
        raise
    finally:
        scratch.close()
    from rain.common.protocol.messages import SERVER_STOPPED

    by = "server" if left.reason == SERVER_STOPPED else "governor"
    write_ready_file(options.left_file, f"{by}: {left.reason}")
    if not left.by_signal:
        return 0
    return LEFT_STATUS if guarded or options.token_file == "-" else options.leave_status


def _work_folder(parent: str) -> Scratch:
    try:
        return Scratch(parent, GOVERNOR)
    except OSError as error:
        raise of_system(f"cannot make a work folder in {parent}: {error.strerror}", error) from None


def _tell_server_gone(left_file: str, error: RainException) -> None:
    from rain.governor.shell import ServerGone

    if isinstance(error, ServerGone):
        write_ready_file(left_file, f"server: {error}")


def _known_end(walltime: str, environment: dict[str, str]) -> End | None:
    return known_end(walltime, environment, time.time(), lambda job: slurm_time_left(job, environment))


def _gpus(text: str) -> tuple[str, ...]:
    if text == "detect":
        return visible_gpus().names
    names = parse_gpus(text)
    if ",".join(names) != text.replace(" ", ""):
        raise _Misuse(f'--gpus is a list like "0,1", of numbers and UUIDs, each once, not {text!r}')
    return names


def _drain(options: argparse.Namespace) -> int:
    from rain.cli.server_query import drain_here

    server = format_address(*parse_address(options.server))
    within_s = parse_duration(options.leave_within or f"{LEAVE_ASKED_S:g}")
    token = own_credentials.token_in(options.token_file) if options.token_file else None
    left = drain_here(server, own_credentials.credentials_for(server, "client", token=token), within_s)
    print(f"left: {', '.join(left)}")
    return 0


def _credentials(options: argparse.Namespace, servers: list[str]) -> Credentials:
    if options.token_file != "-":
        read = own_credentials.token_to_come if options.token_comes else own_credentials.token_in
        token = read(options.token_file) if options.token_file else None
        file = options.connection_file or None
        for server in servers[:-1]:  # this host may know the server by one of its addresses only
            with contextlib.suppress(RainException):
                return own_credentials.credentials_for(server, "governor", token=token, connection_file=file)
        return own_credentials.credentials_for(servers[-1], "governor", token=token, connection_file=file)
    token = sys.stdin.readline(_TOKEN_BYTES_MAX)
    end_with_lifeline(sys.stdin.fileno())
    return own_credentials.credentials_for(servers[0], "governor", token=token)
