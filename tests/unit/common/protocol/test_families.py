"""Families on the wire: members have the numbers that they should, and parts say what the whole says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol import messages as m
from rain.common.protocol.columns import counts, counts_of, floats, floats_of
from rain.common.protocol.families import (
    assignments,
    column_entry,
    is_sound,
    joined,
    member_outputs,
    member_spec,
    part_of,
    results,
    updates,
    with_args,
)
from rain.common.protocol.parts import halves
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskOptions, TaskSpec, TaskSpecInput
from rain.common.states import DataObjectState, TaskState
from rain.common.task_configs import EXECUTE, ExecuteConfig, PyConfig

OPTIONS = TaskOptions(priority=2)


def template(outputs: int = 1) -> tuple[TaskSpec, list[ObjectSpec]]:
    """Of a family whose first task has number 10."""
    ids = [ID(1, 11 + place) for place in range(outputs)]
    inputs = [TaskSpecInput(ID(1, 2), "x")]
    spec = TaskSpec(
        ID(1, 10), "py/", [b"", True, ["pickle"]], inputs, ids, {"cpus": 1.0}, "f", {}, ID(1, 1), OPTIONS, 3
    )
    return spec, [ObjectSpec(id, f"out{place}", "pickle", "blob", 5) for place, id in enumerate(ids)]


def assigned(count: int, outputs: int = 1) -> m.FamilyAssignment:
    spec, objects = template(outputs)
    return m.FamilyAssignment(spec, 4, objects, [b"%d" % place for place in range(count)], [0.0, -1.0, 7.0], [0])


def ended(count: int, outputs: int = 1) -> m.FamilyResults:
    columns = [
        m.OutputColumn(
            ObjectInfo(content_type="pickle"), [b"v%d.%d" % (place, i) for i in range(count)], counts(range(count))
        )
        for place in range(outputs)
    ]
    times = floats(100.0 + place for place in range(count))
    return m.FamilyResults(ID(1, 10), outputs + 1, 4, times, floats([0.5] * count), columns)


def cut(message: Any) -> list[Any]:
    """All that `halves` leads to."""
    parts = halves(message)
    return [message] if parts is None else [last for part in parts for last in cut(part)]


@pytest.mark.parametrize("outputs", [0, 1, 3])
def test_a_member_is_a_task_of_its_own(outputs: int) -> None:
    spec, objects = template(outputs)
    before = msgspec.msgpack.encode([spec, objects])
    third, made = member_spec(spec, 2, b"args"), member_outputs(objects, 2)
    number = 10 + 2 * (outputs + 1)
    assert third.id == ID(1, number)
    assert third.outputs == [ID(1, number + 1 + place) for place in range(outputs)] == [one.id for one in made]
    assert third.config == [b"args", True, ["pickle"]]
    ours, theirs = msgspec.structs.asdict(third), msgspec.structs.asdict(spec)
    assert {name for name in ours if ours[name] != theirs[name]} <= {"id", "outputs", "config"}
    assert [one.label for one in made] == [one.label for one in objects]
    assert msgspec.msgpack.encode([spec, objects]) == before


def test_a_client_has_its_configs_as_structs() -> None:
    spec = TaskSpec(ID(1, 1), "py/", PyConfig(b"", True))
    assert member_spec(spec, 1, b"a").config == PyConfig(b"a", True)


def test_programs_differ_by_their_words() -> None:
    config = ExecuteConfig(["sort", "-r"], stdout=0)
    spec = TaskSpec(ID(1, 10), EXECUTE, with_args(config, b""), outputs=[ID(1, 11)])
    assert spec.config.args == []
    assert member_spec(spec, 1, column_entry(["uniq"])).config == msgspec.structs.replace(config, args=["uniq"])
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=TaskSpec)
    third = member_spec(sent, 2, column_entry(["wc", "", "é"]))
    assert third.config == [["wc", "", "é"], *sent.config[1:]]
    assert member_spec(sent, 2, b"").config == sent.config
    good = m.Family(sent, [ObjectSpec(ID(1, 11))], [column_entry(["a"]), column_entry(["b", "c"])])
    assert is_sound(good)
    for wrong in (b"", column_entry([]), b"\xc1", msgspec.msgpack.encode(["a", 1]), msgspec.msgpack.encode("a")):
        assert not is_sound(msgspec.structs.replace(good, args=[*good.args, wrong]))
    for kind in ("py/", "builtin/load"):
        assert not is_sound(msgspec.structs.replace(good, spec=msgspec.structs.replace(sent, task_type=kind)))
    pickled = msgspec.structs.replace(sent, config=[b"", *sent.config[1:]])
    assert not is_sound(msgspec.structs.replace(good, spec=pickled))


def test_what_is_no_family_is_told_apart() -> None:
    spec, objects = template(2)
    good = m.Family(spec, objects, [b"1"], [1])
    assert is_sound(good)
    replace = msgspec.structs.replace
    for wrong in (
        replace(good, args=[]),
        replace(good, kept=[2]),
        replace(good, kept=[-1]),
        replace(good, outputs=objects[:1]),
        replace(good, outputs=objects[::-1]),
        replace(good, spec=replace(spec, outputs=[ID(1, 12), ID(1, 13)])),
        replace(good, spec=replace(spec, id=ID(2, 10))),
        replace(good, spec=replace(spec, config=[b"x"])),
        replace(good, spec=replace(spec, config=None)),
        replace(good, spec=replace(spec, config=[])),
        replace(good, spec=replace(spec, task_type="builtin/sleep")),
    ):
        assert not is_sound(wrong), wrong


def test_columns_are_of_one_length_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counts([1, 2**64 - 1]) == b"\1" + bytes(7) + b"\xff" * 8
    assert list(counts_of(counts([3, 4]))) == [3, 4]
    assert floats([1.0]) == bytes(6) + b"\xf0\x3f"
    monkeypatch.setattr("rain.common.protocol.columns._SWAPPED", True)
    assert list(floats_of(floats([0.5, 7.0]))) == [0.5, 7.0]
    for number in (-1, 2**64):
        with pytest.raises(OverflowError):
            counts([number])
    with pytest.raises(ValueError, match="multiple"):
        counts_of(b"short")


def test_assignments_one_by_one() -> None:
    found = assignments(assigned(3))
    assert [one.spec.id.id for one in found] == [10, 12, 14]
    assert [one.spec.config[0] for one in found] == [b"0", b"1", b"2"]
    assert [one.rank for one in found] == [[0.0, -1.0, 7.0 + place] for place in range(3)]
    assert all(one.attempt == 4 and one.kept == [0] for one in found)


def test_results_one_by_one() -> None:
    found = results(ended(2, 2))
    assert [one.id.id for one in found] == [10, 13]
    assert [output.id.id for one in found for output in one.outputs] == [11, 12, 14, 15]
    second = found[1]
    assert (second.attempt, second.info.start_time, second.info.duration) == (4, 101.0, 0.5)
    assert second.outputs[1].location == Inline(b"v1.1", 1)
    assert second.outputs[1].info == ObjectInfo(size=4, content_type="pickle")
    assert [len(one.outputs) for one in results(ended(2, 0))] == [0, 0]
    for wrong in (
        msgspec.structs.replace(ended(2), durations=b""),
        msgspec.structs.replace(ended(2), outputs=[m.OutputColumn(ObjectInfo(), [b"1"], counts([1]))]),
        msgspec.structs.replace(ended(2), outputs=[m.OutputColumn(ObjectInfo(), [b"1", b"2"], counts([1]))]),
    ):
        with pytest.raises(ValueError, match="zip"):
            results(wrong)


def test_parts_of_an_assignment_say_the_same() -> None:
    whole = assigned(5)
    task = m.TaskAssignment(TaskSpec(ID(1, 99), "py/"), 1, [])
    parts = cut(m.Assign([task], [], [whole]))
    assert [len(part.families) for part in parts] == [1, 1, 1, 1, 1, 0]
    assert [one for part in parts for family in part.families for one in assignments(family)] == assignments(whole)
    assert parts[-1].tasks == [task]


def test_parts_of_results_say_the_same() -> None:
    whole = ended(5, 2)
    parts = cut(m.Finished([], [whole]))
    assert len(parts) == 5
    assert [one for part in parts for family in part.families for one in results(family)] == results(whole)


def test_results_of_neighbours_become_one() -> None:
    whole = ended(6, 2)
    parts = [part_of(whole, *places) for places in ((4, 6), (0, 1), (1, 4))]
    assert joined(parts) == [whole]
    assert joined([whole]) == [whole]
    replace = msgspec.structs.replace
    first, second = part_of(whole, 0, 2), part_of(whole, 2, 6)
    other = [replace(second.outputs[0], info=ObjectInfo(content_type="text")), second.outputs[1]]
    for apart in (
        [first, replace(second, attempt=5)],
        [first, replace(second, stride=4)],
        [first, replace(second, first=ID(2, second.first.id))],
        [first, replace(second, outputs=other)],
        [first, part_of(whole, 3, 6)],
        [replace(first, durations=first.durations[:8]), second],
        [replace(first, outputs=[first.outputs[0], replace(first.outputs[1], data=[])]), second],
    ):
        assert joined(apart) == apart


def test_parts_of_an_update_say_the_same() -> None:
    column = m.ObjectColumn(
        DataObjectState.FINISHED, ObjectInfo(), counts([1, 1, 2]), [b"a", b"b", b"cc"], counts([7, 8, 9])
    )
    times = floats([1.0, 2.0, 3.0])
    whole = m.FamilyUpdate(ID(1, 10), 2, 3, TaskState.FINISHED, "g:1", 1, times, times, [column])
    parts = [part.families[0] for part in cut(m.SessionUpdate(1, [], [], None, [whole]))]
    assert [(part.first.id, part.count) for part in parts] == [(10, 1), (12, 1), (14, 1)]
    assert b"".join(part.start_times for part in parts) == b"".join(part.durations for part in parts) == times
    columns = [part.outputs[0] for part in parts]
    assert [data for part in columns for data in part.data] == column.data
    assert b"".join(part.sizes for part in columns) == column.sizes
    assert b"".join(part.checksums for part in columns) == column.checksums


def test_news_of_members_one_by_one() -> None:
    column = m.ObjectColumn(
        DataObjectState.FINISHED, ObjectInfo(encoded=True), counts([3, 4]), [b"abc", b"abcd"], counts([7, 1 << 63])
    )
    family = m.FamilyUpdate(
        ID(1, 10), 2, 2, TaskState.FINISHED, "g:1", 3, floats([5.0, 6.0]), floats([0.5, 0.25]), [column]
    )
    tasks, objects = updates(family)
    assert tasks == [
        m.TaskUpdate(ID(1, 10), TaskState.FINISHED, TaskInfo(None, 5.0, 0.5, "g:1", attempts=3)),
        m.TaskUpdate(ID(1, 12), TaskState.FINISHED, TaskInfo(None, 6.0, 0.25, "g:1", attempts=3)),
    ]
    assert objects == [
        m.ObjectUpdate(ID(1, 11), DataObjectState.FINISHED, ObjectInfo(size=3, encoded=True), Inline(b"abc", 7)),
        m.ObjectUpdate(ID(1, 13), DataObjectState.FINISHED, ObjectInfo(size=4, encoded=True), Inline(b"abcd", 1 << 63)),
    ]
    running = m.FamilyUpdate(ID(1, 10), 2, 1, TaskState.RUNNING)
    assert updates(running) == ([m.TaskUpdate(ID(1, 10), TaskState.RUNNING)], [])
    with pytest.raises(ValueError, match="unpack_from"):
        updates(msgspec.structs.replace(family, durations=b""))
