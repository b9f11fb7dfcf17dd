"""Which tasks are stale, because their function or one before them was edited, and what it takes to run them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.operations.submits import Encoder, check, in_order, replied_to
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.requests import Request, ask_in_pieces
from rain.client.core.session_mirror import SessionMirror
from rain.common.errors import RainException
from rain.common.formatting import duration_text
from rain.common.ids import ID
from rain.common.spec import ObjectSpec, TaskSpec, TaskSpecInput
from rain.common.states import DataObjectState
from rain.common.task_configs import PYTHON, PyConfig, read_config

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore

NAMED_MAX = 6
"""Names that a text lists."""


def mark(mirror: SessionMirror, edited: Collection[int]) -> None:
    """Mark the tasks that run one of these functions, by the numbers of their constants, and all that depend on them.

    What is marked and should not be is unmarked; change feeds are told of both.
    """
    changed: list[Record] = []
    if edited or mirror.stale:
        stale: set[int] = set()
        for record in _tasks(mirror):
            function = record.spec.function
            # One that failed has no result that could be of old code; a retry runs it with the function as it is now.
            is_stale = (function is not None and function.id in edited and not record.failed) or any(
                (maker := maker_of(mirror, item.id)) is not None and maker.spec.id.id in stale
                for item in record.spec.inputs
            )
            if is_stale:
                stale.add(record.spec.id.id)
            if is_stale != record.stale:
                record.stale = is_stale
                changed.append(record)
        mirror.stale = len(stale)
    if changed:
        mirror.note(changed)


def _tasks(mirror: SessionMirror) -> Iterator[TaskRecord]:
    """All tasks, those whose results others use before these."""
    records = list(mirror.records.values())
    if mirror.adopted:
        records = in_order(mirror, [record for record in records if isinstance(record, TaskRecord)])
    return (record for record in records if isinstance(record, TaskRecord))


def maker_of(mirror: SessionMirror, id: ID) -> TaskRecord | None:
    """The task that makes an object; None of a constant."""
    obj: Any = mirror.records.get(id.id)
    return obj.task if isinstance(obj, ObjectRecord) else None


def newest(record: TaskRecord) -> TaskRecord:
    """The task that was made last in the place of `record`; `record` itself if none was."""
    while record.renewed is not None:
        record = record.renewed
    return record


def newest_object(mirror: SessionMirror, id: ID) -> ObjectRecord | None:
    """What stands for an object since its task was run again; itself if it was not."""
    obj: Any = mirror.records.get(id.id)
    if isinstance(obj, ObjectRecord) and obj.task is not None and obj.task.renewed is not None:
        obj = newest(obj.task).outputs[obj.task.outputs.index(obj)]
    return obj if isinstance(obj, ObjectRecord) else None


class Plan:
    """What is to be run again.

    Attributes
    ----------
    tasks : list of TaskRecord
        Those before whose results others use first.
    needed : int
        How many of these are not stale, but made data that were let go and are needed.
    running : list of TaskRecord
        Stale ones that have not ended: they go on as they were submitted.
    blocked : dict of TaskRecord to str
        Stale ones that cannot run again, and why.
    anew : int
        Stale ones in whose place others were made since.
    seconds : float or None
        About how long it takes; None if nothing is known of how long such tasks take.
    unknown : int
        Tasks of which that is not known.
    """

    __slots__ = ("anew", "blocked", "needed", "running", "seconds", "tasks", "unknown")

    def __init__(self) -> None:
        self.tasks: list[TaskRecord] = []
        self.needed = self.anew = self.unknown = 0
        self.running: list[TaskRecord] = []
        self.blocked: dict[TaskRecord, str] = {}
        self.seconds: float | None = None

    def offer(self) -> str:
        """What can be done, in a few words; empty if nothing can."""
        if not self.tasks:
            return ""
        return f"run {_many(len(self.tasks), 'task')} again{self.took()}"

    def took(self) -> str:
        """How long it takes, behind a comma."""
        if self.seconds is None:
            return ", of unknown length"
        unknown = f", and {self.unknown} of them of unknown length" if self.unknown else ""
        return f", about {duration_text(self.seconds)}{unknown}"

    def lines(self) -> list[str]:
        """What will happen, and what will not."""
        lines = []
        if self.tasks:
            need = f", {self.needed} of them only because their data were let go" if self.needed else ""
            lines.append(f"{_counted(self.tasks)}{need}")
        if self.running:
            lines.append(
                f"still running as submitted, with the code before the change: {_named(self.running)}; "
                "they go on unless they are cancelled"
            )
        if self.anew:
            lines.append(f"{_many(self.anew, 'more task')} stale, but made anew since")
        for reason in dict.fromkeys(self.blocked.values()):
            named = _named([task for task, why in self.blocked.items() if why == reason])
            lines.append(f"cannot run again: {named}: {reason}")
        return lines


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _title(record: TaskRecord) -> str:
    return record.spec.name or record.spec.task_type


def _named(records: Sequence[TaskRecord]) -> str:
    names = [f"{_title(record)} ({record.spec.id})" for record in records[:NAMED_MAX]]
    more = len(records) - NAMED_MAX
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _counted(records: Iterable[TaskRecord]) -> str:
    """Which tasks: ``"fit × 12, total"``."""
    counts = Counter(map(_title, records))
    texts = [name if count == 1 else f"{name} × {count}" for name, count in counts.most_common(NAMED_MAX)]
    more = len(counts) - NAMED_MAX
    return ", ".join(texts) + (f" and {more} more kinds" if more > 0 else "")


def plan(mirror: SessionMirror, edited: Collection[int], chosen: Collection[TaskRecord] | None = None) -> Plan:
    """What it takes to have the stale results anew.

    Parameters
    ----------
    mirror : SessionMirror
        Marked for `edited` (see `mark`).
    edited : collection of int
        Numbers of the constants that hold functions which are others now.
    chosen : collection of TaskRecord, optional
        Only these, and what they need.
    """
    found = Plan()
    stale = [record for record in _tasks(mirror) if record.stale and record.state is not None]
    anew = _made_anew(mirror, stale)
    found.anew = 0 if chosen is not None else len(anew)
    wanted = [r for r in stale if r.renewed is None and (r in chosen if chosen is not None else r not in anew)]
    found.running = [record for record in wanted if not record.settled]
    needed: dict[TaskRecord, None] = {}
    for record in wanted:
        why = _collect(mirror, record, needed)
        if why:
            found.blocked[record] = why
    order = {record: number for number, record in enumerate(_tasks(mirror))}
    found.tasks = sorted((r for r in needed if r not in found.blocked), key=order.__getitem__)
    found.needed = sum(not record.stale for record in found.tasks)
    found.seconds, found.unknown = estimate(found.tasks, list(_tasks(mirror)))
    return found


def _collect(mirror: SessionMirror, wanted: TaskRecord, needed: dict[TaskRecord, None]) -> str:
    """Add a task and those whose results it needs anew; why it cannot run, if it cannot."""
    waiting, adding = [wanted], dict.fromkeys([wanted])
    while waiting:
        record = waiting.pop()
        for item in record.spec.inputs:
            obj = newest_object(mirror, item.id)
            if obj is None or (obj.task is None and (obj.ephemeral or obj.state is not DataObjectState.FINISHED)):
                label = item.label or (obj.spec.label if obj is not None else None) or str(item.id)
                return f"its input {label!r} was let go; give it as pickled(...) or blob(...) to have it kept"
            maker = obj.task
            if maker is None or maker in needed or maker in adding:
                continue
            if maker.stale or not (obj.kept and obj.state in (DataObjectState.FINISHED, DataObjectState.UNFINISHED)):
                adding[maker] = None
                waiting.append(maker)
    needed.update(adding)
    return ""


def _made_anew(mirror: SessionMirror, stale: Sequence[TaskRecord]) -> set[TaskRecord]:
    """Stale tasks for which there are others by now, because the user made these in the same way once more."""
    old: dict[Any, list[TaskRecord]] = {}
    for record in stale:
        if record.renewed is None:
            old.setdefault(_likeness(mirror, record), []).append(record)
    if not old:
        return set()
    new: dict[Any, list[int]] = {}
    for record in _tasks(mirror):
        if not record.stale and record.state is not None:
            new.setdefault(_likeness(mirror, record), []).append(record.spec.id.id)
    found: set[TaskRecord] = set()
    for likeness, records in old.items():
        last = max(record.spec.id.id for record in records)
        if sum(number > last for number in new.get(likeness, ())) >= len(records):
            found.update(records)
    return found


def _likeness(mirror: SessionMirror, record: TaskRecord) -> Any:
    """What tasks have in common that are made by the same line, run twice."""
    spec = record.spec
    function: Any = mirror.records.get(spec.function.id) if spec.function is not None else None
    path = function.spec.user.get("function") if function is not None else None
    labels = tuple([item.label for item in spec.inputs]), tuple([out.spec.label for out in record.outputs])
    args: Any = None
    if not spec.inputs:
        args = read_config(spec.config, PyConfig).args if spec.task_type == PYTHON else repr(spec.config)
    return path, spec.task_type, spec.name, labels, args


# -- how long it takes -----------------------------------------------------------------------------


def estimate(tasks: Sequence[TaskRecord], all_tasks: Sequence[TaskRecord]) -> tuple[float | None, int]:
    """About how many seconds these tasks take together, and of how many nothing is known.

    As long as they took before, as many at a time as the session's tasks ran on average; at least as long as the
    longest chain among them.
    """
    took = _durations(tasks, all_tasks)
    known = [seconds for seconds in took.values() if seconds is not None]
    if not known:
        return None, len(tasks)
    chains: dict[int, float] = {}  # by object: how long until it is there
    longest = 0.0
    for record in tasks:
        begin = max((chains.get(item.id.id, 0.0) for item in record.spec.inputs), default=0.0)
        end = begin + (took[record] or 0.0)
        longest = max(longest, end)
        for output in record.outputs:
            chains[output.spec.id.id] = end
    return max(longest, sum(known) / _at_a_time(all_tasks)), len(tasks) - len(known)


def _durations(tasks: Sequence[TaskRecord], all_tasks: Sequence[TaskRecord]) -> dict[TaskRecord, float | None]:
    """How long each of the tasks took; of one that did not end what others of its name took on average."""
    sums: dict[str, tuple[float, int]] = {}
    for record in all_tasks:
        seconds = _took(record)
        if seconds is not None:
            total, count = sums.get(_title(record), (0.0, 0))
            sums[_title(record)] = (total + seconds, count + 1)
    means = {title: total / count for title, (total, count) in sums.items()}
    return {
        record: seconds if (seconds := _took(record)) is not None else means.get(_title(record)) for record in tasks
    }


def _took(record: TaskRecord) -> float | None:
    return record.info.duration if record.info is not None and record.settled and not record.failed else None


def _at_a_time(tasks: Sequence[TaskRecord]) -> float:
    """How many tasks ran at the same time, on average while one did."""
    spans = sorted(
        (record.info.start_time, record.info.start_time + record.info.duration)
        for record in tasks
        if record.info is not None and record.info.start_time is not None and record.info.duration
    )
    busy, end = 0.0, float("-inf")
    for begin, until in spans:
        busy += max(0.0, until - max(begin, end))
        end = max(end, until)
    return max(1.0, sum(until - begin for begin, until in spans) / busy) if busy else 1.0


# -- anew ------------------------------------------------------------------------------------------


def renew(mirror: SessionMirror, record: TaskRecord, function: ID | None, objects: Sequence[ID]) -> TaskRecord:
    """A new task that does what `record` did, with what stands for its inputs now; those before it come first.

    Parameters
    ----------
    function : ID or None
        The constant that holds its function now.
    objects : sequence of ID
        What the function uses beside its arguments.
    """
    number, session_id, spec = mirror.next_number, mirror.session_id, record.spec
    used = dict.fromkeys([*(item.id for item in spec.inputs), *objects])
    moved = {id: obj.spec.id for id in used if (obj := newest_object(mirror, id)) is not None and obj.spec.id != id}
    made = TaskRecord(spec, record.made, None)
    made.source, made.origin, made.echo = record.source, record.origin, record.echo
    id = ID(session_id, number())
    made.outputs = tuple([_renewed_output(output, ID(session_id, number()), made) for output in record.outputs])
    made.spec = _renewed_spec(spec, id, [output.spec.id for output in made.outputs], moved, function)
    known = {item.id for item in made.spec.inputs}
    made.spec.inputs += [TaskSpecInput(new) for id in objects if (new := moved.get(id, id)) not in known]
    record.renewed = made
    return made


def send(core: ClientCore, mirror: SessionMirror, records: Sequence[Record], encoder: Encoder) -> Request:
    """Submit these tasks, and the new functions among the records; what else is new waits for the next submit.

    Raises
    ------
    RainException
        If a function uses an object that was not submitted.
    """
    there = set(records)
    for record in records:
        for item in record.spec.inputs if isinstance(record, TaskRecord) else ():
            used: Any = mirror.records[item.id.id]
            if used.state is None and used not in there and used.task not in there:
                raise RainException(f"{record!r} uses {used!r}, which was not submitted yet: session.submit() first")
    check(mirror, records, encoder.describe)
    core.check()
    request = ask_in_pieces(core, encoder.encode(mirror, records), replied_to(core, mirror, records, encoder))
    for record in records:
        if not isinstance(record, ObjectRecord):
            continue  # a task of a rerun never waited for a submit
        if record in mirror.pending:
            mirror.pending.remove(record)
        if record.value is not None:
            record.value.hand_over()
    mirror.submitting(records)
    return request


def _renewed_spec(spec: TaskSpec, id: ID, outputs: list[ID], moved: dict[ID, ID], function: ID | None) -> TaskSpec:
    """The spec of a task that does what `spec` says with other inputs, under another id.

    Parameters
    ----------
    moved : dict of ID to ID
        Which objects stand for which of the inputs.
    function : ID or None
        The constant that holds the function now.
    """
    config = spec.config
    if spec.task_type == PYTHON:  # as plain values, if an earlier client made the task
        config = _moved_config(read_config(config, PyConfig), moved)
    inputs = [TaskSpecInput(moved.get(item.id, item.id), item.label) for item in spec.inputs]
    return TaskSpec(
        id, spec.task_type, config, inputs, outputs, dict(spec.resources), spec.name, dict(spec.user), function,
        spec.options,
    )  # fmt: skip


def _moved_config(config: PyConfig, moved: dict[ID, ID]) -> PyConfig:
    """A config whose pickles name objects for which others stand now."""

    def pair(given: tuple[int, int]) -> tuple[int, int]:
        id = ID(*given)
        return tuple(moved.get(id, id))  # type: ignore[return-value]

    named = {ID(*old): moved.get(ID(*new), ID(*new)) for old, new in config.stand_ins}
    named.update({old: new for old, new in moved.items() if old not in named})
    return msgspec.structs.replace(
        config,
        load=config.load if isinstance(config.load, bool) else [pair(item) for item in config.load],
        types=[(*pair((session, number)), name) for session, number, name in config.types],
        read_only=[pair(item) for item in config.read_only],
        stand_ins=[((old.session_id, old.id), (new.session_id, new.id)) for old, new in named.items()],
    )


def _renewed_output(output: ObjectRecord, id: ID, task: TaskRecord) -> ObjectRecord:
    """The record of what a renewed task makes."""
    spec = output.spec
    renewed = ObjectSpec(id, spec.label, spec.content_type, spec.data_type, spec.size_hint, dict(spec.user))
    return ObjectRecord(renewed, task)
