"""`JobSupplier`: places as jobs of a batch system, of one host each, so that they come and go one by one.

Jobs find what they need in a folder that the hosts share: a script, and the token of the governors in a file that only
the user may read. No token is in an argument, in the environment, or in what the batch system keeps.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import ENGINE_LOOK_S, PLACES_MAX
from rain.common.protocol.address import is_loopback, parse_address
from rain.deploy.engines import commands
from rain.deploy.engines.batch import BatchSystem, Order
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.supplier import Job, Supplier, Supply
from rain.governor.surroundings.leaving import parse_duration
from rain.net.auth import Credentials
from rain.processes.launching import RAIN


class JobSupplier:
    """Jobs of a batch system.

    Parameters
    ----------
    system : BatchSystem
    server : str
        ``host:port`` as the jobs' hosts reach it.
    order : Order
        What each place has.
    folder : PoolFolder
        In a folder that this machine and the jobs' hosts share.
    python : str
        The Python on the hosts that has Rain; empty: this one.
    """

    look_s = ENGINE_LOOK_S
    most = PLACES_MAX

    def __init__(self, system: BatchSystem, server: str, order: Order, folder: PoolFolder, python: str = "") -> None:
        self.name = system.name
        self._system = system
        self._server = server
        self._order = order
        self._folder = folder
        self._command = [python, "-P", "-m", "rain"] if python else list(RAIN)

    def ask(self, number: int) -> str:
        folder = self._folder
        script = folder.path / f"place-{number}.sh"
        made = str(folder.id_file(number))
        words = ["governor", self._server, "--cpus", str(self._order.cpus), "--token-file", str(folder.token)]
        words += ["--id-file", made]
        line = shlex.join([*self._command, *words])
        text = self._system.script(self._order, f"rain-{number}", line, str(folder.log(number)))
        # A job that was put back into the queue begins anew: what its first run has left says nothing of the second.
        first, _, rest = text.rpartition("\nexec ")
        script.write_text(f"{first}\nrm -f {shlex.quote(made)}\nexec {rest}")
        return self._system.submitted(commands.output_of(self._system.submit(str(script)), self.name))

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        return self._system.shown(commands.output_of(self._system.show(jobs), self.name))

    def governor(self, number: int) -> str:
        return self._folder.governor(number)

    def give_up(self, jobs: Sequence[str]) -> None:
        commands.output_of(self._system.cancel(jobs), self.name)

    def printed(self, number: int) -> str:
        return self._folder.printed(number)

    def close(self) -> None:
        self._folder.close()

    def tidy(self, keep: bool) -> None:
        if not keep:
            self._folder.remove()


def jobs_of(
    system: BatchSystem,
    *,
    cpus: int = 1,
    gpus: int = 0,
    memory: int | str = 0,
    time: int | str = 0,
    partition: str = "",
    arguments: Sequence[str] = (),
    folder: str | os.PathLike[str] | None = None,
    python: str = "",
) -> Supply:
    """Jobs of a batch system, whose options are checked here.

    Parameters
    ----------
    system : BatchSystem
    cpus, gpus : int
        Of each place.
    memory : int or str
        Of each place: bytes, or a text as ``"16G"``; 0: what the engine gives by itself.
    time : int or str
        How long a place lasts: seconds, or a text as ``"2:00:00"`` or ``"90m"``; 0: what the engine gives by itself.
    partition : str
    arguments : sequence of str
        Further options of the engine, verbatim: ``["--account=abc"]``.
    folder : path-like, optional
        Where the pool's folder is made; see `PoolFolder`.
    python : str
        The Python on the hosts that has Rain; empty: this one.

    Raises
    ------
    RainException
        If one of them has no meaning.
    """
    for name, number, least in (("cpus", cpus, 1), ("gpus", gpus, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise RainException(f"{name} of a place is a number of at least {least}, not {number!r}")
    if isinstance(arguments, str):
        raise RainException(f"arguments is a sequence of texts, [{arguments!r}], not one text")
    seconds = math.ceil(parse_duration(str(time))) if time else 0
    order = Order(cpus, gpus, parse_bytes(memory) if memory else 0, seconds, partition, tuple(arguments))

    def supplier(server: str, credentials: Credentials) -> Supplier:
        check_reachable(server, system.name)
        return JobSupplier(system, server, order, PoolFolder(credentials.token("governor"), folder), python)

    return supplier


def check_reachable(server: str, engine: str) -> None:
    """Raise RainException if a server listens where hosts of an engine cannot reach it."""
    if is_loopback(parse_address(server)[0]):
        raise RainException(
            f"the server listens on {server}, where hosts of {engine} cannot reach it: start it by "
            f'Client.on("{engine}", …), or by rain start --listen HOST'
        )
