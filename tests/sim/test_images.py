"""Images of a server's state in simulated lives: what is made of one goes on as the server that it shows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rain.common.protocol.encoding import encode
from rain.server.check import check
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.state_classes import codec
from rain.server.scheduling.locality import LocalityPolicy
from tests.sim import world

STEPS_TOGETHER = 200
SEEDS = 10
SOAK_SEEDS = 3000
TASKS_MAX = 100


class Twins:
    """Now and then makes a second server of the image of the first, and steps both."""

    def __init__(self, first_at: int) -> None:
        self.codec = codec()
        self.steps = 0
        self.first_at = first_at
        self.next_at = 0
        self.core: ServerCore | None = None
        self.twin: ServerCore | None = None
        self.compared = 0

    def step(self, core: ServerCore, event: Any, now: float) -> list[do.Effect]:
        self.steps += 1
        if core is not self.core:  # the first, or its successor after a death of the server
            self.core, self.twin = core, None
            self.next_at = self.steps + self.first_at
        if self.twin is None:
            effects = STEP(core, travelled(event), now)
        else:
            expected = STEP(self.twin, travelled(event), now)
            effects = STEP(core, travelled(event), now)
            assert told(effects) == told(expected), event
            self.compared += 1
        if self.steps == self.next_at:
            if self.twin is None:
                self.twin = self.again(core)
                self.next_at += STEPS_TOGETHER
            else:
                check(self.twin)
                assert dump(self.codec, self.twin.state) == dump(self.codec, core.state)
                self.twin = None
                self.next_at += 10
        return effects

    def again(self, core: ServerCore) -> ServerCore:
        image = dump(self.codec, core.state)
        state = load(self.codec, image)
        state.make_policy = LocalityPolicy
        assert dump(self.codec, state) == image
        twin = ServerCore(state.address, state.host_id)
        twin.state = state
        check(twin)
        return twin


STEP = ServerCore.step


def travelled(event: Any) -> Any:
    """An event as a server has it: made of what came over the wire, of which it shares nothing with anyone."""
    return msgspec.msgpack.decode(encode(event), type=type(event))


def told(effects: list[do.Effect]) -> list[Any]:
    """What can be compared of effects: two errors are never equal."""
    return [str(effect) if isinstance(effect, do.InternalError) else effect for effect in effects]


def run(seed: int, monkeypatch: pytest.MonkeyPatch) -> Twins:
    twins = Twins(5 + seed * 7 % 50)
    monkeypatch.setattr(ServerCore, "step", lambda core, event, now: twins.step(core, event, now))
    world.run_seed(seed, checks=False, tasks_max=TASKS_MAX)
    return twins


def test_what_an_image_makes_goes_on_as_the_server_that_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = [run(seed, monkeypatch).compared for seed in range(SEEDS)]
    assert sum(count >= STEPS_TOGETHER for count in compared) > SEEDS / 4, "these lives are too short to tell"


@pytest.mark.soak
def test_images_in_many_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(SEEDS, SEEDS + SOAK_SEEDS):
        run(seed, monkeypatch)
