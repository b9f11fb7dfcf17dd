"""What a governor's core wants done: everything that `GovernorCore.step` returns.

The shell carries effects out in order. None of them blocks; what they lead to comes back as events.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.messages import (
    FamilyAssignment,
    GovernorToServer,
    Had,
    ModuleFound,
    ObjectData,
    SessionEnv,
    TaskAssignment,
)
from rain.common.spec import ObjectInfo, ObjectSpec


class Effect(msgspec.Struct, gc=False):
    """Base of all effects."""


class Known(msgspec.Struct, gc=False):
    """What the core knows of an object beside its bytes, which are in the store under ``spec.id``."""

    spec: ObjectSpec
    info: ObjectInfo


class Awaited(msgspec.Struct, gc=False):
    """An input that a task before this one in the executor's queue is to make."""

    id: ID


class ExecutorItem(msgspec.Struct, gc=False):
    """One task for an executor; the shell makes an `ExecutorTask` of it.

    Attributes
    ----------
    number : int
        Counts the tasks given to this executor, from 1; it stands in the shared word while the task runs.
    assignment : TaskAssignment
    inputs : list of Known or Awaited
        In the order of ``assignment.spec.inputs``; the store holds all that are known.
    function : Known or None
    function_cached : bool
        The executor was sent this function before and holds it: send no bytes.
    """

    number: int
    assignment: TaskAssignment
    inputs: list[Known | Awaited]
    function: Known | None = None
    function_cached: bool = False


class MemberItems(msgspec.Struct, gc=False):
    """Members of a family for an executor, from place `start` to `stop`; otherwise as `ExecutorItem`, with the number
    of the first of them."""

    number: int
    family: FamilyAssignment
    start: int
    stop: int
    inputs: list[Known]
    function: Known | None = None
    function_cached: bool = False


class ToServer(Effect):
    """Say this to the server."""

    message: GovernorToServer


class Leave(Effect):
    """End this governor, and tell the server why; once, and nothing follows it that matters."""

    reason: str


class Fetch(Effect):
    """Bring a copy into the store. Answered by `FetchDone` or `FetchFailed`."""

    data: ObjectData


class CancelFetch(Effect):
    """No task waits for it any more; the fetch is still answered, either way."""

    id: ID


class PutInStore(Effect):
    """Bytes that came with the message; the core takes them for present at once. A failure is reported as
    `ObjectLost`."""

    spec: ObjectSpec
    location: Inline


class DropFromStore(Effect):
    """Delete these objects; unknown ones are no error."""

    ids: list[ID]


class EndSessionStore(Effect):
    """Delete all objects and folders of a session."""

    session_id: int


class KeepNoted(Effect):
    """Delete all objects that were not noted, but these: the conversation is over, and with the others the governor
    registers."""

    but: list[ID]


class NoteObject(Effect):
    """Write into the store's index what an object is, before anything leaves that is said of it: another governor may
    be started in this one's place. What the store has not in a file needs none."""

    known: Known


class StartExecutor(Effect):
    """Start a process; `RunOnExecutor` may follow at once.

    Attributes
    ----------
    executor_id : int
        Never used twice in the life of this governor.
    kind : str
        ``"py"``, ``"program"``, or the name of a foreign executor in the governor's configuration.
    session_id : int
    resources : dict of str to float
        What its tasks have (thread counts are set by ``cpus``).
    devices : dict of str to list of int
        Device numbers of indexed resources, e.g. ``{"gpus": [1]}`` for ``CUDA_VISIBLE_DEVICES``.
    env : dict of str to str
        The tasks' own environment variables.
    session_env : SessionEnv or None
        Where the session's client lives.
    """

    executor_id: int
    kind: str
    session_id: int
    resources: dict[str, float]
    devices: dict[str, list[int]]
    env: dict[str, str]
    session_env: SessionEnv | None


class RunOnExecutor(Effect):
    """Queue these, in order."""

    executor_id: int
    items: list[ExecutorItem | MemberItems]


class RecallFromExecutor(Effect):
    """Ask for what has not started. Answered by one `ExecutorRecalled`, unless the executor exits first."""

    executor_id: int
    numbers: list[int]


class InterruptExecutor(Effect):
    """SIGINT, if the shared word still holds `number` (0: whatever it holds)."""

    executor_id: int
    number: int = 0


class KillExecutor(Effect):
    """SIGKILL the whole process group. Answered by `ExecutorExited`."""

    executor_id: int


class MakePreview(Effect):
    """Have an idle executor make the preview of an object that it made. Answered by one `PreviewMade`, unless the
    executor exits first."""

    executor_id: int
    known: Known


class KeepPreview(Effect):
    """Keep a preview beside its object, and drop it with that."""

    id: ID
    data: bytes


class OutputItem(msgspec.Struct, gc=False):
    """A task of which the output is asked for: the task numbered `number` of an executor, behind what is known."""

    executor_id: int
    number: int
    id: ID
    attempt: int
    had: Had


class GiveModule(Effect):
    """Answer an executor that asked for a module; one that is gone needs none."""

    executor_id: int
    found: ModuleFound


class ReadOutputs(Effect):
    """See what these have written so far. Answered by one `OutputsRead`, without those that do not run."""

    request: int
    items: list[OutputItem]


class RunBuiltin(Effect):
    """Run a builtin task in a thread. Answered by `BuiltinEnded` with the same number. At most
    `rain.governor.core.records.BUILTINS_MAX` are out at any time: the pool should hold as many threads."""

    number: int
    assignment: TaskAssignment
    inputs: list[Known]


class CancelBuiltin(Effect):
    """End it as soon as possible; it is still answered."""

    number: int


AnyEffect: TypeAlias = (
    ToServer | Leave | NoteObject | KeepNoted | Fetch | CancelFetch | PutInStore | DropFromStore | EndSessionStore
    | StartExecutor | RunOnExecutor | RecallFromExecutor | InterruptExecutor | KillExecutor | GiveModule | ReadOutputs
    | RunBuiltin | CancelBuiltin | MakePreview | KeepPreview
)  # fmt: skip
