"""`Pool`: governors in jobs of a batch system, as many as are asked for.

Theory of operation
-------------------
Each place is a job of one host, so that places come and go one by one; its governor dials out to the server. Jobs find
what they need in a folder that the hosts share: a script, and the token of the governors in a file that only the user
may read. No token is in an argument, in the environment, or in what the batch system keeps. A governor that has
registered makes a file there, and what a job printed lies there too, so that a place that ends before has its reason
told. The folder is removed when all places have ended and each was up; else what was printed stays there.

A thread asks the batch system for all jobs at once, seldom; decisions are in `rain.deploy.engines.places`.
"""

from __future__ import annotations

import itertools
import math
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import ENGINE_COMMAND_S, ENGINE_END_S, ENGINE_LOOK_S, ENGINE_SILENT_S, PLACES_MAX
from rain.common.protocol.address import is_loopback, parse_address
from rain.deploy.engines import engine_of
from rain.deploy.engines.batch import BatchSystem, Job, Order
from rain.deploy.engines.places import Place, PlaceState, look, to_leave, wanted
from rain.governor.surroundings.environment import drop_engine_variables
from rain.governor.surroundings.leaving import parse_duration
from rain.host.gpus import VARIABLE as GPUS_VARIABLE
from rain.host.starting import clean_environment
from rain.net.auth import Credentials
from rain.objects.dirtree import remove_tree
from rain.processes.launching import RAIN
from rain.processes.private_folders import check_private, made_dir

_TAIL_LINES = 8


class Pool:
    """Places in a batch system, with a governor in each. `Client.pool` and `Client.on` make it.

    Parameters
    ----------
    system : BatchSystem
    server : str
        ``host:port`` as the jobs' hosts reach it.
    token : str
        For governors.
    order : Order
        What each place has.
    folder : path-like or None
        A folder that this machine and the jobs' hosts share; None: ``rain/pools`` in the user's state folder
        (``$XDG_STATE_HOME``, else ``~/.local/state``).
    python : str
        The Python on the hosts that has Rain; empty: this one.

    Raises
    ------
    RainException
        If the folder cannot be made, or another user may read it.

    Examples
    --------
    ::

        pool = client.pool("slurm", 4, cpus=16, time="2:00:00", partition="main")
        pool.wait(1)                      # until the first place is up
        pool.scale(8)
        print(pool.places)
        pool.close()
    """

    def __init__(
        self,
        system: BatchSystem,
        server: str,
        token: str,
        order: Order,
        folder: str | os.PathLike[str] | None = None,
        python: str = "",
    ) -> None:
        self._system = system
        self._server = server
        self._order = order
        self._command = [python, "-P", "-m", "rain"] if python else list(RAIN)
        parent = made_dir(
            folder or Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state", "rain/pools")
        )
        check_private(str(parent), "folder of pools", 0o700)
        self._folder = parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
        self._folder.mkdir(0o700)
        self._token = self._folder / "token"
        with open(os.open(self._token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
        self._pid = os.getpid()
        self._numbers = itertools.count(1)  # also of jobs that were refused, whose files may be there
        self._places: list[Place] = []
        self._ends: dict[int, str] = {}
        self._trouble = ""
        self._told_at = time.monotonic()
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="rain-pool", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for place in self.places:
            counts[place.state.value] = counts.get(place.state.value, 0) + 1
        told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no places"
        return f"<Pool in {self._system.name}: {told}{'; closed' if self._closed else ''}>"

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def places(self) -> list[Place]:
        """All places that there were, in the order in which they were asked for."""
        with self._change:
            return list(self._places)

    def scale(self, count: int) -> None:
        """Ask for as many places as make `count` with those that are there, or give some up.

        What waits is given up first. A governor that runs leaves politely: what it runs may finish, and what only it
        holds is handed over.

        Parameters
        ----------
        count : int
            Number of places.

        Raises
        ------
        RainException
            If `count` is no such number, the pool is closed, or the batch system refuses; its words are in the text.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= PLACES_MAX:
            raise RainException(f"the number of places is from 0 to PLACES_MAX ({PLACES_MAX}), not {count!r}")
        with self._change:
            if self._closed:
                raise RainException(f"{self!r} cannot be scaled")
            self._give_up(to_leave(self._places, count))
            for _ in range(count - sum(map(wanted, self._places))):
                self._submit()
            self._change.notify_all()

    def wait(self, count: int = 1, timeout: float | None = None) -> None:
        """Return when `count` places are up.

        Parameters
        ----------
        count : int
            Number of places.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If so many cannot come any more, with what their jobs printed, or the batch system has not told what became
            of jobs for two minutes.
        TimeoutError
            If they are not up within `timeout`; says what the places wait for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._change:
            while sum(place.state is PlaceState.UP for place in self._places) < count:
                if sum(map(wanted, self._places)) < count:
                    raise RainException(f"{count} places cannot come up: {self._story()}")
                if self._trouble and time.monotonic() - self._told_at > ENGINE_SILENT_S:
                    raise RainException(f"{self._system.name} does not tell what became of jobs: {self._story()}")
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"{count} places are not up within {timeout:g} s: {self._story()}")
                self._change.wait(left)

    def close(self) -> None:
        """Give up all places; the jobs end. Idempotent.

        Raises
        ------
        RainException
            If the batch system refuses; its words are in the text.
        """
        self._close(lambda place: True)

    def dismissed(self) -> None:
        """Close it after its governors were told to end: their jobs end by themselves, waiting ones are given up."""
        self._close(lambda place: place.state is not PlaceState.UP)
        if os.getpid() != self._pid:
            return
        with self._change:
            self._change.wait_for(lambda: not any(map(wanted, self._places)), ENGINE_END_S)
            self._give_up([place for place in self._places if wanted(place)])

    def _close(self, given_up: Callable[[Place], bool]) -> None:
        if os.getpid() != self._pid:
            return  # a child forked of the client: the jobs are its parent's
        with self._change:
            self._closed = True
            self._token.unlink(missing_ok=True)
            self._change.notify_all()
            self._give_up([place for place in self._places if wanted(place) and given_up(place)])

    # -- jobs -----------------------------------------------------------------------------------

    def _submit(self) -> None:
        number = next(self._numbers)
        script = self._folder / f"place-{number}.sh"
        ready = shlex.quote(str(self._ready(number)))
        words = ["governor", self._server, "--cpus", str(self._order.cpus), "--token-file", str(self._token)]
        words += ["--ready-file", str(self._ready(number))]
        line = shlex.join([*self._command, *words])
        text = self._system.script(self._order, f"rain-{number}", line, str(self._log(number)))
        # A job that was put back into the queue begins anew: what its first run has left says nothing of the second.
        first, _, rest = text.rpartition("\nexec ")
        script.write_text(f"{first}\nrm -f {ready}\nexec {rest}")
        self._places.append(Place(number, self._system.submitted(self._run(self._system.submit(str(script))))))

    def _ready(self, number: int) -> Path:
        return self._folder / f"place-{number}.ready"

    def _log(self, number: int) -> Path:
        return self._folder / f"place-{number}.log"

    def _give_up(self, places: Sequence[Place]) -> None:
        if places:
            self._run(self._system.cancel([place.job for place in places]))
            for place in places:
                place.state = PlaceState.LEAVING

    def _run(self, words: list[str]) -> str:
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=ENGINE_COMMAND_S, check=False,
                stdin=subprocess.DEVNULL, env=_environment(),
            )  # fmt: skip
        except FileNotFoundError:
            raise RainException(
                f"there is no command {words[0]} on this machine: {self._system.name} is used where its commands are, "
                "on a login node for instance"
            ) from None
        except subprocess.TimeoutExpired:
            raise RainException(f"{words[0]} has not answered within {ENGINE_COMMAND_S:g} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise RainException(f"{shlex.join(words)} failed with status {done.returncode}: {said}")
        return done.stdout

    # -- what becomes of them -------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            with self._change:
                if not any(place.state is not PlaceState.ENDED for place in self._places):
                    if self._closed:
                        self._tidy()
                        return
                    self._change.wait()
                    self._told_at = time.monotonic()
                    continue
                jobs = [place.job for place in self._places if place.state is not PlaceState.ENDED]
            self._look(jobs)
            with self._change:
                self._change.wait(ENGINE_LOOK_S)

    def _look(self, jobs: Sequence[str]) -> None:
        try:
            shown: dict[str, Job] = self._system.shown(self._run(self._system.show(jobs)))
        except Exception as error:  # whatever a command printed: the thread goes on, and `wait` tells it
            self._trouble = str(error) if isinstance(error, RainException) else f"{type(error).__name__}: {error}"
            with self._change:
                self._change.notify_all()
            return
        self._trouble, self._told_at = "", time.monotonic()
        asked = set(jobs)
        ready = {place.number for place in self.places if place.job in asked and self._ready(place.number).exists()}
        with self._change:
            for place in self._places:
                if place.job in asked:
                    look(place, shown, place.number in ready)
                    if place.state is PlaceState.ENDED and place.number not in self._ends:
                        self._ends[place.number] = "" if place.registered else self._tail(place.number)
            self._change.notify_all()

    def _tidy(self) -> None:
        if all(place.registered for place in self._places):
            remove_tree(str(self._folder))

    def _tail(self, number: int) -> str:
        try:
            text = self._log(number).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])

    def _story(self) -> str:
        lines = [f"{place!r}" for place in self._places if place.state is not PlaceState.UP] or [
            "no places were asked for"
        ]
        lines += [f"place {number} printed:\n{text}" for number, text in self._ends.items() if text]
        lines += [self._trouble] if self._trouble else []
        return "\n".join(lines)


def _environment() -> dict[str, str]:
    """This process's, without what tells a process of a job who it is: sbatch would hand it on to places."""
    environment = clean_environment()
    drop_engine_variables(environment, ["SBATCH_*", "SLURM_CLUSTERS"])
    environment.pop(GPUS_VARIABLE, None)
    return environment


def ordered(
    engine: str,
    *,
    cpus: int = 1,
    gpus: int = 0,
    memory: int | str = 0,
    time: int | str = 0,
    partition: str = "",
    arguments: Sequence[str] = (),
) -> tuple[BatchSystem, Order]:
    """The engine, and what each place is to have.

    Parameters
    ----------
    engine : str
        ``"slurm"``.
    cpus, gpus : int
        Of each place.
    memory : int or str
        Of each place: bytes, or a text as ``"16G"``; 0: what the engine gives by itself.
    time : int or str
        How long a place lasts: seconds, or a text as ``"2:00:00"`` or ``"90m"``; 0: what the engine gives by itself.
    partition : str
    arguments : sequence of str
        Further options of the engine, verbatim: ``["--account=abc"]``.

    Raises
    ------
    RainException
        If one of them has no meaning.
    """
    system: Any = engine_of(engine)
    if not hasattr(system, "submit"):
        raise RainException(f"jobs cannot be submitted to {engine!r}; they can to 'slurm'")
    for name, number, least in (("cpus", cpus, 1), ("gpus", gpus, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise RainException(f"{name} of a place is a number of at least {least}, not {number!r}")
    if isinstance(arguments, str):
        raise RainException(f"arguments is a sequence of texts, [{arguments!r}], not one text")
    seconds = math.ceil(parse_duration(str(time))) if time else 0
    return system, Order(cpus, gpus, parse_bytes(memory) if memory else 0, seconds, partition, tuple(arguments))


def pool_of(
    engine: str,
    server: str,
    credentials: Credentials,
    folder: str | os.PathLike[str] | None = None,
    python: str = "",
    **options: Any,
) -> Pool:
    """A pool without places.

    Parameters
    ----------
    engine : str
        ``"slurm"``.
    server : str
        ``host:port`` of the server.
    credentials : Credentials
        With the governors' key.
    folder, python
        As of `Pool`.
    **options
        As of `ordered`.

    Raises
    ------
    RainException
        If one of them has no meaning, or hosts of the engine cannot reach the server.
    """
    system, order = ordered(engine, **options)
    if is_loopback(parse_address(server)[0]):
        raise RainException(
            f"the server listens on {server}, where hosts of {engine} cannot reach it: start it by "
            f'Client.on("{engine}", …), or by rain start --listen HOST'
        )
    return Pool(system, server, credentials.token("governor"), order, folder, python)
