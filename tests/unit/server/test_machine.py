"""The machine between conversations and core: records in, messages and effects out."""

from __future__ import annotations

from typing import Any

import pytest

from rain.common.errors import ProtocolError
from rain.common.ids import ID
from rain.common.location import LocalFile, Upload
from rain.common.protocol import messages as m
from rain.common.spec import ObjectSpec
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.recovery import records as r
from rain.server.recovery.machine import FAILURES_MAX, Machine

ENV = m.SessionEnv("laptop", "/usr/bin/python3", "3.11", [], "/home/me")


class PaperHands:
    """Remember what the machine wants."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Any]] = []
        self.calls: list[tuple[Any, ...]] = []

    def send(self, conversation: int, message: Any) -> None:
        self.sent.append((conversation, message))

    def close(self, conversation: int, reason: str) -> None:
        self.calls.append(("close", conversation))

    def part(self, conversation: int, reason: str) -> None:
        self.calls.append(("part", conversation))

    def perform(self, effect: do.Effect) -> None:
        if isinstance(effect, do.DiscardUpload):
            self.calls.append(("discard", *effect.names))

    def later(self, event: r.FollowUp, tries: int) -> None:
        self.calls.append(("later", type(event), tries))

    def failed(self, what: str, error: Exception) -> None:
        self.calls.append(("failed", str(error)))

    def fatal(self, error: Exception) -> None:
        self.calls.append(("fatal", str(error)))


def machine() -> tuple[Machine, PaperHands]:
    hands = PaperHands()
    return Machine(ServerCore("server:1", "host"), hands), hands


def client(number: int = 1) -> r.Opened:
    return r.Opened(1.0, number, 0, "c:1", m.Hello("client", "abc"))


def governor(number: int) -> r.Opened:
    return r.Opened(1.0, number, 0, "g:1", m.Hello("governor", f"g{number}"))


def came(number: int, *claims: r.Claim) -> r.Came:
    return r.Came(2.0, number, [], list(claims))


REGISTER = m.Register("g:1", "host", {"cpus": 1.0}, [], "3.11")


def test_another_governor_at_an_address_takes_the_place_of_the_first() -> None:
    server, hands = machine()
    server.apply(governor(1))
    server.apply(came(1), [REGISTER])
    server.apply(governor(2))
    server.apply(came(2), [REGISTER])
    assert hands.calls == [("close", 1)]
    assert server.peers == {"g:1": 2}
    server.apply(r.Gone(3.0, 1, "late news of the first"))
    assert list(server.core.state.graph.governors) == ["g:1"]
    server.apply(r.Gone(3.0, 2, "gone"))
    assert not server.core.state.graph.governors
    assert not server.names


@pytest.mark.parametrize("messages", [[m.Dropped([])], [REGISTER, REGISTER]])
def test_a_governor_registers_first_and_once(messages: list[Any]) -> None:
    server, _ = machine()
    server.apply(governor(1))
    with pytest.raises(ProtocolError, match=r"register(s once| first)"):
        server.apply(came(1), messages)


def test_what_a_client_brought_goes_with_it_unless_it_was_submitted() -> None:
    server, hands = machine()
    server.apply(client())
    server.apply(came(1), [m.NewSession(1, "s", "continue", False, ENV)])
    for name in ("upload-one", "upload-two"):
        server.apply(r.Uploaded(2.0, 1, name))
    file = LocalFile("/constants/upload-one", 1, 5, 1)
    constant = m.Constant(ID(1, 1), Upload("upload-one", 5))
    submit = m.Submit(2, 1, [], [ObjectSpec(ID(1, 1))], [constant], [])
    server.apply(came(1, r.Claim(0, "", [file])), [submit])
    assert hands.sent[-1] == (1, m.Done(2))
    record = server.core.state.graph.object(ID(1, 1))
    assert record is not None
    assert record.location == file
    server.apply(r.Gone(3.0, 1, "left"))
    assert hands.calls[0] == ("discard", "upload-two")


def test_a_claim_that_failed_refuses_the_request() -> None:
    server, hands = machine()
    server.apply(client())
    server.apply(came(1), [m.NewSession(1, "s", "continue", False, ENV)])
    submit = m.Submit(2, 1, [], [ObjectSpec(ID(1, 1))], [m.Constant(ID(1, 1), Upload("upload-one", 5))], [])
    server.apply(came(1, r.Claim(0, "it did not arrive", [None])), [submit])
    assert isinstance(hands.sent[-1][1], m.Failed)
    assert "it did not arrive" in hands.sent[-1][1].message


def test_an_error_of_the_core_becomes_a_record_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server, hands = machine()

    def broken(self: ServerCore, event: ev.Event, now: float) -> Any:
        raise ValueError(type(event).__name__)

    monkeypatch.setattr(ServerCore, "step", broken)
    server.apply(r.Ticked(1.0))
    assert hands.calls == [("failed", "Tick"), ("later", ev.Tick, 1)]
    hands.calls.clear()
    server.apply(r.Followed(1.0, ev.Tick(), 1))
    assert hands.calls == [("failed", "Tick"), ("later", ev.Tick, 2)]
    hands.calls.clear()
    server.apply(r.Followed(1.0, ev.Tick(), FAILURES_MAX))
    assert hands.calls == [("failed", "Tick"), ("fatal", "Tick")]


def test_each_kind_of_record_is_read_as_it_was_written() -> None:
    file = LocalFile("/x", 1, 2, 3, None)
    examples: list[r.Record] = [
        r.Begun(1.0, 2.0, 3, "server:1", ["/dev/shm/x"]),
        client(),
        r.Came(1.0, 1, [b"packet"], [r.Claim(0, "no", [file, None])]),
        r.Gone(1.0, 1, "left"),
        r.Paced(1.0, 1, True),
        r.Ticked(1.0),
        r.TurnEnded(1.0),
        r.Followed(1.0, ev.GovernorGone("g:1", "lost"), 2),
        r.Uploaded(1.0, 1, "upload-one"),
        r.Acknowledged(1.0, 1, 7),
    ]
    assert {type(record) for record in examples} == set(r.KINDS)
    for record in examples:
        again = r.decode_record(r.KINDS[type(record)], r.encode_record(record))
        assert again == record
        assert type(again) is type(record)
