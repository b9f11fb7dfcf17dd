"""The trace of a session, as the Trace Event Format and its importers want it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rain import RainException, Session, TaskState, blob, remote
from rain.common.spec import TaskError, Transfer
from tests.unit.client.fake import FakeLink


@remote()
def work(ctx: Any, *values: Any) -> bytes:
    return b""


def traced(session: Session, path: Path) -> dict[str, Any]:
    """The trace as it was written; what importers of the format are strict about holds."""
    session.trace(path)
    found = json.loads(path.read_text())
    assert set(found) == {"traceEvents", "displayTimeUnit", "otherData"}
    open_at: dict[tuple[int, int], float] = {}
    flows: dict[int, list[str]] = {}
    named = {(event["pid"], event["tid"]) for event in found["traceEvents"] if event["name"] == "thread_name"}
    for event in sorted(found["traceEvents"], key=lambda event: event.get("ts", -1)):
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        assert event["ph"] in "MXsfC"
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
            continue
        assert event["ts"] >= 0
        if event["ph"] == "X":
            place = event["pid"], event["tid"]
            assert place in named, "each lane has a name"
            assert event["ts"] >= open_at.get(place, -1e12), "what overlaps on a thread is dropped by Perfetto"
            open_at[place] = event["ts"] + event["dur"]
            assert event["dur"] >= 0
        elif event["ph"] in "sf":
            flows.setdefault(event["id"], []).append(event["ph"])
    assert all(ends == ["s", "f"] for ends in flows.values())
    return found


def of_kind(found: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    return [event for event in found["traceEvents"] if event["ph"] == phase]


def test_runs_transfers_arrows_and_waiting(session: Session, link: FakeLink, tmp_path: Path) -> None:
    first, second = work(1, name="first"), work(2, name="second")
    last = work.options(cpus=0)(first, second, first, name="last")
    work(3, name="never")
    session.submit()
    link.finish(first, start_time=1000.0, duration=2.0, governor="h:1")
    link.finish(second, start_time=1000.5, duration=1.0, governor="h:1")
    move = Transfer(second.output.id, "h:1", 4096, 1002.75, 0.25)
    info = {"start_time": 1003.0, "duration": 0.5, "governor": "h:2", "transfers": [move, move]}
    link.fail(last, TaskError("exception", "x" * 5000), **info)
    found = traced(session, tmp_path / "x.json")
    tasks = {event["name"]: event for event in of_kind(found, "X") if event["cat"] != "transfer"}
    assert tasks.keys() == {"first", "second", "last"}
    assert [(event["ts"], event["dur"]) for event in tasks.values()] == [(0, 2e6), (0.5e6, 1e6), (3e6, 0.5e6)]
    assert tasks["first"]["tid"] != tasks["second"]["tid"]
    assert tasks["last"]["pid"] != tasks["first"]["pid"]
    facts = tasks["last"]["args"]
    assert (facts["state"], facts["waited_s"], facts["transfer_s"]) == ("failed", 1.0, 0.25)
    assert __file__ in facts["made"]
    assert len(facts["error"]) == 2000
    (transfer,) = [event for event in of_kind(found, "X") if event["cat"] == "transfer"]
    assert (transfer["ts"], transfer["dur"], transfer["pid"]) == (2.75e6, 0.25e6, tasks["last"]["pid"])
    assert transfer["args"] == {"id": str(second.output.id), "bytes": 4096, "from": "h:1"}
    assert len(of_kind(found, "s")) == 2, "an arrow for each task that made an input"
    assert [(event["ts"], event["args"]["tasks"]) for event in of_kind(found, "C")] == [(2e6, 1), (3e6, 0)]
    names = [event["args"]["name"] for event in of_kind(found, "M") if "name" in event["args"]]
    assert names == [
        "session test", "governor h:1", "cpu 1", "cpu 2", "governor h:2", "shared 1", "transfers 1",
    ]  # fmt: skip


def test_tasks_that_seem_to_overlap_have_lanes_of_their_own(session: Session, link: FakeLink, tmp_path: Path) -> None:
    made = [work(n) for n in range(50)]
    session.submit()
    for n, task in enumerate(made):
        link.finish(task, start_time=1.7e9 + n * 0.1, duration=0.1000004, governor="h")
    found = traced(session, tmp_path / "x.json")
    assert {event["tid"] for event in of_kind(found, "X")} == {1, 2}


def test_what_has_not_run_is_not_in_it(session: Session, link: FakeLink, tmp_path: Path) -> None:
    blob("a")
    assert of_kind(traced(session, tmp_path / "none.json"), "X") == []
    task, stopped = work(1), work(2)
    session.submit()
    link.move(task, TaskState.RUNNING)
    link.fail(stopped, TaskError("cancelled", "x"), TaskState.CANCELLED)
    assert of_kind(traced(session, tmp_path / "x.json"), "X") == []


def test_only_traces_are_replaced(session: Session, tmp_path: Path) -> None:
    mine, empty = tmp_path / "results.json", tmp_path / "empty.json"
    mine.write_text('{"traceEvents": []}')
    empty.touch()
    with pytest.raises(RainException, match="is there already and is no trace of Rain: give another name"):
        session.trace(mine)
    assert mine.read_text() == '{"traceEvents": []}'
    for path, told in (
        (tmp_path, "is a folder: a trace is a file, for instance"),
        (tmp_path / "no such folder" / "x.json", "there is no folder"),
        (mine / "x.json", "there is no folder"),
        (3, r"trace\(\) takes the path of a file, not 3"),
        ("a\0b", "takes the path of a file"),
        (tmp_path / ("x" * 300), "File name too long"),
        ("/dev/null", "is there already and is no trace"),
    ):
        with pytest.raises(RainException, match=told):
            session.trace(path)  # type: ignore[arg-type]
    for path in (empty, tmp_path / "new.json"):
        traced(session, path)
        traced(session, path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "empty.json", "new.json"}
