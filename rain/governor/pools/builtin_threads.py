"""Builtin tasks: run in threads of the governor."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rain.common.errors import RainException
from rain.common.protocol.messages import TaskResult
from rain.governor.core.effects import RunBuiltin
from rain.governor.core.events import BuiltinEnded
from rain.governor.core.records import BUILTINS_MAX
from rain.governor.damage import run_builtin_checked
from rain.governor.results import failed
from rain.governor.store import Store
from rain.net.guarded import guarded

log = logging.getLogger("rain.governor")


class Builtins:
    """Runs builtin tasks.

    Parameters
    ----------
    governor_id : str
    store : Store
    on_ended : callable
        ``(number, TaskResult)``, on the loop; once for each that was `run`.
    """

    def __init__(self, governor_id: str, store: Store, on_ended: Callable[[int, TaskResult], None]) -> None:
        self._governor_id = governor_id
        self._store = store
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._cancelled: dict[int, threading.Event] = {}
        self._threads = ThreadPoolExecutor(BUILTINS_MAX, thread_name_prefix="rain-builtin")

    @property
    def running(self) -> int:
        """How many run."""
        return len(self._cancelled)

    def run(self, effect: RunBuiltin) -> None:
        """Run a task."""
        cancelled = self._cancelled[effect.number] = threading.Event()
        future = self._loop.run_in_executor(self._threads, self._work, effect, cancelled)
        future.add_done_callback(lambda done: self._ended(effect, done))

    def _work(self, effect: RunBuiltin, cancelled: threading.Event) -> TaskResult:
        return run_builtin_checked(effect.assignment, effect.inputs, self._store, cancelled)

    @guarded("_broke")
    def _ended(self, effect: RunBuiltin, future: asyncio.Future[TaskResult]) -> None:
        self._cancelled.pop(effect.number, None)
        spec = effect.assignment.spec
        try:
            result = future.result()
        except BaseException as error:
            if not isinstance(error, RainException):
                log.exception("builtin task %s", spec.id, exc_info=error)
            result = failed(spec.id, effect.assignment.attempt, str(error), self._governor_id)
        self._on_ended(effect.number, result)

    def _broke(self, error: Exception, effect: RunBuiltin, future: asyncio.Future[TaskResult]) -> None:
        self._on_ended(effect.number, self.failed(effect, f"an internal error of the governor: {error!r}").result)

    def failed(self, effect: RunBuiltin, why: str) -> BuiltinEnded:
        """The end of a task that could not be run, or whose end could not be told."""
        self._cancelled.pop(effect.number, None)
        spec = effect.assignment.spec
        return BuiltinEnded(effect.number, failed(spec.id, effect.assignment.attempt, why, self._governor_id))

    def cancel(self, number: int) -> None:
        """Ask a task to end."""
        cancelled = self._cancelled.get(number)
        if cancelled is not None:
            cancelled.set()

    def cancel_all(self) -> None:
        """Ask all to end."""
        for cancelled in self._cancelled.values():
            cancelled.set()

    def close(self) -> None:
        """Ask all to end, and run no others."""
        self.cancel_all()
        self._threads.shutdown(wait=False, cancel_futures=True)
