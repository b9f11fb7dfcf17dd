"""The view: groups, what is visible, deltas, and what is looked up."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from rain import RainException, Session, TaskState, blob, remote, tasks
from rain.client.core.operations.submits import records_of
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.common.ids import ID
from rain.common.pictures.lanes import lanes_of
from rain.common.protocol.messages import ObjectUpdate, TaskUpdate
from rain.common.spec import ObjectInfo, TaskError, TaskInfo, Transfer
from rain.common.states import DataObjectState
from rain.notebook.details import details
from rain.notebook.drawing.svg import text_line
from rain.notebook.graph_model import View, queries
from rain.notebook.graph_model.lanes import FRACTION, LAID_ANEW_MAX, Lanes, Run
from rain.notebook.graph_model.table import histogram, table
from rain.notebook.graph_model.timeline import timeline
from rain.notebook.graph_model.tree import MEMBERS_MAX, PART
from rain.notebook.protocol.details import TaskDetails
from rain.notebook.protocol.graph import Arc, Status
from rain.notebook.protocol.lookups import CriticalPath


@remote()
def double(ctx: Any, x: Any) -> Any:
    return x


@remote()
def total(ctx: Any, *xs: Any) -> Any:
    return xs


@remote(outputs=["train", "test"])
def split(ctx: Any, table: Any) -> Any:
    return table


@remote()
def score(ctx: Any, model: Any, table: Any) -> Any:
    return model


@remote()
def both(ctx: Any, train: Any, test: Any) -> Any:
    return train


class Shown:
    """A detached session with a view of it."""

    def __init__(self, nodes_max: int = 500) -> None:
        self.session = Session(None, 7, "shown")
        self.view = View(7, "shown", nodes_max)

    def fold(self, now: float = 100.0) -> None:
        records = list(self.session._inside.mirror.records.values())
        self.view.fold(
            [r for r in records if isinstance(r, TaskRecord)],
            [r for r in records if isinstance(r, ObjectRecord)],
            now,
        )

    def news(self, now: float, *updates: TaskUpdate | ObjectUpdate) -> None:
        self.session._inside.mirror.fold(
            [u for u in updates if isinstance(u, TaskUpdate)], [u for u in updates if isinstance(u, ObjectUpdate)]
        )
        self.fold(now)

    def submit(self) -> None:
        mirror = self.session._inside.mirror
        mirror.submitting(records_of(mirror, list(mirror.pending)))
        mirror.pending.clear()


def nodes(told: Any) -> dict[str, Any]:
    return {node.key: node for node in told.topology.nodes}


def arcs(told: dict[str, Any]) -> set[tuple[str, str]]:
    return {(arc.tail, arc.head) for arc in told.topology.arcs}


def test_a_small_graph_is_shown_whole() -> None:
    shown = Shown()
    with shown.session.bind_only():
        a = blob("a", label="letter")
        joined = tasks.Concat([a])
        end = double(joined)
    shown.fold()
    told = shown.view.snapshot(100.0)
    assert {node.kind for node in nodes(told).values()} == {"task", "object"}
    names = {key: node.label for key, node in nodes(told).items()}
    keys = {label: key for key, label in names.items()}
    assert f"t{end.id.id}" in names
    assert names[f"t{end.id.id}"] == "double"
    assert (keys["letter"], f"t{joined.id.id}") in arcs(told)
    assert (f"t{joined.id.id}", f"t{end.id.id}") in arcs(told), "what is only handed on is the arc"
    assert all(arc.text == "" for arc in told.topology.arcs), "there is one way only"
    assert told.status[f"t{end.id.id}"] == Status("new")
    assert told.summary.tasks == {"new": 2}
    assert not any(node.label == "double" and node.kind == "object" for node in nodes(told).values())


def test_all_objects_are_shown_where_they_are_asked_for() -> None:
    shown = Shown()
    with shown.session.bind_only():
        joined = tasks.Concat([blob("a", label="letter"), blob("b")])
        end = double(joined)
    shown.fold()
    few = shown.view.snapshot(1.0)
    assert [node.label for node in nodes(few).values()] == ["letter", "concat", "double"]
    shown.view.show_all_objects(True)
    told = shown.view.delta(1.0)
    assert told is not None
    assert told.topology.all_objects
    assert (f"t{joined.id.id}", f"o{joined.output.id.id}") in arcs(told)
    assert (f"o{joined.output.id.id}", f"t{end.id.id}") in arcs(told)
    labels = [arc.text for arc in told.topology.arcs if arc.head == f"t{joined.id.id}"]
    assert labels == ["0", "1"]
    shown.view.show_all_objects(False)
    again = shown.view.delta(1.0)
    assert again is not None
    assert arcs(again) == arcs(few)


def test_an_object_is_a_box_from_when_it_is_kept() -> None:
    shown = Shown()
    with shown.session.bind_only():
        first = double(1)
        end = double(first)
    shown.fold()
    assert shown.view.delta(1.0) is not None
    first.output.keep()
    shown.fold()
    told = shown.view.delta(1.0)
    assert told is not None
    task, kept = f"t{first.id.id}", f"o{first.output.id.id}"
    assert arcs(told) == {(task, kept), (kept, f"t{end.id.id}")}
    assert told.status[kept].kept
    shown.fold()
    told = shown.view.delta(1.0)
    assert told is not None
    assert told.topology is UNSET, "nothing is another box"


def test_arcs_say_which_output_and_which_input() -> None:
    shown = Shown()
    with shown.session.bind_only():
        parts = split(blob("x", label="iris"))
        model = double(parts.outputs["train"])
        score(model, parts.outputs["test"])
        both(parts.outputs["train"], parts.outputs["test"])
    shown.fold()
    told = shown.view.snapshot(1.0)
    names = {node.key: node.label for node in told.topology.nodes}
    said = {(names[arc.tail], names[arc.head]): arc.text for arc in told.topology.arcs}
    assert said == {
        ("iris", "split"): "",
        ("split", "double"): "train",
        ("double", "score"): "model",
        ("split", "score"): "test",
        ("split", "both"): "train, test",
    }


def test_constants_without_names_are_seen_while_there_is_nothing_else() -> None:
    shown = Shown()
    with shown.session.bind_only():
        lonely = blob("x")
    shown.fold()
    assert nodes(shown.view.snapshot(1.0)).keys() == {f"o{lonely.id.id}"}
    with shown.session.bind_only():
        double(lonely)
    shown.fold()
    assert [node.kind for node in nodes(shown.view.snapshot(1.0)).values()] == ["task"]


def test_deltas_tell_what_changed_and_nothing_else() -> None:
    shown = Shown()
    with shown.session.bind_only():
        one, two = double(1), double(2)
    two.output.keep()
    shown.fold()
    shown.submit()
    shown.fold(100.0)
    first = shown.view.snapshot(100.0)
    told = shown.view.delta(100.0)
    assert told is not None
    assert told.base == first.version
    assert told.topology == first.topology  # whoever had an older snapshot needs it
    assert shown.view.delta(100.0) is None
    assert shown.view.snapshot(100.0) == replace(first, version=told.version)
    first = told
    info = TaskInfo(start_time=100.5, duration=1.5, governor="g:1", attempts=2)
    shown.news(102.0, TaskUpdate(one.id, TaskState.FINISHED, info))
    told = shown.view.delta(102.0)
    assert told is not None
    assert told.base == first.version
    assert told.topology is UNSET
    assert told.status[f"t{one.id.id}"] == Status("finished", "1.5 s", 100.5, "g:1", 2)
    assert told.summary.tasks == {"waiting": 1, "finished": 1}
    assert told.summary.elapsed == 2.0
    assert told.summary.ticking
    shown.news(
        103.0,
        ObjectUpdate(two.output.id, DataObjectState.FINISHED, ObjectInfo(size=12)),
        TaskUpdate(two.id, TaskState.FINISHED, info),
    )
    told = shown.view.delta(110.0)
    assert told is not None
    assert told.status[f"o{two.output.id.id}"] == Status("finished", size="12 bytes", kept=True)
    assert not told.summary.ticking
    assert told.summary.elapsed == 3.0


def test_who_looks_late_sees_how_long_it_took() -> None:
    shown = Shown()
    with shown.session.bind_only():
        one, two = double(1), double(2)
    shown.submit()
    first, second = (TaskInfo(start_time=start, duration=1.5, governor="g:1", attempts=1) for start in (100.0, 103.0))
    shown.news(200.0, TaskUpdate(one.id, TaskState.FINISHED, first), TaskUpdate(two.id, TaskState.FINISHED, second))
    assert shown.view.snapshot(200.0).summary.elapsed == 4.5


def test_failures_are_told_in_one_line() -> None:
    shown = Shown()
    with shown.session.bind_only():
        bad = double(0)
    shown.submit()
    text = "Traceback (most recent call last):\n  Cell In[1], line 3, in f\n    1 / 0\nZeroDivisionError: by zero"
    shown.news(1.0, TaskUpdate(bad.id, TaskState.FAILED, None, TaskError("exception", text)))
    status = shown.view.snapshot(1.0).status[f"t{bad.id.id}"]
    assert status == Status("failed", error="ZeroDivisionError: by zero")


def test_what_was_not_run_and_what_was_not_made() -> None:
    shown = Shown()
    with shown.session.bind_only():
        bad = double(1)
        after = double(bad)
        stopped = double(2)
    shown.submit()
    shown.news(
        10.0,
        TaskUpdate(bad.id, TaskState.FAILED, TaskInfo("no"), TaskError("exception", "no")),
        TaskUpdate(after.id, TaskState.FAILED, TaskInfo("x"), TaskError("dependency", "x did not run", cause=bad.id)),
        TaskUpdate(stopped.id, TaskState.CANCELLED, TaskInfo("x"), TaskError("cancelled", "x")),
    )
    shown.view.show_all_objects(True)
    told = shown.view.snapshot(10.0)
    assert told.summary.tasks == {"failed": 1, "not run": 1, "cancelled": 1}
    assert told.summary.ticking is False
    assert told.status[f"t{after.id.id}"] == Status("not run", error="x did not run")
    assert {told.status[f"o{task.output.id.id}"].state for task in (bad, after, stopped)} == {"not made"}
    assert shown.view.tree.root.state == "failed"
    assert text_line(told.session, told.summary).startswith(
        "<Session 'shown' open, 3 tasks: 1 failed, 1 not run, 1 can"
    )
    assert table(shown.view, states=["not run"]).matched == 1
    found = details(shown.session, shown.view, f"t{after.id.id}")
    assert isinstance(found, TaskDetails)
    assert found.cause is not None
    assert (found.cause.key, found.cause.state, found.error) == (f"t{bad.id.id}", "failed", None)
    found = details(shown.session, shown.view, f"t{bad.id.id}")
    assert isinstance(found, TaskDetails)
    assert (found.cause, found.state) == (None, "failed")


def test_paths_are_frames_while_there_is_room() -> None:
    shown = Shown()
    with shown.session.bind_only():
        first = double(1, name="train/fold0")
        double(first, name="train/deep/fold1")
        double(first, name="test")
    shown.fold()
    told = shown.view.snapshot(1.0)
    frames = {frame.label: frame for frame in told.topology.frames}
    assert frames.keys() == {"train"}  # "deep" holds one task only
    inside = {node.label: node.frame for node in nodes(told).values() if node.kind == "task"}
    assert inside == {"fold0": frames["train"].key, "fold1": frames["train"].key, "test": None}
    assert shown.view.close(frames["train"].key)
    told = shown.view.snapshot(1.0)
    group = nodes(told)[frames["train"].key]
    assert (group.kind, group.tasks, group.objects) == ("group", 2, 2)
    assert (group.key, f"t{first.id.id + 5}") not in arcs(told)
    assert {head for tail, head in arcs(told) if tail == group.key} == {
        key for key, node in nodes(told).items() if node.label == "test"
    }


def test_many_tasks_are_groups_that_open_in_place() -> None:
    shown = Shown(nodes_max=50)
    with shown.session.bind_only():
        doubled = [double(i) for i in range(150)]
        total(*doubled)
    shown.fold()
    told = shown.view.snapshot(1.0)
    by_label = {node.label: node for node in nodes(told).values()}
    assert by_label["double"].kind == "group"
    assert by_label["double"].tasks == 150
    assert by_label["total"].kind == "task"  # alone in its group
    arc = next(arc for arc in told.topology.arcs if arc.head == by_label["total"].key)
    assert arc == Arc(by_label["double"].key, by_label["total"].key, "\u00d7150")
    assert told.status[by_label["double"].key] == Status("new", counts={"new": 150})

    assert shown.view.open(by_label["double"].key)
    told = shown.view.delta(1.0)
    assert told is not None
    parts = [node for node in nodes(told).values() if node.frame == by_label["double"].key]
    assert [part.label for part in parts] == ["double 0-99", "double 100-149"]
    assert [part.tasks for part in parts] == [100, 50]
    assert shown.view.open(parts[1].key)
    told = shown.view.delta(1.0)
    assert told is not None
    assert sum(node.kind == "task" for node in nodes(told).values()) == 51
    assert shown.view.visible(shown.view.tree.tasks[doubled[149].id.id]) == f"t{doubled[149].id.id}"
    assert shown.view.visible(shown.view.tree.tasks[doubled[0].id.id]) == parts[0].key
    assert not shown.view.open("g999")
    assert not shown.view.open("nonsense")


def test_groups_grow_while_they_are_closed() -> None:
    shown = Shown(nodes_max=10)
    with shown.session.bind_only():
        for i in range(20):
            double(i)
    shown.fold()
    before = shown.view.snapshot(1.0)
    with shown.session.bind_only():
        more = [double(i) for i in range(MEMBERS_MAX)]
        total(*more)
    shown.fold()
    told = shown.view.delta(1.0)
    assert told is not None
    again = shown.view.snapshot(1.0)
    assert nodes(again).keys() == nodes(told).keys()
    assert arcs(again) == arcs(told)
    assert [n.tasks for n in nodes(again).values() if n.label == "double"] == [20 + MEMBERS_MAX]
    assert nodes(before).keys() < nodes(again).keys()


def test_counts_stay_right_whatever_is_open() -> None:
    shown = Shown(nodes_max=10)
    with shown.session.bind_only():
        all_tasks = [double(i, name=f"part{i % 3}/{i}") for i in range(3 * MEMBERS_MAX + 60)]
    shown.fold()
    shown.view.snapshot(0.0)
    for group in [group.key for group in shown.view.tree.groups.values()][1:3]:
        shown.view.open(group)
    shown.submit()
    shown.news(1.0, *[TaskUpdate(task.id, TaskState.FINISHED) for task in all_tasks[::2]])
    shown.news(1.0, *[TaskUpdate(task.id, TaskState.FAILED) for task in all_tasks[:PART:2]])
    told = shown.view.snapshot(2.0)
    seen = {"finished": 0, "failed": 0, "waiting": 0}
    for status in told.status.values():
        for state, count in (status.counts or {}).items():
            seen[state] += count
    failed = len(all_tasks[:PART:2])
    expected = {"failed": failed, "finished": len(all_tasks[::2]) - failed, "waiting": len(all_tasks[1::2])}
    assert told.summary.tasks == expected
    leaves = [told.status[key] for key in nodes(told) if key[0] == "t"]
    for status in leaves:
        seen[status.state] += 1
    assert seen == expected


def test_many_constants_are_a_group() -> None:
    shown = Shown(nodes_max=20)
    with shown.session.bind_only():
        double(blob("shared", label="shared"))
        total(*[blob(str(i), label="piece") for i in range(40)])
    shown.fold()
    told = shown.view.snapshot(1.0)
    group = next(node for node in nodes(told).values() if node.kind == "group")
    assert (group.label, group.tasks, group.objects) == ("piece", 0, 40)
    assert told.status[group.key].counts == {"new": 40}
    assert any(node.label == "shared" and node.kind == "object" for node in nodes(told).values())
    assert told.summary.tasks == {"new": 2}


def test_many_outputs_of_one_task() -> None:
    shown = Shown()
    with shown.session.bind_only():
        split = tasks.Execute(["split"], output_paths=[f"part{i}" for i in range(40)])
        double(split.outputs[39])
    shown.view.show_all_objects(True)
    shown.fold()
    told = shown.view.snapshot(1.0)
    more = f"t{split.id.id}.more"
    assert nodes(told)[more].objects == 16
    assert told.status[more] == Status("new", counts={"new": 16})
    assert (f"t{split.id.id}", more) in arcs(told)
    assert any(tail == more for tail, _ in arcs(told))


def test_the_table_sorts_and_filters() -> None:
    shown = Shown()
    with shown.session.bind_only():
        made = [double(i, name=f"n{i}") for i in range(5)]
    shown.submit()
    for i, task in enumerate(made[:3]):
        shown.news(1.0, TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(start_time=9.0 - i, duration=float(i))))
    page = table(shown.view, sort="took", descending=True, count=2)
    assert (page.total, page.matched) == (5, 5)
    assert [row.name for row in page.rows] == ["n2", "n1"]
    page = table(shown.view, pattern=queries.pattern_of("n[34]"), states=["waiting"])
    assert [row.name for row in page.rows] == ["n3", "n4"]
    assert page.rows[0].id == str(made[3].id)


def test_the_table_is_filtered_by_column() -> None:
    shown = Shown()
    with shown.session.bind_only():
        made = [double.options(name=name, cpus=cpus)(0) for name, cpus in [("a\u202eb\n", 1), ("fit", 2), ("fit", 0.5)]]
    shown.submit()
    for task, seconds in zip(made, (0.01, 0.2, 90.0), strict=True):
        shown.news(
            9.0, TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(start_time=1.0, duration=seconds, governor="h:1"))
        )

    def names(**where: str) -> list[int]:
        return [made.index(shown.session.find(row.id)) for row in table(shown.view, where=where).rows]  # type: ignore[arg-type]

    assert names(name="^f") == [1, 2]
    assert names(name="fit", took=">1 s") == [2]
    assert names(took="<= 200 ms") == [0, 1]
    assert names(took=">= 1.5min") == [2]
    assert names(cpus="=2") == [1]
    assert names(cpus="<1", governor="h:1") == [2]
    assert names(took="ms") == [0, 1], "what the column says"
    assert names(id="") == [0, 1, 2]
    with pytest.raises(RainException, match="not a regular expression"):
        names(name="(")
    assert table(shown.view).rows[0].name == "a\\u202eb ", "names are made harmless"
    assert table(shown.view).durations == []
    found = table(shown.view, where={"name": "fit"}, durations=True).durations
    assert sum(one.count for one in found) == 2


@given(st.lists(st.floats(0, 1e6), max_size=200))
def test_a_histogram_counts_all(seconds: list[float]) -> None:
    found = histogram(seconds)
    assert sum(one.count for one in found) == (len(seconds) if len(seconds) > 1 else 0)
    assert all(before.end == after.begin for before, after in itertools.pairwise(found))
    assert len(found) <= 24


def test_search_finds_what_is_in_closed_groups() -> None:
    shown = Shown(nodes_max=10)
    with shown.session.bind_only():
        for i in range(30):
            double(i, name=f"a/needle{i}")
        blob("x", label="hay")
    shown.fold()
    told = shown.view.snapshot(1.0)
    found = queries.search(shown.view, queries.pattern_of("NEEDLE1."))
    group = next(key for key, node in nodes(told).items() if node.kind == "group")
    assert (found.keys, found.tasks, found.objects) == ([group], 10, 0)
    assert queries.search(shown.view, queries.pattern_of("hay")).objects == 1
    with pytest.raises(RainException, match="not a regular expression"):
        queries.pattern_of("(")


def test_the_timeline_has_a_lane_for_each_cpu() -> None:
    shown = Shown()
    with shown.session.bind_only():
        made = [double(i) for i in range(4)]
    shown.submit()
    times = [(0.0, 4.0), (0.0, 1.0), (1.0, 2.0)]
    for task, (start, seconds) in zip(made, times, strict=False):
        info = TaskInfo(start_time=100.0 + start, duration=seconds, governor="g:1")
        shown.news(105.0, TaskUpdate(task.id, TaskState.FINISHED, info))
    shown.news(104.0, TaskUpdate(made[3].id, TaskState.RUNNING, TaskInfo(governor="g:1")))
    told = timeline(shown.view, None, None, 800, now=106.0)
    assert [(lane.governor, lane.slot) for lane in told.lanes] == [("g:1", 0), ("g:1", 1)]
    assert sum(len(lane.bars) for lane in told.lanes) == 4
    assert (told.begin, told.end) == (100.0, 106.0)
    running = [bar for lane in told.lanes for bar in lane.bars if bar.state == "running"]
    assert [bar.key for bar in running] == [f"t{made[3].id.id}"]
    for lane in told.lanes:
        ends = [(bar.start, bar.start + bar.seconds) for bar in lane.bars]
        assert all(before[1] <= after[0] + 0.01 for before, after in itertools.pairwise(ends))


def test_bars_too_short_to_be_seen_are_joined() -> None:
    shown = Shown()
    with shown.session.bind_only():
        made = [double(i) for i in range(1000)]
    shown.submit()
    updates = [
        TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(start_time=i * 0.01, duration=0.01, governor="g"))
        for i, task in enumerate(made)
    ]
    shown.news(20.0, *updates)
    (lane,) = timeline(shown.view, None, None, 100, now=20.0).lanes
    assert len(lane.bars) < 110
    assert sum(bar.count for bar in lane.bars) == 1000
    (lane,) = timeline(shown.view, 5.0, 5.1, 1000, now=20.0).lanes
    assert 10 <= len(lane.bars) <= 12


def test_the_critical_path_is_the_longest_chain() -> None:
    shown = Shown()
    with shown.session.bind_only():
        slow, fast = double(1), double(2)
        end = total(slow, fast)
    slow.output.keep()
    shown.submit()
    for task, seconds in ((slow, 5.0), (fast, 1.0), (end, 2.0)):
        shown.news(9.0, TaskUpdate(task.id, TaskState.FINISHED, TaskInfo(start_time=1.0, duration=seconds)))
    shown.view.snapshot(9.0)
    told = queries.critical(shown.view, 9.0)
    assert told.took == "7.0 s"
    assert set(told.keys) == {f"t{slow.id.id}", f"o{slow.output.id.id}", f"t{end.id.id}"}
    assert queries.critical(View(1, "empty"), 0.0) == CriticalPath([], "")


def test_keys_of_all_kinds_lead_to_tasks() -> None:
    shown = Shown(nodes_max=10)
    with shown.session.bind_only():
        made = [double(i, name=f"a/{i}") for i in range(MEMBERS_MAX + 1)]
    shown.fold()
    view = shown.view
    assert [leaf.record.spec.id for leaf in view.tasks_in(f"t{made[0].id.id}")] == [made[0].id]
    group = next(iter(view.tree.root.members))
    assert len(list(view.tasks_in(group.key))) == MEMBERS_MAX + 1
    (run,) = group.members
    assert len(list(view.tasks_in(f"{run.key}.100-199"))) == MEMBERS_MAX + 1 - PART
    for key in ("", "t", "tx", "o1", "g77", "g1.5-6", "?"):
        assert list(view.tasks_in(key)) == []


def test_the_end_of_the_session_is_told() -> None:
    shown = Shown()
    shown.view.delta(1.0)
    shown.view.end("closed", "it is closed")
    told = shown.view.delta(1.0)
    assert told is not None
    assert told.session.state == "closed"


def test_thousands_of_tasks_are_a_few_groups() -> None:
    shown = Shown()
    with shown.session.bind_only():
        layers = [[double(i) for i in range(10_000)]]
        layers.append([total(task) for task in layers[0]])
    begin = time.process_time()
    shown.fold()
    told = shown.view.snapshot(1.0)
    seconds = time.process_time() - begin
    assert len(told.topology.nodes) == 2
    assert told.topology.arcs[0].text == "\u00d710,000"
    assert seconds < 10  # a guard against something quadratic, not a measurement


def test_there_are_as_many_lanes_as_tasks_overlapped() -> None:
    """Two cpus; the long ones are told of last, and what follows each other seems to overlap by jitter."""
    shown = Shown()
    with shown.session.bind_only():
        made = [double(i) for i in range(5)]
    shown.submit()
    times = [(3.0, 1.0), (0.0, 2.0), (1.9995, 1.0), (0.0, 1.0), (1.0, 3.0)]
    for task, (start, seconds) in zip(made, times, strict=True):
        info = TaskInfo(start_time=100.0 + start, duration=seconds, governor="g:1")
        shown.news(110.0, TaskUpdate(task.id, TaskState.FINISHED, info))
    told = timeline(shown.view, None, None, 800, now=110.0)
    assert [(lane.slot, [bar.key for bar in lane.bars]) for lane in told.lanes] == [
        (0, [f"t{made[n].id.id}" for n in (3, 4)]),
        (1, [f"t{made[n].id.id}" for n in (1, 2, 0)]),
    ]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=40))
def test_lanes_are_never_more_than_overlaps(times: list[tuple[int, int]]) -> None:
    spans = [(float(start), float(start + length)) for start, length in times]
    found = lanes_of(spans)
    depth = max((sum(begin <= at < end for begin, end in spans) for at in range(60)), default=0)
    assert len(set(found)) == depth == max(found, default=-1) + 1
    for lane in set(found):
        ends = sorted(span for span, place in zip(spans, found, strict=True) if place == lane)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(ends))


def test_tasks_that_share_cpus_have_lanes_of_their_own() -> None:
    shown = Shown()
    with shown.session.bind_only():
        whole = [double.options(cpus=1)(i) for i in range(2)]
        parts = [double.options(cpus=cpus)(i) for i, cpus in enumerate((0, 0.5, 0))]
    shown.submit()
    for task in (*whole, *parts):
        info = TaskInfo(start_time=100.0, duration=1.0, governor="g:1")
        shown.news(110.0, TaskUpdate(task.id, TaskState.FINISHED, info))
    told = timeline(shown.view, None, None, 800, now=110.0)
    assert [(lane.kind, lane.slot) for lane in told.lanes] == [
        ("cpu", 0),
        ("cpu", 1),
        ("shared", 0),
        ("shared", 1),
        ("shared", 2),
    ]


def test_what_runs_beside_finished_tasks_has_a_lane_of_its_own() -> None:
    def lanes(*began: float) -> tuple[int, list[int]]:
        found = Lanes()
        for second in range(5):
            found.add("g", False, Run(100.0 + second, 1.0, second, "finished", 0))
        laid, places = found.group("g", False).lanes([Run(at, 0.0, 10 + n, "running", 0) for n, at in enumerate(began)])
        return len(laid), places

    assert lanes() == (1, [])
    assert lanes(105.0) == (1, [0])
    assert lanes(101.0) == (2, [1]), "the first cpu was busy then"
    assert lanes(101.0, 105.0) == (2, [1, 0])


def test_what_ends_beside_a_long_task_is_not_put_into_its_lane() -> None:
    lanes = Lanes()
    count = LAID_ANEW_MAX + 1000
    for n in range(count):
        lanes.add("g", "cpu", Run(10.0 + n, 0.9, n, "finished", 0))
    group, end = lanes.group("g", "cpu"), 10.0 + count
    long, short = Run(0.5, 0.0, -1, "running", 0), Run(end, 0.0, -2, "running", 0)
    _, (own, _) = group.lanes([long, short])
    lanes.add("g", "cpu", Run(end, 1.0, -2, "finished", 0))
    found, (still,) = group.lanes([long])
    assert still == own
    assert -2 not in [run.number for run in found[own].runs]


def test_stale_tasks_are_counted_right_when_their_group_is_divided() -> None:
    shown = Shown(nodes_max=10)
    with shown.session.bind_only():
        made = [double(i) for i in range(60)]
    for stale in (True, False):
        for task in made[:50]:
            task._record.stale = stale
        shown.fold()
        told = shown.view.snapshot(101.0)
        assert sum(status.stale for status in told.status.values()) == (50 if stale else 0)
        with shown.session.bind_only():
            made += [double(i) for i in range(60)]
        shown.fold()


def test_large_groups_are_laid_anew_only_when_much_has_come() -> None:
    lanes = Lanes()
    count = LAID_ANEW_MAX * 2
    for n in range(count):
        lanes.add("g", "cpu", Run(float(n // 2), 1.0, n, "finished", 0))
    group = lanes.group("g", "cpu")
    running = [Run(count / 2, 0.0, -1, "running", 0)]
    before, _ = group.lanes(running)
    assert len(before) == 2
    for n in range(count // FRACTION - 1):
        lanes.add("g", "cpu", Run(count / 2 + n, 1.0, count + n, "finished", 0))
    running.append(Run(count / 2 + 300, 0.0, -2, "running", 0))
    between, places = group.lanes(running)
    assert between is before
    assert len(set(places)) == 2
    assert sum(len(lane.runs) for lane in between) == count + count // FRACTION - 1, "nothing is left out"
    after, _ = group.lanes([])
    assert len(after) == 2
    assert [run.number for lane in after for run in lane.runs].count(-1) == 0


def test_waiting_functions_and_transfers_are_told() -> None:
    shown = Shown()
    with shown.session.bind_only():
        first, other = double(1), double(2)
        last = total(first)
    shown.submit()
    shown.fold(now=100.0)
    moves = [
        Transfer(first.output.id, "h:1", 3 << 20, 103.0, 1.25),
        Transfer(first.output.id, "h:1", 3 << 20, 103.0, 1.25),
        Transfer(ID(last.id.session_id, 999), "h:2", 5, 103.5, 0.25),
    ]
    done = [
        TaskUpdate(first.id, TaskState.FINISHED, TaskInfo(start_time=101.0, duration=2.0, governor="g")),
        TaskUpdate(other.id, TaskState.FINISHED, TaskInfo(start_time=103.0, duration=1.0, governor="g")),
        TaskUpdate(last.id, TaskState.FINISHED, TaskInfo(None, 104.5, 1.0, "g", transfers=moves)),
    ]
    shown.news(106.0, *done)
    told = timeline(shown.view, None, None, 800, now=106.0)
    assert told.functions == ["double", "total"]
    bars = {bar.key: bar for lane in told.lanes if lane.kind != "transfers" for bar in lane.bars}
    moved = [(lane.slot, bar) for lane in told.lanes if lane.kind == "transfers" for bar in lane.bars]
    assert [(slot, bar.key, bar.name, bar.start, bar.seconds, bar.told) for slot, bar in moved] == [
        (0, f"o{first.output.id.id}", "out0 of double", 103.0, 1.25, "3.0 MiB from h:1"),
        (1, "o999", "object 999", 103.5, 0.25, "5 bytes from h:2"),
    ]
    found = [bars[f"t{task.id.id}"] for task in (first, other, last)]
    assert [(bar.function, bar.waited, bar.transfer) for bar in found] == [(0, 1.0, 0.0), (0, 3.0, 0.0), (1, 1.5, 1.25)]
    assert max(point.count for point in told.queue) == 1, "the first one had begun"
    assert told.queue[-1].count == 0


def test_the_estimate_counts_only_the_time_in_which_there_was_work() -> None:
    shown = Shown()
    with shown.session.bind_only():
        made = [double(i) for i in range(10)]
    shown.submit()
    shown.fold(100.0)
    assert shown.view.summary(100.0).remaining is None
    shown.news(104.0, *[TaskUpdate(task.id, TaskState.FINISHED) for task in made[:4]])
    assert shown.view.summary(104.0).remaining == pytest.approx(6.0)
    shown.news(110.0, *[TaskUpdate(task.id, TaskState.FINISHED) for task in made[4:]])
    assert shown.view.summary(110.0).remaining is None
    with shown.session.bind_only():
        later = [double(i) for i in range(8)]
    shown.submit()
    shown.fold(5000.0)
    assert shown.view.summary(5000.0).remaining is None
    shown.news(5002.0, *[TaskUpdate(task.id, TaskState.FINISHED) for task in later[:4]])
    assert shown.view.summary(5002.0).remaining == pytest.approx(2.0)


def test_a_group_that_grows_is_laid_out_anew_once_it_has_grown() -> None:
    shown = Shown(nodes_max=10)
    with shown.session.bind_only():
        total(*[double(i) for i in range(20)])
    shown.fold()
    first = shown.view.delta(1.0)
    assert first is not None
    for _ in range(3):
        with shown.session.bind_only():
            more = [double(i) for i in range(10)]
        shown.fold()
        told = shown.view.delta(1.0)
        assert told is not None
        assert told.topology is UNSET
        assert told.status[shown.view.visible(shown.view.tree.tasks[more[0].id.id])].counts["new"] > 20
    assert shown.view.outdated
    last = shown.view.delta(1.0)
    assert last is not None
    assert [node.tasks for node in nodes(last).values() if node.label == "double"] == [50]
    assert last.topology.number == first.topology.number + 1
    assert not shown.view.outdated
    assert shown.view.delta(1.0) is None


def test_stale_tasks_are_marked_with_their_objects_and_counted_in_groups() -> None:
    shown = Shown(nodes_max=3)
    with shown.session.bind_only():
        made = [double(i, name=f"fit/{i}") for i in range(3)]
    shown.submit()
    shown.fold()
    first = shown.view.snapshot(100.0)
    assert first.summary.stale == 0
    (group,) = [key for key, node in nodes(first).items() if node.kind == "group"]
    for task in made[:2]:
        task._record.stale = True
    shown.fold()
    told = shown.view.delta(101.0)
    assert told is not None
    assert (told.summary.stale, told.status[group].stale) == (2, 2)
    assert "2 stale" in text_line(shown.view.session, told.summary)
    shown.view.open(group)
    shown.view.show_all_objects(True)
    status = shown.view.snapshot(102.0).status
    assert [status[f"t{task.id.id}"].stale for task in made] == [1, 1, 0]
    assert [status[f"o{task.output.id.id}"].stale for task in made] == [1, 1, 0]
    made[0]._record.stale = False
    shown.fold()
    assert shown.view.summary(103.0).stale == 1
    found = details(shown.session, shown.view, f"t{made[1].id.id}")
    assert isinstance(found, TaskDetails)
    assert (found.stale, found.renewed) == (True, None)
