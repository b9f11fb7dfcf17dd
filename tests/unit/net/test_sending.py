"""Sending much to a peer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rain.common import limits
from rain.common.ids import ID
from rain.common.protocol.messages import Fetched, SessionEnded
from rain.net import conversation as conversations
from rain.net import sending
from rain.net.conversation import Conversation
from rain.net.sending import Sender
from tests.support.waiting import until_async


class Away(Conversation):
    """A peer that acknowledges when it is told to."""

    def take(self) -> list[Any]:
        """Acknowledge all; what came."""
        self.flush()
        channel = self._channel
        came = []
        for packet in channel.unacknowledged():
            first, _, messages = conversations.msgspec.msgpack.decode(packet)
            came += messages
            channel.acknowledged(first + len(messages) - 1)
        return came


def test_what_a_peer_does_not_take_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BACKLOG_BYTES_MAX", 1000)

    async def main() -> None:
        conversation = Away("away", Any)
        sender = Sender(conversation, lambda message, error: pytest.fail(str(error)))
        for number in range(1000):
            sender.send(SessionEnded(number))
        assert conversation.backlog_bytes < 1100
        numbers: list[int] = []

        def took() -> int:
            numbers.extend(message[1] for message in conversation.take())
            return len(numbers) == 1000

        await until_async(took)
        assert numbers == list(range(1000))

    asyncio.run(main())


def test_a_message_too_large_for_a_frame_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "FRAME_BYTES_MAX", 500)
    ids = [ID(1, number) for number in range(1000)]

    async def main() -> None:
        conversation = Away("away", Any)
        Sender(conversation, lambda message, error: pytest.fail(str(error))).send(Fetched(ids))
        came = conversation.take()
        assert len(came) > 10
        assert [tuple(id) for message in came for id in message[1]] == ids

    asyncio.run(main())


def test_what_cannot_be_sent_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "FRAME_BYTES_MAX", 500)
    told: list[tuple[Any, str]] = []

    async def main() -> None:
        conversation = Away("away", Any)
        sender = Sender(conversation, lambda message, error: told.append((message, str(error))))
        sender.send(Fetched([ID(1, 1), "x" * 1000, ID(1, 2)]))  # type: ignore[list-item]
        assert [message[1] for message in conversation.take()] == [[[1, 1]], [[1, 2]]]

    asyncio.run(main())
    ((message, text),) = told
    assert message == Fetched(["x" * 1000])  # type: ignore[list-item]
    assert "FRAME_BYTES_MAX" in text
    assert limits.BACKLOG_BYTES_MAX < limits.UNACKED_BYTES_MAX, "the peer would be given up before it is waited for"
