"""What an executor writes down of results that it holds."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.protocol import ledger
from rain.common.protocol.encoding import encode
from rain.common.protocol.ledger import Ledger
from rain.common.protocol.messages import MemberResult, TaskResult
from rain.common.spec import ObjectInfo, TaskInfo

RESULT = TaskResult(ID(1, 2), 1, TaskInfo(duration=0.5))
MEMBER = MemberResult(7, 1.5, 0.25, [b"abc"], [99], [ObjectInfo(content_type="pickle", encoded=True)])


def test_what_is_written_is_read_until_it_was_sent() -> None:
    memory = bytearray(1024)
    written = Ledger(memoryview(memory))
    assert list(ledger.read(bytes(memory))) == []
    assert written.write(encode(RESULT), False)
    assert written.write(encode(MEMBER), True)
    assert list(ledger.read(bytes(memory))) == [RESULT, MEMBER]
    written.clear()
    assert list(ledger.read(bytes(memory))) == []
    assert written.write(encode(MEMBER), True)
    assert list(ledger.read(bytes(memory))) == [MEMBER]


def test_what_has_no_room_is_refused_and_harms_nothing() -> None:
    memory = bytearray(256)
    written = Ledger(memoryview(memory))
    assert not written.write(bytes(300), False)
    assert written.write(encode(RESULT), False)
    while written.write(encode(RESULT), False):
        pass
    assert set(map(encode, ledger.read(bytes(memory)))) == {encode(RESULT)}


def test_what_cannot_be_read_ends_the_reading() -> None:
    memory = bytearray(1024)
    written = Ledger(memoryview(memory))
    written.write(encode(RESULT), False)
    written.write(b"\xc1 no message", True)
    written.write(encode(RESULT), False)
    assert list(ledger.read(bytes(memory))) == [RESULT]
    for forged in (b"", b"\xff" * 8, b"\xff" * 1024, (1 << 62).to_bytes(8, "little") + b"\xff" * 64):
        assert list(ledger.read(forged)) == []
