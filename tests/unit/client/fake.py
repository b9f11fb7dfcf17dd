"""A link without a server: records what a client sends, and answers as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from rain import Client, DataObject, Session, Task
from rain.client.core import events as ev
from rain.common.errors import RainException
from rain.common.location import Inline
from rain.common.protocol.messages import (
    CloseSession,
    Done,
    ExpectGovernors,
    Failed,
    GetServerInfo,
    GovernorSummary,
    Keep,
    NewSession,
    ObjectUpdate,
    ServerInfo,
    SessionOpened,
    SessionStopped,
    SessionUpdate,
    Submit,
    TaskUpdate,
    Unkeep,
    Update,
    Updated,
    Welcome,
)
from rain.common.spec import ObjectInfo, TaskError, TaskInfo
from rain.common.states import DataObjectState, TaskState


class FakeLink:
    """Answers at once what needs no server to know; everything else is up to the test.

    Attributes
    ----------
    sent : list
        All messages, in order.
    held : set of type
        Kinds of messages that are not answered.
    refusals : dict of type to str
        Kinds of messages that are answered by `Failed`, once.
    reactions : dict of type to callable
        What happens, once, as soon as a message of a kind is sent; called with its request.
    """

    def __init__(self, incoming: str = "") -> None:
        self.address = "127.0.0.1:7210"
        self.welcome = Welcome("c", False, 0, "this-host", incoming=incoming, data="127.0.0.1:7210")
        self.sent: list[Any] = []
        self.held: set[type] = set()
        self.refusals: dict[type, str] = {}
        self.reactions: dict[type, Callable[[int], object]] = {}
        self.governors = 1
        self.sessions = 0
        self.closed = False
        self.client = Client._unconnected("127.0.0.1:0")
        self.client._connect(lambda connection: self)

    # -- what a client needs --------------------------------------------------------------------

    def send(self, messages: Iterable[Any]) -> None:
        for message in messages:
            self.sent.append(message)
            if type(message) in self.refusals and not getattr(message, "more", False):
                self.say(Failed(message.request, "rain", self.refusals.pop(type(message))))
            elif (reaction := self.reactions.pop(type(message), None)) is not None:
                reaction(message.request)
            elif type(message) not in self.held:
                self._answer(message)

    def call(self, work: Any) -> Future[Any]:
        work.close()
        raise RainException("there is no network here")

    def in_thread(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work())
        return future

    def close(self) -> None:
        self.closed = True

    def _answer(self, message: Any) -> None:
        if isinstance(message, NewSession):
            self.sessions += 1
            self.say(SessionOpened(message.request, self.sessions))
        elif isinstance(message, Keep | Unkeep | CloseSession | ExpectGovernors) or (
            isinstance(message, Submit) and not message.more
        ):
            self.say(Done(message.request))
        elif isinstance(message, Update):
            self.say(Updated(message.request, [], []))
        elif isinstance(message, GetServerInfo):
            here = [GovernorSummary(f"g{n}:1", [], [], [], {"cpus": 1}) for n in range(self.governors)]
            self.say(ServerInfo(message.request, "0", self.address, "", here, []))

    # -- what a test says in the server's place -------------------------------------------------

    def say(self, *messages: Any) -> None:
        """Let these arrive."""
        self.happens(ev.Said(list(messages)))

    def happens(self, event: ev.Event) -> None:
        """Let the client's core hear of this."""
        self.client._connection.step(event)

    def of(self, kind: type) -> list[Any]:
        """The messages of a kind that were sent."""
        return [message for message in self.sent if type(message) is kind]

    def answer(self, kind: type, make: Callable[[int], Any]) -> None:
        """Answer the last message of a kind."""
        self.say(make(self.of(kind)[-1].request))

    def finish(self, task: Task, *values: bytes, **info: Any) -> None:
        """The task finished; its kept outputs hold `values`."""
        objects = []
        for output, value in zip(task._record.outputs, values, strict=False):
            objects.append(
                ObjectUpdate(output.spec.id, DataObjectState.FINISHED, ObjectInfo(size=len(value)), Inline(value))
            )
        update = TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(attempts=1, **info))
        self.say(SessionUpdate(task.id.session_id, [update], objects))

    def move(self, task: Task, state: TaskState) -> None:
        """The task is in another state."""
        self.say(SessionUpdate(task.id.session_id, [TaskUpdate(task.id, state)], []))

    def fail(
        self, task: Task, error: TaskError | None = None, state: TaskState = TaskState.FAILED, **info: Any
    ) -> None:
        """The task failed."""
        error = error or TaskError("exception", "Traceback …\nValueError: wrong")
        update = TaskUpdate(task.id, state, TaskInfo(attempts=1, error=error.message, **info), error)
        self.say(SessionUpdate(task.id.session_id, [update], []))

    def forget(self, task: Task) -> None:
        """The task, which failed, was forgotten."""
        record = task._record
        self.say(SessionUpdate(task.id.session_id, [TaskUpdate(task.id, record.state, None, record.error, True)], []))

    def stop(self, session: Session, task: Task) -> None:
        """The session was stopped by a failed task."""
        self.say(
            SessionStopped(session.session_id, "a task failed", task.id, TaskError("exception", "ValueError: wrong"))
        )


def constant(obj: DataObject) -> bytes:
    """The bytes of a constant."""
    data = obj._data
    assert data is not None
    return data
