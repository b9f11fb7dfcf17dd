"""`dask_get`: a scheduler of Dask that runs graphs as tasks.

Theory of operation
-------------------
Dask collections compute by calling a scheduler, ``get(graph, keys)``. Each node of the graph becomes a task: the node
itself is pickled into its arguments, and what it depends on are data objects, which executors map. Nodes of which each
is needed by the next one only are one task. The outputs of the nodes that were asked for are kept until they are
loaded; all others are dropped as soon as no task needs them, and none of them comes to the client.

All graphs of a client run in one session, so that its executors, which have imported what the nodes need, stay.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from rain.interfaces.needed import needed

with needed("rain.dask_get", "Dask 2025.1 or newer", "collections"):
    from dask.callbacks import local_callbacks, unpack_callbacks
    from dask.local import get_sync
    from dask.utils import key_split

    from rain.interfaces.dask_graph import Prepared, as_asked, wanted_keys

from rain.client.building.options import NAMES as OPTION_NAMES
from rain.client.functions.call_sites import warn
from rain.client.functions.pickling import is_plain
from rain.client.handles import inside, record_of
from rain.client.operations.operation import block
from rain.client.report.echo import begin_unasked, flushed
from rain.common.errors import RainException, TaskException
from rain.common.limits import INTERFACE_SESSION_TASKS_MAX
from rain.interfaces.calls import Calls, checked
from rain.interfaces.futures import exception_of, loaded_value
from rain.interfaces.home import client_in_use, in_task

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.task import Task

__all__ = ["dask_get"]

_OF_OTHERS = frozenset(
    {
        "cache", "chunksize", "func_dumps", "func_loads", "get_id", "num_workers", "optimize_graph", "pool",
        "raise_exception", "rerun_exceptions_locally", "traverse",
    }
)  # fmt: skip
"""Keywords that Dask's own schedulers take, and that `dask_get` ignores."""


def dask_get(dsk: Any, keys: Any, *, client: Client | None = None, callbacks: Any = None, **options: Any) -> Any:
    """A scheduler for Dask: ``dask.compute(x, scheduler=rain.dask_get)``, or ``dask.config.set(scheduler=…)``.

    Parameters
    ----------
    dsk : mapping
        A graph of Dask, of any kind.
    keys : key, or nested list of keys
        What to compute.
    client : Client, optional
        The client that runs the graph; if not given, that of the active session, else the one that connected last, else
        a local one that is made for this process.
    callbacks : optional
        Callbacks of Dask, for instance a progress bar.
    **options
        Options of every task: `cpus`, `resources`, `timeout`, `retries`, …. Keywords of Dask's own schedulers are
        ignored.

    Returns
    -------
    any
        What the keys stand for; tuples in the place of lists.

    Raises
    ------
    Exception
        What a node raised; its cause is a `TaskException` with the remote traceback.
    TaskException
        If a node failed without an exception of its own.

    Examples
    --------
    >>> import dask
    >>> total = dask.delayed(sum)([dask.delayed(pow)(n, 2) for n in range(4)])
    >>> total.compute(scheduler=dask_get)
    14
    """
    if in_task():  # a task cannot submit tasks
        return get_sync(dsk, keys, callbacks=callbacks)
    unknown = [name for name in options if name not in OPTION_NAMES and name not in _OF_OTHERS]
    if unknown:
        known = ", ".join(sorted(OPTION_NAMES))
        warn(f"dask_get() ignores the keywords {', '.join(unknown)}; options of tasks are {known}")
    chosen = {name: value for name, value in options.items() if name in OPTION_NAMES}
    asked = list(dict.fromkeys(wanted_keys(keys)))
    graph = Prepared(dsk, asked, fuse=bool(options.get("optimize_graph", True)))
    graphs = _GraphSession.of(client_in_use(client), chosen)
    with local_callbacks(callbacks) as told, graphs.in_use() as calls:
        watch = _Watch(dsk, graph, told) if told else None
        done = False
        try:
            found = _Run(graphs, calls, graph, asked).values(watch)
            done = True
        finally:
            block(flushed(calls.session))
            if watch is not None:
                watch.over(not done)
    return as_asked(keys, found)


def run_chain(nodes: list[tuple[Any, Any]], values: dict[Any, Any]) -> Any:
    """What a task runs: the nodes of a chain, one after the other."""
    value = before = None
    for key, node in nodes:
        value = node(values)
        values.pop(before, None)  # no other node needs it
        values[key], before = value, key
    return value


class _GraphSession:
    """The session in which the graphs of one client run, and the `Calls` that make its tasks."""

    _all: weakref.WeakKeyDictionary[Client, dict[str, _GraphSession]] = weakref.WeakKeyDictionary()
    _lock = threading.Lock()

    def __init__(self, client: Client, options: dict[str, Any]) -> None:
        self._client = weakref.ref(client)
        self._options = options
        self._users = 0
        self._calls: Calls | None = None
        self.lock = threading.RLock()
        self.failed: list[Task[Any]] = []

    @classmethod
    def of(cls, client: Client, options: dict[str, Any]) -> _GraphSession:
        """The graph session of a client for tasks with these options; made when it is first needed."""
        with cls._lock:
            return cls._all.setdefault(client, {}).setdefault(repr(sorted(options.items())), cls(client, options))

    @contextmanager
    def in_use(self) -> Iterator[Calls]:
        """The `Calls` of the session. A session that has had many tasks is replaced by a new one when no graph runs."""
        with self.lock:
            calls = self._calls
            if calls is not None and (not self._users or inside(calls.session).mirror.ended is not None):
                calls = self._freed(calls)
            if calls is None:
                client = self._client()
                assert client is not None
                checked(self._options, "dask_get()")  # raises for a wrong option before a session is made
                calls = self._calls = Calls(client.new_session("dask"), self._options)
                inside(calls.session).of_interface = True
                begin_unasked(calls.session, by_interface=True)
            self._users += 1
        try:
            yield calls
        finally:
            with self.lock:
                self._users -= 1

    def _freed(self, calls: Calls) -> Calls | None:
        """Drop failed tasks of earlier graphs; returns `calls`, or None if its session cannot be used any longer."""
        failed, self.failed = self.failed, []
        mirror = inside(calls.session).mirror
        if mirror.ended is not None:
            return None
        if mirror.submitted > INTERFACE_SESSION_TASKS_MAX:
            calls.session.close()
            return None
        if failed:
            calls.session.forget(failed)
        return calls


class _Run:
    """One run of a graph: its tasks, and the values of its keys.

    Parameters
    ----------
    graphs : _GraphSession
    calls : Calls
    graph : Prepared
    asked : list of key
    """

    def __init__(self, graphs: _GraphSession, calls: Calls, graph: Prepared, asked: list[Any]) -> None:
        self._graphs = graphs
        self._session = calls.session
        self._graph = graph
        self._asked = asked
        self._tasks: dict[Any, Task[Any]] = {}
        with graphs.lock:
            calls.arrays.trust()
            try:
                self._build(calls)
            finally:
                calls.arrays.distrust()
            self._session.submit()

    def _build(self, calls: Calls) -> None:
        graph = self._graph
        used = graph.used()
        # A value that several tasks need is sent once.
        data = {
            key: calls.constant(value) if used.get(key, 0) > 1 and not is_plain(value) else value
            for key, value in graph.data.items()
        }
        for key, chain in graph.chains.items():
            values = {need: self._tasks.get(need, data.get(need)) for need in chain.needs}
            for _, node in chain.nodes:  # the same values by the names under which these nodes look them up
                for need in node.dependencies:
                    known = graph.known_as(need)
                    if known != need and known in values:
                        values[need] = values[known]
            self._tasks[key] = calls.task(run_chain, (chain.nodes, values), {}, key_split(key), kept=False)
        for task in self._outputs().values():
            record_of(task).outputs[0].kept = True

    def _outputs(self) -> dict[Any, Task[Any]]:
        known = {self._graph.known_as(key) for key in self._asked}
        return {key: task for key, task in self._tasks.items() if key in known}

    def values(self, watch: _Watch | None = None) -> dict[Any, Any]:
        """The values of the keys that were asked for; waits for the tasks that make them."""
        outputs = self._outputs()
        try:
            if watch is not None:
                keys = {task: key for key, task in self._tasks.items()}
                for item in self._session.as_completed(list(keys)):
                    watch.ended(keys[cast("Task[Any]", item)])
            instances = self._session.fetch(list(outputs.values()))
        except BaseException as error:
            self._give_up()
            if not isinstance(error, TaskException) or error.task is None:
                raise
            raised = exception_of(self._session, record_of(error.task))
            raise raised from raised.__cause__
        found = {key: loaded_value(one) for key, one in zip(outputs, instances, strict=True)}
        known = self._graph.known_as
        return {key: found[known(key)] if known(key) in found else self._graph.data[known(key)] for key in self._asked}

    def _give_up(self) -> None:
        """Cancel the tasks that have not ended. Failed tasks keep their inputs until the next graph runs, so that the
        user can inspect them."""
        try:
            self._session.cancel([task for task in self._tasks.values() if not record_of(task).settled])
        except RainException:
            return  # the session has ended
        with self._graphs.lock:
            self._graphs.failed += [task for task in self._tasks.values() if record_of(task).failed]


class _Watch:
    """Tells Dask's callbacks, a progress bar for instance, how far a graph is; values are not passed to them."""

    def __init__(self, graph: Any, prepared: Prepared, callbacks: Any) -> None:
        start, start_state, self._before, self._after, self._finish = unpack_callbacks(callbacks)
        self._graph = graph
        states = ("waiting", "ready", "running", "finished")
        self._state: dict[str, Any] = {"cache": {}, **{state: set() for state in states}}
        self._state["waiting"] |= prepared.chains.keys()
        for call in start:
            call(graph)
        for call in start_state:
            call(graph, self._state)

    def ended(self, key: Any) -> None:
        """A node's task has ended."""
        for call in self._before:
            call(key, self._graph, self._state)
        self._state["waiting"].discard(key)
        self._state["finished"].add(key)
        for call in self._after:
            call(key, None, self._graph, self._state, "rain")

    def over(self, failed: bool) -> None:
        """The graph has ended."""
        for call in self._finish:
            call(self._graph, self._state, failed)
