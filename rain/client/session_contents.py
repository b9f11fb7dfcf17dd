"""What a session is and has, and whether it can be used; nothing here asks the server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from rain.client.core.families.family import Family
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.client.core.session_mirror import SessionMirror
from rain.client.functions.modules import Surroundings
from rain.client.handles import Holder, Inside, handle_of
from rain.client.operations.connection import Connection
from rain.client.operations.encoding import SessionEncoder
from rain.client.operations.operation import Operation, T
from rain.client.report.failures import ended
from rain.client.report.output_file import OutputFile
from rain.client.report.trace import MARK, trace_of
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.data import DataObject
    from rain.client.session import Session
    from rain.client.task import Task


class SessionContents(Holder):
    """The part of `Session` that asks nothing of the server: properties, tasks and objects, and whether it is open."""

    _client: Client | None

    def _begin(self, client: Client | None, mirror: SessionMirror, surroundings: Surroundings) -> None:
        self._client = client
        connection = Connection() if client is None else client._connection
        encoder = SessionEncoder(surroundings, connection.has_other_hosts)
        self._inside = Inside(connection, mirror, surroundings, encoder)
        mirror.handle = self
        mirror.records.lock = connection.lock

    @property
    def client(self) -> Client | None:
        """The client, None if detached."""
        return self._client

    @property
    def session_id(self) -> int:
        """The session's number at the server."""
        return self._inside.mirror.session_id

    @property
    def name(self) -> str:
        """The session's name."""
        return self._inside.mirror.name

    @property
    def persistent(self) -> bool:
        """Whether the session lives on without its client."""
        return self._inside.mirror.persistent

    @property
    def previews(self) -> bool:
        """Whether views of a result show its value: what an executor makes of it, where the data lie. That is the one
        that made the result, once it has nothing to do, in sessions of few tasks and of tasks that take long; for all
        others another one, when the result is first looked at. No task waits for a preview. With False nothing is
        loaded for a look; may be set at any time, and holds for tasks that are submitted later."""
        return self._inside.surroundings.previews

    @previews.setter
    def previews(self, wanted: bool) -> None:
        self._inside.surroundings.previews = bool(wanted)

    @property
    def active(self) -> bool:
        """Whether the session can be used: it is neither closed nor lost nor stopped by a failure."""
        return self._inside.mirror.ended is None

    @property
    def tasks(self) -> list[Task]:
        """All tasks of the session, submitted or not."""
        records = list(self._inside.mirror.records.values())
        return [handle_of(cast("Session", self), record) for record in records if isinstance(record, TaskRecord)]

    @property
    def objects(self) -> list[DataObject]:
        """All data objects of the session, submitted or not."""
        records = list(self._inside.mirror.records.values())
        return [handle_of(cast("Session", self), r) for r in records if isinstance(r, ObjectRecord) and not r.hidden]

    @property
    def task_count(self) -> int:
        """Tasks that are not yet submitted."""
        return sum(
            record.count if isinstance(record, Family) else isinstance(record, TaskRecord)
            for record in list(self._inside.mirror.pending)
        )

    @property
    def dataobj_count(self) -> int:
        """Data objects that are not yet submitted."""
        count = 0
        for record in list(self._inside.mirror.pending):
            if isinstance(record, Family):
                count += record.count * (record.stride - 1)
            else:
                count += len(record.outputs) if isinstance(record, TaskRecord) else not record.hidden
        return count

    def find(self, name: str) -> Task | DataObject:
        """The task with that name, else the object with that label, else what has that id.

        Parameters
        ----------
        name : str
            The name of a task, the label of an object, or an id as ``"1/5"``.

        Returns
        -------
        Task or DataObject

        Raises
        ------
        RainException
            If there is none, or several; the text lists their ids.
        """
        named: list[Any] = [task for task in self.tasks if task.name == name]
        found = named or [obj for obj in self.objects if obj.label == name] or self._with_id(name)
        if len(found) == 1:
            only: Task | DataObject = found[0]
            return only
        if not found:
            raise RainException(f"{self!r} has no task or object called {name!r}")
        ids = ", ".join(str(item.id) for item in found[:20])
        raise RainException(f"{len(found)} items of {self!r} are called {name!r}: {ids}{' …' * (len(found) > 20)}")

    def _with_id(self, id: str) -> list[Any]:
        session, _, number = id.partition("/")
        known = session == str(self.session_id) and number.isdecimal()
        record = self._inside.mirror.records.get(int(number)) if known else None
        return [] if record is None else [handle_of(cast("Session", self), record)]

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write what ran when to a file that Perfetto (https://ui.perfetto.dev) and Chrome's ``about:tracing`` open.

        Parameters
        ----------
        path : str or PathLike
            Of the JSON file; only another trace is replaced.

        Raises
        ------
        RainException
            If something else is there, or the file cannot be written.

        Examples
        --------
        >>> with client.new_session("traced") as session:
        ...     session.run(tasks.Concat([blob("a"), blob("b")]))
        ...     session.trace("trace.json")
        b'ab'
        """
        file = OutputFile(path, "trace", "trace", MARK, "trace.json")
        mirror = self._inside.mirror
        file.write(trace_of(mirror.name, list(mirror.records.values())))

    def _object(self, number: int) -> DataObject:
        found: DataObject = handle_of(cast("Session", self), self._inside.mirror.records[number])
        return found

    def _task(self, record: TaskRecord) -> Task:
        found: Task = handle_of(cast("Session", self), record)
        return found

    # -- whether it can be used -----------------------------------------------------------------

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
        """Make sure that the session may be used.

        Raises
        ------
        SessionException, TaskException
            If it is closed, lost, or stopped by a failure.
        """
        if self._inside.mirror.ended is not None:
            raise ended(cast("Session", self))

    def _check_usable(self) -> None:
        self._check_open()
        if self._client is not None:
            self._inside.connection.check(self._inside.mirror)
