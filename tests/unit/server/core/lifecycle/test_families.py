"""Families: many tasks in one record, and each member a task like any other."""

from __future__ import annotations

import tracemalloc
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.common.ids import ID
from rain.common.location import Inline, LocalFile, Upload
from rain.common.protocol import messages as m
from rain.common.protocol.columns import counts, counts_of, floats, floats_of
from rain.common.protocol.families import is_sound, updates
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskOptions, TaskSpec, TaskSpecInput
from rain.common.states import DataObjectState, TaskState
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.state_classes import codec
from rain.server.records.family import TaskFamily
from rain.server.scheduling.policy import SchedulingPolicy
from tests.unit.server.rig import ENV, LARGE, Rig

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


def results(made: m.Family, first: int, count: int, attempt: int = 1, seconds: float = 0.5) -> m.FamilyResults:
    """Of some of the members."""
    stride = len(made.outputs) + 1
    column = m.OutputColumn(
        ObjectInfo(content_type="pickle"), [b"v%d" % place for place in range(count)], counts([9] * count)
    )
    start = ID(made.spec.id[0], made.spec.id[1] + first * stride)
    return m.FamilyResults(
        start, stride, attempt, floats([5.0] * count), floats([seconds] * count), [column] * len(made.outputs)
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


def test_what_comes_in_parts_stands_where_it_belongs() -> None:
    rig, made = started(6, cpus=6.0)
    for first, count in ((3, 2), (0, 3), (5, 1)):
        rig.says("g:1", m.Finished([], [results(made, first, count)]))
    rig.turn()
    located = rig.ask(m.Locate, rig.session, [ID(id[0], id[1] + 1) for id in members(made)])
    assert [one.location.data for one in located.objects] == [b"v0", b"v1", b"v2", b"v0", b"v1", b"v0"]


def test_a_large_result_is_where_it_was_made_and_the_others_are_here() -> None:
    rig, made = started(4, cpus=4.0)
    ids = members(made)
    output = ID(ids[1][0], ids[1][1] + 1)
    file = LocalFile("/out/1", 7, LARGE, 0, 1)
    large = m.OutputResult(output, ObjectInfo(size=LARGE), file)
    alone = m.TaskResult(ids[1], 1, TaskInfo(start_time=5.0, duration=0.5), [large])
    rig.says("g:1", m.Finished([alone], [results(made, 0, 1), results(made, 2, 2)]))
    rig.turn()
    assert own(rig) == [ids[1][1]], "it may have to make that again"
    assert [rig.state(id) for id in ids] == ["finished"] * 4
    (located,) = rig.ask(m.Locate, rig.session, [output]).objects
    assert [(one.address, one.file) for one in located.location.replicas] == [("g:1", file)]
    rig.gone("g:1")
    rig.governor("g:2", cpus=4.0)
    rig.turn()
    assert {(id, attempt) for (id, attempt), (name, _) in rig.given.items() if name == "g:2"} == {(ids[1], 2)}
    assert rig.given[(ids[1], 2)][1].spec.config[0] == b"args 1"


def test_results_of_an_attempt_that_was_never_given_do_not_count() -> None:
    rig, made = started(3, cpus=3.0)
    rig.says("g:1", m.Finished([], [results(made, 0, 3, attempt=2)]))
    rig.turn()
    assert {rig.state(id) for id in members(made)} == {"ready"}
    assert rig.core.state.stale_results == 3
    rig.says("g:1", m.Finished([], [results(made, 0, 3)]))
    rig.turn()
    assert {rig.state(id) for id in members(made)} == {"finished"}


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


# -- each member is a task like any other ------------------------------------------------------------


def started(count: int = 6, *, cpus: float = 2.0, kept: list[int] | None = None, **fields: Any) -> tuple[Rig, m.Family]:
    """A family that is submitted, and a governor that has some of it."""
    rig = Rig(**fields)
    rig.governor("g:1", cpus=cpus)
    made = family(rig, count, rig.constant(), kept=kept)
    assert isinstance(submit(rig, made), m.Done)
    rig.turn()
    return rig, made


def record(rig: Rig) -> TaskFamily | None:
    """The one record of the session's family; None: no member is left without a record of its own."""
    families = rig.core.state.graph.sessions[rig.session].families.records
    return families[0] if families else None


def own(rig: Rig) -> list[int]:
    """Numbers of the tasks that have records of their own."""
    return sorted(rig.core.state.graph.sessions[rig.session].tasks.own)


def test_a_family_is_one_record_until_somebody_looks() -> None:
    rig, made = started(1000)
    ids = members(made)
    session = rig.core.state.graph.sessions[rig.session]
    assert not session.tasks.own
    assert len(session.tasks) == 1000
    assert ids[7][1] in session.tasks
    assert ids[7][1] + 1 in session.objects
    assert ids[7][1] + 1 not in session.tasks
    assert not session.tasks.own, "looking whether it is there makes no record"
    assert rig.ask(m.Explain, ids[1]).values["text"].startswith(f"Task py/ ({ids[1]}) was given to governor g:1")
    assert rig.ask(m.Explain, ids[7]).values["text"].startswith(f"Task py/ ({ids[7]}) is ready")
    assert own(rig) == [ids[1][1], ids[7][1]]


def test_memory_of_a_waiting_member_is_its_arguments_and_few_bytes() -> None:
    rig = Rig()
    function = rig.constant()
    args = [b"%020d" % place for place in range(20_000)]
    made = replace(family(rig, 20_000, function), args=args)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert isinstance(rig.ask(lambda request: m.Submit(request, rig.session, [], [], [], [], families=[made])), m.Done)
    rig.to_client.clear()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used < 50 * 20_000


def test_cancel_of_one_member_leaves_the_others() -> None:
    rig, made = started(4)
    ids = members(made)
    rig.ask(m.Cancel, rig.session, [ids[0], ids[3]])
    rig.turn()
    assert [rig.state(id) for id in ids] == ["cancelled", "ready", "ready", "cancelled"]
    cancels = [attempt for message in rig.told("g:1", m.CancelTasks) for attempt in message.tasks]
    assert (ids[0], 1) in cancels
    rig.says("g:1", m.Finished([], [results(made, 0, 4)]))
    rig.turn()
    assert [rig.state(id) for id in ids] == ["cancelled", "finished", "finished", "cancelled"]
    assert [rig.state(ID(id[0], id[1] + 1)) for id in ids] == ["failed", "finished", "finished", "failed"]


def test_cancel_of_all() -> None:
    rig, made = started(4, cpus=1.0)
    rig.ask(m.Cancel, rig.session, None)
    rig.turn()
    assert {rig.state(id) for id in members(made)} == {"cancelled"}


def failure(id: ID, attempt: int = 1, kind: str = "exception") -> m.Finished:
    return m.Finished([m.TaskResult(id, attempt, TaskInfo(duration=0.1), [], TaskError(kind, "it broke"))])


def test_one_that_fails_is_retried_and_forgotten_alone() -> None:
    rig, made = started(4, cpus=4.0)
    ids = members(made)
    rig.says("g:1", failure(ids[1]))
    rig.says("g:1", failure(ids[2]))
    rig.says("g:1", m.Finished([], [results(made, 0, 1), results(made, 3, 1)]))
    rig.turn()
    assert [rig.state(id) for id in ids] == ["finished", "failed", "failed", "finished"]
    assert rig.ask(m.Forget, rig.session, [ids[2]]) is not None
    assert isinstance(rig.ask(m.Retry, rig.session, [ids[1]]), m.Done)
    rig.turn()
    assert rig.given[(ids[1], 2)][1].spec.config[0] == b"args 1"
    rig.says("g:1", m.Finished([], [results(made, 1, 1, attempt=2)]))
    rig.turn()
    assert [rig.state(id) for id in ids] == ["finished", "finished", "failed", "finished"]
    assert "forgotten" in rig.ask(m.Retry, rig.session, [ids[2]]).message


def test_a_failure_under_stop_ends_the_session() -> None:
    rig, made = started(500, on_failure="stop")
    rig.says("g:1", failure(members(made)[1]))
    stopped = [said for said in rig.to_client if isinstance(said, m.SessionStopped)]
    assert stopped[0].task == members(made)[1]
    counts = rig.ask(m.GetServerInfo).sessions[0].tasks
    assert counts == {"cancelled": 499, "failed": 1}
    rig.says("g:1", m.Finished([], [results(made, 0, 1)]))  # it had ended before its governor heard of that
    assert rig.ask(m.GetServerInfo).sessions[0].tasks == counts
    rig.ask(m.CloseSession, rig.session)
    rig.turn()
    rig.says("g:1", m.Finished([], [results(made, 2, 1)]))
    rig.says("g:1", m.SessionEnded(rig.session))
    rig.turn()
    assert not rig.core.state.graph.sessions
    assert not rig.core.state.graph.governors["g:1"].count
    rig.says("g:1", m.Finished([], [results(made, 3, 1)]))
    rig.turn()


def test_a_crash_charges_one_member_alone() -> None:
    rig, made = started(3, cpus=3.0)
    ids = members(made)
    rig.says("g:1", failure(ids[1], kind="crash"))
    rig.turn()
    assert rig.core.state.graph.sessions[rig.session].crashes == {ids[1][1]: 1}
    assert (ids[1], 2) in rig.given
    rig.says("g:1", m.Finished([], [results(made, 0, 3)]))  # the middle one is of another attempt
    rig.turn()
    assert [rig.state(id) for id in ids] == ["finished", "ready", "finished"]
    assert rig.core.state.stale_results == 1


def test_outputs_are_kept_and_let_go_one_by_one() -> None:
    rig, made = started(3, cpus=3.0)
    ids = members(made)
    outputs = [ID(id[0], id[1] + 1) for id in ids]
    assert isinstance(rig.ask(m.Unkeep, rig.session, [outputs[0]]), m.Done)  # before it has finished
    rig.says("g:1", m.Finished([], [results(made, 0, 3)]))
    rig.turn()
    assert [rig.state(id) for id in outputs] == ["removed", "finished", "finished"]
    rig.news()
    assert isinstance(rig.ask(m.Unkeep, rig.session, [outputs[1]]), m.Done)
    rig.turn()
    assert rig.news()[1] == {outputs[1]: "removed"}
    assert [rig.state(id) for id in outputs] == ["removed", "removed", "finished"]
    assert "cannot be kept" in rig.ask(m.Keep, rig.session, [outputs[1]]).message
    assert isinstance(rig.ask(m.Unkeep, rig.session, [outputs[2]]), m.Done)
    assert record(rig) is None


def runs(made: m.Family, first: int, count: int) -> list[m.MemberRun]:
    """The outputs of members."""
    session_id, number = members(made)[first]
    return [m.MemberRun(ID(session_id, number + 1), 2, count)]


def test_results_of_many_are_let_go_in_one_message() -> None:
    rig, made = started(1000, cpus=1000.0)
    outputs = [ID(id[0], id[1] + 1) for id in members(made)]
    rig.says("g:1", m.Finished([], [results(made, 0, 600)]))
    rig.turn()
    rig.news()
    before = len(rig.to_client)
    assert isinstance(rig.ask(m.Unkeep, rig.session, [], runs(made, 100, 700)), m.Done)
    rig.turn()
    assert own(rig) == [], "of these 500 had finished and 200 had not"
    unkept = [one for one in rig.happened if one.type == "ClientUnkeep"]
    assert [one.id for one in unkept] == [id[1] for id in outputs[100:800]]
    told = [one for said in rig.to_client[before:] if isinstance(said, m.SessionUpdate) for one in said.families]
    assert told == [m.FamilyUpdate(members(made)[100], 2, 500, TaskState.FINISHED)]
    rig.says("g:1", m.Finished([], [results(made, 600, 400)]))
    rig.turn()
    located = rig.ask(m.Locate, rig.session, [*outputs[:100], *outputs[800:]])
    assert [type(one.location) for one in located.objects] == [Inline] * 300
    assert {rig.state(id) for id in outputs[100:800]} == {"removed"}
    assert {rig.state(id) for id in members(made)} == {"finished"}
    assert "cannot be kept" in rig.ask(m.Keep, rig.session, [outputs[650]]).message
    assert isinstance(rig.ask(m.Unkeep, rig.session, [], runs(made, 0, 1000)), m.Done)
    rig.turn()
    assert record(rig) is None


def test_a_run_of_members_of_which_some_have_records() -> None:
    rig, made = started(6, cpus=6.0)
    outputs = [ID(id[0], id[1] + 1) for id in members(made)]
    user = rig.task(outputs[2])
    assert isinstance(rig.submit(user), m.Done)
    rig.ask(m.Explain, members(made)[4])
    assert own(rig) == sorted(id[1] for id in (members(made)[2], members(made)[4], user.id))
    assert isinstance(rig.ask(m.Unkeep, rig.session, [], runs(made, 1, 4)), m.Done)
    rig.says("g:1", m.Finished([], [results(made, 0, 6)]))
    rig.turn()
    states = [rig.state(id) for id in outputs]
    assert states == ["finished", "removed", "finished", "removed", "removed", "finished"], "one is needed by a task"


@pytest.mark.parametrize(
    ("first", "stride", "count"), [(-5, 2, 10), (1, 0, 10), (1, -2, 10), (1, 1, 1 << 60), (10**9, 2, 5), (2, 3, 400)]
)
def test_a_run_that_means_nothing_harms_nothing(first: int, stride: int, count: int) -> None:
    rig, made = started(4, cpus=4.0)
    other = m.MemberRun(ID(rig.session + 1, members(made)[0][1] + 1), 2, 4)
    assert isinstance(rig.ask(m.Unkeep, rig.session, [], [other]), m.Done)
    foreign = ID(rig.session, first)
    assert isinstance(rig.ask(m.Unkeep, rig.session, [], [m.MemberRun(foreign, stride, count)]), m.Done)
    rig.says("g:1", m.Finished([], [results(made, 0, 4)]))
    rig.turn()
    assert {rig.state(id) for id in members(made)} == {"finished"}


def view(rig: Rig) -> tuple[dict[ID, str], dict[ID, str]]:
    """The last that the client was told of each task and object."""
    tasks: dict[ID, str] = {}
    objects: dict[ID, str] = {}
    for said in rig.to_client:
        if isinstance(said, m.SessionUpdate):
            for family in said.families:
                its = updates(family)
                tasks.update((one.id, one.state.value) for one in its[0])
                objects.update((one.id, one.state.value) for one in its[1])
            tasks.update((one.id, one.state.value) for one in said.tasks)
            objects.update((one.id, one.state.value) for one in said.objects)
    return tasks, objects


places = st.tuples(st.integers(0, 11), st.integers(1, 12))
doings = st.lists(
    st.tuples(st.sampled_from(["finish", "finish", "unkeep", "unkeep", "unkeep", "keep", "look", "cancel"]), places),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(doings, st.integers(0, 12), st.booleans())
def test_runs_that_are_let_go_are_what_each_by_itself_is(
    doings: list[tuple[str, tuple[int, int]]], cpus: int, turns: bool
) -> None:
    rigs = [started(12, cpus=float(cpus)) for _ in range(2)]
    for (what, (start, count)), (rig, made) in product(doings, rigs):
        count = min(count, 12 - start)
        ids = members(made)
        outputs = [ID(id[0], id[1] + 1) for id in ids]
        if what == "finish":
            mine = [place for place in range(start, start + count) if (ids[place], 1) in rig.given]
            rig.says("g:1", m.Finished([], [results(made, place, 1) for place in mine]))
        elif what == "unkeep" and rig is rigs[0][0]:
            rig.ask(m.Unkeep, rig.session, [], runs(made, start, count))
        elif what == "unkeep":
            rig.ask(m.Unkeep, rig.session, outputs[start : start + count])
        elif what == "keep":
            rig.ask(m.Keep, rig.session, [outputs[start]])
        elif what == "look":
            rig.ask(m.Explain, ids[start])
        else:
            rig.ask(m.Cancel, rig.session, [ids[start]])
        if turns:
            rig.turn()
    for rig, made in rigs:
        rig.turn()
        rig.says("g:1", m.Finished([], [results(made, 0, 12)]))
        rig.turn()
    (first, made), (second, _) = rigs
    assert view(first) == view(second)
    unkept = [sorted(one.id or 0 for one in rig.happened if one.type == "ClientUnkeep") for rig, _ in rigs]
    assert unkept[0] == unkept[1]
    for id in (ID(id[0], id[1] + at) for id in members(made) for at in (0, 1)):
        assert first.state(id) == second.state(id), id


def test_one_is_kept_that_was_not() -> None:
    rig, made = started(3, cpus=3.0, kept=[])
    outputs = [ID(id[0], id[1] + 1) for id in members(made)]
    assert isinstance(rig.ask(m.Keep, rig.session, [outputs[1]]), m.Done)
    rig.says("g:1", m.Finished([], [results(made, 0, 3)]))
    rig.turn()
    assert [rig.state(id) for id in outputs] == ["removed", "finished", "removed"]
    assert record(rig) is None


@pytest.mark.parametrize("first", [True, False])
def test_a_later_submit_depends_on_one(first: bool) -> None:
    rig, made = started(3, cpus=3.0)
    end = m.Finished([], [results(made, 0, 3)])
    if first:
        rig.says("g:1", end)
    output = ID(rig.session, members(made)[1][1] + 1)
    task = rig.task(output)
    assert isinstance(rig.submit(task), m.Done)
    if not first:
        rig.turn()
        assert rig.state(task) == "waiting"
        rig.says("g:1", end)
    rig.turn()
    assert rig.given[(task.id, 1)][0] == "g:1"
    sent = [data for assign in rig.told("g:1", m.Assign) for data in assign.objects]
    assert Inline(b"v1", 9) in [data.location for data in sent if data.spec.id == output]


def test_a_member_that_is_needed_in_the_same_submit_has_its_own_record() -> None:
    rig = Rig()
    made = family(rig, 3, rig.constant())
    needs = rig.task(ID(rig.session, members(made)[1][1] + 1))
    assert isinstance(submit(rig, made, tasks=(needs,)), m.Done)
    assert own(rig) == [members(made)[1][1], needs.id[1]]
    rig.governor("g:1", cpus=3.0)
    rig.turn()
    ranks = {id: task.rank for (id, _), (_, task) in rig.given.items()}
    assert ranks[members(made)[1]] < ranks[members(made)[0]] < ranks[members(made)[2]], "the critical path goes first"


def test_what_is_lost_with_a_governor_runs_elsewhere() -> None:
    rig, made = started(4, cpus=4.0)
    ids = members(made)
    rig.says("g:1", m.Started([(ids[1], 1)]))
    rig.says("g:1", m.Finished([], [results(made, 0, 1)]))
    rig.gone("g:1")
    rig.governor("g:2", cpus=4.0)
    rig.turn()
    assert [rig.state(id) for id in ids] == ["finished", "ready", "ready", "ready"]
    assert {(id, attempt) for id, attempt in rig.given if rig.given[(id, attempt)][0] == "g:2"} == {
        (id, 2) for id in ids[1:]
    }
    assert rig.core.state.graph.sessions[rig.session].crashes == {ids[1][1]: 1}, "of those that are known to have run"


def test_members_that_may_run_once_fail_with_their_governor() -> None:
    rig = Rig()
    rig.governor("g:1", cpus=2.0)
    made = family(rig, 4, rig.constant())
    made.spec.options = TaskOptions(rerun="never")
    assert isinstance(submit(rig, made), m.Done)
    rig.turn()
    assert len(rig.given) == 2, "none is given ahead of time"
    rig.gone("g:1")
    assert [rig.state(id) for id in members(made)] == ["failed", "failed", "ready", "ready"]


def test_what_is_given_back_is_ready_again() -> None:
    rig = Rig()
    rig.governor("g:1", cpus=1.0)
    function = rig.constant()
    short = family(rig, 2, function)
    assert isinstance(submit(rig, short), m.Done)
    rig.turn()
    rig.says("g:1", m.Finished([], [results(short, 0, 2, seconds=0.001)]))
    made = family(rig, 80, function)
    ids = members(made)
    assert isinstance(submit(rig, made), m.Done)
    rig.turn()
    assert {rig.given[(id, 1)][0] for id in ids} == {"g:1"}, "all are given ahead of time"
    rig.governor("g:2", cpus=1.0)
    rig.turn()
    asked = [attempt for message in rig.told("g:1", m.TakeBack) for attempt in message.tasks]
    assert asked == [(id, 1) for id in reversed(ids)][: len(asked)], "the last ones"
    assert 20 < len(asked) < 60
    middle = [(ids[3], 1), (ids[5], 1), (ids[4], 1)]
    rig.given.clear()
    rig.says("g:1", m.GaveBack([*asked[2:], *middle]))  # two of them have begun meanwhile
    rig.turn()
    assert not own(rig)
    there = {id for (id, attempt), (name, _) in rig.given.items() if name == "g:2" and attempt == 1}
    assert {id for id, _ in middle} <= there, "the first of all that are ready"
    assert not {id for id, _ in asked[:2]} & there


def test_priorities_hold_between_families() -> None:
    rig = Rig()
    function = rig.constant()
    low, high = family(rig, 3, function), family(rig, 3, function)
    high.spec.options = TaskOptions(priority=1)
    assert isinstance(submit(rig, low, high), m.Done)
    rig.governor("g:1", cpus=6.0)
    rig.turn()
    ranks = {id: task.rank for (id, _), (_, task) in rig.given.items()}
    assert sorted(ranks, key=ranks.__getitem__) == [*members(high), *members(low)]


def test_all_governors_get_some() -> None:
    rig = Rig()
    for name in ("g:1", "g:2", "g:3"):
        rig.governor(name, cpus=2.0)
    made = family(rig, 12, rig.constant())
    assert isinstance(submit(rig, made), m.Done)
    rig.turn()
    assert [governor.count for governor in rig.core.state.graph.governors.values()] == [4, 4, 4]


def test_another_session_gets_its_turn() -> None:
    rig, _ = started(5000, cpus=2.0)
    rig.step(ev.ClientJoined("other"))
    session = rig.ask(m.NewSession, "urgent", "continue", False, ENV, client="other").session_id
    task = TaskSpec(ID(session, 1), "py/", resources={"cpus": 1.0}, options=TaskOptions(priority=5))
    rig.ask(m.Submit, session, [task], [], [], [], client="other")
    rig.turn()
    rig.governor("g:2", cpus=1.0)
    rig.turn()
    assert rig.given[(task.id, 1)][0] == "g:2"


class OneByOne(SchedulingPolicy):
    """A policy that knows nothing of families."""

    def __init__(self) -> None:
        self.ready: dict[Any, None] = {}

    def task_ready(self, task: Any) -> None:
        self.ready[task] = None

    def task_withdrawn(self, task: Any) -> None:
        self.ready.pop(task, None)

    def assignments(self, view: Any, now: float) -> Any:
        for task in list(self.ready):
            for governor in view.governors():
                del self.ready[task]
                yield task, governor


def test_a_policy_from_outside_is_offered_tasks() -> None:
    rig = Rig(policy=OneByOne)
    rig.governor("g:1", cpus=4.0)
    made = family(rig, 3, rig.constant())
    assert isinstance(submit(rig, made), m.Done)
    rig.turn()
    assert own(rig) == [id[1] for id in members(made)]
    assert [id for id, _ in rig.given] == members(made)


def test_an_unsuitable_family_fails_as_its_members_would() -> None:
    rig, made = started(3)
    too_much = family(rig, 2, rig.constant())
    too_much.spec.resources = {"cpus": 100.0}
    assert isinstance(submit(rig, too_much), m.Done)
    rig.turn()
    assert {rig.state(id) for id in members(too_much)} == {"failed"}
    assert {rig.state(id) for id in members(made)} == {"ready"}


def test_large_constants_are_brought_near_as_for_any_task() -> None:
    rig = Rig()
    rig.governor("g:1", cpus=4.0)
    large = rig.id()
    upload = m.Constant(large, Upload("x", LARGE, 1, LocalFile("/in/x", 1, LARGE, 0, 1)))
    assert isinstance(rig.submit(more_constants=[upload], more_objects=[ObjectSpec(large)]), m.Done)
    made = family(rig, 2, rig.constant())
    made.spec.inputs = [TaskSpecInput(large)]
    assert isinstance(submit(rig, made), m.Done)
    assert own(rig) == [id[1] for id in members(made)]


def test_ephemeral_constants_go_with_the_last_member() -> None:
    rig = Rig()
    rig.governor("g:1", cpus=4.0)
    function = rig.constant()
    value = rig.id()
    made = family(rig, 3, function, kept=[])
    made.spec.inputs = [TaskSpecInput(value)]
    constant = m.Constant(value, Inline(b"value", 1), None, True)
    fields = {"objects": [ObjectSpec(value)], "constants": [constant]}
    assert isinstance(submit(rig, made, **fields), m.Done)
    rig.turn()
    rig.says("g:1", m.Finished([], [results(made, 0, 2)]))
    rig.turn()
    assert not rig.told("g:1", m.DropObjects)
    rig.says("g:1", m.Finished([], [results(made, 2, 1)]))
    rig.turn()
    assert rig.told("g:1", m.DropObjects) == [m.DropObjects([value])]
    assert value[1] not in rig.core.state.graph.sessions[rig.session].objects


def test_events_tell_of_each_member() -> None:
    rig, made = started(2, cpus=2.0)
    said = rig.step(ev.GovernorSaid("g:1", m.Finished([], [results(made, 0, 2)])))
    logged = [effect for effect in said if isinstance(effect, do.Logged)]
    assert sum(one.count for one in logged) == 6
    events = [(one.type, one.id) for effect in logged for one in effect.each()]
    first, second = (id[1] for id in members(made))
    assert events == [
        ("TaskStarted", first), ("TaskFinished", first), ("DataObjectFinished", first + 1),
        ("TaskStarted", second), ("TaskFinished", second), ("DataObjectFinished", second + 1),
    ]  # fmt: skip


def test_a_client_that_is_behind_is_told_the_present() -> None:
    rig, made = started(4, cpus=4.0)
    rig.to_client.clear()
    more = family(rig, 3, rig.constant())
    rig.governor("g:2", cpus=4.0)
    rig.step(ev.ClientPace("c", True))
    assert isinstance(submit(rig, more), m.Done)
    rig.turn()
    rig.says("g:1", m.Finished([], [results(made, 0, 3)]))
    where = {id: name for (id, _), (name, _) in rig.given.items()}
    rig.says(where[members(more)[2]], m.Finished([], [results(more, 2, 1)]))
    rig.says(where[members(more)[1]], failure(members(more)[1]))
    rig.turn()
    assert not [said for said in rig.to_client if isinstance(said, m.SessionUpdate)]
    rig.step(ev.ClientPace("c", False))
    rig.turn()
    updates = [said for said in rig.to_client if isinstance(said, m.SessionUpdate)]
    told = [(one.first, one.count, one.state.value) for update in updates for one in update.families]
    assert told == [
        (members(more)[0], 1, "ready"),
        (members(made)[0], 3, "finished"),
        (members(more)[2], 1, "finished"),
    ]
    assert [(one.id, one.state.value) for update in updates for one in update.tasks] == [(members(more)[1], "failed")]


@pytest.mark.parametrize("looked_at", [False, True])
def test_another_client_that_attaches_is_told_of_each_member_once(looked_at: bool) -> None:
    """Also of one that has finished, though its task is forgotten, as long as its result is held."""
    rig, made = started(3, cpus=3.0)
    rig.says("g:1", m.Finished([], [results(made, 0, 1)]))
    if looked_at:
        assert rig.core.state.graph.object(ID(members(made)[0][0], members(made)[0][1] + 1)) is not None
    rig.step(ev.ClientGone("c", 60.0))
    rig.step(ev.ClientJoined("d"))
    rig.to_client.clear()
    attached = rig.ask(m.Attach, rig.session, client="d")
    rig.turn()
    outputs = [ID(id[0], id[1] + 1) for id in members(made)]
    assert sorted(update.id for update in attached.states) == members(made)
    assert [update.id for update in attached.states if update.state is TaskState.FINISHED] == members(made)[:1]
    assert (attached.released, len(attached.objects)) == (0, len({spec.id for spec in attached.objects}))
    states = {update.id: update.state.value for update in attached.object_states}
    assert [states[id] for id in outputs] == ["finished", "unfinished", "unfinished"]
    assert set(outputs) <= set(attached.keep)
    assert not [said for said in rig.to_client if isinstance(said, m.SessionUpdate) and said.families]


def test_an_image_holds_families() -> None:
    rig, made = started(400, cpus=2.0)
    ids = members(made)
    rig.says("g:1", m.Finished([], [results(made, 0, 2)]))
    rig.ask(m.Cancel, rig.session, [ids[1], ids[5]])
    state = load(codec(), dump(codec(), rig.core.state))
    state.make_policy, state.policy_name = rig.core.state.make_policy, rig.core.state.policy_name
    rig.core.state = state
    rig.to_client.clear()
    rig.given.clear()
    rig.says("g:1", m.Finished([], [results(made, 2, 3)]))
    rig.turn()
    assert [rig.state(id) for id in ids[:7]] == ["finished"] * 5 + ["cancelled", "ready"]
    assert rig.given, "it goes on"


def test_results_of_one_run_may_be_of_two_families() -> None:
    rig = Rig()
    rig.governor("g:1", cpus=6.0)
    function = rig.constant()
    first, second = family(rig, 3, function), family(rig, 2, function)  # two pieces of one map
    assert isinstance(submit(rig, first, second), m.Done)
    rig.turn()
    told = replace(first, args=[b""] * 5)
    rig.says("g:1", m.Finished([], [results(told, 3, 2), results(told, 0, 3)]))
    rig.turn()
    assert not own(rig)
    assert {rig.state(id) for id in members(told)} == {"finished"}
