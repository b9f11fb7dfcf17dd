"""Starting a program on the governors of a task by Slurm's own ``srun --overlap``, where all are in one job of it.

So the program is a step of the job: Slurm counts what it uses, binds it, and gives it what its MPI finds its peers by.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Mapping, Sequence

from rain.common.errors import RainException
from rain.common.protocol.address import format_address
from rain.common.protocol.messages import Node
from rain.common.task_configs import SLURM_JOB, SLURM_NODE
from rain.executor.gangs import wire
from rain.executor.gangs.launching import Ending, Launched, Write, host_of, launch, run_on
from rain.executor.gangs.tether import KEY

SETTLE_S = 1.0
_TOLD_BYTES_MAX = 64
_ASK = ["/bin/sh", "-c", f'echo "${SLURM_JOB}" "${SLURM_NODE}"']


def srun(nodes: Sequence[Node], args: Sequence[str], env: Mapping[str, str], write: Write, folder: str) -> Launched:
    """Run a program once on each node as one step, and return what became of it.

    Parameters
    ----------
    nodes : sequence of Node
    args : sequence of str
    env : mapping of str to str
    write : callable
        Takes what srun and the programs write.
    folder : str
        For files of this launch.

    Raises
    ------
    RainException
        If there is no srun here, or the governors are not in one job.
    """
    if shutil.which("srun") is None:
        raise RainException("launcher='srun' needs Slurm's srun, which is not on this host's PATH")
    job, hosts = _job_of(nodes)
    hostfile = os.path.join(folder, "srun-hosts")
    with open(hostfile, "w") as file:
        file.writelines(f"{host}\n" for host in hosts)
    with _Tethers(host_of(nodes[0]), len(nodes)) as tethers:
        inside = [sys.executable, "-P", "-m", "rain.executor.gangs.tether", tethers.address, os.getcwd(), *args]
        words = [
            "srun", f"--jobid={job}", "--overlap", f"--nodes={len(set(hosts))}", f"--ntasks={len(hosts)}",
            f"--cpus-per-task={max(1, int(nodes[0].cpus))}", "--mem=0", "--distribution=arbitrary", "--chdir=/",
            "--input=none", "--kill-on-bad-exit=1",
        ]  # fmt: skip
        end = Ending()
        try:
            own = {"SLURM_HOSTFILE": hostfile, KEY: tethers.key}
            status = run_on(nodes[0], 0, [*words, *inside], {**env, **own}, write, end)
            tethers.settle()
        except BaseException as error:  # an interrupt: srun is killed, and the end of the tethers ends the rest
            end.now(error)
            raise
        finally:
            os.unlink(hostfile)
    if status and tethers.first is None:
        raise RainException(
            f"srun ended with status {status}, and no {args[0]} had ended: what it said is in this task's stderr"
        )
    return Launched([tethers.statuses.get(rank, status) for rank in range(len(nodes))], tethers.first)


def _job_of(nodes: Sequence[Node]) -> tuple[str, list[str]]:
    """The job in which all are, and the names of their hosts in it."""
    said: dict[int, bytes] = {}

    def writer(rank: int) -> Write:
        def write(kind: bytes, data: bytes) -> None:
            if kind == wire.OUT:
                said[rank] = said.get(rank, b"") + data

        return write

    launch(nodes, _ASK, {}, writer)
    told = [said.get(rank, b"").decode(errors="replace").split() for rank in range(len(nodes))]
    for node, words in zip(nodes, told, strict=True):
        if len(words) != 2:
            raise RainException(
                f"launcher='srun' needs governors in a job of Slurm: {node.governor} is in none. Without it ctx.launch "
                "starts the program by itself"
            )
    jobs = dict.fromkeys(job for job, _ in told)
    if len(jobs) > 1:
        raise RainException(
            f"launcher='srun' needs all governors in one job of Slurm: they are in {', '.join(jobs)}, and srun "
            'reaches the hosts of one only. Client.on("allocation") has its governors in one; without launcher= '
            "ctx.launch starts the program by itself"
        )
    return told[0][0], [host for _, host in told]


class _Tethers:
    """The executor's ends of the connections on which the programs hang.

    Attributes
    ----------
    address : str
        ``host:port`` to which they connect.
    key : str
        By which what they say is theirs; they get it in their environment.
    statuses : dict of int to int
        Of those that have ended, by rank.
    first : int or None
        The rank of the first that failed.
    """

    def __init__(self, host: str, count: int) -> None:
        self.key = secrets.token_hex(16)
        self._ranks = range(count)
        self._listener = socket.create_server((host, 0))
        self.address = format_address(*self._listener.getsockname()[:2])
        self.statuses: dict[int, int] = {}
        self.first: int | None = None
        self._links: list[tuple[socket.socket, threading.Thread]] = []
        self._lock = threading.Lock()  # over the list and whether it is closed: none that comes late is left open
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> _Tethers:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_closed = True
            links = [link for link, _ in self._links]
        for link in (self._listener, *links):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            link.close()

    def settle(self) -> None:
        """srun has ended: what the programs said of their end is on its way at most."""
        with self._lock:
            heeding = [thread for _, thread in self._links]
        for thread in heeding:
            thread.join(SETTLE_S)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_closed:
                    link.close()
                    return
                heeding = threading.Thread(target=self._heed, args=(link,), daemon=True)
                self._links.append((link, heeding))
                heeding.start()

    def _heed(self, link: socket.socket) -> None:
        told = b""
        try:
            while b"\n" not in told and len(told) < _TOLD_BYTES_MAX and (piece := link.recv(_TOLD_BYTES_MAX)):
                told += piece
            key, *numbers = told.decode("ascii").split()
            rank, status = map(int, numbers)
        except (OSError, ValueError):  # it ended without a word, or is no tether
            return
        if rank not in self._ranks or not secrets.compare_digest(key, self.key):
            return
        self.statuses[rank] = status
        if status and self.first is None:
            self.first = rank
