"""What pools of executor processes share: their records, what executors wrote, how they died, their folders."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Generic, TypeVar

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import ExecutorInput, ExecutorSetup, ModuleFound, SessionEnv
from rain.common.spec import ProcessEnd
from rain.governor.core.events import ExecutorExited
from rain.governor.pools.ended_logs import EndedLogs
from rain.governor.pools.executor_socket import ExecutorSocket
from rain.governor.pools.pool import PoolEvents
from rain.governor.stdio_tails import read_new, read_tails
from rain.host.deaths import Death, OomKills, describe_exit, process_end, what_is_known
from rain.host.descriptors import is_out_of_descriptors, out_of_descriptors
from rain.host.process_table import family, own_memory
from rain.objects.dirtree import remove_tree

log = logging.getLogger("rain.governor.pools")

NO_TAILS = (b"", b"", (0, 0))


class ExecutorProcess:
    """What a pool holds of one executor, whatever it speaks.

    Attributes
    ----------
    setup : ExecutorSetup
    files : tuple of int
        Descriptors of the files that it writes stdout and stderr to; empty if there are none.
    marks : tuple of int
        Where in these the output of its present task begins.
    socket : ExecutorSocket or None
    pid : int
        0 if it has no process.
    signal : int
        That ended it, and Rain did not send; 0 if there was none.
    end : ProcessEnd or None
        How its process ended, once it has.
    """

    def __init__(self, executor_id: int, kind: str, setup: ExecutorSetup) -> None:
        self.id = executor_id
        self.kind = kind
        self.setup = setup
        self.files: tuple[int, ...] = ()
        self.marks = (0, 0)
        self.socket: ExecutorSocket | None = None
        self.pid = 0
        self.signal = 0
        self.end: ProcessEnd | None = None

    @property
    def number(self) -> int:
        """The number of the task that it is on, 0 for none."""
        raise NotImplementedError

    def tails(self, since_mark: bool = True) -> tuple[bytes, bytes, tuple[int, int]]:
        """The ends of what it wrote to stdout and to stderr, of its present task or in all, and how many bytes it
        were."""
        return read_tails(self.files, self.marks if since_mark else (0, 0)) if self.files else NO_TAILS

    def release(self) -> None:
        """Close what is open here."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        for file in self.files:
            os.close(file)
        self.files = ()


E_ = TypeVar("E_", bound=ExecutorProcess)


class ProcessPool(Generic[E_]):
    """The parts of an `rain.governor.pools.pool.ExecutorPool` that do not depend on what its executors speak.

    Parameters
    ----------
    events : PoolEvents
    work_dir : str
        The governor's folder: what executors wrote that ended before they could do anything is kept there. Executors'
        own folders are ``setup.work_dir``, which are removed when they have exited.
    """

    def __init__(self, events: PoolEvents, work_dir: str = "") -> None:
        self._events = events
        self._work_dir = work_dir
        self._loop = asyncio.get_running_loop()
        self._executors: dict[int, E_] = {}
        self._ended = EndedLogs(work_dir) if work_dir else None
        self._closed = False
        self._oom_kills = OomKills()
        self._removals: set[asyncio.Future[None]] = set()

    # -- what there is -------------------------------------------------------------------------------

    def seen(self) -> dict[int, int]:
        """As `ExecutorPool.seen`."""
        return {executor_id: executor.number for executor_id, executor in self._executors.items()}

    def read(self, executor_id: int, number: int, had: tuple[int, int]) -> list[tuple[bytes, int]] | None:
        """As `ExecutorPool.read`."""
        executor = self._executors.get(executor_id)
        if executor is None or not executor.files or executor.number != number:
            return None
        found = [read_new(*place) for place in zip(executor.files, executor.marks, had, strict=True)]
        return found if executor.number == number else None

    def pid(self, executor_id: int) -> int:
        """As `ExecutorPool.pid`."""
        executor = self._executors.get(executor_id)
        return executor.pid if executor is not None else 0

    def memory(self, executor_id: int) -> int:
        """As `ExecutorPool.memory`."""
        pid = self.pid(executor_id)
        return sum(map(own_memory, family(pid))) if pid else 0

    def note_oom_kills(self) -> None:
        """As `ExecutorPool.note_oom_kills`."""
        self._oom_kills.look()

    # -- what not every pool has ---------------------------------------------------------------------

    def give(self, executor_id: int, found: ModuleFound) -> None:
        """As `ExecutorPool.give`."""

    def preview(self, executor_id: int, value: ExecutorInput) -> None:
        """As `ExecutorPool.preview`."""

    def drop(self, ids: Iterable[ID]) -> None:
        """As `ExecutorPool.drop`."""

    # -- birth and death -----------------------------------------------------------------------------

    def start(self, executor_id: int, kind: str, setup: ExecutorSetup, here: SessionEnv | None = None) -> None:
        """As `ExecutorPool.start`."""
        try:
            self._start(executor_id, kind, setup, here)
        except Exception as error:
            reason = f"could not be started: {error}"
            if isinstance(error, OSError) and is_out_of_descriptors(error):
                reason = str(out_of_descriptors("could not be started", error, "the governor"))
            elif not isinstance(error, RainException | OSError):
                log.exception("executor %s (%d) could not be started", kind, executor_id)
            self._not_started(executor_id, reason)

    def _start(self, executor_id: int, kind: str, setup: ExecutorSetup, here: SessionEnv | None) -> None:
        raise NotImplementedError

    def _not_started(self, executor_id: int, reason: str) -> None:
        """`_start` raised an error: see to it that `_tell_exited` is called."""
        raise NotImplementedError

    def _describe(self, executor: E_, status: int, by_rain: str, peak_bytes: int = 0) -> str:
        """How an executor ended that died just now, in a first line, and what is known about that; notes it.

        `status` is as `os.waitpid` gives it; `by_rain` says why this governor killed it, if it did.
        """
        executor.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) and not by_rain else 0
        kills = self._oom_kills
        # The count of a moment ago: what else died since the executor was started is not its business.
        death = Death(status, by_rain, kills.since(), kills.of_machine, peak_bytes=peak_bytes)
        disk, memory = executor.setup.spill_dir or executor.setup.work_dir, executor.setup.store_dir
        executor.end = process_end(executor.kind, executor.pid, death, disk, memory)
        return "\n".join(filter(None, (describe_exit(status), what_is_known(death))))

    def _tell_exited(
        self,
        executor_id: int,
        reason: str,
        number: int,
        tails: tuple[bytes, bytes, tuple[int, int]],
        signal: int = 0,
        end: ProcessEnd | None = None,
    ) -> None:
        if not self._closed:
            self._events.exited(ExecutorExited(executor_id, reason, number, *tails, signal, end))

    def _remove(self, folder: str) -> None:
        """Remove the folder of an executor that has exited, in a thread."""
        removal = self._loop.run_in_executor(None, _removed, folder)
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def _all_removed(self) -> None:
        await asyncio.gather(*self._removals)


def _removed(folder: str) -> None:
    """Remove a folder; what stays goes with the governor's."""
    try:
        remove_tree(folder)
    except Exception:
        log.exception("the folder %s cannot be removed", folder)
