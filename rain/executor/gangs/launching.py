"""Starting programs on the governors of a task: `Nodes`, and the files by which programs find them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rain.common.errors import RainException
from rain.common.limits import LAUNCH_LINE_BYTES_MAX
from rain.common.protocol.address import parse_address
from rain.common.protocol.messages import Node
from rain.executor.gangs import wire
from rain.executor.gangs.started import Started

HOSTFILE, NODES_FILE, RANK, COUNT = "RAIN_HOSTFILE", "RAIN_NODES_FILE", "RAIN_NODE_RANK", "RAIN_NODES"
_FAILED_TO_START = 127
_KINDS = {1: wire.OUT, 2: wire.ERR}

Write = Callable[[bytes, bytes], None]
"""Takes what a program writes: `wire.OUT` or `wire.ERR`, and the bytes."""


def host_of(node: Node) -> str:
    """The host as programs name it: that of the governor's address."""
    return parse_address(node.governor)[0]


class GangFiles:
    """The files of one task: a host file as ``mpirun`` reads it, and what `rain run-on` needs (mode 0600).

    Parameters
    ----------
    folder : str
        The executor's private folder.
    nodes : sequence of Node
    """

    def __init__(self, folder: str, nodes: Sequence[Node]) -> None:
        self._hostfile = Path(folder, "hostfile")
        self._nodes = Path(folder, "nodes")
        self._count = len(nodes)
        slots: dict[str, int] = {}
        for node in nodes:
            slots[host_of(node)] = slots.get(host_of(node), 0) + max(1, int(node.cpus))
        self._hostfile.write_text("".join(f"{host} slots={count}\n" for host, count in slots.items()))
        descriptor = os.open(self._nodes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.msgpack.encode(list(nodes)))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the task's programs have."""
        agent = f"{sys.executable} -P -m rain run-on --as-ssh"
        return {
            HOSTFILE: str(self._hostfile),
            NODES_FILE: str(self._nodes),
            COUNT: str(self._count),
            RANK: "0",
            "OMPI_MCA_orte_default_hostfile": str(self._hostfile),
            "PRTE_MCA_prte_default_hostfile": str(self._hostfile),
            "OMPI_MCA_plm_rsh_agent": agent,
            "PRTE_MCA_plm_ssh_agent": agent,
        }

    def remove(self) -> None:
        """The task has ended."""
        self._hostfile.unlink(missing_ok=True)
        self._nodes.unlink(missing_ok=True)


def nodes_of_this_task() -> list[Node]:
    """The governors of the task that runs this program.

    Raises
    ------
    RainException
        If it is no task on several governors.
    """
    path = os.environ.get(NODES_FILE)
    if not path:
        raise RainException(f"this is no program of a task on several governors: {NODES_FILE} is not set")
    try:
        return msgspec.msgpack.decode(Path(path).read_bytes(), type=list[Node])
    except (OSError, msgspec.MsgspecError) as error:
        raise RainException(f"the governors of this task cannot be read from {path}: {error}") from None


def chosen(nodes: Sequence[Node], name: str) -> int:
    """The rank of the node that is meant: a number, a governor's id, or a host (the first node there)."""
    for rank, node in enumerate(nodes):
        if name in (str(rank), node.governor, host_of(node)):
            return rank
    known = ", ".join(f"{rank} ({node.governor})" for rank, node in enumerate(nodes))
    raise RainException(f"{name!r} is no node of this task; they are {known}")


def run_on(node: Node, rank: int, args: Sequence[str], env: Mapping[str, str], write: Write, end: Ending) -> int:
    """Run a program on one node and return its exit status.

    Raises
    ------
    RainException
        If the node cannot be reached, or is lost meanwhile.
    """
    if not node.address:
        return _run_here(args, {**env, RANK: str(rank)}, write, end)
    link = wire.connect(node)
    with link:
        if not end.register(lambda: _hang_up(link)):
            return -signal.SIGKILL
        try:
            wire.send(link, wire.OUT, msgspec.msgpack.encode(wire.Launch(list(args), {**env, RANK: str(rank)})))
        except OSError as error:
            return _lost(node, f"before it could start {args[0]} for this task: {error}", end)
        while True:
            kind, data = wire.receive(link)
            if kind == wire.EXIT:
                return int(data)
            if not kind:
                return _lost(node, f"while it ran {args[0]} for this task", end)
            write(kind, data)


def _lost(node: Node, when: str, end: Ending) -> int:
    """The status of a program whose connection has ended, if that was hung up here."""
    if end.ended:
        return -signal.SIGKILL
    raise RainException(f"governor {node.governor} was lost {when}")


def _hang_up(link: Any) -> None:
    try:
        link.shutdown(2)
    except OSError:
        pass


def _run_here(args: Sequence[str], env: Mapping[str, str], write: Write, end: Ending) -> int:
    try:
        program = Started(args, {**os.environ, **env}, lambda number, data: write(_KINDS[number], data))
    except (OSError, ValueError) as error:
        write(wire.ERR, f"the program cannot be started: {error}\n".encode())
        return _FAILED_TO_START
    if not end.register(program.kill):
        program.kill()
    return program.wait()


class Ending:
    """Ends all programs of one launch together.

    Attributes
    ----------
    ended : bool
        Whether they were ended.
    cause : object
        What was given to the first `now`, so that what follows from that is not taken for it.
    """

    def __init__(self) -> None:
        self.ended = False
        self.cause: int | BaseException | None = None
        self._lock = threading.Lock()
        self._kills: list[Callable[[], None]] = []

    def register(self, kill: Callable[[], None]) -> bool:
        """How one of them is ended; False if all of them are already."""
        with self._lock:
            if not self.ended:
                self._kills.append(kill)
            return not self.ended

    def now(self, cause: int | BaseException) -> None:
        """End all, because of the program of that rank, or of an error."""
        with self._lock:
            if not self.ended:
                self.ended, self.cause = True, cause
            kills, self._kills = self._kills, []
        for kill in kills:
            kill()


class Launched(NamedTuple):
    """What became of the programs of one launch.

    Attributes
    ----------
    statuses : list of int
        Exit statuses by rank, negative for signals.
    first : int or None
        The rank of the program that failed first, and for which the others were ended; None if none has failed.
    """

    statuses: list[int]
    first: int | None


def launch(
    nodes: Sequence[Node], args: Sequence[str], env: Mapping[str, str], writer: Callable[[int], Write]
) -> Launched:
    """Run a program once on each node, and return what became of it; the first that fails ends all others.

    Raises
    ------
    RainException
        If a node is lost meanwhile.
    """
    end = Ending()
    statuses: list[int] = [0] * len(nodes)

    def run(rank: int) -> None:
        try:
            statuses[rank] = run_on(nodes[rank], rank, args, {COUNT: str(len(nodes)), **env}, writer(rank), end)
            if statuses[rank]:
                end.now(rank)
        except BaseException as error:
            end.now(error)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(len(nodes))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException as error:  # an interrupt: nothing may be left running
        end.now(error)
        raise
    if isinstance(end.cause, BaseException):
        raise end.cause
    return Launched(statuses, end.cause)


def check_args(args: Sequence[str]) -> list[str]:
    """A command line as it should be.

    Raises
    ------
    RainException
        If it is something else.
    """
    if isinstance(args, str | bytes) or not args or not all(isinstance(word, str) for word in args):
        raise RainException(f"a command is a sequence of texts, [program, argument, …], not {args!r}")
    return list(args)


class Lines:
    """Writes what several programs write to this process's stdout and stderr, by whole lines.

    A line longer than LAUNCH_LINE_BYTES_MAX is written in pieces.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rest: dict[tuple[int, bytes], bytes] = {}

    def writer(self, rank: int) -> Write:
        """For the program of one node."""

        def write(kind: bytes, data: bytes) -> None:
            with self._lock:
                whole, newline, rest = (self._rest.pop((rank, kind), b"") + data).rpartition(b"\n")
                if len(rest) > LAUNCH_LINE_BYTES_MAX:
                    whole, newline, rest = whole + newline + rest, b"", b""
                self._rest[rank, kind] = rest
                _write(kind, whole + newline)

        return write

    def end(self) -> None:
        """Write lines that were not ended."""
        with self._lock:
            for (_, kind), rest in self._rest.items():
                _write(kind, rest + b"\n" if rest else b"")
            self._rest.clear()


def _write(kind: bytes, data: bytes) -> None:
    descriptor = 2 if kind == wire.ERR else 1
    while data:
        data = data[os.write(descriptor, data) :]
