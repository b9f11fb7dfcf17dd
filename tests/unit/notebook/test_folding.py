"""What is drawn as one node: as little as makes a graph readable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rain import Session, remote
from rain.client.core.records import ObjectRecord, TaskRecord
from rain.notebook.drawing.arrangement import READABLE_SCALE, arrangement
from rain.notebook.graph_model import View
from rain.notebook.graph_model.tree import Group, series_of


@remote()
def load(ctx: Any, x: Any) -> Any:
    return x


@remote()
def fit(ctx: Any, *x: Any) -> Any:
    return x


@remote()
def report(ctx: Any, *x: Any) -> Any:
    return x


def view_of(declare: Callable[[], object], view: View | None = None) -> View:
    session = Session(None, 7, "folded")
    with session.bind_only():
        declare()
    return fold(view or View(7, "folded"), session)


def fold(view: View, session: Session) -> View:
    records = list(session._inside.mirror.records.values())
    tasks = [record for record in records if isinstance(record, TaskRecord)]
    view.fold(tasks, [record for record in records if isinstance(record, ObjectRecord)], 1.0)
    return view


def written(view: View) -> list[str]:
    """What is in the nodes."""
    return sorted(node.written for node in view.snapshot(1.0).topology.nodes)


def chain(length: int) -> None:
    last = load(0, name="begin")
    for step in range(1, length):
        last = fit(last, name=f"step {step}")


def fan(width: int) -> None:
    begin = load(0)
    report(*[fit(begin) for _ in range(width)])


def validation(folds: int, fits: int = 3) -> None:
    table = load(0, name="table")
    scores = []
    for number in range(folds):
        split = load(table, name=f"fold{number}/split")
        scores += [fit(split, name=f"fold{number}/fit {place}") for place in range(fits)]
    report(*scores)


def test_what_can_be_read_is_drawn_whole() -> None:
    assert written(view_of(lambda: fan(5))) == ["fit"] * 5 + ["load", "report"]
    assert len(written(view_of(lambda: chain(30)))) == 30, "lines of a chain wrap"


def test_a_run_of_equal_siblings_is_one_node_that_opens() -> None:
    view = view_of(lambda: fan(47))
    assert written(view) == ["fit \u00d7 47", "load", "report"]
    (run,) = [node for node in view.snapshot(1.0).topology.nodes if node.kind == "group"]
    assert view.open(run.key)
    assert written(view) == ["fit"] * 47 + ["load", "report"]
    assert [frame.key for frame in view.snapshot(1.0).topology.frames] == [run.key]
    assert view.close(run.key)
    assert written(view) == ["fit \u00d7 47", "load", "report"]


def test_runs_inside_of_a_group_are_folded_before_the_groups() -> None:
    view = view_of(lambda: validation(2, 15))
    assert written(view) == ["fit \u00d7 15", "fit \u00d7 15", "report", "split", "split", "table"]
    frames = view.snapshot(1.0).topology.frames
    assert [frame.label for frame in frames] == ["fold0", "fold1"]


def test_groups_then_series_of_groups_are_folded() -> None:
    few = view_of(lambda: validation(5, 5))
    assert written(few) == ["fold0", "fold1", "fold2", "fold3", "fold4", "report", "table"]
    many = view_of(lambda: validation(12))
    assert written(many) == ["fold \u00d7 12", "report", "table"]
    (series,) = [node for node in many.snapshot(1.0).topology.nodes if node.kind == "group"]
    assert (series.tasks, series.label) == (48, "fold")
    assert many.open(series.key)
    assert written(many) == sorted([f"fold{number}" for number in range(12)] + ["report", "table"])


def test_a_graph_that_grows_is_folded_when_it_has_to_be_and_stays_so() -> None:
    session = Session(None, 7, "folded")
    view = View(7, "folded")
    with session.bind_only():
        begin = load(0)
        first = [fit(begin) for _ in range(4)]
    assert written(fold(view, session)) == ["fit"] * 4 + ["load"]
    assert view.delta(1.0) is not None
    with session.bind_only():
        report(*first, *[fit(begin) for _ in range(40)])
    told = fold(view, session).delta(1.0)
    assert told is not None
    assert sorted(node.written for node in told.topology.nodes) == ["fit \u00d7 44", "load", "report"]
    assert {arc.text for arc in told.topology.arcs} == {"\u00d744"}


def test_what_a_user_opened_stays_open_however_large() -> None:
    view = view_of(lambda: fan(47))
    view.open(next(node.key for node in view.snapshot(1.0).topology.nodes if node.kind == "group"))
    view_of(lambda: fan(3), view)
    assert len(written(view)) > 47


@pytest.mark.parametrize("declare", [lambda: fan(300), lambda: validation(90), lambda: chain(400)])
def test_what_is_folded_can_be_read(declare: Callable[[], object]) -> None:
    topology = view_of(declare).snapshot(1.0).topology
    arcs = [(arc.tail, arc.head) for arc in topology.arcs]
    assert arrangement(topology.nodes, arcs, topology.frames).scale >= READABLE_SCALE


def test_groups_are_called_by_their_whole_path_and_written_as_in_their_frame() -> None:
    def declare() -> None:
        for number in range(2):
            for place in range(9):
                fit(load(place, name=f"outer/fold{number}/load"), name=f"outer/fold{number}/deep/fit")

    told = view_of(declare).snapshot(1.0).topology
    assert [(frame.label, frame.written) for frame in told.frames] == [
        ("outer", "outer"),
        ("outer/fold0", "fold0"),
        ("outer/fold1", "fold1"),
    ]
    groups = {(node.label, node.written) for node in told.nodes if node.kind == "group"}
    assert ("outer/fold0/deep", "deep") in groups
    assert ("outer/fold1/load", "load \u00d7 9") in groups


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({"finished": 97, "ready": 1}, "running"),
        ({"finished": 97, "ready": 1, "failed": 1}, "failed"),
        ({"not run": 2, "waiting": 1}, "running"),
        ({"waiting": 3, "ready": 1}, "ready"),
        ({"finished": 3, "new": 1}, "new"),
        ({"finished": 3, "ready": 0}, "finished"),
        ({"finished": 2, "cancelled": 1}, "cancelled"),
    ],
)
def test_a_group_that_is_mostly_finished_is_in_progress(counts: dict[str, int], state: str) -> None:
    group = Group("g1", "function", "fit", None)
    group.counts = counts
    assert group.state == state


@pytest.mark.parametrize(
    ("step", "series"),
    [("fold 12", "fold"), ("fold0", "fold"), ("2024-01-31", "#-#-#"), ("7", "#"), ("train", ""), ("lot 3b", "lot #b")],
)
def test_steps_that_differ_by_a_number_are_a_series(step: str, series: str) -> None:
    assert series_of(step) == series
