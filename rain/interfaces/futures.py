"""Futures of calls that run as tasks."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

from rain.client.handles import handle_of, inside, record_of
from rain.client.report.failures import failure
from rain.common.errors import RainException, SessionException, TaskCancelled, TaskException

if TYPE_CHECKING:
    from rain.client.core.records import TaskRecord
    from rain.client.session import Session
    from rain.client.task import Task
    from rain.interfaces.dispatcher import Dispatcher
    from rain.objects.data_instance import DataInstance


class ExecutorLost(SessionException, concurrent.futures.BrokenExecutor):
    """The executor's session has ended before the call did: it was closed, or its server is gone."""


class RainFuture(concurrent.futures.Future[Any]):
    """A call that runs as a task. As an argument of another call of the same executor it is a dependency of that call.

    Attributes
    ----------
    task : Task or None
        None of a call that could not be made a task.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._begun = self._goes_on = False
        self.task: Task[Any] | None = None

    def cancel(self) -> bool:
        """Cancel the call, if it is not running.

        Returns
        -------
        bool
            Whether it was cancelled; False if it runs, or has ended.
        """
        was = self.cancelled()
        if not super().cancel():
            return False
        if not was:
            self._dispatcher.cancelled(self)
        return True

    def begin(self) -> bool:
        """The task runs, or has ended: called by the dispatcher's thread. Returns False if the call was cancelled."""
        if not self._begun:
            self._begun = True
            self._goes_on = self.set_running_or_notify_cancel()
        return self._goes_on

    def fail(self, error: BaseException) -> None:
        """End with `error`, unless it was cancelled."""
        if self.begin():
            self.set_exception(error)

    def __reduce__(self) -> Any:
        if self.task is None:
            raise RainException(f"{self!r} cannot be an argument: its call could not be made a task")
        if self.cancelled():
            raise RainException(f"{self!r} cannot be an argument: it was cancelled")
        return self.task.output.__reduce__()


def exception_of(session: Session, record: TaskRecord) -> BaseException:
    """The exception that the function of a failed task raised, with a `TaskException` as its cause; the `TaskException`
    alone if the function's exception cannot be rebuilt in this process."""
    told = failure(session, inside(session).mirror.root_of(record))
    original, told.__cause__ = told.__cause__, None
    if isinstance(told, TaskCancelled) or not isinstance(original, Exception):
        return told
    original.__cause__ = told
    return original


def lost(session: Session) -> ExecutorLost:
    """The exception for calls of a session that has ended."""
    end = inside(session).mirror.ended
    error = ExecutorLost(f"the executor's calls are lost: {end.text if end is not None else 'its session has ended'}")
    if end is not None and end.task is not None:
        error.__cause__ = failure(session, end.task)
    return error


def refusal(session: Session, record: TaskRecord) -> TaskException:
    """The exception for a task that the server did not take."""
    reason = inside(session).mirror.refusals.get(record.spec.id.id, "no reason is known")
    return TaskException(f"{record!r} was not taken by the server: {reason}", handle_of(session, record), 0)


def output_record(task: Task[Any]) -> Any:
    """The record of a call's only output."""
    return record_of(task).outputs[0]


def loaded_value(found: DataInstance) -> Any:
    """The value of a call's output."""
    return found.get_bytes() if found.content_type is None else found.load()
