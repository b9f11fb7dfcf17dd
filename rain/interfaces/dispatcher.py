"""The dispatcher: a thread that sends calls to a session as tasks, and ends the futures of these.

Theory of operation
-------------------
The thread that submits a call makes its task, and gets a future. The dispatcher's thread is woken by the session's
`ChangeFeed` for new tasks and for changed ones. It sends all new tasks in one message, and the next message when the
server has answered: calls that come in quick succession travel together, a single one at once. Making, registering and
sending tasks hold one lock, so that no task ends before its future is known.

Results that are in this process or on this host are loaded by that thread, those on other hosts by a few others.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.client.core.change_feed import ChangeFeed
from rain.client.core.families.family import Family
from rain.client.core.operations import submits
from rain.client.core.records import Record, TaskRecord
from rain.client.core.requests import Request
from rain.client.handles import inside, record_of
from rain.client.operations import session_operations
from rain.client.operations.fetch import host_of, instance
from rain.client.operations.operation import block
from rain.client.report.echo import flushed
from rain.client.reuse.deciding import decided
from rain.common.errors import RainException
from rain.common.limits import RESULT_LOADERS_MAX
from rain.common.location import Inline, file_on
from rain.common.states import TaskState
from rain.interfaces.calls import Calls
from rain.interfaces.futures import RainFuture, exception_of, loaded_value, lost, output_record, refusal

if TYPE_CHECKING:
    from rain.client.session import Session

_living: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


class Dispatcher:
    """Runs calls of plain functions as tasks of one session.

    Parameters
    ----------
    session : Session
    options : dict
        Options of every task.
    owns_session : bool
        Whether the session is closed when the dispatcher has ended.

    Attributes
    ----------
    calls : Calls
    lock : threading.RLock
        To be held by what uses `calls`.
    """

    def __init__(self, session: Session, options: dict[str, Any], owns_session: bool) -> None:
        own = inside(session)
        own.of_interface = own.of_interface or owns_session
        self.session = session
        self.lock = threading.RLock()
        self.calls = Calls(session, options)
        self._owns_session = owns_session
        self._connection, self._mirror, self._encoder = own.connection, own.mirror, own.encoder
        self._futures: dict[int, RainFuture] = {}
        self._needed: set[int] = set()  # numbers of objects that calls have as inputs
        self._cancelled: deque[RainFuture] = deque()
        self._request: Request | None = None
        self._loaders: concurrent.futures.ThreadPoolExecutor | None = None
        self._ending = self._cancels_pending = False
        # Its `put` may be called anywhere, also by a finalizer that interrupts another call of it.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._feed = ChangeFeed(self._mirror, self._wake)
        self._thread = threading.Thread(target=self._run, name=f"rain executor {session.session_id}", daemon=True)
        _living.add(self)
        self._thread.start()

    def submit(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None
    ) -> RainFuture:
        """A future of a call; `name` is that of its task, if it is not the function's.

        Raises
        ------
        RuntimeError
            If the dispatcher was told to end.
        ExecutorLost
            If the session has ended.
        """
        future = RainFuture(self)
        with self.lock:
            if self._ending:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._mirror.ended is not None:
                raise lost(self.session)
            try:
                task = self.calls.task(function, args, kwargs, name)
            except Exception as error:
                future.fail(error)
                return future
            future.task = task
            record = record_of(task)
            self._needed.update(item.id.id for item in record.spec.inputs)
            self._futures[record.spec.id.id] = future
        return future

    def cancelled(self, future: RainFuture) -> None:
        """A future was cancelled by its user."""
        self._cancelled.append(future)
        self._wake()

    def end(self, cancel_pending: bool = False) -> None:
        """Take no more calls, and end when the last one has ended; `cancel_pending` cancels calls that do not run yet.
        A finalizer may call this."""
        self._ending = True
        self._cancels_pending = self._cancels_pending or cancel_pending
        self._wake()

    def join(self) -> None:
        """Wait until the dispatcher has ended."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    @property
    def has_ended(self) -> bool:
        """Whether the dispatcher's thread has ended."""
        return not self._thread.is_alive()

    def show_prints(self) -> None:
        """Wait, for a moment at most, until a script's user sees what ended tasks printed."""
        block(flushed(self.session))

    # -- the thread -----------------------------------------------------------------------------

    def _wake(self) -> None:
        self._wakes.put(None)

    def _run(self) -> None:
        reason: BaseException | None = None
        try:
            while not (self._ending and not self._futures and not self._cancelled):
                self._wakes.get()
                while not self._wakes.empty():
                    self._wakes.get()
                self._turn()
                if self._mirror.ended is not None:
                    break
        except BaseException as error:  # no future may stay without an end
            reason = error
        self._feed.close()
        self._fail_all(reason)
        if self._loaders is not None:
            self._loaders.shutdown()
        self.show_prints()
        if self._owns_session:
            try:
                self.session.close()
            except RainException:
                pass  # the client or its server is gone, and the session with it

    def _turn(self) -> None:
        for record in self._feed.take():
            if isinstance(record, TaskRecord):
                self._look(record)
        if self._mirror.ended is None:
            withdrawn = self._withdraw()
            self._send()
            if self._cancels_pending:
                self._cancel_pending()
                withdrawn += self._withdraw()
            if withdrawn:
                block(session_operations.cancel(self.session, withdrawn))

    def _fail_all(self, reason: BaseException | None) -> None:
        with self.lock:
            self._ending = True
            futures, self._futures = self._futures, {}
        while self._cancelled:
            self._cancelled.popleft().begin()
        for future in futures.values():
            if not future.done():
                future.fail(reason or lost(self.session))

    def _look(self, record: TaskRecord) -> None:
        """End the future of a task that has ended."""
        number = record.spec.id.id
        future = self._futures.get(number)
        if future is None:
            return
        state = record.state
        if state is TaskState.RUNNING:
            future.begin()
        elif state is TaskState.FINISHED:
            self._finish(number, future)
        elif record.settled:
            del self._futures[number]
            if state is TaskState.CANCELLED and not future.running():
                future.cancel()
            if future.begin():
                future.set_exception(exception_of(self.session, record))
        elif state is None and number in self._mirror.refusals:
            del self._futures[number]
            future.fail(refusal(self.session, record))

    def _finish(self, number: int, future: RainFuture) -> None:
        if not future.begin():
            self._futures.pop(number, None)
            return
        assert future.task is not None
        location = output_record(future.task).location
        if isinstance(location, Inline) or (
            location is not None and file_on(host_of(self.session), location) is not None
        ):
            self._load(number, future)
            return
        if self._loaders is None:
            self._loaders = concurrent.futures.ThreadPoolExecutor(RESULT_LOADERS_MAX, "rain results")
        self._loaders.submit(self._load, number, future, True)

    def _load(self, number: int, future: RainFuture, elsewhere: bool = False) -> None:
        assert future.task is not None
        if future.done():
            return
        obj = future.task.output
        try:
            found = obj.fetch() if elsewhere else instance(self.session, obj)
            value = loaded_value(found)
        except BaseException as error:  # for instance of a class that cannot be unpickled in this process
            future.set_exception(error)
        else:
            future.set_result(value)
        self._futures.pop(number, None)
        if elsewhere:
            self._wake()

    def _cancel_pending(self) -> None:
        """Cancel all calls that do not run. Of those that were sent the first ones, for which the governors have room,
        may have begun and count as running."""
        self._cancels_pending = False
        client = self.session.client
        assert client is not None
        cpus = self.calls.cpus
        room = sum(governor["cpus"] for governor in client._brief_info()["governors"]) // cpus if cpus else 0
        with self.lock:
            for future in list(self._futures.values()):
                begun = future.running() or (room > 0 and future.task is not None and future.task.state is not None)
                if begun:
                    room -= 1
                else:
                    future.cancel()

    def _withdraw(self) -> list[Any]:
        """Wake the threads that wait for cancelled futures; returns the tasks that the server has to cancel."""
        tasks = []
        while self._cancelled:
            future = self._cancelled.popleft()
            future.begin()
            task = future.task
            if task is None:
                continue
            record = record_of(task)
            with self.lock:
                if record.state is None and output_record(task).spec.id.id not in self._needed:
                    self._forget(record)
                elif not record.settled:
                    tasks.append(task)
                self._futures.pop(record.spec.id.id, None)
        return tasks

    def _forget(self, record: TaskRecord) -> None:
        """Take back a task that was not sent, and the constants that were made for it alone."""
        own: set[Record] = {record}
        for item in record.spec.inputs:
            used: Any = self._mirror.records.get(item.id.id)
            if used is not None and used.state is None and used.ephemeral and not used.kept:
                own.add(used)
        pending = [one for one in self._mirror.pending if one not in own]
        self._mirror.pending.clear()
        self._mirror.pending.extend(pending)
        for one in (*own, *record.outputs):
            self._mirror.records.pop(one.spec.id.id, None)

    def _send(self) -> None:
        with self._connection.lock:  # a reply wakes this thread before its request is over
            if self._request is not None and not self._request.over:
                return
        with self.lock:
            if not self._mirror.pending:
                return
            for record in list(self._mirror.pending):
                # Tasks that users made in this session are their arguments, now or later.
                if isinstance(record, Family):
                    record.keep_held()
                elif isinstance(record, TaskRecord) and record.spec.id.id not in self._futures:
                    for output in record.outputs:
                        output.kept = output.kept or (output.handle is not None and output.handle() is not None)
            try:
                self._connection.check(self._mirror)
                if inside(self.session).results is not None:  # users may make tasks here that reuse results
                    block(decided(self.session, session_operations.fetch))
                operation = submits.send(self._connection.core, self._mirror, self._encoder)
                self._request = block(self._connection.drive(operation, self._mirror, whole=True))
            except RainException as error:
                self._refused(error)

    def _refused(self, error: RainException) -> None:
        for number, future in list(self._futures.items()):
            if number in self._mirror.refusals:
                del self._futures[number]
                future.fail(error)


@atexit.register
def _finish_all() -> None:
    """At the end of the process wait for all submitted calls, as other executors do; the exit handlers of clients run
    after this one, because they were registered before it."""
    for dispatcher in list(_living):
        dispatcher.end()
    for dispatcher in list(_living):
        dispatcher.join()
