"""A private server and governors on this machine, owned by this process.

They end with the `LocalCluster`, or with this process however it dies: a guardian holds the other end of a pipe. They
live in a session of their own, so no keyboard interrupt reaches them, and their folder, logs included, is removed.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import weakref
from typing import ClassVar

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import CONSTANTS_MEMORY_SHARE, STORE_MEMORY_SHARE
from rain.common.protocol.address import format_address
from rain.common.suggestions.keywords import suggesting
from rain.host.gpus import shares as shared_out
from rain.host.gpus import visible_gpus
from rain.host.machine import available_cpus, parse_cpus
from rain.host.network.listening import listener_on
from rain.host.process_table import parents
from rain.net.auth import Credentials
from rain.net.transport import listen
from rain.objects.dirtree import remove_tree
from rain.processes import connection_files, fate
from rain.processes.launching import UNDER_GUARDIAN, Launch, Program
from rain.processes.memory_folders import chosen_memory, constants_memory, store_memory
from rain.processes.own_credentials import server_credentials
from rain.processes.scratch import LOCAL, Scratch

PRIVATE = (
    "This cluster is private to this process (Client.local): that of an earlier one, an earlier kernel too, ended with "
    "it, and so did its sessions. `rain start` and Client() leave a cluster running, where sessions wait for the next "
    "kernel; those with persistent=True stay without any"
)
"""What is said where a session is looked for that ended with the process of another private cluster."""


class LocalCluster:
    """A server and governors as child processes; ready when made, unless something is to be done meanwhile.

    Parameters
    ----------
    cpus : int, str or None
        Of each governor: a number, or ``-N`` (all but N), and it may exceed what the machine has; None: what this
        process may use, split among the governors.
    governors : int
        How many.
    config : path-like or None
        The governors' configuration file.
    memory : int, str or None
        Bytes of objects, arguments and constants that may lie in memory before they go to disk, of all governors and
        the server together, also as ``"512M"``; 0: none. None: what `RAIN_STORE_MEMORY` says, else half of the memory
        that this process may count on (its control group's limit, or the machine's).
    workdir : path-like or None
        Where the cluster's folder is made: tasks run there, and what does not fit into memory lies there. None: the
        folder for temporary files.

    host : str
        The address at which the server listens; beyond loopback all connections are encrypted.
    start : bool
        Whether it is started, and ready when made; else `start` and `wait` do that.
    journal : bool
        Whether the server keeps a journal, in a folder of the cluster, so that it comes back with everything when it is
        started again after its death.
    policy : str
        The server's scheduling policy: the name of an entry point of the group ``rain.scheduling_policies``, or
        ``package.module:Class``. Empty: Rain's own.

    Attributes
    ----------
    address : str
        ``host:port`` of the server.
    connection_file : str
        Its connection file, in a private folder, so that other clients do not find it by its port.
    governor_count : int
    folder : str
        The private folder: logs and work folders.

    Raises
    ------
    RainException
        If something cannot be started, with the end of its log.

    Examples
    --------
    >>> with LocalCluster(cpus=2) as cluster:
    ...     cluster.address.startswith("127.0.0.1:")
    True
    """

    CALLED: ClassVar[str] = "Client.local"
    """What users call with its arguments."""

    @suggesting
    def __init__(
        self,
        cpus: int | str | None = None,
        governors: int = 1,
        *,
        config: str | os.PathLike[str] | None = None,
        memory: int | str | None = None,
        workdir: str | os.PathLike[str] | None = None,
        policy: str = "",
        journal: bool = True,
        host: str = "127.0.0.1",
        start: bool = True,
    ) -> None:
        if isinstance(governors, bool) or not isinstance(governors, int) or governors < 0:
            raise RainException(f"governors must be a number of at least 0, not {governors!r}")
        shares = split_cpus(available_cpus(), governors) if cpus is None else [parse_cpus(cpus)] * governors
        self.governor_count = governors
        self._shares = shares
        self._config = config
        self._host = host
        self._memory = _memory_shares(memory, governors)
        self._policy = policy
        self._journal = journal
        try:
            scratch = Scratch(os.path.abspath(workdir or tempfile.gettempdir()), LOCAL)
        except OSError as error:
            raise RainException(f"no folder can be made in {workdir or tempfile.gettempdir()}: {error}") from None
        self.folder = scratch.path
        self.connection_file = os.path.join(self.folder, "connection.json")
        self._running = _Running(scratch)
        self._finalizer = weakref.finalize(self, self._running.end)
        try:
            self._running.sockets += [listen(host, 0)]
            self._running.sockets += [listen("127.0.0.1", 0)]
            self.address, self._http = (format_address(*s.getsockname()[:2]) for s in self._running.sockets)
            if start:
                self.start()
                self.wait()
        except BaseException:
            self.close()
            raise

    def start(self) -> Credentials:
        """Start the processes; once.

        Returns
        -------
        Credentials
            Those of the server.

        Raises
        ------
        RainException
            If they cannot be started.
        """
        credentials = server_credentials(self._host)
        connection_files.write(
            connection_files.describe_server(self.address, credentials, http=self._http), self.connection_file
        )
        programs = [self._server([s.fileno() for s in self._running.sockets])]
        dealt = shared_out(visible_gpus().names, len(self._shares))
        programs += [
            self._governor(number, share, ",".join(names))
            for number, (share, names) in enumerate(zip(self._shares, dealt, strict=True))
        ]
        self._running.start(programs)
        return credentials

    def wait(self) -> None:
        """Return when all that `start` started is ready.

        Raises
        ------
        RainException
            If something could not be started, with the end of its log. Nothing is left then.
        """
        try:
            self._launch.wait()
        except BaseException:
            self.close()
            raise

    @property
    def _launch(self) -> Launch:
        assert self._running.launch is not None, "not started"
        return self._running.launch

    def _server(self, sockets: list[int]) -> Program:
        arguments = ["server", "--listen", f"fd:{sockets[0]}", "--http-listen", f"fd:{sockets[1]}"]
        arguments += ["--logdir", self.folder, "--connection-file", self.connection_file, *UNDER_GUARDIAN]
        arguments += ["--workdir", self.folder, "--store-memory", str(self._memory[0])]
        arguments += ["--policy", self._policy] if self._policy else []
        arguments += ["--private", "--journal", os.path.join(self.folder, "journal")] if self._journal else []
        log = os.path.join(self.folder, "server.log")
        return Program("server", arguments, log, restart=True, vital=True, told=True, keep=sockets)

    def _governor(self, number: int, cpus: int, gpus: str) -> Program:
        name = f"governor-{number}"
        arguments = ["governor", self.address, "--cpus", str(cpus), "--connection-file", self.connection_file]
        arguments += ["--logdir", self.folder, "--workdir", self.folder, *UNDER_GUARDIAN]
        arguments += ["--store-memory", str(self._memory[1]), "--gpus", gpus]
        if self._config is not None:
            arguments += ["--config", os.path.abspath(self._config)]
        # Without its only governor a private cluster could do nothing but wait.
        return Program(name, arguments, os.path.join(self.folder, f"{name}.log"), restart=True, leaves=True)

    def close(self) -> None:
        """End the server and the governors, and wait for it; idempotent. In a forked child it does nothing."""
        self._finalizer()

    def kill_governor(self, governor_id: str) -> None:
        """End a governor's process at once (SIGKILL), as a crash would: the guardian starts another one, which has what
        it held; what it ran runs again.

        Parameters
        ----------
        governor_id : str
            ``host:port``, as the server knows it.

        Raises
        ------
        RainException
            If no governor of this cluster has that id.
        """
        guardian = self._launch.pid
        own = [pid for pid, parent in parents().items() if parent == guardian]
        port = governor_id.rpartition(":")[2]
        pid = listener_on(int(port), own) if port.isdecimal() else None
        if pid is None:
            raise RainException(f"no governor of this client's own cluster has the id {governor_id!r}")
        os.kill(pid, signal.SIGKILL)

    @property
    def ended(self) -> bool:
        """Whether the guardian is gone, so that nothing of the cluster will come back."""
        return self._launch.ended

    def fate(self) -> str:
        """What died, and where the logs are; empty if nothing did."""
        if not self.ended:
            return fate.of_living_guardian(self.folder)
        gone = fate.of_guardian(self._launch.pid, self.folder)
        return (
            f"This client's private cluster is gone: {gone} (until this client is closed). Make a new one: "
            "Client.local()"
        )

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalCluster at {self.address}, {self.governor_count} governors>"


class _Running:
    """What there is of a cluster, to be ended; without the cluster, which is let go before.

    Parameters
    ----------
    scratch : Scratch
    """

    def __init__(self, scratch: Scratch) -> None:
        self.sockets: list[socket.socket] = []
        self.launch: Launch | None = None
        self._scratch = scratch
        self._owner = os.getpid()

    def start(self, programs: list[Program]) -> None:
        self.launch = Launch(programs, self._scratch.path, owned=self._scratch)
        self._close_sockets()  # the guardian's by now

    def _close_sockets(self) -> None:
        for s in self.sockets:
            s.close()

    def end(self) -> None:
        if os.getpid() != self._owner:
            return
        self._close_sockets()
        if self.launch is None:
            self._scratch.close()
            return
        self.launch.stop()
        remove_tree(self._scratch.path)  # if the guardian could not


def _memory_shares(memory: int | str | None, governors: int) -> tuple[int, int]:
    """Bytes in memory for the server's constants, and for the objects of each governor.

    Examples
    --------
    >>> _memory_shares(1000, 2)
    (200, 400)
    """
    total = chosen_memory("") if memory is None else parse_bytes(memory)
    for_constants = CONSTANTS_MEMORY_SHARE / (CONSTANTS_MEMORY_SHARE + STORE_MEMORY_SHARE)
    constants = constants_memory() if total is None else int(total * for_constants)
    objects = store_memory() if total is None else total - constants
    return constants, objects // max(1, governors)


def split_cpus(cpus: int, governors: int) -> list[int]:
    """`cpus` split as evenly as possible, with one for each governor at least.

    Examples
    --------
    >>> split_cpus(5, 2), split_cpus(2, 3)
    ([3, 2], [1, 1, 1])
    """
    return [max(1, cpus // governors + (number < cpus % governors)) for number in range(governors)]
