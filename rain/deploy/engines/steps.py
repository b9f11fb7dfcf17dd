"""`StepSupplier`: places as steps on the hosts of a batch job in which this process runs.

The engine's own command brings a governor to each host: no ssh, no key. On this host it is started directly. Killing
such a command does not let what it started leave (srun kills it at once, Grid Engine the whole job); so a place is told
to leave by a file in the pool's folder, which a shell beside its governor looks for.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence

from rain.common.errors import RainException
from rain.common.limits import STEP_LOOK_S
from rain.deploy.engines import engine_inside
from rain.deploy.engines.engine import Engine
from rain.deploy.engines.in_folder import FolderSupplier
from rain.deploy.engines.jobs import check_reachable
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.supplier import Job, JobState, Supplier, Supply
from rain.host.starting import clean_environment
from rain.processes.connection_files import is_own_address

_PLACE = """\
rm -f {made}
trap : TERM USR1 USR2
{governor} &
governor=$! told=
while kill -0 $governor 2>/dev/null; do
    if [ ! "$told" ] && [ -e {leave} ]; then kill -TERM $governor; told=1; fi
    sleep 1
done
wait $governor
"""


class StepSupplier(FolderSupplier):
    """Steps of the job in which this process runs, one on each host.

    Parameters
    ----------
    engine : Engine
    hosts : mapping of str to int
        Of the job, as `Engine.hosts` gives them.
    server : str
        ``host:port`` as the job's hosts reach it.
    folder : PoolFolder
        In a folder that the job's hosts share.
    python : str
        The Python on the hosts that has Rain; empty: this one.
    """

    name = "allocation"
    look_s = STEP_LOOK_S
    idle_look_s = STEP_LOOK_S

    def __init__(
        self, engine: Engine, hosts: Mapping[str, int], server: str, folder: PoolFolder, python: str = ""
    ) -> None:
        super().__init__(server, folder, python)
        self.most = len(hosts)
        self.resources: dict[str, float] = {}  # what each host gives is seen there
        self._engine = engine
        self._hosts = dict(hosts)
        self._steps: dict[str, tuple[str, int, subprocess.Popen[bytes]]] = {}  # host, number and process by id

    def ask(self, number: int) -> str:
        taken = {host for host, _, process in self._steps.values() if process.poll() is None}
        free = [host for host in self._hosts if host not in taken]
        if not free:
            raise RainException(
                f"each of the {len(self._hosts)} hosts of this job has its place, or one that still leaves"
            )
        host = free[0]
        folder = self._folder
        made = str(folder.id_file(number))
        words = [*self._command, *self._governor_words(), "--id-file", made]
        leave = shlex.quote(str(folder.path / _leave(number)))
        line = _PLACE.format(governor=shlex.join(words), made=shlex.quote(made), leave=leave)
        script = folder.write(f"place-{number}.sh", line)
        folder.write(_stay(number), "")
        command = ["/bin/sh", str(script)]
        if not is_own_address(host):
            command = self._engine.step(host, self._hosts[host], shlex.join(command))
        try:
            with open(folder.log(number), "wb") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env=clean_environment(),
                )  # fmt: skip
        except OSError as error:
            raise RainException(f"{command[0]} cannot be started: {error.strerror}") from None
        job = f"{host}-{number}"
        self._steps[job] = (host, number, process)
        return job

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        shown = {}
        for job in jobs:
            status = self._steps[job][2].poll()
            shown[job] = Job(JobState.RUNNING, "running") if status is None else _ended(status)
        return shown

    def give_up(self, jobs: Sequence[str]) -> None:
        for job in jobs:
            number = self._steps[job][1]
            self._folder.rename(_stay(number), _leave(number))


def _stay(number: int) -> str:
    """A file that becomes `_leave`, which a full disk allows where it allows no new one."""
    return f"place-{number}.stay"


def _leave(number: int) -> str:
    """The file whose presence tells place `number` to leave."""
    return f"place-{number}.leave"


def _ended(status: int) -> Job:
    return Job(JobState.ENDED, f"signal {-status}" if status < 0 else f"exit status {status}")


def steps_in(
    environment: Mapping[str, str], *, folder: str | os.PathLike[str] | None = None, python: str = ""
) -> Supply:
    """Steps of the batch job in which this process runs.

    Parameters
    ----------
    environment : mapping of str to str
        The process's environment variables.
    folder : path-like, optional
        Where the pool's folder is made; see `PoolFolder`.
    python : str
        The Python on the hosts that has Rain; empty: this one.

    Raises
    ------
    RainException
        If this process runs in no batch job.
    """
    engine, hosts = engine_inside(environment), hosts_inside(environment)

    def supplier(server: str, token: str) -> Supplier:
        if len(hosts) > 1:
            check_reachable(server, "this job")
        return StepSupplier(engine, hosts, server, PoolFolder(token, folder), python)

    return supplier


def hosts_inside(environment: Mapping[str, str]) -> dict[str, int]:
    """The hosts of the batch job in which this process runs, as `Engine.hosts` gives them.

    Raises
    ------
    RainException
        If it runs in none.
    """
    return engine_inside(environment).hosts(environment)
