"""What the governor's shell and its pools of executors owe each other, and which pool runs which type of task.

An executor type is the first part of a task type (``"py"``, ``"program"``, or a name in the governor's configuration).
To add a pool: write a class that is an `ExecutorPool` (`rain.governor.pools.process_pool` has what pools of processes
share), and give it to `Pools` under its types, in the shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rain.common.ids import ID
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    MemberResult,
    ModuleFound,
    NodeReady,
    OwnPreview,
    Results,
    SessionEnv,
    TaskProgress,
)
from rain.governor.core.events import ExecutorExited


class PoolEvents(NamedTuple):
    """What a pool tells, on the loop. Callbacks come after the call that leads to them has returned.

    Attributes
    ----------
    results : callable
        ``(executor_id, Results)``.
    member_ended : callable
        ``(executor_id, MemberResult)``: of an executor that has died, what it had not told yet of a member of a family.
    recalled : callable
        ``(executor_id, numbers)``: the answer to one `ExecutorPool.recall`; an executor with outdated code also gives
        back what it was not asked for.
    exited : callable
        ``(ExecutorExited)``, once for each executor that was started, when nothing of it is left and all its results
        were told. Not called for executors that `ExecutorPool.close` ends.
    module_wanted : callable
        ``(executor_id, name)``: an executor is to import a module that only the client may have; answered by
        `ExecutorPool.give`.
    progressed : callable
        ``(executor_id, list of TaskProgress)``: what running tasks say of themselves.
    companion_ready : callable
        ``(executor_id, NodeReady)``: a companion of a task on several governors is up.
    previewed : callable
        ``(executor_id, OwnPreview)``: the answer to one `ExecutorPool.preview`.
    """

    results: Callable[[int, Results], Any]
    recalled: Callable[[int, list[int], bool], Any]
    exited: Callable[[ExecutorExited], Any]
    module_wanted: Callable[[int, str], Any]
    progressed: Callable[[int, list[TaskProgress]], Any]
    companion_ready: Callable[[int, NodeReady], Any] = lambda executor_id, ready: None
    previewed: Callable[[int, OwnPreview], Any] = lambda executor_id, made: None
    member_ended: Callable[[int, MemberResult], Any] = lambda executor_id, result: None


class ExecutorPool(Protocol):
    """Starts, feeds and ends executors of some types.

    All methods are called on the loop and do not block. What is said of an executor that the pool does not know, or
    that has exited, does nothing.
    """

    def start(self, executor_id: int, kind: str, setup: ExecutorSetup, here: SessionEnv | None = None) -> None:
        """Start an executor; `run` may follow at once. What goes wrong is told by `PoolEvents.exited`.

        Parameters
        ----------
        executor_id : int
            Never used twice.
        kind : str
            The executor type.
        setup : ExecutorSetup
        here : SessionEnv or None
            Where the session's client lives, if that is this host.
        """

    def run(self, executor_id: int, tasks: Sequence[ExecutorTask], families: Sequence[ExecutorFamily] = ()) -> None:
        """Queue tasks and members of families, by their numbers, behind those that the executor has; each is answered
        by a result or a recall, or the executor exits. Members of families are Python tasks or programs."""

    def recall(self, executor_id: int, numbers: Sequence[int]) -> None:
        """Take back tasks that have not started; answered by `PoolEvents.recalled`, unless the executor exits first."""

    def interrupt(self, executor_id: int, number: int = 0) -> None:
        """SIGINT to the executor's process group if it is on task `number` (0: on any)."""

    def kill(self, executor_id: int) -> None:
        """SIGKILL to the executor's process group and all that descends from it."""

    def give(self, executor_id: int, found: ModuleFound) -> None:
        """Answer an executor that wanted a module."""

    def preview(self, executor_id: int, value: ExecutorInput) -> None:
        """Have an executor that has nothing to do make the preview of an object that it made; answered by
        `PoolEvents.previewed`, unless the executor exits first. Asked of executors of the type `py` only."""

    def drop(self, ids: Iterable[ID]) -> None:
        """These objects are no longer needed: executors that keep them may let go of them."""

    def seen(self) -> dict[int, int]:
        """executor_id -> number of the task that it is on, 0 for none; of all executors that live."""

    def read(self, executor_id: int, number: int, had: tuple[int, int]) -> list[tuple[bytes, int]] | None:
        """What task `number` wrote so far to stdout and stderr, behind the `had` bytes that are known, as
        `rain.governor.stdio_tails.read_new` gives it; None if the executor is not on this task."""

    def pid(self, executor_id: int) -> int:
        """The executor's process id, 0 if it has none."""

    def memory(self, executor_id: int) -> int:
        """Bytes of memory of its own that the executor and its descendants use; mapped objects do not count."""

    def note_oom_kills(self) -> None:
        """Called once a second or so: take note of how many processes the kernel has killed for lack of memory."""

    async def close(self) -> None:
        """End all executors; returns when they are gone. Idempotent."""


class Pools:
    """All pools of a governor, as one.

    Parameters
    ----------
    by_kind : mapping of str to ExecutorPool
        Which pool runs executors of a type; one pool may have several.
    """

    def __init__(self, by_kind: Mapping[str, ExecutorPool]) -> None:
        self._by_kind = dict(by_kind)
        self._all = list({id(pool): pool for pool in by_kind.values()}.values())
        self._of: dict[int, ExecutorPool] = {}

    @property
    def kinds(self) -> list[str]:
        """All executor types, sorted."""
        return sorted(self._by_kind)

    def start(self, executor_id: int, kind: str, setup: ExecutorSetup, here: SessionEnv | None) -> None:
        """As `ExecutorPool.start`, in the pool of this type."""
        pool = self._of[executor_id] = self._by_kind[kind]
        pool.start(executor_id, kind, setup, here)

    def of(self, executor_id: int) -> ExecutorPool:
        """The pool of an executor; for one that was not started or has exited any of them, since that does nothing."""
        return self._of.get(executor_id, self._all[0])

    def forget(self, executor_id: int) -> None:
        """An executor has exited."""
        self._of.pop(executor_id, None)

    def kill_all(self) -> None:
        """Kill all executors."""
        for executor_id, pool in self._of.items():
            pool.kill(executor_id)

    def drop(self, ids: Iterable[ID]) -> None:
        """As `ExecutorPool.drop`."""
        for pool in self._all:
            pool.drop(ids)

    def seen(self) -> dict[int, int]:
        """As `ExecutorPool.seen`, of all pools."""
        return {executor_id: number for pool in self._all for executor_id, number in pool.seen().items()}

    def note_oom_kills(self) -> None:
        """As `ExecutorPool.note_oom_kills`."""
        for pool in self._all:
            pool.note_oom_kills()

    async def close(self) -> None:
        """As `ExecutorPool.close`, one pool after the other."""
        for pool in self._all:
            await pool.close()
