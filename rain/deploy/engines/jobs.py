"""`JobSupplier`: places as jobs of a batch system, of one host each, so that they come and go one by one.

Jobs find what they need in a folder that the hosts share: a script, and the token of the governors in a file that only
the user may read. No token is in an argument, in the environment, or in what the batch system keeps.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import time as clock
from collections.abc import Sequence
from pathlib import Path

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import ARRAY_PLACES_MIN, ENGINE_IDLE_LOOK_S, ENGINE_LOOK_S, ENGINE_WHY_S, MIB, PLACES_MAX
from rain.common.protocol.address import is_loopback, parse_address
from rain.deploy.engines import commands
from rain.deploy.engines.batch import BatchSystem, Order
from rain.deploy.engines.in_folder import FolderSupplier
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.supplier import Job, JobState, Supplier, Supply
from rain.governor.surroundings.leaving import parse_duration


class JobSupplier(FolderSupplier):
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

    Attributes
    ----------
    probe : str or None
        What ``rain`` is to do in jobs instead of running a governor, as words for the shell.
    """

    look_s = ENGINE_LOOK_S
    idle_look_s = ENGINE_IDLE_LOOK_S
    most = PLACES_MAX
    many = ARRAY_PLACES_MIN

    def __init__(self, system: BatchSystem, server: str, order: Order, folder: PoolFolder, python: str = "") -> None:
        super().__init__(server, folder, python)
        self.name = system.name
        self.resources = {"cpus": float(order.cpus)} | ({"gpus": float(order.gpus)} if order.gpus else {})
        self._system = system
        self._order = order
        self._logs: dict[int, Path] = {}  # of places that are elements of arrays
        self._reason = ""
        self._reason_at = 0.0
        self.probe: str | None = None

    def ask(self, number: int) -> str:
        return self._submit(number, 1)[0]

    def ask_many(self, numbers: Sequence[int]) -> list[str]:
        first = numbers[0]
        return self._submit(first, len(numbers))

    def _submit(self, first: int, elements: int) -> list[str]:
        folder, system = self._folder, self._system
        name = f"rain-{folder.path.name[-6:]}-{first}"
        log = folder.log(first)
        if elements > 1:
            log = folder.path / f"places-{first}-{system.index_in_path}.log"
            for index in range(elements):
                self._logs[first + index] = folder.path / f"places-{first}-{index + 1}.log"
        lines = self._lines(first, elements) if self.probe is None else f"exec {shlex.join(self._command)} {self.probe}"
        script = folder.write(f"place-{first}.sh", system.script(self._order, name, lines, str(log), elements))
        try:
            printed = commands.output_of(system.submit(self._order, str(script)), self.name)
            return system.submitted(printed, elements)
        except BaseException as error:
            # The command was ended in the middle, its answer is not understood, or it failed after the batch system had
            # taken the job (a "socket timed out" of Slurm): what it has submitted would be no place's.
            if not isinstance(error, commands.NotStarted):
                self._forget(name)
            raise

    def _lines(self, first: int, elements: int) -> str:
        """What a job does, for the shell."""
        made = self._folder.id_file(0)
        before, after = map(shlex.quote, str(made).rsplit("0", 1))
        place = f"$(({first - 1} + {self._system.index}))" if elements > 1 else str(first)
        words = [*self._governor_words(), "--cpus", str(self._order.cpus)]
        if self._order.time_s:
            words += ["--walltime", str(self._order.time_s)]
        line = f"{shlex.join([*self._command, *words])} --id-file {before}$place{after}"
        # A job that was put back into the queue begins anew: what its first run has left says nothing of the second.
        return f"place={place}\nrm -f {before}$place{after}\nexec {line}"

    def _forget(self, name: str) -> None:
        try:
            commands.output_of(self._system.cancel_named(name), self.name, self._system.gone)
        except RainException:
            pass  # the batch system that did not answer does not answer; what was interrupted is told

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        system = self._system
        wanted = set(jobs)
        output = commands.output_of(system.show(jobs), self.name, system.gone)
        shown = {job: found for job, found in system.shown(output).items() if job in wanted}
        waits = [job for job, found in shown.items() if found.state is JobState.PENDING and not found.reason]
        if waits and system.why(waits[0]):
            reason = self._why(waits[0])
            shown.update((job, shown[job]._replace(reason=reason)) for job in waits)
        for job in [job for job, found in shown.items() if system.lingers(found)]:
            shown[job] = shown[job]._replace(word=f"{shown[job].word}: {self._asked_why(job)}")
            with contextlib.suppress(RainException):  # it has ended for us, and stands in the list as long as it may
                self.give_up([job])
        return shown

    def _why(self, job: str) -> str:
        """Why places wait: they are alike, and one is asked about, seldom."""
        if clock.monotonic() - self._reason_at > ENGINE_WHY_S or not self._reason_at:
            self._reason, self._reason_at = self._asked_why(job), clock.monotonic()
        return self._reason

    def _asked_why(self, job: str) -> str:
        try:
            return self._system.reason(commands.output_of(self._system.why(job), self.name))
        except RainException:
            return ""  # it has begun, or ended, by now

    def give_up(self, jobs: Sequence[str]) -> None:
        commands.output_of(self._system.cancel(jobs), self.name, self._system.gone)

    def _log(self, number: int) -> Path:
        return self._logs.get(number) or super()._log(number)


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
        How long a place lasts: seconds, or a text as ``"2:00:00"`` or ``"90m"``, with a unit; 0: what the engine gives
        by itself.
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
    order = Order(cpus, gpus, _memory(memory), _seconds(time), partition, tuple(arguments))

    def supplier(server: str, token: str) -> Supplier:
        check_reachable(server, system.name)
        return JobSupplier(system, server, order, PoolFolder(token, folder), python)

    return supplier


def _seconds(time: int | str) -> int:
    """How long a place lasts; a text without a unit is refused, because batch systems do not agree on what it means."""
    if isinstance(time, str) and time.strip().isdecimal():
        raise RainException(f"time {time!r} means minutes to Slurm, and seconds elsewhere: write {time}m or {time}s")
    return math.ceil(parse_duration(str(time))) if time else 0


def _memory(memory: int | str) -> int:
    """Bytes of a place; so few are a number that was meant in another unit, as that of Slurm's ``--mem``."""
    size = parse_bytes(memory) if memory else 0
    if 0 < size < MIB:
        raise RainException(f"memory {memory!r} of a place is {size} bytes, which nothing can run in: write {memory}M")
    return size


def check_reachable(server: str, engine: str) -> None:
    """Raise RainException if a server listens where hosts of an engine cannot reach it."""
    if is_loopback(parse_address(server)[0]):
        raise RainException(
            f"the server listens on {server}, where hosts of {engine} cannot reach it: start it by "
            f'Client.on("{engine}", …), or by rain start --listen HOST'
        )
