"""`ProviderSupplier`: places as blocks of a provider object of parsl: LSF, HTCondor, clouds, and what others write.

A provider submits a shell command, tells the state of what it submitted, and cancels it
(https://parsl.readthedocs.io, "ExecutionProvider"). parsl itself is not imported: an object with these methods will do.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rain.common.errors import RainException
from rain.common.limits import ENGINE_IDLE_LOOK_S, ENGINE_LOOK_S, PLACES_MAX
from rain.deploy.engines.jobs import check_reachable
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.supplier import Job, JobState, Supplier, Supply
from rain.net.auth import Credentials
from rain.processes.launching import RAIN

_WORDS = ("submit", "status", "cancel")
_STATES = {
    "PENDING": JobState.PENDING, "HELD": JobState.PENDING, "RUNNING": JobState.RUNNING, "UNKNOWN": JobState.RUNNING,
}  # fmt: skip
"""States of parsl.jobs.states; a job in any other has ended."""
T = TypeVar("T")


def is_provider(engine: object) -> bool:
    """Whether an object has the methods of a provider of parsl."""
    return all(callable(getattr(engine, word, None)) for word in _WORDS) and hasattr(engine, "script_dir")


class ProviderSupplier:
    """Blocks of one host of a provider, one for each place.

    Parameters
    ----------
    provider : object
        Of parsl.
    server : str
        ``host:port`` as the blocks' hosts reach it.
    folder : PoolFolder
        In a folder that this machine and the blocks' hosts share.
    python : str
        The Python on the hosts that has Rain; empty: this one.
    """

    look_s = ENGINE_LOOK_S
    idle_look_s = ENGINE_IDLE_LOOK_S
    most = PLACES_MAX

    def __init__(self, provider: Any, server: str, folder: PoolFolder, python: str = "") -> None:
        self.name = name_of(provider)
        cores = getattr(provider, "cores_per_node", None)
        self.resources: dict[str, float] = {"cpus": float(cores)} if cores else {}
        self._provider = provider
        self._server = server
        self._folder = folder
        self._command = [python, "-P", "-m", "rain"] if python else list(RAIN)
        self._jobs: dict[str, object] = {}  # the provider's own ids
        provider.script_dir = str(folder.path)

    def ask(self, number: int) -> str:
        folder = self._folder
        made = str(folder.id_file(number))
        words = [*self._command, "governor", self._server, "--token-file", str(folder.token), "--id-file", made]
        if "cpus" in self.resources:
            words += ["--cpus", str(int(self.resources["cpus"]))]
        line = f"rm -f {shlex.quote(made)}; {shlex.join(words)} >>{shlex.quote(str(folder.log(number)))} 2>&1"
        job = self._said(lambda: self._provider.submit(line, 1, f"rain-{folder.path.name[-6:]}-{number}"))
        if not job:
            raise RainException(f"{self.name} has submitted nothing, and does not say why")
        self._jobs[str(job)] = job
        return str(job)

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        told = self._said(lambda: list(self._provider.status([self._jobs[job] for job in jobs])))
        shown = {}
        for job, status in zip(jobs, told, strict=True):
            word = str(status.state.name)
            reason = status.message or "" if word == "PENDING" else "held" if word == "HELD" else ""
            shown[job] = Job(_STATES.get(word, JobState.ENDED), word, str(reason))
        return shown

    def governor(self, number: int) -> str:
        return self._folder.governor(number)

    def give_up(self, jobs: Sequence[str]) -> None:
        done = self._said(lambda: list(self._provider.cancel([self._jobs[job] for job in jobs])))
        refused = [job for job, well in zip(jobs, done, strict=True) if not well]
        if refused:
            ended = {job for job, found in self.show(refused).items() if found.state is JobState.ENDED}
            if left := [job for job in refused if job not in ended]:
                raise RainException(f"{self.name} could not cancel {', '.join(left)}")

    def _said(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except RainException:
            raise
        except Exception as error:  # whatever a provider raises
            raise RainException(f"{self.name}: {type(error).__name__}: {error}") from error

    def printed(self, number: int) -> str:
        return self._folder.printed(number)

    def close(self) -> None:
        self._folder.close()

    def tidy(self, keep: bool) -> None:
        if not keep:
            self._folder.remove()


def name_of(provider: Any) -> str:
    """What users call a provider."""
    return f"parsl's {type(provider).__name__}"


def blocks_of(*, provider: Any = None, folder: str | os.PathLike[str] | None = None, python: str = "") -> Supply:
    """Blocks of a provider of parsl; what each has says the provider.

    Parameters
    ----------
    provider : object
    folder : path-like, optional
        Where the pool's folder is made; see `PoolFolder`.
    python : str
        The Python on the hosts that has Rain; empty: this one.

    Raises
    ------
    RainException
        If there is none, or its blocks have several hosts.
    """
    if not is_provider(provider):
        raise RainException("a provider object of parsl is to be given: Client.on(LSFProvider(…), nodes=4)")
    if getattr(provider, "nodes_per_block", 1) != 1:
        raise RainException(
            f"a place is one host: {name_of(provider)} is to have nodes_per_block=1, not {provider.nodes_per_block}; "
            "how many places is said by nodes="
        )

    def supplier(server: str, credentials: Credentials) -> Supplier:
        if type(provider).__name__ != "LocalProvider":
            check_reachable(server, name_of(provider))
        return ProviderSupplier(provider, server, PoolFolder(credentials.token("governor"), folder), python)

    return supplier
