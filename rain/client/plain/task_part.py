"""The part of `Task` that gives values: what the task's function returned, or raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from rain.client.building.member import MemberHandle
from rain.client.operations import session_operations
from rain.client.operations.twins import awaitable, blocking
from rain.client.plain.arguments import arguments_of
from rain.client.plain.raised import as_raised
from rain.client.report.echo import echoed
from rain.common.errors import TaskException

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from rain.client.operations.operation import Operation
    from rain.client.task import Task

    R = TypeVarWithDefault("R", default=Any)
else:
    R = TypeVar("R")


class TaskValue(MemberHandle, Generic[R]):
    """What a task returned, as a value."""

    __slots__ = ()

    @property
    def args(self) -> dict[str, Any]:
        """The arguments of the call that made the task, by the names of its parameters; tasks and objects among them
        are data objects. Empty for what is no function.

        Examples
        --------
        >>> with client.new_session("arguments") as session:
        ...     session.call(lambda x, *rest: x, 1, 2, 3).args
        {'x': 1, 'rest': (2, 3)}
        """
        return arguments_of(cast("Task", self))

    @blocking
    def result(self, timeout: float | None = None) -> Operation[R]:
        """The value that the task makes: submits what is new in the session, waits, and loads it.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        any
            The value (bytes where there is no content type, a `DataInstance` of a directory); of a task with several
            outputs a list, None for one without.

        Raises
        ------
        TaskException
            If the task failed. Where its function raised an exception whose class is known here, this is one of that
            class too: ``except ValueError`` catches it. The text has the remote traceback.
        RainException
            If it was submitted without being kept, and its data are gone.
        TimeoutError

        Examples
        --------
        >>> with client.new_session("values") as session:
        ...     try:
        ...         session.call(divmod, 1, 0).result()
        ...     except ZeroDivisionError as error:
        ...         print(error.__cause__)
        integer division or modulo by zero
        """
        task = cast("Task", self)
        session = task._session
        operation = session_operations.run(session, [task])
        return session._checked(_raising(echoed(session, operation)))

    result_async = awaitable(result, begin_at_call=True)

    @blocking
    def exception(self, timeout: float | None = None) -> Operation[BaseException | None]:
        """What the task's function raised; waits, and submits what is new in the session.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        BaseException or None
            The exception itself, whose `__cause__` is the `TaskException` with the remote traceback; that one where the
            exception cannot be rebuilt here, or there was none (the task was cancelled, its process died). None if the
            task finished.

        Raises
        ------
        TimeoutError
        """
        task = cast("Task", self)
        session = task._session
        operation = session_operations.ended(session, [task])
        return session._checked(_raised(echoed(session, operation)))

    exception_async = awaitable(exception, begin_at_call=True)


def _raising(operation: Operation[R]) -> Operation[R]:
    try:
        return (yield from operation)
    except TaskException as failure:
        raised = as_raised(failure)
        if raised is failure:
            raise
        raise raised from raised.__cause__


def _raised(operation: Operation[None]) -> Operation[BaseException | None]:
    try:
        yield from operation
    except TaskException as failure:
        cause = failure.__cause__
        if cause is None:
            return failure
        failure.__cause__ = None
        cause.__cause__ = failure
        return cause
    return None
