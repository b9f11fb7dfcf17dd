"""What an executor writes down of results that it holds."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol import ledger
from rain.common.protocol.encoding import encode
from rain.common.protocol.ledger import Ledger
from rain.common.protocol.messages import MemberResult, TaskResult
from rain.common.spec import ObjectInfo, TaskInfo

RESULT = TaskResult(ID(1, 2), 1, TaskInfo(duration=0.5))
INFO = ObjectInfo(content_type="pickle", encoded=True)
MEMBER = MemberResult(7, 1.5, 0.25, [b"abc"], [99], [INFO])
PAIR = MemberResult(8, 2.5, 0.5, [b"", b"longer than a word"], [1, (1 << 64) - 1], [INFO, ObjectInfo()])


def write(written: Ledger, result: MemberResult) -> bool:
    """Write a member down with its infos, as one with one output if it has."""
    written.write_infos(result.infos)
    told = (result.number, result.start_time, result.duration)
    if len(result.data) == 1:
        return written.write_short(*told, result.data[0], result.checksums[0])
    return written.write_member(*told, result.data, result.checksums)


def test_what_is_written_is_read_until_it_was_sent() -> None:
    memory = bytearray(1024)
    written = Ledger(memoryview(memory))
    assert list(ledger.read(bytes(memory))) == []
    assert written.write(encode(RESULT))
    assert write(written, MEMBER)
    assert written.write_short(9, 1.5, 0.25, b"x" * 16, 5)  # beside it
    assert write(written, PAIR)
    beside = MemberResult(9, 1.5, 0.25, [b"x" * 16], [5], [INFO])
    assert list(ledger.read(bytes(memory))) == [RESULT, MEMBER, beside, PAIR]
    written.clear()
    assert list(ledger.read(bytes(memory))) == []
    assert not written.write_short(7, 1.5, 0.25, b"abc", 99)  # its infos are not there any more
    assert write(written, MEMBER)
    assert list(ledger.read(bytes(memory))) == [MEMBER]


def test_a_member_with_one_output_is_written_as_one_with_any_number() -> None:
    memories = bytearray(256), bytearray(256)
    for memory, short in zip(memories, (True, False), strict=True):
        written = Ledger(memoryview(memory))
        written.write_infos(MEMBER.infos)
        if short:
            written.write_short(7, 1.5, 0.25, b"abc", 99)
        else:
            written.write_member(7, 1.5, 0.25, [b"abc"], [99])
    assert memories[0] == memories[1]


def test_what_has_no_room_is_refused_and_harms_nothing() -> None:
    memory = bytearray(256)
    written = Ledger(memoryview(memory))
    assert not written.write(bytes(300))
    assert written.write(encode(RESULT))
    while written.write(encode(RESULT)):
        pass
    assert not write(written, MEMBER)
    assert not write(written, PAIR)
    assert set(map(encode, ledger.read(bytes(memory)))) == {encode(RESULT)}


def test_what_cannot_be_read_ends_the_reading() -> None:
    memory = bytearray(1024)
    written = Ledger(memoryview(memory))
    written.write(encode(RESULT))
    written.write(b"\xc1 no message")
    written.write(encode(RESULT))
    assert list(ledger.read(bytes(memory))) == [RESULT]
    for kind in (1 << 63, 1 << 62, 3 << 62):  # a member without infos that says so, infos that are none
        forged_record = (24).to_bytes(8, "little") + (kind | 13).to_bytes(8, "little") + b"\xc1" * 16
        assert list(ledger.read(forged_record)) == []
    for forged in (b"", b"\xff" * 8, b"\xff" * 1024, (1 << 62).to_bytes(8, "little") + b"\xff" * 64):
        assert list(ledger.read(forged)) == []
