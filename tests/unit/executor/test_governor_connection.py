"""The executor's end of the socket."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pytest

from rain.common.ids import ID
from rain.common.location import Inline
from rain.common.protocol.framing import FrameDecoder, encode_prefix
from rain.common.protocol.messages import (
    ExecutorInput,
    ExecutorTask,
    ExecutorToGovernor,
    Interrupt,
    Recall,
    Recalled,
    Results,
    RunTasks,
    TaskResult,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskSpec
from rain.executor.governor_connection import GovernorConnection
from rain.executor.loop import encoded


class Peer:
    """The governor's end."""

    def __init__(self) -> None:
        self.end, theirs = socket.socketpair()
        self.end.settimeout(10)
        self.interrupts: list[int] = []
        self.connection = GovernorConnection(theirs, self.interrupts.append)
        self.frames = FrameDecoder()

    def say(self, *messages: Any) -> None:
        self.end.sendall(encode_prefix(msgspec.msgpack.encode(messages)))

    def hear(self) -> list[Any]:
        """The messages of the next frames that are there."""
        heard = []
        for header, _ in self.frames.feed(self.end.recv(1 << 16)):
            heard += msgspec.msgpack.decode(header, type=list[ExecutorToGovernor])
        return heard


@pytest.fixture
def peer() -> Peer:
    return Peer()


def task(number: int, function: ExecutorInput | None = None) -> ExecutorTask:
    return ExecutorTask(number, 1, TaskSpec(ID(1, number), "py/"), [], [], function)


def result(number: int) -> TaskResult:
    return TaskResult(ID(1, number), 1, TaskInfo())


def test_tasks_come_in_order_and_can_be_recalled(peer: Peer) -> None:
    peer.say(RunTasks([task(1), task(2), task(3)]))
    peer.connection.receive()
    assert peer.connection.next().number == 1
    peer.say(Recall([1, 2, 9]))
    peer.connection.receive_now()
    assert peer.hear() == [Recalled([2])]
    assert peer.connection.next().number == 3
    assert peer.connection.next() is None
    peer.connection.receive_now()  # nothing has come


def test_receive_does_not_wait_when_a_task_waits(peer: Peer) -> None:
    peer.say(RunTasks([task(1)]))
    peer.connection.receive_now()
    peer.connection.receive()
    assert peer.connection.next().number == 1


def test_results_travel_together(peer: Peer) -> None:
    assert not peer.connection.held.items
    peer.connection.flush()
    for number in (1, 2):
        assert not peer.connection.hold(encoded(result(number)), 1.0)
    assert peer.connection.held.items
    peer.connection.flush()
    assert peer.hear() == [Results([result(1), result(2)])]
    assert peer.connection.hold(msgspec.Raw(bytes(5 << 20)), 1.0)


def test_functions_are_kept_as_they_came(peer: Peer) -> None:
    function = ExecutorInput(ObjectSpec(ID(1, 5)), ObjectInfo(), None, Inline(b"code"))
    peer.say(RunTasks([task(1, function), task(2)]))
    peer.connection.receive()
    assert peer.connection.functions[ID(1, 5)].location == Inline(b"code")


def test_a_stale_executor_gives_everything_back(peer: Peer) -> None:
    peer.say(RunTasks([task(1), task(2)]))
    peer.connection.receive()
    peer.connection.hold(encoded(result(0)), 1.0)
    peer.connection.give_up(peer.connection.next())
    peer.say(RunTasks([task(3)]))
    peer.connection.receive()
    assert peer.hear() == [
        Results([result(0)]),
        Results([], stale=True),
        Recalled([1, 2], unasked=True),
        Recalled([3], unasked=True),
    ]
    assert peer.connection.next() is None


def test_interrupts_are_handed_on(peer: Peer) -> None:
    peer.say(Interrupt(4), Interrupt())
    peer.connection.receive()
    assert peer.interrupts == [4, 0]


def test_what_cannot_travel_becomes_an_error() -> None:
    odd = result(1)
    odd.info.user = {"x": object()}
    odd.info.duration = 0.5
    told = msgspec.msgpack.decode(encoded(odd), type=TaskResult)
    assert told.info.duration == 0.5
    assert told.error.kind == "rain"
    assert "cannot be sent" in told.error.message
