"""What a client knows of one session: its records, the gates at them, how it ended, and how updates change all that.

A `SessionMirror` holds one record per task and object of a session, by number. Updates from the server are folded in
under the lock of the connection, in whole batches; records of new tasks and objects are added by the threads of users,
without that lock.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rain.client.core.errors import SessionEnded
from rain.client.core.families.family import Family
from rain.client.core.families.record_table import RecordTable
from rain.client.core.gates import Gate
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.common.protocol.families import are_removed, updates
from rain.common.protocol.messages import FamilyUpdate, ObjectUpdate, TaskProgress, TaskUpdate
from rain.common.spec import ObjectInfo
from rain.common.state_styles import ends_text
from rain.common.states import DataObjectState, TaskState

if TYPE_CHECKING:
    from rain.client.core.change_feed import ChangeFeed

_RUNNING, _FINISHED, _FAILED, _CANCELLED = TaskState.RUNNING, TaskState.FINISHED, TaskState.FAILED, TaskState.CANCELLED
_O_UNFINISHED, _O_FINISHED, _O_FAILED = DataObjectState.UNFINISHED, DataObjectState.FINISHED, DataObjectState.FAILED
_CHAIN_MAX = 1000


@dataclass(frozen=True, slots=True)
class End:
    """Why a session cannot be used any more: `task` failed and stopped it, or `text` says why.

    `word` is ``"closed"``, ``"lost"`` or ``"stopped"``.
    """

    word: str
    text: str
    task: TaskRecord | None = None


class Stall:
    """What stands in the way of a session: what the server says of it, or that the server is away."""

    __slots__ = ("away", "said", "server")

    def __init__(self) -> None:
        self.server = ""
        self.away = ""
        self.said = ""
        """The text that a waiting thread has already been warned of."""

    @property
    def text(self) -> str:
        """Why nothing can go on; empty if something can."""
        return self.away or self.server


class Wave:
    """The tasks that the next waits of a session are about.

    Attributes
    ----------
    before : int
        How many settled tasks are not among them.
    failed : dict of int to TaskRecord
        The tasks among them that failed or were cancelled, and were not forgotten.
    """

    __slots__ = ("before", "failed")

    def __init__(self, before: int) -> None:
        self.before = before
        self.failed: dict[int, TaskRecord] = {}


class SessionMirror:
    """The records of one session, and the gates at them.

    Parameters
    ----------
    session_id : int
    name : str
    on_failure : {"continue", "stop"}
    persistent : bool

    Attributes
    ----------
    records : RecordTable
    pending : deque of Record or Family
        Not yet submitted: tasks, families of tasks and constants in the order in which they were made.
    submitted, unfinished, finished : int
        How many tasks were submitted; how many of them are not settled, and how many are.
    reused : int
        How many of the finished ones are results of earlier runs.
    failed : dict of int to TaskRecord
        Failed and cancelled tasks that were not forgotten, in the order in which the client heard of it.
    untold : dict of int to TaskRecord
        The tasks of `failed` that no call has told the user of.
    broken : int
        How many tasks have failed or were cancelled, forgotten ones too.
    wave : Wave
        The tasks that came since a wait last ended with nothing left unfinished.
    gates : set of Gate
    idle_gates : list of (Gate, bool)
        Gates that open when nothing is unfinished; those with True also when a task fails that no call has told of.
    feeds : dict of ChangeFeed to None
    ended : End or None
    refusals : dict of int to str
        Why items that were to be submitted never will be.
    adopted : bool
        Whether a task has outputs that were made before it, so that records must be sorted before a submit.
    dropped : deque of ObjectRecord or (Family, int or None)
        Kept objects, or members of families (None: all of it), whose handle is gone; appended by any thread.
    functions : dict of bytes to ObjectRecord
        The hidden constants that hold functions, by digest.
    speaking : dict of int to TaskRecord
        Running tasks that say how far they are; the one that spoke last comes last.
    seed : int or None
        For the random numbers of tasks that are made from now on.
    stale : int
        How many tasks are stale (`rain.client.core.operations.reruns`).
    stall : Stall
    attached : bool
        Whether it was an earlier client's: what that kept has no handles, and stays.
    next_number : callable
        Numbers for new tasks and objects.
    handle : any
        The user's `Session`; None if there is none, or it is gone.
    """

    __slots__ = (
        "_numbers", "adopted", "attached", "broken", "dropped", "ended", "failed", "feeds", "finished", "functions",
        "gates",
        "handle", "idle_gates", "name", "next_number", "on_failure", "pending", "persistent", "records", "refusals",
        "reused", "seed", "session_id", "speaking", "stale", "stall", "submitted", "unfinished", "untold", "wave",
    )  # fmt: skip

    def __init__(
        self, session_id: int = 0, name: str = "", on_failure: str = "continue", persistent: bool = False
    ) -> None:
        self.session_id = session_id
        self.name = name
        self.on_failure = on_failure
        self.persistent = persistent
        self.records = RecordTable()
        self.pending: deque[Record | Family] = deque()
        self.submitted = self.unfinished = self.finished = self.broken = self.reused = 0
        self.failed: dict[int, TaskRecord] = {}
        self.untold: dict[int, TaskRecord] = {}
        self.wave = Wave(0)
        self.gates: set[Gate] = set()
        self.idle_gates: list[tuple[Gate, bool]] = []
        self.feeds: dict[ChangeFeed, None] = {}
        self.ended: End | None = None
        self.refusals: dict[int, str] = {}
        self.adopted = False
        self.attached = False
        self.dropped: deque[ObjectRecord | tuple[Family, int | None]] = deque()
        self.functions: dict[bytes, ObjectRecord] = {}
        self.speaking: dict[int, TaskRecord] = {}
        self.seed: int | None = None
        self.stale = 0
        self.stall = Stall()
        self.count_from(1)
        self.handle: Any = None

    def __repr__(self) -> str:
        state = "open" if self.ended is None else self.ended.word
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"<Session {self.session_id} {self.name!r} {state}{seed}, {self.counts()}>"

    def check_open(self) -> None:
        """Check that the session may be used.

        Raises
        ------
        SessionEnded
            If it is closed, lost, or stopped by a failure.
        """
        if self.ended is not None:
            raise SessionEnded(self, self.ended)

    # -- what is declared (in the threads of users) ---------------------------------------------

    def add(self, record: ObjectRecord) -> None:
        """Take in a new constant."""
        self.records[record.spec.id.id] = record
        self.pending.append(record)
        if self.feeds:
            self.note([record])

    def add_task(self, record: TaskRecord) -> None:
        """Take in a new task and its outputs."""
        records = self.records
        records[record.spec.id.id] = record
        for output in record.outputs:
            records[output.spec.id.id] = output
        self.pending.append(record)
        if self.feeds:
            self.note([record])

    def add_family(self, family: Family) -> None:
        """Take in a new family."""
        self.records.add(family)
        self.pending.append(family)
        if any(feed.members for feed in self.feeds):
            self.note(self.records.take_all(family))
        else:
            self.poke()

    def take_numbers(self, count: int) -> int:
        """The first of so many numbers that follow each other."""
        # One call into C: no other thread gets a number in between.
        last: int = deque(itertools.islice(self._numbers, count), maxlen=1)[0]
        return last - count + 1

    def count_from(self, first: int) -> None:
        """New tasks and objects have numbers from `first` on."""
        self._numbers = itertools.count(first)
        self.next_number: Callable[[], int] = self._numbers.__next__

    def root_of(self, record: TaskRecord) -> TaskRecord:
        """The task that failed first, because of which `record` failed; often `record` itself."""
        for _ in range(_CHAIN_MAX):
            error = record.error
            if error is None or error.cause is None:
                break
            cause: Any = self.records.get(error.cause.id)
            if cause is None or cause is record or cause.error is None:
                break
            record = cause
        return record

    def counts(self) -> str:
        """How many tasks ended in which way: ``"13/24 tasks finished, 2 failed, 7 not run, 2 cancelled"``."""
        if not self.submitted:
            return "nothing submitted"
        forgotten = self.broken - len(self.failed)
        parts = [
            f"{self.finished - self.broken}/{self.submitted} tasks finished",
            ends_text(record.shown for record in self.failed.values()),
            f"{forgotten} failed and forgotten" if forgotten else "",
            f"{self.stale} stale" if self.stale else "",
            f"{self.reused} reused" if self.reused else "",
        ]
        return ", ".join(filter(None, parts))

    # -- change feeds ---------------------------------------------------------------------------

    def note(self, records: Sequence[Record]) -> None:
        """Tell the change feeds that these records have changed; a task stands for its outputs too."""
        for feed in tuple(self.feeds):
            feed.note(records)

    def poke(self) -> None:
        """Tell the change feeds of a change that no record has."""
        for feed in tuple(self.feeds):
            feed.poke()

    # -- submit ---------------------------------------------------------------------------------

    def submitting(self, records: Sequence[Record | Family]) -> None:
        """Take note that these records are being sent to the server."""
        noted: list[Record] = []
        for record in records:
            if isinstance(record, Family):
                record.submitting()
                self.unfinished += record.count
                self.submitted += record.count
                continue
            noted.append(record)
            if isinstance(record, TaskRecord):
                record.state = TaskState.WAITING
                for output in record.outputs:
                    output.state = _O_UNFINISHED
                self.unfinished += 1
                self.submitted += 1
            else:
                record.state = _O_UNFINISHED
        self.note(noted)

    def refused(self, records: Sequence[Record]) -> None:
        """Take note that the server refused these records: they are as before the submit."""
        for record in records:
            if isinstance(record, TaskRecord):
                if not record.settled:
                    self.unfinished -= 1
                self.submitted -= 1
                record.state = None
                for output in record.outputs:
                    output.state = None
            elif record.task is not None and record.task.reuse is not None:  # it is what a reused task made
                record.state = _O_FINISHED
                record.task.reuse.sent.discard(record.spec.id.id)
            else:
                record.state = None
        self.note(records)

    def accepted(self, constants: Sequence[ObjectRecord]) -> list[Gate]:
        """Take note that the server has these constants; the gates that open by that."""
        opened: list[Gate] = []
        for record in constants:
            if record.state is _O_UNFINISHED:
                record.state = _O_FINISHED
            if record.info is None and record.value is not None:
                record.info = ObjectInfo(size=record.value.content_size, encoded=record.value.encoded)
            record.value = None
            if record.gates:
                self._pass(record, opened)
        self.note(constants)
        return opened

    def reuse(self, record: TaskRecord) -> None:
        """A task that was not submitted is finished: its outputs have the values of an earlier run."""
        record.state = _FINISHED
        record.pins = None
        self.submitted += 1
        self.finished += 1
        self.reused += 1
        for output in record.outputs:
            output.state = _O_FINISHED

    # -- updates ---------------------------------------------------------------------------------

    def fold_family(self, update: FamilyUpdate) -> list[Gate]:
        """Take in news of members of a family; the gates that open by them."""
        records = self.records
        family = records.family_of(update.first[1])
        start = 0 if family is None else (update.first[1] - family.first) // family.stride
        if (
            family is None
            or update.stride != family.stride
            or start + update.count > family.count
            or not family.submitted
            or update.state in (_FAILED, _CANCELLED)
            or (update.state is not _FINISHED and family.has_finished(start, update.count))
        ):
            return self.fold(*updates(update))
        opened: list[Gate] = []
        with records.lock:
            taken = [place for place in family.taken if start <= place < start + update.count]
            settled = 0
            if are_removed(update):
                family.remove(start, update.count)
            else:
                settled = family.fold(start, update)
        self._settled_members(family, settled, opened)
        if self.idle_gates and settled:
            self._open_idle(opened)
        self.poke()
        if taken:
            tasks, objects = updates(update)
            width = family.stride - 1
            opened += self.fold(
                [tasks[place - start] for place in taken] if tasks else [],
                [obj for place in taken for obj in objects[(place - start) * width :][:width]] if objects else [],
            )
        return opened

    def fold(self, tasks: list[TaskUpdate], objects: list[ObjectUpdate]) -> list[Gate]:
        """Take in updates; the gates that open by them."""
        records = self.records
        opened: list[Gate] = []
        for changed in objects:
            member = None if self.feeds else records.untaken(changed.id[1])
            if member is not None and member[0].fold_object(member[1], changed):
                continue
            record: Any = records.get(changed.id[1])
            if record is None:
                continue
            state = record.state = changed.state
            if changed.info is not None:
                record.info = changed.info
            if state is _O_FINISHED:
                if changed.location is not None:
                    record.location = changed.location
            else:
                record.location = None
            if record.task is None and record.gates and state is not _O_UNFINISHED:
                self._pass(record, opened)
        for update in tasks:
            member = None if self.feeds else records.untaken(update.id[1])
            if member is not None and self._fold_member(*member, update, opened):
                continue
            task: Any = records.get(update.id[1])
            if task is not None:
                self._fold_task(task, update, opened)
        if self.idle_gates and tasks:
            self._open_idle(opened)
        if self.feeds:
            for updates in (objects, tasks):
                self.note([records[number] for update in updates if (number := update.id[1]) in records])
        return opened

    def progressed(self, tasks: Iterable[TaskProgress]) -> None:
        """What running tasks say of themselves."""
        changed = []
        for told in tasks:
            record = self.records.get(told.id[1])
            if isinstance(record, TaskRecord) and record.state is _RUNNING:
                record.progress = told
                self.speaking.pop(told.id[1], None)
                self.speaking[told.id[1]] = record
                changed.append(record)
        if changed and self.feeds:
            self.note(changed)

    def _fold_member(self, family: Family, place: int, update: TaskUpdate, opened: list[Gate]) -> bool:
        settled = family.fold_task(place, update)
        if settled:
            self._settled_members(family, 1, opened)
        return settled is not None

    def _settled_members(self, family: Family, count: int, opened: list[Gate]) -> None:
        """So many members without records are finished."""
        self.unfinished -= count
        self.finished += count
        for gate in list(family.gates or ()):
            if gate.passed_members(count):
                opened.append(gate)

    def _fold_task(self, task: TaskRecord, update: TaskUpdate, opened: list[Gate]) -> None:
        before, state = task.state, update.state
        task.state = state
        if state is not _RUNNING and task.progress is not None:
            task.progress = None
            self.speaking.pop(update.id[1], None)
        if update.info is not None:
            task.info = update.info
        if state is _FINISHED:
            task.error = None
            if before is _FAILED or before is _CANCELLED:  # retried: all that is wanted of it is there already
                self.broken -= 1
                self._no_failure(update.id[1])
            for output in task.outputs:
                if output.state is _O_UNFINISHED or output.state is _O_FAILED:
                    output.state = _O_FINISHED
        elif state is _FAILED or state is _CANCELLED:
            task.error = update.error
            task.forgotten = update.forgotten
            was_failed = before is _FAILED or before is _CANCELLED
            self.broken += not was_failed
            if update.forgotten:
                self._no_failure(update.id[1])
            else:
                self.failed[update.id[1]] = task
                if not was_failed:
                    self.untold[update.id[1]] = self.wave.failed[update.id[1]] = task
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
        """A settled task is to run again: it is retried, or its results were lost."""
        self.unfinished += 1
        self.finished -= 1
        self.wave.before = min(self.wave.before, self.finished)
        if before is not _FINISHED:
            self.broken -= 1
            self._no_failure(task.spec.id[1])
            task.error = None
            for output in task.outputs:
                output.state = _O_UNFINISHED

    def _no_failure(self, number: int) -> None:
        """A failed task is to run again, or is forgotten."""
        for failures in (self.failed, self.untold, self.wave.failed):
            failures.pop(number, None)

    def waited(self) -> None:
        """A wait has ended: if nothing is unfinished, later waits are about tasks that come from now on."""
        if self.unfinished == 0:
            self.wave = Wave(self.finished)

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
        """Let `gate` open when nothing is unfinished, or (`until_failure`) a task failed that no call has told of."""
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
            if self.unfinished == 0 or (until_failure and self.untold):
                opened.append(gate)
            else:
                still.append((gate, until_failure))
        self.idle_gates = still
