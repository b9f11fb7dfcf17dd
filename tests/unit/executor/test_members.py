"""Members of families in an executor: taken one by one, given back, told as columns."""

from __future__ import annotations

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.encoding import encode
from rain.common.protocol.families import results
from rain.common.protocol.messages import (
    ExecutorFamily,
    ExecutorTask,
    MemberResult,
    OutputResult,
    Recall,
    Recalled,
    Results,
    RunTasks,
    TaskResult,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec
from rain.executor.held_results import HeldResults
from rain.executor.python.members import Member, Members, as_task_result
from tests.unit.executor.test_governor_connection import Peer

INFO = ObjectInfo(content_type="pickle", encoded=True)


def family(number: int = 5, count: int = 4) -> ExecutorFamily:
    """Members 1/10, 1/12, … with the outputs 1/11, 1/13, …"""
    spec = TaskSpec(ID(1, 10), "py/", [b""], outputs=[ID(1, 11)])
    args = [bytes([place]) for place in range(count)]
    return ExecutorFamily(number, 3, spec, [], [ObjectSpec(ID(1, 11))], args)


def task(number: int) -> ExecutorTask:
    return ExecutorTask(number, 1, TaskSpec(ID(1, 100 + number), "py/"), [], [])


def ended(number: int, data: bytes = b"x", info: ObjectInfo = INFO) -> MemberResult:
    return MemberResult(number, 1.0 * number, 0.5, [data], [number], [info])


@pytest.fixture
def peer() -> Peer:
    return Peer()


def numbers_left(peer: Peer) -> list[int]:
    left = []
    while (item := peer.connection.next()) is not None:
        left.append(item.number)
    return left


def test_a_member_is_read_like_a_task() -> None:
    members = Members(family(), 0, 4)
    first, second = members.take(), members.take()
    assert (first.number, first.id, first.args, first.attempt) == (5, ID(1, 10), b"\0", 3)
    assert second.spec == TaskSpec(ID(1, 12), "py/", [b"\1"], outputs=[ID(1, 13)])
    assert second.outputs == [ObjectSpec(ID(1, 13))]
    assert list(members.numbers()) == [7, 8]


def test_members_and_tasks_run_in_the_order_of_their_numbers(peer: Peer) -> None:
    peer.say(RunTasks([task(4), task(9)], [family()]))
    peer.connection.receive()
    assert numbers_left(peer) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("recalled", "left"),
    [([7, 8], [6]), ([6, 7, 8], []), ([7], [6, 8]), ([6, 8], [7]), ([5, 99], [6, 7, 8])],
    ids=["the tail", "all", "one in the middle", "several", "one that has begun"],
)
def test_members_are_given_back(peer: Peer, recalled: list[int], left: list[int]) -> None:
    peer.say(RunTasks([], [family()]))
    peer.connection.receive()
    assert peer.connection.next().number == 5
    peer.say(Recall(recalled))
    peer.connection.receive_now()
    (answer,) = peer.hear()
    assert sorted(answer.numbers) == sorted({*recalled} & {6, 7, 8})
    assert numbers_left(peer) == left


def test_all_members_go_back_from_an_outdated_executor(peer: Peer) -> None:
    peer.say(RunTasks([], [family()]))
    peer.connection.receive()
    peer.connection.give_up(peer.connection.next())
    peer.say(RunTasks([], [family(20, 2)]))
    peer.connection.receive()
    assert peer.hear() == [Results([], stale=True), Recalled([5, 6, 7, 8]), Recalled([20, 21])]


def test_neighbours_are_told_in_columns() -> None:
    held, shared = HeldResults(None), family()
    other = msgspec.Raw(encode(TaskResult(ID(1, 99), 1, TaskInfo())))
    for place in (0, 1):
        held.add_member(Member(shared, place), ended(5 + place, bytes([place]) * 3), b"")
    held.add(other)
    held.add_member(Member(shared, 2), ended(7), b"")
    held.add_member(Member(shared, 3), ended(8, info=ObjectInfo()), b"")  # another kind of value
    told = msgspec.msgpack.decode(encode(held.take()), type=list[Results])
    assert [len(message.results) + len(message.families) for message in told] == [1, 1, 1, 1]
    assert [result.id for message in told for part in message.families for result in results(part)] == [
        ID(1, 10),
        ID(1, 12),
        ID(1, 14),
        ID(1, 16),
    ]
    first, second = results(told[0].families[0])
    assert (first.attempt, first.info) == (3, TaskInfo(None, 5.0, 0.5))
    expected = ObjectInfo(size=3, content_type="pickle", encoded=True)
    assert second.outputs == [OutputResult(ID(1, 13), expected, Inline(b"\1\1\1", 6))]
    assert not held.items


def test_a_member_that_wrote_something_is_told_as_any_task() -> None:
    result = as_task_result(Member(family(), 1), ended(6, b"abc"))
    assert (result.id, result.attempt, result.info.start_time) == (ID(1, 12), 3, 6.0)
    assert result.outputs[0].id == ID(1, 13)
    assert result.outputs[0].location == Inline(b"abc", 6)
    assert result.outputs[0].info.size == 3
