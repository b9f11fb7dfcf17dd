"""Conversations and data connections without sockets: fuzzed frames, any cut of the stream, gathering."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rain.common.errors import ProtocolError
from rain.common.ids import ID
from rain.common.limits import ACK_EVERY_FRAMES, BATCH_BYTES_TARGET, CHUNK_BYTES
from rain.common.protocol.channel import Channel
from rain.common.protocol.framing import FrameDecoder, encode_prefix
from rain.common.protocol.messages import ClientToServer, DataEnd, DataGet, Goodbye, Keep, Message
from rain.net.conversation import Conversation
from rain.net.data_connection import DataConnection


class Word(Message):
    number: int
    text: bytes = b""


class Wire:
    """Stands for a `Link`: keeps what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.address = "10.0.0.1:1"
        self.last_arrival = 0.0
        self.idle = True
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def bind(self, on_data: Any, on_lost: Any) -> None:
        pass

    def unbind(self) -> None:
        pass

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def packets(self) -> list[Any]:
        frames = FrameDecoder().feed(b"".join(self.written))
        return [msgspec.msgpack.decode(header) for header, _ in frames if header]


class Side(Conversation):
    def _link_lost(self, reason: str) -> None:
        self._drop_link()


def side(incoming: Any = Word) -> tuple[Side, Wire, list[Any], list[str]]:
    messages: list[Any] = []
    gone: list[str] = []
    conversation, wire = Side("name", incoming, messages.extend, gone.append), Wire()
    conversation._carry_on(wire, 0)  # type: ignore[arg-type]
    return conversation, wire, messages, gone


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_one_packet_for_each_turn_of_the_loop():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        for number in range(5):
            conversation.send(Word(number))
        assert wire.written == []
        await turn()
        conversation.send(Word(5))
        await turn()
        assert [[message[1] for message in packet[2]] for packet in wire.packets()] == [[0, 1, 2, 3, 4], [5]]

    asyncio.run(scenario())


def test_flush_sends_at_once_and_the_turn_has_nothing_left():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        conversation.send(Word(1))
        conversation.flush()
        assert len(wire.written) == 1
        await turn()
        assert len(wire.written) == 1

    asyncio.run(scenario())


def test_an_owner_may_end_the_turn_and_have_what_that_adds_in_the_same_packet():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        due: list[Callable[[], None]] = []
        conversation.soon = due.append
        conversation.send(Word(1))
        await turn()
        conversation.send(Word(2))
        assert wire.written == []
        (flush,) = due
        flush()
        conversation.send(Word(3))
        assert len(due) == 2  # another turn
        conversation.flush()
        assert [[message[1] for message in packet[2]] for packet in wire.packets()] == [[1, 2], [3]]

    asyncio.run(scenario())


def test_a_batch_is_split_near_its_target():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        for number in range(10):
            conversation.send(Word(number, bytes(BATCH_BYTES_TARGET // 4)))
        conversation.send(Word(10, bytes(3 * BATCH_BYTES_TARGET)))
        await turn()
        packets = wire.packets()
        assert [len(packet[2]) for packet in packets] == [3, 3, 3, 1, 1]
        assert [message[1] for packet in packets for message in packet[2]] == list(range(11))

    asyncio.run(scenario())


def test_a_bare_acknowledgement_after_many_packets_and_none_before():
    async def scenario() -> None:
        conversation, wire, messages, _ = side()
        other, theirs, _, _ = side()
        for number in range(ACK_EVERY_FRAMES):
            assert wire.written == []
            other.send(Word(number))
            other.flush()
            conversation._arrived(theirs.written[-1])
            await turn()
        assert wire.packets() == [[0, ACK_EVERY_FRAMES, []]]
        assert len(messages) == ACK_EVERY_FRAMES
        other._arrived(wire.written[0])
        assert other.backlog_bytes == 0

    asyncio.run(scenario())


def test_a_side_that_may_say_nothing_new_shows_that_it_lives():
    """While what happened cannot be written down, heartbeats tell again what was told; then all of it leaves."""

    async def scenario() -> None:
        conversation, wire, messages, _ = side()
        theirs: Channel[Any] = Channel(Word)
        conversation._arrived(encode_prefix(theirs.send([Word(1)])))
        conversation._beat()
        assert wire.packets() == [[0, 1, []]]
        conversation.commit = lambda: False
        conversation._arrived(encode_prefix(theirs.send([Word(2)])))
        conversation.send(Word(3))
        await turn()
        conversation._beat()
        conversation._beat()
        assert wire.packets()[1:] == [[0, 1, []], [0, 1, []]], "what is not written down is not acknowledged"
        conversation.commit = lambda: True
        conversation.release()
        conversation._beat()
        assert [packet[:2] for packet in wire.packets()[3:]] == [[1, 2]]
        assert len(messages) == 2
        conversation.close()

    asyncio.run(scenario())


def test_a_peer_that_leaves_too_much_unacknowledged_is_given_up(monkeypatch):
    monkeypatch.setattr("rain.common.protocol.channel.UNACKED_BYTES_MAX", 10_000)

    async def scenario() -> None:
        conversation, _, _, gone = side()
        for number in range(20):
            conversation.send(Word(number, bytes(1000)))
            conversation.flush()
        assert conversation.ended == "broken"
        assert "UNACKED_BYTES_MAX" in gone[0]
        conversation.send(Word(1))
        conversation.close()
        assert len(gone) == 1

    asyncio.run(scenario())


def test_ten_thousand_fuzzed_streams_end_their_conversation_and_nothing_else(caplog):
    caplog.set_level(logging.CRITICAL)
    chance = random.Random(16)

    def packets(number: int) -> bytes:
        said = [Keep(number, 1, [ID(1, 2), ID(1, 3)]), Goodbye()]
        return encode_prefix(msgspec.msgpack.encode((number, 0, said)))

    async def scenario() -> None:
        whole = b"".join(packets(number) for number in range(1, 4))
        broken = 0
        for _ in range(10_000):
            conversation, _, messages, gone = side(ClientToServer)
            data = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                kind = chance.randrange(3)
                place = chance.randrange(len(data))
                if kind == 0:
                    data[place] ^= 1 << chance.randrange(8)
                elif kind == 1:
                    del data[place : place + chance.randrange(1, 9)]
                else:
                    data[place:place] = chance.randbytes(chance.randrange(1, 9))
            cut = chance.randrange(len(data) + 1)
            for piece in (bytes(data[:cut]), bytes(data[cut:])):
                if piece and not conversation.ended:
                    conversation._arrived(piece)
            assert len(messages) <= 6
            assert bool(gone) == bool(conversation.ended)
            assert conversation._decoder.pending_bytes <= len(data)
            broken += bool(gone)
            conversation._end("closed")
        assert broken > 3000

    asyncio.run(scenario())


def test_what_follows_an_end_is_not_read():
    async def scenario() -> None:
        conversation, _, messages, gone = side()
        end = encode_prefix(b"", 3) + b"bye"
        conversation._arrived(end + encode_prefix(msgspec.msgpack.encode((1, 0, [Word(1)]))))
        assert (messages, gone, conversation.ended) == ([], ["bye"], "left")

    asyncio.run(scenario())


# -- data connections -----------------------------------------------------------------------------


class Transport:
    """An asyncio transport that gives its protocol bytes in any pieces."""

    def __init__(self) -> None:
        self.reading = True
        self.written = bytearray()
        self.protocol: Any = None
        self.aborted = False

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def feed(self, data: memoryview, most: int) -> int:
        """What one read of the system would bring; 0 while reading is paused."""
        if not self.reading:
            return 0
        buffer = self.protocol.get_buffer(-1)
        count = min(len(buffer), len(data), most)
        buffer[:count] = data[:count]
        self.protocol.buffer_updated(count)
        return count


class Opened:
    """Stands for the `Link` whose transport a data connection takes over."""

    secured = False
    lost = None
    address = "10.0.0.1:1"

    def __init__(self, transport: Transport, early: bytes) -> None:
        self.transport = transport
        self._early = early

    def early(self) -> bytes:
        return self._early

    def unbind(self) -> None:
        pass


@pytest.mark.parametrize("seed", range(5))
def test_any_cut_of_a_stream_gives_the_same_frames(seed):
    chance = random.Random(seed)
    frames: list[Any] = []
    stream = bytearray()
    for _ in range(60):
        if chance.random() < 0.4:
            message = chance.choice([DataGet(ID(1, 2), 3), DataEnd(chance.getrandbits(64))])
            frames.append(message)
            stream += encode_prefix(msgspec.msgpack.encode(message))
        else:
            payload = chance.randbytes(chance.choice([0, 1, 100, 5000, CHUNK_BYTES]))
            frames.append(payload)
            stream += encode_prefix(b"", len(payload)) + payload

    async def scenario() -> None:
        early = chance.randrange(0, 20_000)
        transport = Transport()
        connection = DataConnection(Opened(transport, bytes(stream[:early])))  # type: ignore[arg-type]
        left = memoryview(stream)[early:]
        got: list[Any] = []

        async def read() -> None:
            for _ in frames:
                frame = await connection.receive()
                got.append(bytes(frame) if isinstance(frame, memoryview) else frame)

        reader = asyncio.create_task(read())
        while not reader.done():
            count = transport.feed(left, chance.choice([1, 7, 8, 9, 65536, 1 << 20])) if left else 0
            left = left[count:]
            if not count or chance.random() < 0.3:
                await asyncio.sleep(0)
        await reader
        assert got == frames

    asyncio.run(scenario())


def test_too_long_a_payload_or_header_is_not_waited_for():
    async def scenario() -> None:
        for prefix in (encode_prefix(b"", CHUNK_BYTES + 1), encode_prefix(b"x" * 300_000), encode_prefix(b"x", 1)):
            transport = Transport()
            connection = DataConnection(Opened(transport, b""))  # type: ignore[arg-type]
            transport.feed(memoryview(prefix), 8)
            assert transport.aborted
            with pytest.raises(ConnectionError, match="announced a frame"):
                await connection.receive()

    asyncio.run(scenario())


def test_a_message_that_is_none_is_a_protocol_error():
    async def scenario() -> None:
        transport = Transport()
        connection = DataConnection(Opened(transport, encode_prefix(b"\xc1")))  # type: ignore[arg-type]
        with pytest.raises(ProtocolError, match="cannot be read"):
            await connection.receive()

    asyncio.run(scenario())


# -- nothing leaves before what it follows from is written down -------------------------------------


def test_nothing_leaves_before_the_commit_and_all_of_it_once_it_may():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        room, commits = [False], [0]

        def commit() -> bool:
            commits[0] += 1
            return room[0]

        conversation.commit = commit
        other, theirs, _, _ = side()
        other.send(Word(7))
        other.flush()
        conversation._arrived(b"".join(theirs.written))
        conversation.send(Word(1))
        await turn()
        conversation.send(Word(2))
        conversation._beat()
        await turn()
        assert wire.packets() == [[0, 0, []]], "a heartbeat, with what was told before"
        assert commits[0] >= 1
        conversation.release()
        assert len(wire.written) == 1
        room[0] = True
        conversation.release()
        conversation.send(Word(3))
        await turn()
        assert [message[1] for packet in wire.packets() for message in packet[2]] == [1, 2, 3]
        assert wire.packets()[1][1] == 1, "what came is acknowledged now"

    asyncio.run(scenario())


def test_a_conversation_that_may_say_nothing_is_not_closed_with_a_reason():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        conversation.commit = lambda: False
        conversation.send(Word(1))
        conversation.close("over")
        assert wire.written == []
        assert wire.ended == "aborted"

    asyncio.run(scenario())


def test_acknowledgements_of_a_peer_that_says_nothing_else_are_told_now_and_then():
    async def scenario() -> None:
        conversation, wire, _, _ = side()
        other, theirs, _, _ = side()
        told: list[int] = []
        conversation.on_acknowledged = told.append
        for number in range(4 * ACK_EVERY_FRAMES):
            conversation.send(Word(number, bytes(32_000)))
            conversation.flush()
            other._arrived(wire.written[-1])
            await turn()
        for data in theirs.written:
            conversation._arrived(data)
        assert told
        assert told == sorted(told)
        assert told[-1] <= 4 * ACK_EVERY_FRAMES
        assert len(told) <= 4

    asyncio.run(scenario())
