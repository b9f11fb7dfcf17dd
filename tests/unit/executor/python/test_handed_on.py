"""Small outputs that an executor keeps for the tasks that follow."""

from __future__ import annotations

import pytest

from rain.common import limits
from rain.common.ids import ID
from rain.common.location import Inline, LocalFile
from rain.common.protocol.messages import ExecutorInput, ExecutorTask, OutputResult, TaskResult
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.executor.python.handed_on import HandedOn

INFO = ObjectInfo(size=1, content_type="pickle", encoded=True)


def task(number: int, *awaited: int) -> ExecutorTask:
    """Task 1/number makes object 1/(100 + number)."""
    inputs = [
        ExecutorInput(ObjectSpec(ID(1, 7), "known"), INFO, None, Inline(b"k")),
        *(ExecutorInput(ObjectSpec(ID(1, id)), ObjectInfo(), f"in{id}", None, awaited=True) for id in awaited),
    ]
    made = ObjectSpec(ID(1, 100 + number), "made", user={"a": 1})
    return ExecutorTask(number, 1, TaskSpec(ID(1, number), "py/"), inputs, [made])


def ended(made: ExecutorTask, data: bytes = b"x", error: TaskError | None = None) -> TaskResult:
    outputs = [] if error else [OutputResult(made.outputs[0].id, INFO, Inline(data, 5))]
    return TaskResult(made.spec.id, 1, TaskInfo(), outputs, error)


def test_what_a_task_made_stands_where_it_is_awaited() -> None:
    values, first, second = HandedOn(), task(1), task(2, 101)
    assert values.fill(first)
    assert values.links == 0
    values.ended(first, ended(first))
    assert values.fill(second)
    assert values.links == 1
    assert second.inputs == [
        first.inputs[0],
        ExecutorInput(ObjectSpec(ID(1, 101), "made", user={"a": 1}), INFO, "in101", Inline(b"x", 5)),
    ]


def test_links_in_a_row_are_counted() -> None:
    values, tasks = HandedOn(), [task(1), task(2, 101), task(3, 102), task(4), task(5, 104)]
    counts = []
    for one in tasks:
        assert values.fill(one)
        counts.append(values.links)
        values.ended(one, ended(one))
    assert counts == [0, 1, 2, 0, 1]


def test_what_failed_or_made_a_file_hands_nothing_on() -> None:
    values, first = HandedOn(), task(1)
    assert not values.fill(task(2, 101))
    values.ended(first, ended(first))
    values.ended(first, ended(first, error=TaskError("exception", "again, and now it fails")))
    assert not values.fill(task(2, 101))
    large = ended(first)
    large.outputs[0].location = LocalFile("/a", 1, 1, 1)
    values.ended(first, large)
    waiting = task(2, 101)
    assert not values.fill(waiting)
    assert waiting.inputs[1].awaited


@pytest.mark.parametrize(
    ("bytes_each", "kept"), [(1, limits.HANDED_ON_COUNT_MAX), (limits.HANDED_ON_BYTES_MAX // 4, 4)]
)
def test_the_oldest_are_forgotten(bytes_each: int, kept: int) -> None:
    values = HandedOn()
    for number in range(1000, 2000):
        one = task(number)
        values.ended(one, ended(one, bytes(bytes_each)))
        values.ended(one, ended(one, bytes(bytes_each)))  # it replaces itself
    held = [number for number in range(1000, 2000) if values.fill(task(1, 100 + number))]
    assert held == list(range(2000 - kept, 2000))
