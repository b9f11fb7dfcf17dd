"""Families: many tasks in one record, and each member a task like any other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.columns import counts, counts_of, floats, floats_of
from rain.common.protocol.families import is_sound
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec
from rain.common.states import DataObjectState, TaskState
from tests.unit.server.rig import Rig

replace = msgspec.structs.replace


def family(rig: Rig, count: int, function: ID, *, kept: list[int] | None = None, outputs: int = 1) -> m.Family:
    """A family, not submitted; its numbers are taken."""
    spec = TaskSpec(rig.id(), "py/", [b"", False, [], [], [], [], []], resources={"cpus": 1.0}, function=function)
    spec.outputs = [rig.id() for _ in range(outputs)]
    objects = [ObjectSpec(id) for id in spec.outputs]
    rig.number += (count - 1) * (outputs + 1)
    args = [b"args %d" % place for place in range(count)]
    made = m.Family(spec, objects, args, [0] if kept is None else kept)
    assert is_sound(made)
    return made


def submit(rig: Rig, *families: m.Family, tasks: tuple[TaskSpec, ...] = (), **fields: Any) -> Any:
    submit = m.Submit(0, rig.session, list(tasks), [ObjectSpec(id) for task in tasks for id in task.outputs], [], [])
    submit = replace(submit, families=list(families), **fields)
    return rig.ask(lambda request: replace(submit, request=request))


def members(made: m.Family) -> list[ID]:
    stride = len(made.outputs) + 1
    return [ID(made.spec.id[0], made.spec.id[1] + place * stride) for place in range(len(made.args))]


def results(made: m.Family, first: int, count: int, attempt: int = 1) -> m.FamilyResults:
    """Of some of the members."""
    stride = len(made.outputs) + 1
    column = m.OutputColumn(
        ObjectInfo(content_type="pickle"), [b"v%d" % place for place in range(count)], counts([9] * count)
    )
    start = ID(made.spec.id[0], made.spec.id[1] + first * stride)
    return m.FamilyResults(
        start, stride, attempt, floats([5.0] * count), floats([0.5] * count), [column] * len(made.outputs)
    )


def test_members_run_and_finish() -> None:
    rig = Rig()
    function = rig.constant()
    made = family(rig, 3, function)
    assert isinstance(submit(rig, made), m.Done)
    rig.governor("g:1", cpus=4.0)
    rig.turn()
    ids = members(made)
    assert list(rig.given) == [(id, 1) for id in ids]
    for place, id in enumerate(ids):
        assignment = rig.given[(id, 1)][1]
        assert assignment.spec.config[0] == b"args %d" % place
        assert assignment.spec.outputs == [ID(id[0], id[1] + 1)]
        assert assignment.kept == [0]
    rig.says("g:1", m.Finished([], [results(made, 0, 3)]))
    rig.turn()
    located = rig.ask(m.Locate, rig.session, [ID(id[0], id[1] + 1) for id in ids])
    assert [one.location for one in located.objects] == [Inline(b"v%d" % place, 9) for place in range(3)]
    told = [update for said in rig.to_client if isinstance(said, m.SessionUpdate) for update in said.families]
    assert [(update.first, update.stride, update.count, update.state) for update in told] == [
        (ids[0], 2, 3, TaskState.READY),
        (ids[0], 2, 3, TaskState.FINISHED),
    ]
    assert (told[1].governor, told[1].attempts, list(floats_of(told[1].durations))) == ("g:1", 1, [0.5] * 3)
    column = told[1].outputs[0]
    assert (column.state, column.data) == (DataObjectState.FINISHED, [b"v0", b"v1", b"v2"])
    assert (list(counts_of(column.sizes)), list(counts_of(column.checksums))) == ([2] * 3, [9] * 3)


def test_families_stand_between_tasks_in_the_order_of_making() -> None:
    rig = Rig()
    function = rig.constant()
    before = rig.task()
    made = family(rig, 2, function)
    behind = rig.task(made.outputs[0].id)
    assert isinstance(submit(rig, replace(made, after=1), tasks=(before, behind)), m.Done)
    tasks = rig.core.state.graph.sessions[rig.session].tasks
    ordered = sorted(tasks.values(), key=lambda task: task.order)
    assert [task.id for task in ordered] == [before.id, *members(made), behind.id]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda made: replace(made, args=[]), "is not one"),
        (lambda made: replace(made, kept=[1]), "is not one"),
        (lambda made: replace(made, args=[b""] * 10_000_001), "SESSION_TASKS_MAX"),
        (lambda made: replace(made, spec=replace(made.spec, function=ID(1, 999))), "does not exist"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_as_a_whole(wrong: Any, text: str) -> None:
    rig = Rig()
    made = family(rig, 2, rig.constant())
    answer = submit(rig, wrong(made))
    assert isinstance(answer, m.Failed)
    assert text in answer.message
    assert not rig.core.state.graph.sessions[rig.session].tasks
    assert isinstance(submit(rig, made), m.Done)


def test_numbers_of_members_are_taken_once() -> None:
    rig = Rig()
    made = family(rig, 3, rig.constant())
    assert isinstance(submit(rig, made), m.Done)
    number = made.spec.id[1] + 3  # an output of the second member
    task = TaskSpec(ID(rig.session, number), "py/", resources={"cpus": 1.0})
    answer = submit(rig, tasks=(task,))
    assert "was submitted before" in answer.message


def test_persistent_sessions_know_where_members_were_made() -> None:
    rig = Rig(persistent=True)
    function = rig.constant()
    one = replace(family(rig, 2, function), made=[0])
    other = replace(family(rig, 2, function), made=[1, 0])
    sites = [("line 1", "frames"), ("line 2", "frames")]
    assert isinstance(submit(rig, one, other, sites=sites), m.Done)
    made = rig.core.state.graph.sessions[rig.session].made
    assert [made[id[1]][0] for id in members(one)] == ["line 1", "line 1"]
    assert [made[id[1]][0] for id in members(other)] == ["line 2", "line 1"]


def test_governors_hold_nothing_of_what_families_told() -> None:
    rig = Rig()
    rig.governor("g:1", cpus=4.0)
    made = family(rig, 2, rig.constant(), kept=[])
    behind = rig.task(made.outputs[0].id)
    assert isinstance(submit(rig, made, tasks=(behind,)), m.Done)
    rig.turn()
    assert rig.core.state.graph.task(behind.id).governor is not None, "it was given ahead of its input"
    assert rig.told("g:1", m.Assign)
    rig.says("g:1", m.Finished([], [results(made, 0, 2)]))
    rig.turn()
    governor = rig.core.state.graph.governors["g:1"]
    assert [obj.id for obj in governor.objects] == [made.spec.function, made.outputs[0].id]
    sent = [data for assign in rig.told("g:1", m.Assign) for data in assign.objects]
    assert [(data.spec.id, data.location) for data in sent] == [(made.outputs[0].id, Inline(b"v0", 9))]
    assert not rig.told("g:1", m.DropObjects)
    rig.says("g:1", m.Finished([], [results(made, 0, 2)]))  # once more: it is stale
    rig.turn()
    assert rig.core.state.stale_results == 2
    assert not rig.told("g:1", m.DropObjects)
    rig.finish(behind)
    rig.turn()
    assert rig.told("g:1", m.DropObjects) == [m.DropObjects([behind.outputs[0], made.outputs[0].id])]
