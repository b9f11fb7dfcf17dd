"""What a client knows of a session: records of tasks and objects, and how news change them.

Theory of operation
-------------------
`SessionMirror` holds one record per task and object of a session, by number. Handles (`Task`, `DataObject`) only point
to records, so they can be dropped and made anew. News from the server are folded in by the connection's thread, under
the session's lock; user threads wait at *gates*. A gate stands at the records that it waits for; folding counts it down
and returns it when it opens, and the session then wakes whoever waits (outside of the lock).

An object is finished when its task is, so gates stand at tasks, and at constants, which have none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rain.common.location import Replica
from rain.common.protocol.messages import ObjectUpdate, TaskUpdate
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.states import DataObjectState, TaskState

if TYPE_CHECKING:
    from rain.client.core.change_feed import ChangeFeed
    from rain.client.functions.call_sites import Site
    from rain.client.functions.function import Source
    from rain.client.operations.constant_values import Value

_FINISHED, _FAILED, _CANCELLED = TaskState.FINISHED, TaskState.FAILED, TaskState.CANCELLED
_O_UNFINISHED, _O_FINISHED = DataObjectState.UNFINISHED, DataObjectState.FINISHED
_O_REMOVED, _O_FAILED = DataObjectState.REMOVED, DataObjectState.FAILED


class ObjectRecord:
    """One data object.

    Attributes
    ----------
    spec : ObjectSpec
    state : DataObjectState or None
        None before submit.
    info : ObjectInfo or None
    kept : bool
    hidden : bool
        Whether it is a function or an argument that Rain made, which nobody sees.
    passing : bool
        An argument of one call: the server drops it with its task.
    task : TaskRecord or None
        Who makes it; None for constants.
    value : Value or None
        A constant that was not sent yet.
    data, places, checksum
        How to have it, once it is kept and finished, as far as the server said.
    handle : weakref or None
    gates : list of Gate or None
    """

    __slots__ = (
        "checksum", "data", "gates", "handle", "hidden", "info", "kept", "passing", "places", "spec", "state", "task",
        "value",
    )  # fmt: skip

    def __init__(self, spec: ObjectSpec, task: TaskRecord | None = None, value: Value | None = None) -> None:
        self.spec = spec
        self.task = task
        self.value = value
        self.state: DataObjectState | None = None
        self.info: ObjectInfo | None = None
        self.kept = False
        self.hidden = False
        self.passing = False
        self.data: bytes | None = None
        self.places: list[Replica] | None = None
        self.checksum: int | None = None
        self.handle: Any = None
        self.gates: list[Gate] | None = None

    @property
    def settled(self) -> bool:
        """Whether it no longer changes by itself."""
        return self.task.settled if self.task is not None else self.state not in (None, _O_UNFINISHED)

    @property
    def failed(self) -> bool:
        """Whether it will not come."""
        return self.state is _O_FAILED


class TaskRecord:
    """One task.

    Attributes
    ----------
    spec : TaskSpec
    outputs : tuple of ObjectRecord
    made : Site
        Where in the user's code it was made.
    origin : any
        What `rain.client.functions.call_sites.origin` gave when it was made.
    echo : bool
        Whether it asked for its output to be shown (`rain.client.report.echo`).
    state : TaskState or None
        None before submit.
    info : TaskInfo or None
    error : TaskError or None
    forgotten : bool
        Whether it failed, and will not be retried: what was held for that was let go.
    pins : tuple
        What must not be released before the task is submitted: handles of its inputs.
    source : Source or None
        The function that it runs, if it was made here by a `Remote`.
    handle : weakref or None
    gates : list of Gate or None
    """

    __slots__ = (
        "echo",
        "error",
        "forgotten",
        "gates",
        "handle",
        "info",
        "made",
        "origin",
        "outputs",
        "pins",
        "source",
        "spec",
        "state",
    )

    def __init__(self, spec: TaskSpec, made: Site, pins: Any) -> None:
        self.spec = spec
        self.made = made
        self.pins = pins
        self.outputs: tuple[ObjectRecord, ...] = ()
        self.state: TaskState | None = None
        self.info: TaskInfo | None = None
        self.error: TaskError | None = None
        self.source: Source | None = None
        self.forgotten = False
        self.handle: Any = None
        self.origin: Any = None
        self.echo = False
        self.gates: list[Gate] | None = None

    @property
    def settled(self) -> bool:
        """Whether it no longer changes by itself."""
        state = self.state
        return state is _FINISHED or state is _FAILED or state is _CANCELLED

    @property
    def failed(self) -> bool:
        """Whether it failed or was cancelled."""
        return self.state is _FAILED or self.state is _CANCELLED


Record = TaskRecord | ObjectRecord


def target(record: Record) -> Record:
    """Where a gate for `record` stands."""
    return record.task if isinstance(record, ObjectRecord) and record.task is not None else record


class Gate:
    """Opens when all of some records are settled, or one of them failed."""

    __slots__ = ("future", "missing", "records")

    def __init__(self, records: list[Record]) -> None:
        self.future: Future[None] = Future()
        self.records = records
        self.missing = len(records)

    def passed(self, record: Record) -> bool:
        """A record settled: does the gate open now?"""
        self.missing -= 1
        return self.missing <= 0 or record.failed


class AnyGate(Gate):
    """Opens when one of some records is settled."""

    __slots__ = ()

    def passed(self, record: Record) -> bool:
        return True


class QueueGate(Gate):
    """Never opens by itself; lines up records as they settle, and opens when one is asked for."""

    __slots__ = ("done",)

    def __init__(self, records: list[Record]) -> None:
        super().__init__(records)
        self.done: deque[Record] = deque()

    def passed(self, record: Record) -> bool:
        self.done.append(record)
        return True


class SessionMirror:
    """The records of one session, and the gates at them."""

    __slots__ = (
        "broken", "failed", "finished", "gates", "idle_gates", "pending", "records", "submitted", "unfinished",
        "unheard", "watches",
    )  # fmt: skip

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.watches: tuple[ChangeFeed, ...] = ()
        self.pending: deque[Record] = deque()
        """Not yet submitted: tasks and constants in the order in which they were made."""
        self.submitted = 0
        self.unfinished = 0
        """Submitted tasks that are not settled."""
        self.finished = 0
        self.failed: dict[int, TaskRecord] = {}
        """Failed and cancelled tasks that were not forgotten, in the order in which that became known."""
        self.unheard: dict[int, TaskRecord] = {}
        """Those of them that no call has told the user of."""
        self.broken = 0
        """Failed and cancelled tasks, forgotten ones too."""
        self.gates: set[Gate] = set()
        self.idle_gates: list[tuple[Gate, bool]] = []

    def counts(self) -> str:
        """How many tasks came to which end: ``"13/24 tasks finished, 9 failed, 2 cancelled"``."""
        if not self.submitted:
            return "nothing submitted"
        failed = len(self.failed)
        cancelled = sum(record.state is _CANCELLED for record in self.failed.values())
        ends = {"failed": failed - cancelled, "cancelled": cancelled, "failed and forgotten": self.broken - failed}
        parts = [f"{self.finished - self.broken}/{self.submitted} tasks finished"]
        return ", ".join(parts + [f"{number} {end}" for end, number in ends.items() if number])

    # -- who watches ----------------------------------------------------------------------------

    def note(self, records: Sequence[Record]) -> None:
        """Tell whoever watches that these have changed; of a task its outputs with it."""
        for watch in self.watches:
            watch.note(records)

    # -- submit ---------------------------------------------------------------------------------

    def submitting(self, records: Sequence[Record]) -> None:
        """These are on their way to the server."""
        for record in records:
            if isinstance(record, TaskRecord):
                record.state = TaskState.WAITING
                for output in record.outputs:
                    output.state = _O_UNFINISHED
                self.unfinished += 1
                self.submitted += 1
            else:
                record.state = _O_UNFINISHED
        self.note(records)

    def refused(self, records: Sequence[Record]) -> None:
        """The server did not take these; as if they had never been submitted."""
        for record in records:
            if isinstance(record, TaskRecord):
                if not record.settled:
                    self.unfinished -= 1
                self.submitted -= 1
                record.state = None
                for output in record.outputs:
                    output.state = None
            else:
                record.state = None
        self.note(records)

    def accepted(self, constants: Sequence[ObjectRecord]) -> list[Gate]:
        """The server has these constants."""
        opened: list[Gate] = []
        for record in constants:
            if record.state is _O_UNFINISHED:
                record.state = _O_FINISHED
            if record.info is None and record.value is not None:
                record.info = ObjectInfo(size=record.value.content_size)
            record.value = None
            if record.gates:
                self._pass(record, opened)
        self.note(constants)
        return opened

    # -- news -----------------------------------------------------------------------------------

    def fold(self, tasks: list[TaskUpdate], objects: list[ObjectUpdate]) -> list[Gate]:
        """Take in news; the gates that open by them."""
        records = self.records
        opened: list[Gate] = []
        for news in objects:
            record: Any = records.get(news.id[1])
            if record is None:
                continue
            state = record.state = news.state
            if news.info is not None:
                record.info = news.info
            if state is _O_FINISHED:
                if news.data is not None or news.places:
                    record.data, record.places, record.checksum = news.data, news.places, news.checksum
            else:
                record.data = record.places = None
            if record.task is None and record.gates and state is not _O_UNFINISHED:
                self._pass(record, opened)
        for update in tasks:
            task: Any = records.get(update.id[1])
            if task is not None:
                self._fold_task(task, update, opened)
        if self.idle_gates and tasks:
            self._open_idle(opened)
        if self.watches:
            for updates in (objects, tasks):
                self.note([records[number] for update in updates if (number := update.id[1]) in records])
        return opened

    def _fold_task(self, task: TaskRecord, update: TaskUpdate, opened: list[Gate]) -> None:
        before, state = task.state, update.state
        task.state = state
        if update.info is not None:
            task.info = update.info
        if state is _FINISHED:
            task.error = None
            for output in task.outputs:
                if output.state is _O_UNFINISHED:
                    output.state = _O_FINISHED
        elif state is _FAILED or state is _CANCELLED:
            task.error = update.error
            task.forgotten = update.forgotten
            was_failed = before is _FAILED or before is _CANCELLED
            self.broken += not was_failed
            if update.forgotten:
                self.failed.pop(update.id[1], None)
                self.unheard.pop(update.id[1], None)
            else:
                self.failed[update.id[1]] = task
                if not was_failed:
                    self.unheard[update.id[1]] = task
            for output in task.outputs:
                output.state = _O_FAILED
        else:
            if before is _FINISHED or before is _FAILED or before is _CANCELLED:
                self._reopened(task, before)
            return
        if before is _FINISHED or before is _FAILED or before is _CANCELLED:
            return
        self.unfinished -= 1
        self.finished += 1
        if task.gates:
            self._pass(task, opened)

    def _reopened(self, task: TaskRecord, before: TaskState) -> None:
        """A settled task is to run again: it is retried, or what it made was lost."""
        self.unfinished += 1
        self.finished -= 1
        if before is not _FINISHED:
            self.broken -= 1
            self.failed.pop(task.spec.id[1], None)
            self.unheard.pop(task.spec.id[1], None)
            task.error = None
            for output in task.outputs:
                output.state = _O_UNFINISHED

    # -- gates ----------------------------------------------------------------------------------

    def arm(self, gate: Gate) -> None:
        """Put `gate` at its records, none of which is settled."""
        self.gates.add(gate)
        for record in gate.records:
            if record.gates is None:
                record.gates = [gate]
            else:
                record.gates.append(gate)

    def arm_idle(self, gate: Gate, until_failure: bool) -> None:
        """Let `gate` open when nothing is unfinished, or (`until_failure`) a task has failed of which nobody heard."""
        self.gates.add(gate)
        self.idle_gates.append((gate, until_failure))

    def disarm(self, gate: Gate) -> None:
        """Take `gate` away, opened or not."""
        self.gates.discard(gate)
        for record in gate.records:
            gates = record.gates
            if gates and gate in gates:
                gates.remove(gate)
                if not gates:
                    record.gates = None
        self.idle_gates = [item for item in self.idle_gates if item[0] is not gate]

    def _pass(self, record: Record, opened: list[Gate]) -> None:
        gates, record.gates = record.gates, None
        opened.extend(gate for gate in gates or () if gate.passed(record))

    def _open_idle(self, opened: list[Gate]) -> None:
        still = []
        for gate, until_failure in self.idle_gates:
            if self.unfinished == 0 or (until_failure and self.unheard):
                opened.append(gate)
            else:
                still.append((gate, until_failure))
        self.idle_gates = still
