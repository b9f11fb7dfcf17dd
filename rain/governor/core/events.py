"""What can happen to a governor: everything that `GovernorCore.step` takes.

The shell turns IO into these and nothing else reaches the core. Rules that the shell keeps:

* effects are carried out in the order in which they were returned;
* after the events of one loop turn it steps `TurnEnded` once: that is when work is dispatched and batches leave;
* `Tick` comes every 20 to 100 ms while anything is there; it drives timeouts, grace periods and idle executors;
* each `Fetch` is answered by exactly one `FetchDone` or `FetchFailed`, also after `CancelFetch`;
* each `StartExecutor` is answered by exactly one `ExecutorExited`, when the whole process group is gone; all results
  that the executor sent come before it. An executor that could not be started is reported in the same way;
* each `ReadOutputs` is answered by exactly one `OutputsRead`;
* each `MakePreview` is answered by exactly one `PreviewMade`, or the executor exits before;
* each `RunBuiltin` is answered by exactly one `BuiltinEnded`, also after `CancelBuiltin`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol.messages import (
    FamilyResults,
    Finished,
    MemberResult,
    NodeReady,
    OwnPreview,
    ServerToGovernor,
    TaskOutput,
    TaskProgress,
    TaskResult,
)
from rain.common.spec import ProcessEnd, Transfer
from rain.governor.core.effects import Known


class Event(msgspec.Struct, gc=False):
    """Base of all events."""


class Heirloom(msgspec.Struct, gc=False):
    """An object that a governor has from one that died.

    Attributes
    ----------
    known : Known
    size : int
        Bytes; of a directory the sum of its files.
    checksum : int or None
    """

    known: Known
    size: int
    checksum: int | None


class ServerSaid(Event):
    """The next message of the conversation with the server."""

    message: ServerToGovernor


class Inherited(Event):
    """The store has these, from governors that died or from before an earlier conversation ended; stepped when this
    one has registered."""

    objects: list[Heirloom]


class ServerGone(Event):
    """The conversation is over. What runs goes on, all else is forgotten. The shell then registers anew, with what the
    store has noted.

    `elsewhere`: what may run more than once may run elsewhere by now, and is ended, too. `unheard` are results that the
    server may not have had.
    """

    elsewhere: bool = True
    unheard: Finished = msgspec.field(default_factory=lambda: Finished([]))


class ServerBehind(Event):
    """So much waits for the server to take it that nothing further is to be started (or that is over): a server that is
    away is waited for with what is here, in bounded memory."""

    behind: bool


class FetchDone(Event):
    """The store holds the object now. `transfer` is missing if its bytes came along."""

    id: ID
    transfer: Transfer | None = None


class FetchFailed(Event):
    """No place had it (or the fetch was cancelled). `reason` names all places tried."""

    id: ID
    reason: str


class ExecutorResults(Event):
    """Attempts that ended in an executor, in the order in which they ran.

    The store has already taken their outputs: `file` and `data` in them are final. `stale` asks for the executor to be
    replaced (a module changed on disk). `families` are further results, of which the store has taken nothing; so are
    `members`, which an executor that has died had not told.
    """

    executor_id: int
    results: list[TaskResult]
    stale: bool = False
    families: list[FamilyResults] = []
    members: list[MemberResult] = []


class ExecutorRecalled(Event):
    """Answer to one `RecallFromExecutor`: these numbers will not run there. Those left out are running or done.

    `unasked`: it is no answer. The executor has outdated code, or what came before a task made nothing to go on with.
    """

    executor_id: int
    numbers: list[int]
    unasked: bool = False


class ExecutorSeen(Event):
    """A sample of the executor's shared word: it is on task `number` (0: on none), `again` if as in the one before."""

    executor_id: int
    number: int
    again: bool = False


class ExecutorExited(Event):
    """The executor's process group is gone.

    Attributes
    ----------
    reason : str
        What follows "the executor" in a sentence, signals by name: ``"was killed by signal SIGSEGV"``,
        ``"exited with status 3"``, ``"could not be started: …"``; in further lines what is known about that.
    number : int
        The task in the shared word at death, 0 none.
    stdout, stderr : bytes
        Tails of what it wrote.
    written : tuple of int
        How many bytes it were in all.
    signal : int
        The signal that ended it, if Rain did not send that; else 0.
    end : ProcessEnd or None
        How its process ended; None if it never had one, or that is not known.
    """

    executor_id: int
    reason: str
    number: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    written: tuple[int, int] = (0, 0)
    signal: int = 0
    end: ProcessEnd | None = None


class ModuleWanted(Event):
    """An executor of a session whose client is on another host is to import a module that it does not have. Answered by
    `GiveModule`, unless the executor exits first."""

    executor_id: int
    name: str


class TasksProgressed(Event):
    """What tasks that run in an executor say of themselves."""

    executor_id: int
    tasks: list[TaskProgress]


class CompanionReady(Event):
    """The companion that runs in an executor says how it is reached."""

    executor_id: int
    ready: NodeReady


class PreviewMade(Event):
    """The answer to one `MakePreview`."""

    executor_id: int
    made: OwnPreview


class OutputsRead(Event):
    """The answer to one `ReadOutputs`: what tasks that still ran had written."""

    request: int
    outputs: list[TaskOutput]


class BuiltinEnded(Event):
    """The builtin task started by ``RunBuiltin(number, …)`` ended; the store has taken its outputs."""

    number: int
    result: TaskResult


class ObjectMoved(Event):
    """The store moved an object (spilled it): this is its file now."""

    id: ID
    file: LocalFile


class ObjectLost(Event):
    """The store lost an object (corrupt, file gone, or `PutInStore` failed)."""

    id: ID
    reason: str


class OverMemory(Event):
    """An executor uses more than the ``mem`` that its tasks declare; `written_bytes` of that are pages of its inputs
    that it has written."""

    executor_id: int
    used_bytes: int
    written_bytes: int = 0


class LeaveAsked(Event):
    """The governor shall leave within so many seconds: a signal came, or its time will be over."""

    reason: str
    within_s: float


class Tick(Event):
    """Time went by."""


class TurnEnded(Event):
    """All events of this loop turn were stepped: dispatch, and send the batches."""


AnyEvent: TypeAlias = (
    ServerSaid | Inherited | ServerGone | ServerBehind | FetchDone | FetchFailed | ExecutorResults | ExecutorRecalled
    | ExecutorSeen | ExecutorExited | TasksProgressed | PreviewMade
    | ModuleWanted | CompanionReady | OutputsRead | BuiltinEnded | ObjectMoved | ObjectLost | OverMemory | LeaveAsked
    | Tick | TurnEnded
)  # fmt: skip
