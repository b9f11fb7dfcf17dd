"""`Session`: one graph of tasks and data objects, submitted once or many times."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rain.client import active_session
from rain.client.active_session import get_active_session
from rain.client.core.session_mirror import Gate, ObjectRecord, Record, SessionMirror, TaskRecord
from rain.client.data import DataObject
from rain.client.functions.modules import Surroundings
from rain.client.operations import retry, session_operations
from rain.client.operations.as_completed import Completions
from rain.client.operations.operation import Operation, T, block, reject, resolve
from rain.client.operations.session_operations import Item
from rain.client.operations.twins import awaitable, blocking
from rain.client.report.echo import Echo, echoed
from rain.client.report.failures import failure
from rain.client.report.progress import with_bar
from rain.client.report.refused import fetch_refused
from rain.client.report.stall import Stall
from rain.client.task import Task
from rain.common.errors import RainException, SessionException
from rain.common.jupyter import display_hooks

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.report.graphviz_export import Graph
    from rain.common.labeled_list import LabeledList
    from rain.objects.data_instance import DataInstance


__all__ = ["Session", "get_active_session"]

_log = logging.getLogger(__name__)


class Session:
    """One graph of tasks and data objects.

    A ``with`` block makes it the active one, and closes it at the end; of blocks inside each other, or in several
    threads, the last one to be left does. Made by `Client.new_session`; ``Session(None, 1)`` is detached: graphs can be
    built in it, nothing runs.

    Parameters
    ----------
    client : Client or None
    session_id : int
    name : str
    persistent : bool

    Examples
    --------
    >>> with client.new_session("sums") as session:
    ...     session.run(tasks.Concat([blob("a"), blob("b")]))
    b'ab'
    """

    def __init__(
        self,
        client: Client | None,
        session_id: int,
        name: str = "Unnamed Session",
        *,
        on_failure: str = "continue",
        persistent: bool = False,
    ) -> None:
        self._client = client
        self._session_id = session_id
        self._name = name
        self._on_failure = on_failure
        self._persistent = persistent
        self._lock = threading.RLock()
        self._mirror = SessionMirror()
        self._numbers = itertools.count(1)
        self._next = self._numbers.__next__
        self._closing_blocks = 0  # open `with session:` blocks
        self._adopted = False  # whether a task took over objects made before it
        self._dropped: deque[ObjectRecord] = deque()  # kept ones whose handle is gone
        self._functions: dict[bytes, ObjectRecord] = {}
        self._refused: dict[int, str] = {}
        self._surroundings = Surroundings()
        self._ended: session_operations.End | None = None
        self._stall = Stall()
        self._echo: Echo | None = None
        self._at_end: list[Callable[[], None]] = []  # called once it has ended, in the thread that ends it

    # -- what it is -----------------------------------------------------------------------------

    @property
    def client(self) -> Client | None:
        """The client, None if detached."""
        return self._client

    @property
    def session_id(self) -> int:
        """Its number at the server."""
        return self._session_id

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def persistent(self) -> bool:
        """Whether it lives on without its client."""
        return self._persistent

    @property
    def active(self) -> bool:
        """Whether it can be used: neither closed nor lost nor stopped by a failure."""
        return self._ended is None

    @property
    def echo(self) -> bool:
        """Whether what tasks print also appears here, while they run; may be set at any time."""
        return self._echo is not None and self._echo.every

    @echo.setter
    def echo(self, wanted: bool) -> None:
        if wanted:
            self._echoing(True)
        elif self._echo is not None:
            self._echo.close()
            self._echo = None

    def _echoing(self, every: bool) -> None:
        """What all tasks print, or those do that ask for it, appears here."""
        if self._echo is None:
            self._check_open()
            session_operations.client_of(self)
            self._echo = Echo(self, every)
        elif every and not self._echo.every:
            self._echo.widen()

    @property
    def tasks(self) -> list[Task]:
        """All its tasks, submitted or not."""
        with self._lock:
            records = [r for r in self._mirror.records.values() if isinstance(r, TaskRecord)]
        return [Task._of(self, record) for record in records]

    @property
    def objects(self) -> list[DataObject]:
        """All its data objects, submitted or not."""
        with self._lock:
            records = [r for r in self._mirror.records.values() if isinstance(r, ObjectRecord) and not r.hidden]
        return [DataObject._of(self, record) for record in records]

    @property
    def task_count(self) -> int:
        """Tasks that are not yet submitted."""
        with self._lock:
            return sum(isinstance(record, TaskRecord) for record in self._mirror.pending)

    @property
    def dataobj_count(self) -> int:
        """Data objects that are not yet submitted."""
        with self._lock:
            return sum(
                len(record.outputs) if isinstance(record, TaskRecord) else not record.hidden
                for record in self._mirror.pending
            )

    def find(self, name: str) -> Task | DataObject:
        """The task with that name, else the object with that label.

        Raises
        ------
        RainException
            If there is none, or several; the text lists their ids.
        """
        tasks = [task for task in self.tasks if task.name == name]
        found: list[Any] = tasks or [obj for obj in self.objects if obj.label == name]
        if len(found) == 1:
            only: Task | DataObject = found[0]
            return only
        if not found:
            raise RainException(f"{self!r} has no task or object called {name!r}")
        ids = ", ".join(str(item.id) for item in found[:20])
        raise RainException(f"{len(found)} items of {self!r} are called {name!r}: {ids}{' …' * (len(found) > 20)}")

    # -- being the active one -------------------------------------------------------------------

    def __enter__(self) -> Session:
        self._check_open()
        active_session.push(self)
        with self._lock:
            self._closing_blocks += 1
        return self

    def _leave(self) -> bool:
        """Whether the block that is left is the last one of this session."""
        active_session.pop(self)
        with self._lock:
            self._closing_blocks -= 1
            return self._closing_blocks == 0

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if not self._leave():
            return
        try:
            self.close()
        except RainException:
            if error is None:
                raise

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if not self._leave():
            return
        try:
            await self.close_async()
        except RainException:
            if error is None:
                raise

    @contextmanager
    def bind_only(self) -> Iterator[Session]:
        """Make this session the active one for a ``with`` block that does not close it.

        Raises
        ------
        SessionException
            If it is closed.
        """
        self._check_open()
        active_session.push(self)
        try:
            yield self
        finally:
            active_session.pop(self)

    def set_as_default(self) -> None:
        """New items go here when no ``with`` block is open.

        Raises
        ------
        SessionException
            If it is closed.
        """
        self._check_open()
        active_session.set_default(self)

    # -- submitting -----------------------------------------------------------------------------

    @blocking
    def submit(self, timeout: float | None = None) -> Operation[None]:
        """Send what is new to the server, all of it or nothing.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for the server's answer.

        Raises
        ------
        RainException
            If the graph is wrong; what was new is then given up.
        SessionException
            If the session is closed.
        TimeoutError
        """
        return self._checked(session_operations.submit(self))

    submit_async = awaitable(submit)

    @blocking
    def run(self, *items: Item, timeout: float | None = None) -> Operation[Any]:
        """Keep, submit, wait and load in one call.

        What is not submitted yet is kept from the call on, also by `run_async`: of several that are awaited together
        the first one submits what belongs to all.

        Parameters
        ----------
        *items : Task or DataObject
        timeout : float, optional
            Seconds.

        Returns
        -------
        any
            The value (bytes where there is no content type, a `DataInstance` of a directory); a list for several items
            or outputs, None for a task without outputs.

        Raises
        ------
        TaskException
            If a task failed.
        TimeoutError
        """
        return self._checked(echoed(self, session_operations.run(self, items)))

    run_async = awaitable(run, begin_at_call=True)

    # -- waiting --------------------------------------------------------------------------------

    @blocking
    def wait(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Wait until all of these are finished; they need not be kept.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If one was not submitted.
        TaskException
            As soon as one failed.
        TimeoutError
        """
        return self._checked(echoed(self, session_operations.wait(self, items)))

    wait_async = awaitable(wait)

    @blocking
    def wait_some(
        self, items: Item | Iterable[Item], timeout: float | None = None
    ) -> Operation[tuple[list[Task], list[DataObject]]]:
        """Wait until at least one of these is finished; those that are, as tasks and objects; see `wait`."""
        return self._checked(echoed(self, session_operations.wait_some(self, items)))

    wait_some_async = awaitable(wait_some)

    @blocking
    def wait_all(
        self, raise_on_failure: bool = True, progress: bool = False, timeout: float | None = None
    ) -> Operation[list[Task]]:
        """Wait for all that was submitted.

        Parameters
        ----------
        raise_on_failure : bool
            Raise as soon as a failure is known, and leave the rest running; else wait until all is settled. What was
            told before, by this or another call that raised or returned it, is not raised again: then a warning says at
            the end how many tasks had failed.
        progress : bool
            Show a progress bar, with the number of tasks that failed or were cancelled.
        timeout : float, optional
            Seconds.

        Returns
        -------
        list of Task
            Those that failed or were cancelled.

        Raises
        ------
        TaskException
        TimeoutError
        """
        if not isinstance(progress, bool):
            raise RainException(f"wait_all(): progress is True or False, not {progress!r}; seconds are timeout=")
        operation = echoed(self, session_operations.wait_all(self, raise_on_failure))
        return self._checked(with_bar(self, operation) if progress else operation)

    wait_all_async = awaitable(wait_all)

    def as_completed(self, items: Item | Iterable[Item], timeout: float | None = None) -> Completions:
        """These items in the order in which they end, failed ones included; for ``for`` and ``async for``.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds from now on for all of them.

        Raises
        ------
        RainException
            If one was not submitted.
        TimeoutError
            By the iteration, when the time is over before an item ends.
        """
        self._check_usable()
        return Completions(self, session_operations.items_of(self, items), timeout)

    # -- data -----------------------------------------------------------------------------------

    @blocking
    def fetch(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[Any]:
        """Wait until these are finished, and give access to their data.

        Parameters
        ----------
        items : DataObject, single-output Task, or a sequence of them
        timeout : float, optional
            Seconds.

        Returns
        -------
        DataInstance or list of DataInstance

        Raises
        ------
        RainException
            If one is not kept or was not submitted.
        TaskException
            If one cannot come because a task failed.
        TimeoutError
        """
        return self._checked(echoed(self, session_operations.fetch(self, items)))

    fetch_async = awaitable(fetch)

    @blocking
    def keep(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Keep these objects; see `DataObject.keep`."""
        return self._checked(session_operations.keep(self, items))

    keep_async = awaitable(keep)

    @blocking
    def keep_all(self, timeout: float | None = None) -> Operation[None]:
        """Keep all objects whose data still exist, submitted or not."""
        return self._checked(session_operations.keep_all(self))

    keep_all_async = awaitable(keep_all)

    @blocking
    def unkeep(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Let these objects go when no task needs them."""
        return self._checked(session_operations.unkeep(self, items))

    unkeep_async = awaitable(unkeep)

    @blocking
    def update(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Bring state and info of these up to date; a barrier: all that the server knew when asked is known here.

        Raises
        ------
        RainException
            If one was not submitted.
        """
        return self._checked(session_operations.update(self, items))

    update_async = awaitable(update)

    # -- intervening ----------------------------------------------------------------------------

    @blocking
    def cancel(self, items: Item | Iterable[Item] | None = None, timeout: float | None = None) -> Operation[None]:
        """Cancel these tasks (those that make these objects; None: all), and what depends on them, if not ended."""
        return self._checked(session_operations.cancel(self, items))

    cancel_async = awaitable(cancel)

    @blocking
    def retry(self, tasks: Item | Iterable[Item] | None = None, timeout: float | None = None) -> Operation[None]:
        """Run failed tasks again, under the same ids, with what depends on them; finished results stay.

        A task's function is taken as it is defined now: the one of the same module and qualified name, with all that it
        uses. Tasks that have not failed (yet) run as they were submitted.

        Parameters
        ----------
        tasks : Task, DataObject or a sequence of them, optional
            Which ones; what they need and is missing runs again as well. A cancelled task runs again if it is named
            or needed, as long as its inputs are there or can be made again. All failed tasks if not given.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If one did not fail, was forgotten, or its function cannot be sent.
        """
        return self._checked(retry.retry(self, tasks))

    retry_async = awaitable(retry)

    @blocking
    def forget(self, tasks: Item | Iterable[Item] | None = None, timeout: float | None = None) -> Operation[None]:
        """Let go the inputs that are held for a retry of failed tasks; they cannot be retried afterwards.

        What failed because of them is forgotten too. `wait_all` goes by them; waiting for one still raises.

        Parameters
        ----------
        tasks : Task, DataObject or a sequence of them, optional
            Which failed or cancelled ones; all if not given.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If one did not fail, or was forgotten before.
        """
        return self._checked(retry.forget(self, tasks))

    forget_async = awaitable(forget)

    @blocking
    def close(self, timeout: float | None = None) -> Operation[None]:
        """End the session: what runs is killed, all objects go. Returns when that is done; idempotent."""
        if self._client is not None:
            self._client._check_process()
        return session_operations.close(self)

    close_async = awaitable(close)

    # -- showing --------------------------------------------------------------------------------

    def make_graph(self, show_ids: bool = True) -> Graph:
        """The graph of all tasks and objects, for graphviz.

        Parameters
        ----------
        show_ids : bool
            Whether labels hold the ids.
        """
        from rain.client.report.graphviz_export import Graph

        return Graph(self, show_ids)

    def _ipython_display_(self) -> None:
        display_hooks.show("session", self)

    def __repr__(self) -> str:
        state = "open" if self._ended is None else self._ended.word
        mirror = self._mirror
        with self._lock:
            counts = mirror.counts()
        return f"<Session {self._session_id} {self._name!r} {state}, {counts}>"

    def __reduce__(self) -> Any:
        raise RainException(
            f"{self!r} cannot be pickled: remote functions see their inputs only, not the session; "
            "use arguments instead of the global variable"
        )

    # -- for the rest of the client -------------------------------------------------------------

    def _checked(self, operation: Operation[T]) -> Operation[T]:
        """`operation`, which the session can carry out.

        Raises
        ------
        RainException
            If it cannot: see `_check_usable`.
        """
        self._check_usable()
        return operation

    def _check_open(self) -> None:
        """Whether it may be used.

        Raises
        ------
        SessionException, TaskException
            If it is closed, lost, or stopped by a failure.
        """
        if self._ended is not None:
            raise self._ended_error()

    def _check_usable(self) -> None:
        self._check_open()
        if self._client is not None:
            self._client._check()
        if self._dropped:
            self._release()

    def _ended_error(self) -> RainException:
        end = self._ended
        assert end is not None
        if end.task is not None:
            return failure(self, end.task)
        return SessionException(end.text)

    def _end(self, end: session_operations.End) -> None:
        """Nothing is possible any more; whoever waits is told."""
        with self._lock:
            if self._ended is not None and end.word != "closed":
                return
            self._ended = end
            gates, self._mirror.gates = self._mirror.gates, set()
        active_session.unset_default(self)
        for gate in gates:
            reject(gate.future, self._ended_error())
        for watch in self._mirror.watches:
            watch.poke()
        at_end, self._at_end = self._at_end, []
        for call in at_end:
            try:
                call()
            except Exception:  # whoever shows the session; it has ended all the same
                _log.exception("what was to follow the end of %r failed", self)

    def _add(self, record: Record) -> None:
        """Take in a new constant."""
        self._mirror.records[record.spec.id.id] = record
        self._mirror.pending.append(record)
        if self._mirror.watches:
            self._mirror.note([record])

    def _add_task(self, record: TaskRecord) -> None:
        """Take in a new task and its outputs."""
        records = self._mirror.records
        records[record.spec.id.id] = record
        for output in record.outputs:
            records[output.spec.id.id] = output
        self._mirror.pending.append(record)
        if self._mirror.watches:
            self._mirror.note([record])

    def _object(self, number: int) -> DataObject:
        record: Any = self._mirror.records[number]
        return DataObject._of(self, record)

    def _task(self, record: TaskRecord) -> Task:
        return Task._of(self, record)

    def _fold(self, tasks: Any, objects: Any) -> None:
        """News from the server; in the connection's thread."""
        with self._lock:
            opened = self._mirror.fold(tasks, objects)
        self._wake(opened)

    def _wake(self, opened: Iterable[Gate]) -> None:
        for gate in opened:
            resolve(gate.future, None)

    def _release(self) -> None:
        """Let objects go whose last handle was dropped."""
        dropped = self._dropped
        ids = []
        with self._lock:
            while dropped:
                record = dropped.popleft()
                if self._persistent or not record.kept or (record.handle is not None and record.handle() is not None):
                    continue
                record.kept = False
                self._mirror.note([record])
                if record.state is not None:
                    record.data = record.places = None
                    ids.append(record.spec.id)
        if ids and self._client is not None and self._ended is None:
            self._client._post_unkeep(self._session_id, ids)

    def _peek(self, obj: DataObject, timeout: float | None = None) -> DataInstance:
        """The data of a finished object, for who looks at a part of them: see `operations.peek`."""
        return block(self._checked(session_operations.peek(self, obj)), timeout)

    def _fetch_refused(self, task: Task) -> Operation[LabeledList[DataInstance]]:
        return self._checked(fetch_refused(self, task))

    def _output_of(self, task: Task) -> Operation[tuple[str, str]]:
        return self._checked(session_operations.output_of(self, task))

    def _explain(self, task: Task) -> Operation[str]:
        return self._checked(session_operations.explain(self, task))
