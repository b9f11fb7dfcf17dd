"""Turns of a governor: when what they send leaves."""

from __future__ import annotations

import asyncio
from typing import Any

from rain.governor.core import effects as do
from rain.governor.core import events as ev
from rain.governor.turns import Turns


class Core:
    """Answers each event with one effect."""

    def __init__(self) -> None:
        self.events: list[type] = []

    def step(self, event: ev.AnyEvent, now: float) -> list[Any]:
        self.events.append(type(event))
        return [do.ToServer(type(event).__name__)]  # type: ignore[arg-type]


def test_all_that_a_turn_and_its_end_send_leaves_once() -> None:
    async def scenario() -> list[str]:
        told: list[str] = []

        def send(effect: Any) -> None:
            told.append(effect.message)
            turns.soon(lambda: told.append("flushed by itself"))

        turns = Turns(
            Core(),  # type: ignore[arg-type]
            {do.ToServer: send},
            {},
            on_ended=lambda: told.append("flushed"),
            on_spoiled=told.append,
            on_fatal=lambda error: told.append(str(error)),
        )
        turns.step(ev.ServerGone())
        turns.step(ev.ServerGone())
        for _ in range(3):
            await asyncio.sleep(0)
        turns.soon(lambda: told.append("flushed by itself"))
        await asyncio.sleep(0)
        return told

    assert asyncio.run(scenario()) == ["ServerGone", "ServerGone", "TurnEnded", "flushed", "flushed by itself"]
