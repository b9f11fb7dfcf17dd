"""What ran when, as a file for Perfetto (https://ui.perfetto.dev) and Chrome's ``about:tracing``.

The format is the JSON object of the Trace Event Format: a process for each governor, a thread for each lane, a complete
event (``X``) for each task that ran and for each transfer of an input, arrows (``s``, ``f``) from the tasks that made
the inputs, and a counter (``C``) of tasks that had all inputs and did not run. Times are microseconds since the first
start. Perfetto takes events of one thread only if they do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.functions import call_sites
from rain.common.ids import ID
from rain.common.pictures.lanes import lanes_of
from rain.common.protocol.encoding import encode_json
from rain.common.spec import Transfer

MARK = b'{"otherData":{"made_by":"rain",'
"""How all traces begin: nothing else is replaced by one."""
ARROWS_MAX = 100_000
"""More are left out, the last ones first."""
ERROR_CHARS_MAX = 2000
_SESSION_PROCESS = 0
_GROUPS = ("cpu", "shared", "transfers")

Event = dict[str, Any]


class _Span:
    """A time in which something went on at a governor, in nanoseconds since the first start.

    Attributes
    ----------
    record : TaskRecord
    group : str
        One of `_GROUPS`.
    moved : Transfer or None
        What came, of a transfer.
    start, end : int
    process, thread : int
        As the trace counts governors and their lanes.
    """

    __slots__ = ("end", "group", "moved", "process", "record", "start", "thread")

    def __init__(self, record: TaskRecord, group: str, start: int, end: int, moved: Transfer | None = None) -> None:
        self.record, self.group, self.start, self.end = record, group, start, max(start, end)
        self.moved = moved
        self.process = self.thread = 0

    def event(self, name: str, **more: Any) -> Event:
        """It as a complete event."""
        return {
            "ph": "X", "name": name, "pid": self.process, "tid": self.thread,
            "ts": self.start / 1000, "dur": (self.end - self.start) / 1000, **more,
        }  # fmt: skip


def trace_of(name: str, records: Iterable[Record]) -> bytes:
    """The trace of a session, as JSON.

    Parameters
    ----------
    name : str
        The session's.
    records : iterable of Record
        Its tasks and objects. Tasks that have ended, and were seen to run, are in the trace.

    Returns
    -------
    bytes
    """
    listed = list(records)
    ran = [record for record in listed if isinstance(record, TaskRecord) and record.settled and _start(record)]
    moves = [move for record in ran for move in _moves(record)]
    begin = min([*(_start(record) for record in ran), *(move.start_time for move in moves)], default=0.0)
    runs = {record.spec.id.id: _run(record, begin) for record in ran}
    transfers = _transfers(ran, begin)
    events = [_named("process_name", _SESSION_PROCESS, 0, f"session {name}")]
    events += _placed([*runs.values(), *transfers])
    makers = _makers(listed)
    arrows: list[Event] = []
    ready: list[tuple[int, int]] = []
    for run in runs.values():
        made_by = [runs[number] for number in _inputs(run.record, makers) if number in runs]
        since = max((maker.end for maker in made_by), default=None)
        if since is not None and since < run.start:
            ready.append((since, run.start))
        events.append(run.event(_title(run.record), cat=_kind(run.record), args=_facts(run, since)))
        for maker in made_by if len(arrows) < 2 * ARROWS_MAX else ():
            arrows += _arrow(len(arrows) // 2 + 1, maker, run)
    labels = {record.spec.id: record.spec.label for record in listed if isinstance(record, ObjectRecord)}
    events += [_arrival(span, labels) for span in transfers]
    events += arrows
    events += _waiting(ready)
    other = {"made_by": "rain", "session": name, "begin_s": begin}
    return encode_json({"otherData": other, "displayTimeUnit": "ms", "traceEvents": events})


def _start(record: TaskRecord) -> float:
    return record.info.start_time or 0.0 if record.info is not None else 0.0


def _moves(record: TaskRecord) -> list[Transfer]:
    return (record.info.transfers if record.info is not None else None) or []


def _run(record: TaskRecord, begin: float) -> _Span:
    info = record.info
    assert info is not None
    start = round((_start(record) - begin) * 1e9)
    group = "cpu" if record.spec.resources.get("cpus", 0) >= 1 else "shared"
    return _Span(record, group, start, start + round((info.duration or 0.0) * 1e9))


def _transfers(records: list[TaskRecord], begin: float) -> list[_Span]:
    """What came to governors: each once, though several tasks waited for it."""
    found: dict[tuple[str | None, ID, float], _Span] = {}
    for record in records:
        for move in _moves(record):
            assert record.info is not None
            start = round((move.start_time - begin) * 1e9)
            span = _Span(record, "transfers", start, start + round(move.duration * 1e9), move)
            found.setdefault((record.info.governor, move.id, move.start_time), span)
    return list(found.values())


def _arrival(span: _Span, labels: dict[ID, str | None]) -> Event:
    moved = span.moved
    assert moved is not None
    facts = {"id": str(moved.id), "bytes": moved.size, "from": moved.source}
    return span.event(labels.get(moved.id) or f"object {moved.id}", cat="transfer", args=facts)


def _placed(spans: Iterable[_Span]) -> Iterator[Event]:
    """Give each span its lane; the names of processes and threads."""
    places: dict[tuple[str, str], list[_Span]] = {}
    for span in spans:
        governor = (span.record.info.governor if span.record.info is not None else None) or "not known"
        places.setdefault((governor, span.group), []).append(span)
    for process, governor in enumerate(sorted({governor for governor, _ in places}), _SESSION_PROCESS + 1):
        yield _named("process_name", process, 0, f"governor {governor}")
        thread = 1
        for group in _GROUPS:
            here = places.get((governor, group), [])
            lanes = lanes_of([(span.start, span.end) for span in here], tolerance=0)
            for span, lane in zip(here, lanes, strict=True):
                span.process, span.thread = process, thread + lane
            for lane in range(max(lanes, default=-1) + 1):
                yield _named("thread_name", process, thread, f"{group} {lane + 1}")
                sort = {"name": "thread_sort_index", "args": {"sort_index": thread}}
                yield {"ph": "M", "pid": process, "tid": thread, **sort}
                thread += 1


def _named(what: str, process: int, thread: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _title(record: TaskRecord) -> str:
    return record.spec.name if record.spec.name is not None else record.spec.task_type


def _kind(record: TaskRecord) -> str:
    """What it is coloured and found by; commas would make several of it."""
    return record.spec.task_type.replace(",", " ")


def _facts(run: _Span, since: int | None) -> dict[str, Any]:
    record, info = run.record, run.record.info
    assert info is not None
    facts: dict[str, Any] = {
        "id": str(record.spec.id),
        "state": record.shown,
        "cpus": record.spec.resources.get("cpus", 0),
        "attempts": info.attempts,
        "made": call_sites.describe(record.made),
    }
    if since is not None:
        facts["waited_s"] = max(0, run.start - since) / 1e9
    if info.transfer:
        facts["transfer_s"] = info.transfer
    if record.error is not None:
        facts["error"] = record.error.message[-ERROR_CHARS_MAX:]
    return facts


def _makers(records: list[Record]) -> dict[int, int]:
    """The task that makes an object, by numbers."""
    return {
        record.spec.id.id: record.task.spec.id.id
        for record in records
        if isinstance(record, ObjectRecord) and record.task is not None
    }


def _inputs(record: TaskRecord, makers: dict[int, int]) -> list[int]:
    """The tasks that made its inputs, each once."""
    numbers = [makers.get(item.id.id) for item in record.spec.inputs]
    return list(dict.fromkeys([number for number in numbers if number is not None]))


def _arrow(number: int, maker: _Span, user: _Span) -> list[Event]:
    common = {"cat": "input", "name": "input", "id": number}
    leaves = max(maker.start, maker.end - 1)  # an arrow belongs to what goes on at its ends
    return [
        {"ph": "s", "pid": maker.process, "tid": maker.thread, "ts": leaves / 1000, **common},
        {"ph": "f", "bp": "e", "pid": user.process, "tid": user.thread, "ts": user.start / 1000, **common},
    ]


def _waiting(ready: list[tuple[int, int]]) -> Iterator[Event]:
    """How many tasks had all their inputs and did not run, whenever that changed."""
    changes: dict[int, int] = {}
    for since, until in ready:
        changes[since] = changes.get(since, 0) + 1
        changes[until] = changes.get(until, 0) - 1
    waiting = 0
    for at, change in sorted(changes.items()):
        waiting += change
        yield {
            "ph": "C", "name": "tasks waiting for room", "pid": _SESSION_PROCESS, "tid": 0, "ts": at / 1000,
            "args": {"tasks": waiting},
        }  # fmt: skip
