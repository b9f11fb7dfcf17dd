"""joblib's backend ``"rain"``: batches of calls run as tasks of a client.

It is registered by `rain.joblib_backend`. The client is that of the active session, or the one that connected last; if
none is open, a local one is made. Large arrays are sent once for all batches (`SharedArrays`).
"""

from __future__ import annotations

import concurrent.futures
import functools
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    ThreadingBackend,
)

from rain.client.building.options import Options
from rain.client.operations.operation import block
from rain.client.operations.session_operations import cancel
from rain.common.errors import RainException, RainWarning
from rain.interfaces.home import client_in_use, cpus_of, dispatcher, in_task

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.interfaces.dispatcher import Dispatcher
    from rain.interfaces.futures import RainFuture

__all__ = ["RainBackend"]


class RainBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc] # joblib has no types
    """Runs joblib's calls as tasks: ``with joblib.parallel_config("rain"):``.

    Parameters
    ----------
    nesting_level : int, optional
        In how many calls of `joblib.Parallel` this one is nested.
    client : Client, optional
        The client that runs the calls; `rain.interfaces.joblib` says which one it is if none is given.
    **options
        Options of every task: `cpus`, `resources`, `timeout`, `retries`, ….

    Examples
    --------
    >>> import joblib
    >>> with joblib.parallel_config("rain"):
    ...     joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(4))
    [0, 1, 4, 9]
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    supports_sharedmem = True  # `configure` then chooses threads
    uses_threads = False
    default_n_jobs = -1

    def __init__(self, nesting_level: int | None = None, client: Client | None = None, **options: Any) -> None:
        super().__init__(nesting_level=nesting_level)
        self._client = client
        self._options = options
        self._dispatcher: Dispatcher | None = None
        self._limit = 0
        self._lock = threading.RLock()
        self._running: weakref.WeakSet[RainFuture] = weakref.WeakSet()
        self._held_back: deque[tuple[Any, concurrent.futures.Future[Any]]] = deque()
        self._trusts = False

    # -- called by joblib -----------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at a time: -1 means as many as the governors have cpus for."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        return max(self._room() + 1 + n_jobs, 1)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, require: Any = None, **_: Any
    ) -> int:
        """Get ready for a call of `joblib.Parallel`; returns how many calls run at a time."""
        if in_task():  # a task cannot submit tasks
            raise FallbackToBackend(ThreadingBackend(nesting_level=self.nesting_level))
        if require == "sharedmem":
            warnings.warn(
                'require="sharedmem": the tasks of Rain share no memory with this process, so that these calls run in '
                "threads of it",
                RainWarning,
                stacklevel=4,
            )
            raise FallbackToBackend(ThreadingBackend(nesting_level=self.nesting_level))
        jobs = self.effective_n_jobs(n_jobs)
        if jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        options = dict(self._options)
        if self.inner_max_num_threads is not None:
            own = {name: str(self.inner_max_num_threads) for name in self.MAX_NUM_THREADS_VARS}
            options["env"] = {**own, **(options.get("env") or {})}
        self.parallel = parallel
        self._dispatcher = dispatcher(self._in_use(), "joblib", options)
        self._limit = 0 if jobs >= self._room() else jobs
        return jobs

    def start_call(self) -> None:
        """A call of `joblib.Parallel` begins: until it ends its arrays count as unchanged."""
        if self._dispatcher is not None and not self._trusts:
            self._trusts = True
            with self._dispatcher.lock:
                self._dispatcher.calls.arrays.trust()

    def stop_call(self) -> None:
        """A call of `joblib.Parallel` has ended."""
        if self._dispatcher is None or not self._trusts:
            return
        self._trusts = False
        self._dispatcher.show_prints()
        with self._dispatcher.lock:
            changed = self._dispatcher.calls.arrays.distrust()
        for array in changed:
            warnings.warn(
                f"{array} was changed while calls had it as an argument: some of them got its earlier values",
                RainWarning,
                stacklevel=4,
            )

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> concurrent.futures.Future[Any]:
        """Run a batch of calls."""
        if not self._limit:
            future: concurrent.futures.Future[Any] = self._send(func)
        else:
            future = concurrent.futures.Future()
            with self._lock:
                self._held_back.append((func, future))
            self._go_on()
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out: concurrent.futures.Future[Any]) -> Any:
        """The results of a batch, or the exception that one of its calls raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all calls that were submitted, also those that run."""
        with self._lock:
            self._held_back.clear()
        if self._dispatcher is None:
            return
        futures = [future for future in list(self._running) if not future.done()]
        running = [future.task for future in futures if not future.cancel() and future.task is not None]
        if running:
            try:
                block(cancel(self._dispatcher.session, running))
            except RainException:
                pass  # the session has ended, and they with it

    def terminate(self) -> None:
        """The next call of `joblib.Parallel` finds the same session and its executors, until the client is closed."""
        self.reset_batch_stats()
        self._dispatcher = None

    def __reduce__(self) -> Any:
        return RainBackend, (self.nesting_level,)

    # -- sending --------------------------------------------------------------------------------

    def _in_use(self) -> Client:
        self._client = client_in_use(self._client)
        return self._client

    def _room(self) -> int:
        """How many calls the governors have cpus for."""
        cpus = Options(self._options, "joblib's backend").resources.get("cpus", 0)
        return max(1, int(cpus_of(self._in_use()) // cpus)) if cpus else sys.maxsize

    def _send(self, func: Any) -> RainFuture:
        assert self._dispatcher is not None
        items = getattr(func, "items", None)
        future = self._dispatcher.submit(func, (), {}, _name(items) if items else None)
        self._running.add(future)
        return future

    def _go_on(self) -> None:
        """Send calls that are held back, as many as `n_jobs` allows."""
        with self._lock:
            while self._held_back and sum(not future.done() for future in list(self._running)) < self._limit:
                func, outer = self._held_back.popleft()
                self._send(func).add_done_callback(functools.partial(self._ended, outer))

    def _ended(self, outer: concurrent.futures.Future[Any], inner: concurrent.futures.Future[Any]) -> None:
        self._go_on()
        if inner.cancelled():
            outer.cancel()
            outer.set_running_or_notify_cancel()
            return
        error = inner.exception()
        if error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(inner.result())


def _name(items: Any) -> str:
    """The name of the tasks of a batch: that of its first function."""
    function = items[0][0]
    for name in ("function", "func", "__wrapped__"):  # scikit-learn's wrapper, partials, decorated ones
        function = getattr(function, name, function)
    return getattr(function, "__name__", type(function).__name__)
