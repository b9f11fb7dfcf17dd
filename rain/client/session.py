"""`Session`: one graph of tasks and data objects, and what is done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rain.client import active_session
from rain.client.active_session import get_active_session
from rain.client.core.session_mirror import SessionMirror
from rain.client.functions.modules import Surroundings
from rain.client.operations import session_operations, views
from rain.client.operations.as_completed import Completions
from rain.client.operations.operation import Operation, block
from rain.client.operations.session_operations import Item
from rain.client.operations.twins import awaitable, blocking
from rain.client.plain.session_part import PlainCalls
from rain.client.preflight.session_part import Preflight
from rain.client.report.echo import Echo, echoed
from rain.client.report.progress import with_bar
from rain.client.report.session_views import SessionViews
from rain.client.stale.session_part import StaleResults
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.data import DataObject
    from rain.client.task import Task
    from rain.common.protocol.previews import Preview
    from rain.objects.data_instance import DataInstance


__all__ = ["Session", "get_active_session"]


class Session(PlainCalls, Preflight, StaleResults, SessionViews):
    """One graph of tasks and data objects.

    A ``with`` block makes it the active one, and closes it at the end; of blocks inside each other, or in several
    threads, the last one to be left does. Made by `Client.new_session`; ``Session(None, 1)`` is detached: graphs can be
    built in it, nothing runs.

    Parameters
    ----------
    client : Client or None
    session_id : int
        Its number at the server.
    name : str
    on_failure : {"continue", "stop"}
        Whether a failed task leaves all else running, or stops the session.
    persistent : bool
        Whether it lives until it is closed, without its client.

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
        mirror = SessionMirror(session_id, name, on_failure, persistent)
        self._begin(client, mirror, Surroundings())

    @classmethod
    def _of(cls, client: Client, mirror: SessionMirror, surroundings: Surroundings) -> Session:
        """What the user holds of a session that the server has opened, or that was attached."""
        session = cls.__new__(cls)
        session._begin(client, mirror, surroundings)
        return session

    # -- what tasks print -----------------------------------------------------------------------

    @property
    def echo(self) -> bool:
        """Whether what tasks print also appears here, while they run; may be set at any time.

        Scripts show unasked what the first tasks of a session print (`ECHO_UNASKED_TASKS_MAX`), from the first submit
        on; notebooks, prompts, libraries and pytest do not.
        """
        return self._inside.echo is not None and self._inside.echo.every

    @echo.setter
    def echo(self, wanted: bool) -> None:
        self._inside.echo_wanted = bool(wanted)
        if wanted:
            self._echoing(True)
        elif self._inside.echo is not None:
            self._inside.echo.close()
            self._inside.echo = None

    def _echoing(self, every: bool) -> None:
        """What all tasks print, or those do that ask for it, appears here."""
        own = self._inside
        if own.echo is None or not own.echo.unlimited():
            self._check_open()
            session_operations.connected(self)
            own.echo = Echo(self, every)
        elif every and not own.echo.every:
            own.echo.widen()

    # -- being the active one -------------------------------------------------------------------

    def __enter__(self) -> Session:
        self._check_open()
        active_session.push(self)
        with self._inside.connection.lock:
            self._inside.closing_blocks += 1
        return self

    def _leave(self) -> bool:
        """Whether the block that is left is the last one of this session."""
        active_session.pop(self)
        own = self._inside
        with own.connection.lock:
            own.closing_blocks -= 1
            return own.closing_blocks == 0

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

        Yields
        ------
        Session
            This one.

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
    def run(self, *items: Item | Iterable[Item], timeout: float | None = None) -> Operation[Any]:
        """Keep, submit, wait and load in one call.

        What is not submitted yet is kept from the call on, also by `run_async`: of several that are awaited together
        the first one submits what belongs to all.

        Parameters
        ----------
        *items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Returns
        -------
        any
            The value (bytes where there is no content type, a `DataInstance` of a directory); a list for several items
            or outputs and for a sequence of items, also one of one item or none; None for a task without outputs.

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
        """Wait until at least one of these is finished.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Returns
        -------
        tuple of (list of Task, list of DataObject)
            Those that are finished, in the order of `items`; both are empty if no items were given.

        Raises
        ------
        RainException
            If one was not submitted.
        TaskException
            As soon as one failed.
        TimeoutError
            If none is finished after `timeout`.
        """
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

        Returns
        -------
        Completions
            An iterator, and an asynchronous one.

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
        """Keep these objects (of tasks the outputs); see `DataObject.keep`.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the data of one are already gone.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return self._checked(session_operations.keep(self, items))

    keep_async = awaitable(keep)

    @blocking
    def keep_all(self, timeout: float | None = None) -> Operation[None]:
        """Keep all objects whose data still exist, submitted or not.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return self._checked(session_operations.keep_all(self))

    keep_all_async = awaitable(keep_all)

    @blocking
    def unkeep(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Let these objects (of tasks the outputs) go when no task needs them.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Raises
        ------
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return self._checked(session_operations.unkeep(self, items))

    unkeep_async = awaitable(unkeep)

    @blocking
    def update(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Bring state and info of these up to date: what the server knew when it was asked is known here afterwards.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If one was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        return self._checked(session_operations.update(self, items))

    update_async = awaitable(update)

    # -- intervening ----------------------------------------------------------------------------

    @blocking
    def cancel(self, items: Item | Iterable[Item] | None = None, timeout: float | None = None) -> Operation[None]:
        """Cancel tasks that have not ended, and all tasks that depend on them.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them, optional
            Which tasks; of an object the one that makes it. All tasks of the session if not given.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If one was not submitted, or is a constant.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
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
        return self._checked(session_operations.retry(self, tasks))

    retry_async = awaitable(retry)

    @blocking
    def forget(self, tasks: Item | Iterable[Item] | None = None, timeout: float | None = None) -> Operation[None]:
        """Let go the inputs that are held for a retry of failed tasks; they cannot be retried afterwards.

        What failed because of them is forgotten too. `wait_all` tells of them no more; waiting for one still raises.

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
        return self._checked(session_operations.forget(self, tasks))

    forget_async = awaitable(forget)

    @blocking
    def close(self, timeout: float | None = None) -> Operation[None]:
        """End the session: what runs is killed, all objects go. Returns when that is done.

        Closing a closed session does nothing.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the client belongs to another process, from which this one was forked.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        self._inside.connection.check_process()
        return session_operations.close(self)

    close_async = awaitable(close)

    def __reduce__(self) -> Any:
        raise RainException(
            f"{self!r} cannot be pickled: remote functions see their inputs only, not the session; "
            "use arguments instead of the global variable"
        )

    # -- for the rest of the client -------------------------------------------------------------

    def _peek(self, obj: DataObject, timeout: float | None = None) -> DataInstance:
        """The data of a finished object, of which only what is read moves; for inspectors."""
        return block(self._checked(session_operations.peek(self, obj)), timeout)

    def _preview(self, obj: DataObject, timeout: float | None = None) -> Preview:
        """What the value of a finished object looks like; for inspectors and reports."""
        block(self._checked(session_operations.brought(self, obj)), timeout)
        return block(self._checked(views.preview(self, obj.id)), timeout)

    def _output_of(self, task: Task) -> Operation[tuple[str, str]]:
        return self._checked(session_operations.output_of(self, task))
