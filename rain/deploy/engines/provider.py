"""`ProviderSupplier`: places as blocks of a provider object of parsl: LSF, HTCondor, clouds, and what others write.

A provider submits a shell command, tells the state of what it submitted, and cancels it
(https://parsl.readthedocs.io, "ExecutionProvider"). parsl itself is not imported: an object with these methods will do.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rain.common.errors import RainException
from rain.common.limits import ENGINE_IDLE_LOOK_S, ENGINE_LOOK_S, PLACES_MAX
from rain.deploy.engines.in_folder import FolderSupplier
from rain.deploy.engines.jobs import check_reachable
from rain.deploy.pools.folder import PoolFolder
from rain.deploy.pools.supplier import Job, JobState, Supplier, Supply

_WORDS = ("submit", "status", "cancel")
_STATES = {
    "PENDING": JobState.PENDING, "HELD": JobState.PENDING, "RUNNING": JobState.RUNNING, "UNKNOWN": JobState.RUNNING,
}  # fmt: skip
"""States of parsl.jobs.states; a job in any other has ended."""
_SUBMITTING = threading.Lock()
T = TypeVar("T")

PROVIDER = "parsl's "
"""How the names of all providers begin."""


def is_provider(engine: object) -> bool:
    """Whether an object has the methods of a provider of parsl."""
    return all(callable(getattr(engine, word, None)) for word in _WORDS) and hasattr(engine, "script_dir")


class ProviderSupplier(FolderSupplier):
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
        super().__init__(server, folder, python)
        self.name = name_of(provider)
        cores = getattr(provider, "cores_per_node", None)
        self.resources: dict[str, float] = {"cpus": float(cores)} if cores else {}
        self._provider = provider
        self._jobs: dict[str, object] = {}  # the provider's own ids

    def ask(self, number: int) -> str:
        folder = self._folder
        made = str(folder.id_file(number))
        words = [*self._command, *self._governor_words(), "--id-file", made]
        if "cpus" in self.resources:
            words += ["--cpus", str(int(self.resources["cpus"]))]
        line = f"rm -f {shlex.quote(made)}; {shlex.join(words)} >>{shlex.quote(str(folder.log(number)))} 2>&1"
        with _SUBMITTING, self._own_scripts():
            job = self._said(lambda: self._provider.submit(line, 1, f"rain-{folder.path.name[-6:]}-{number}"))
        if not job:
            raise RainException(f"{self.name} has submitted nothing, and does not say why")
        self._jobs[str(job)] = job
        return str(job)

    @contextmanager
    def _own_scripts(self) -> Iterator[None]:
        """The provider, which is the user's and may be other pools' too, puts its scripts into this pool's folder."""
        before = self._provider.script_dir
        self._provider.script_dir = str(self._folder.path)
        try:
            yield
        finally:
            self._provider.script_dir = before

    def show(self, jobs: Sequence[str]) -> dict[str, Job]:
        def told() -> dict[str, Job]:
            every = self._provider.status([self._jobs[job] for job in jobs])
            return {job: _job(status) for job, status in zip(jobs, every, strict=True)}

        return self._said(told)

    def give_up(self, jobs: Sequence[str]) -> None:
        def cancelled() -> list[str]:
            done = self._provider.cancel([self._jobs[job] for job in jobs])
            return [job for job, well in zip(jobs, done, strict=True) if not well]

        if refused := self._said(cancelled):
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


def _job(status: Any) -> Job:
    word = str(status.state.name)
    reason = status.message or "" if word == "PENDING" else "held" if word == "HELD" else ""
    return Job(_STATES.get(word, JobState.ENDED), word, str(reason))


def name_of(provider: Any) -> str:
    """What users call a provider."""
    return f"{PROVIDER}{type(provider).__name__}"


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

    def supplier(server: str, token: str) -> Supplier:
        if type(provider).__name__ != "LocalProvider":
            check_reachable(server, name_of(provider))
        return ProviderSupplier(provider, server, PoolFolder(token, folder), python)

    return supplier
