"""Members of families in an executor: taken one by one, given back, told as columns."""

from __future__ import annotations

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.limits import RESULT_HOLD_S
from rain.common.location import Inline
from rain.common.protocol import ledger
from rain.common.protocol.encoding import encode
from rain.common.protocol.families import results
from rain.common.protocol.ledger import Ledger
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


def add(held: HeldResults, shared: ExecutorFamily, place: int, data: bytes, info: ObjectInfo = INFO) -> bool:
    number = shared.number + place
    return held.add_member(shared, place, 1.0 * number, 0.5, [data], [number], [info], 1.0 * number)


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
    assert peer.hear() == [Results([], stale=True), Recalled([5, 6, 7, 8], True), Recalled([20, 21], True)]


def test_members_may_wait_longer_than_tasks() -> None:
    held = HeldResults(None)
    held.held_longer()
    held.add(msgspec.Raw(encode(TaskResult(ID(1, 99), 1, TaskInfo()))), 7.0)
    assert held.may_wait_s == RESULT_HOLD_S
    add(held, family(), 0, b"x")
    assert held.may_wait_s == held.hold_s > RESULT_HOLD_S


def test_neighbours_are_told_in_columns() -> None:
    held, shared = HeldResults(None), family()
    other = msgspec.Raw(encode(TaskResult(ID(1, 99), 1, TaskInfo())))
    for place in (0, 1):
        add(held, shared, place, bytes([place]) * 3)
    held.add(other, 7.0)
    add(held, shared, 2, b"x")
    add(held, shared, 3, b"x", ObjectInfo())  # another kind of value
    assert held.since == 5.0
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


def test_short_ones_go_when_the_ledger_has_no_room_for_one_more() -> None:
    held, shared = HeldResults(Ledger(memoryview(bytearray(200)))), family(count=9)
    for place in range(3):
        held.add_short(shared, place, 1.0, 0.5, b"x" * 16, place, [INFO], 1.0)
        assert held.full == (place == 2)
    held.take()
    assert not held.full


def test_a_short_one_is_held_and_the_next_is_taken_unless_something_came(peer: Peer) -> None:
    connection = peer.connection

    def hold(member: Member) -> int:
        return connection.hold_short(member.family, member.place, 1.0, 0.5, b"x", 1, [INFO], 1.0)

    peer.say(RunTasks([], [family()]))
    connection.receive()
    connection.arrived = False
    first = connection.next()
    assert isinstance(first, Member)
    assert (hold(first), hold(Member(first.family, 1))) == (1, 2)
    peer.say(RunTasks([task(20)]))
    connection.receive_now()
    assert hold(Member(first.family, 2)) == -1
    connection.arrived = False
    assert [connection.next_place(), connection.next_place()] == [3, -1]
    connection.flush()
    assert sum(len(part.durations) // 8 for told in peer.hear() for part in told.families) == 3


def test_short_ones_are_told_beside_each_other_while_nothing_comes_between() -> None:
    memory = bytearray(4096)
    held, shared = HeldResults(Ledger(memoryview(memory))), family(count=9)
    infos = [INFO]

    def short(place: int) -> None:
        held.add_short(shared, place, 1.0, 0.5, bytes([place]), place, infos, 1.0)
        assert not held.full

    short(0)
    short(1)
    held.add(msgspec.Raw(encode(TaskResult(ID(1, 99), 1, TaskInfo()))), 2.0)
    short(2)
    assert not add(held, shared, 3, b"x")
    short(4)
    short(6)
    assert [getattr(result, "number", 0) for result in ledger.read(bytes(memory))] == [5, 6, 0, 7, 8, 9, 11]
    told = held.take()
    held.sent()
    assert list(ledger.read(bytes(memory))) == []
    short(7)
    told += held.take()
    firsts = [(part.first.id, len(part.start_times) // 8) for message in told for part in message.families]
    assert firsts == [(10, 2), (14, 2), (18, 1), (22, 1), (24, 1)]


def test_members_follow_each_other_until_one_is_given_back(peer: Peer) -> None:
    peer.say(RunTasks([task(4)], [family()]))
    peer.connection.receive()
    connection = peer.connection
    assert connection.next().number == 4
    assert connection.next_place() < 0  # what was taken last is no member
    assert connection.next().number == 5
    assert connection.next_place() < 0  # what has come is to be looked at
    connection.arrived = False
    assert connection.next_place() == 1
    peer.say(Recall([8]))
    connection.receive_now()
    assert connection.next_place() < 0
    assert numbers_left(peer) == [7]
    assert connection.next_place() < 0


def test_a_member_that_wrote_something_is_told_as_any_task() -> None:
    result = as_task_result(Member(family(), 1), ended(6, b"abc"))
    assert (result.id, result.attempt, result.info.start_time) == (ID(1, 12), 3, 6.0)
    assert result.outputs[0].id == ID(1, 13)
    assert result.outputs[0].location == Inline(b"abc", 6)
    assert result.outputs[0].info.size == 3
