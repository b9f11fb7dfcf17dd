"""A conversation gives every batch exactly once and in order, whatever the network and the connections do."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.common.errors import ProtocolError
from rain.common.limits import ACK_EVERY_FRAMES, UNACKED_BYTES_MAX
from rain.common.protocol import messages
from rain.common.protocol.channel import Channel
from rain.common.protocol.messages import Done, Failed, GovernorCount


def channel() -> Channel[messages.Message]:
    return Channel(messages.ServerToClient)


def batches(count: int) -> list[list[messages.Message]]:
    return [[Done(3 * i), Failed(3 * i + 1, "rain", "no"), Done(3 * i + 2)][: 1 + i % 3] for i in range(count)]


def flat(lists: list[list[messages.Message]]) -> list[messages.Message]:
    return [message for batch in lists for message in batch]


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=60))
@settings(max_examples=150, deadline=None)
def test_lost_doubled_and_reordered_packets(seed: int, count: int) -> None:
    """Both sides speak over a wire that loses, doubles and reorders; lost packets are repeated until they are had."""
    rnd = random.Random(seed)
    sides = (channel(), channel())
    said = (batches(count), batches(count))
    heard: tuple[list[messages.Message], list[messages.Message]] = ([], [])
    wire: list[tuple[int, bytes]] = []

    def post(to: int, packet: bytes) -> None:
        wire.extend([(to, packet)] * rnd.choice((0, 1, 1, 2)))

    def deliver(all_of_it: bool) -> None:
        while wire and (all_of_it or rnd.random() < 0.7):
            to, packet = wire.pop(rnd.randrange(len(wire)))
            heard[to].extend(sides[to].receive(packet))
            if rnd.random() < 0.2:
                post(1 - to, sides[to].acknowledge())

    for i in range(count):
        for me in (0, 1):
            post(1 - me, sides[me].send(said[me][i]))
        deliver(False)
    for _ in range(200):
        deliver(True)
        waiting = [(me, packet) for me in (0, 1) for packet in sides[me].unacknowledged()]
        if not waiting:
            break
        for me, packet in waiting:
            post(1 - me, packet)
        deliver(True)
        for me in (0, 1):
            post(1 - me, sides[me].acknowledge())
    assert heard[0] == flat(said[1])
    assert heard[1] == flat(said[0])


@given(st.lists(st.integers(min_value=0, max_value=5), max_size=20), st.integers(min_value=0, max_value=2**32))
@settings(deadline=None)
def test_broken_connections_are_resumed(sizes: list[int], seed: int) -> None:
    """A connection delivers some of what was sent and breaks; the next one begins with `resume` on both sides."""
    rnd = random.Random(seed)
    here, there = channel(), channel()
    said: list[messages.Message] = []
    heard: list[messages.Message] = []
    on_the_wire: list[bytes] = []
    for size in sizes:
        for _ in range(size):
            batch: list[messages.Message] = [Done(len(said))]
            said += batch
            on_the_wire.append(here.send(batch))
        for packet in on_the_wire[: rnd.randint(0, len(on_the_wire))]:
            heard += there.receive(packet)
        on_the_wire = here.resume(there.received)
        assert there.resume(here.received) == []
    for packet in on_the_wire:
        heard += there.receive(packet)
    assert heard == said


@given(st.data())
@settings(deadline=None)
def test_what_is_repeated_may_be_cut_elsewhere(data: st.DataObject) -> None:
    """A side that was started anew says the same in other packets, of which some are lost and some come twice."""
    said = flat(batches(data.draw(st.integers(1, 12))))
    there = channel()
    heard: list[messages.Message] = []
    for _ in range(data.draw(st.integers(1, 4))):
        here, rest = channel(), list(said)
        packets = []
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            packets.append(here.send(rest[:size]))
            rest = rest[size:]
        repeated = here.resume(there.received)
        assert packets[len(packets) - len(repeated) :] == repeated
        assert not repeated or here.oldest_kept > there.received
        for packet in data.draw(st.permutations(repeated * 2))[: data.draw(st.integers(0, 2 * len(repeated)))]:
            heard += there.receive(packet)
        assert heard == said[: there.received] == said[: len(heard)]
    here = channel()
    heard += there.receive(here.send(said))
    assert heard == said
    here.receive(there.acknowledge())
    assert here.unacknowledged() == []


def test_a_packet_is_kept_until_all_of_it_is_acknowledged() -> None:
    here, there = channel(), channel()
    there.receive(channel().send([Done(1), Done(2)]))
    first, second = here.send([Done(1)]), here.send([Done(2), Done(3)])
    here.receive(there.acknowledge())
    assert here.unacknowledged() == [second] != [first]
    assert here.oldest_kept == 3
    assert there.receive(second) == [Done(3)]
    here.receive(there.acknowledge())
    assert here.unacknowledged() == []


def test_acknowledgements_ride_on_packets_and_free_what_was_kept() -> None:
    here, there = channel(), channel()
    packet = here.send([Done(1)])
    assert here.unacknowledged() == [packet]
    there.receive(packet)
    assert there.ack_wanted
    assert not there.ack_due
    here.receive(there.send([Done(2)]))
    assert here.unacknowledged() == []
    assert not there.ack_wanted


def test_a_one_sided_conversation_asks_for_a_bare_acknowledgement() -> None:
    here, there = channel(), channel()
    for i in range(ACK_EVERY_FRAMES):
        assert not there.ack_due
        there.receive(here.send([Done(i)]))
    assert there.ack_due
    assert here.receive(there.acknowledge()) == []
    assert here.unacknowledged() == []
    assert not here.ack_wanted


def test_a_silent_peer_is_given_up_at_the_limit() -> None:
    here = channel()
    large = [Failed(1, "rain", "x" * (UNACKED_BYTES_MAX // 2))]
    here.send(large)
    with pytest.raises(ProtocolError, match="UNACKED_BYTES_MAX"):
        here.send(large)


def test_resume_refuses_a_peer_with_another_history() -> None:
    here, there = channel(), channel()
    with pytest.raises(ProtocolError):
        here.resume(1)
    there.receive(here.send([Done(1)]))
    here.receive(there.acknowledge())
    with pytest.raises(ProtocolError):
        here.resume(0)


@pytest.mark.parametrize(
    "packet",
    [
        (1, 1, [Done(1)]),
        (-1, 0, []),
        (1, -1, []),
        (1, 0),
        (1, 0, [7]),
        (1, 0, [["NoSuchMessage", 1]]),
        (1, 0, [GovernorCount(1).__class__.__name__]),
        None,
        {"a": 1},
    ],
)
def test_wrong_packets_are_protocol_errors(packet: object) -> None:
    with pytest.raises(ProtocolError):
        channel().receive(msgspec.msgpack.encode(packet))


def test_messages_of_the_other_direction_are_refused() -> None:
    with pytest.raises(ProtocolError):
        channel().receive(Channel(messages.ClientToServer).send([messages.Goodbye()]))


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    try:
        channel().receive(data)
    except ProtocolError:
        pass


@given(st.data())
def test_a_flipped_byte(data: st.DataObject) -> None:
    packet = bytearray(channel().send(flat(batches(4))))
    packet[data.draw(st.integers(0, len(packet) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        channel().receive(bytes(packet))
    except ProtocolError:
        pass
